"""How a voice sounds over time: a recording of up to four hours in, a `Timeline` of labelled segments out.

Speech is found, heard through overlapping windows that the model answers one by one, exactly as it answers a short
recording, and smoothed. The recording is decoded once, in blocks; only the last seconds of it are ever in memory.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

import numpy as np

from ser.audio.loading import BLOCK_S, MAX_TIMELINE_BYTES, MAX_TIMELINE_S, Source, open_recording, source_name
from ser.audio.vad import FRAME, MARGIN_S, PAUSE_S, RATE, Span, SpeechFinder
from ser.metrics import softmax
from ser.types import REASONS, AudioError, Prediction, Progress, Segment, Timeline, Waveform

# Half of this hop costs twice as much and changes nothing: where an unseen actor's emotion turns every 2 to 9 s without
# a pause, 60 % of the time is labelled right with either.
HOP_S = 1.0  # from window to window, and the length of the cells that are labelled
# There 0.3 gives 1.02 segments an emotion; 0 gives 1.5, no better labelled; 0.4 costs 6 points.
LEAD = 0.3  # in probability, by which another label must lead to end a segment
MAX_JOBS = 4  # threads by default; each holds features of one window
UNSETTLED = 8  # utterances whose windows may still be asked about
PENDING = 4  # windows a thread that may wait, so that decoding never runs far ahead


class WindowRecognizer(Protocol):
    """What a timeline needs of a recogniser: `predict` for windows of `window_s`; sure from a confidence on."""

    name: str
    labels: tuple[str, ...]
    sample_rate: int

    @property
    def window_s(self) -> float: ...
    @property
    def sure_from(self) -> float: ...
    def predict(self, source: Waveform) -> Prediction: ...


def timeline(
    source: Source,
    recognizer: WindowRecognizer,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
    block_s: float = BLOCK_S,
    max_s: float = MAX_TIMELINE_S,
    max_bytes: int = MAX_TIMELINE_BYTES,
) -> Timeline:
    """How a recording of up to four hours sounds over time: a path, bytes or an open file, heard by `recognizer`.

    `progress` is called after every block with the seconds done and the length
    (None where the file does not tell); what it raises stops the work within a fraction of a second and comes out.
    `jobs` windows are answered at a time, by default one a core. Segments are the same for every `block_s` and `jobs`.

    Raises `AudioError` as `ser.audio.open_recording` does. A damage after half a second of sound gives what stands
    before it, with `cut_off`; sound without speech gives a timeline without segments.
    """
    jobs = jobs or min(MAX_JOBS, _cores())
    with open_recording(source, max_s=max_s, max_bytes=max_bytes) as recording, ThreadPoolExecutor(jobs) as pool:
        listener = _Listener(recognizer, pool, PENDING * jobs)
        for block in recording.blocks(recognizer.sample_rate, block_s):
            listener.hear(block)
            if progress is not None:
                progress(listener.heard_s, recording.length_s)
        segments = _doubted(listener.finish(), clipped=recording.clipped, cut_off=recording.cut_off)
    if not listener.heard_s:
        raise AudioError(f"{recording.label}: too few samples to be sound. Record it again, for longer.")
    name, heard_s, cut_off = source_name(source), listener.heard_s, recording.cut_off
    return Timeline(name, heard_s, segments, recognizer.labels, recognizer.name, cut_off)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- From blocks to answered windows ---


@dataclass
class _Window:
    """Samples from `start` to `end` of the recording, and what the model says to them."""

    start: int
    end: int
    answer: Future[Prediction]


class _Listener:
    """Keeps the last seconds of a recording, and asks the model about windows of what is spoken in it."""

    def __init__(self, recognizer: WindowRecognizer, pool: ThreadPoolExecutor, pending: int) -> None:
        self._recognizer, self._pool, self._most_pending = recognizer, pool, pending
        self._rate = recognizer.sample_rate
        self._finder = SpeechFinder(self._rate)
        self._length = round(recognizer.window_s * self._rate)
        self._hop = round(HOP_S * self._rate)
        self._kept = self._length + round((PAUSE_S + 2 * MARGIN_S + FRAME / RATE) * self._rate)
        self._tape, self._tape_start = np.empty(0, np.float32), 0
        self._pending: deque[Future[Prediction]] = deque()
        self._windows: list[_Window] = []  # of the utterance that is going on
        self._utterances: deque[list[_Window]] = deque()
        self._segments: list[Segment] = []

    @property
    def heard_s(self) -> float:
        return (self._tape_start + len(self._tape)) / self._rate

    def hear(self, samples: np.ndarray) -> None:
        """Listen to the next samples, shape (n,), and forget what no window can need any more."""
        self._tape = np.concatenate([self._tape, samples])
        self._follow(self._finder.push(samples))
        n_old = self._finder.position - self._kept - self._tape_start
        if n_old > 0:
            self._tape, self._tape_start = self._tape[n_old:].copy(), self._tape_start + n_old

    def finish(self) -> list[Segment]:
        """The recording has ended: its segments."""
        self._follow(self._finder.finish())
        self._settle(0)
        return self._segments

    def _follow(self, spans: Iterable[Span]) -> None:
        for span in spans:
            for start, end in self._due(span):
                self._ask(start, end)
            if span.over:
                self._utterances.append(self._windows)
                self._windows = []
                self._settle(UNSETTLED)

    def _settle(self, n_left: int) -> None:
        """Turn all but the last utterances into segments, which are a hundred times smaller."""
        while len(self._utterances) > n_left:
            self._segments += _segments(self._utterances.popleft(), self._recognizer)

    def _due(self, span: Span) -> Iterator[tuple[int, int]]:
        """Windows that are complete: one every hop, and a last one that ends with the utterance."""
        start = self._windows[-1].start + self._hop if self._windows else span.start
        while start + self._length <= span.end:
            yield start, start + self._length
            start += self._hop
        if span.over and (not self._windows or self._windows[-1].end < span.end):
            yield max(span.start, span.end - self._length), span.end

    def _ask(self, start: int, end: int) -> None:
        """Hand a window to the pool; where too many wait already, only after the oldest is answered."""
        samples = self._tape[start - self._tape_start : end - self._tape_start].copy()
        if len(self._pending) >= self._most_pending:
            self._pending.popleft().result()
        answer = self._pool.submit(self._recognizer.predict, Waveform(samples, self._rate))
        self._pending.append(answer)
        self._windows.append(_Window(start, end, answer))


# --- From answered windows to segments ---


def _segments(windows: list[_Window], recognizer: WindowRecognizer) -> Iterator[Segment]:
    """The answered windows of one utterance as segments without a gap."""
    rate, labels = recognizer.sample_rate, recognizer.labels
    answers = [window.answer.result() for window in windows]
    edges = _edges(windows[0].start, windows[-1].end, round(HOP_S * rate))
    over = _over(windows, (edges[:-1] + edges[1:]) / 2)
    logs = _log(np.array([[answer.probabilities[label] for label in labels] for answer in answers]))
    cells = np.array([logs[window].mean(axis=0) for window in over])
    for first, last in _runs(cells, np.diff(edges)):
        probabilities = softmax(np.average(cells[first:last], axis=0, weights=np.diff(edges[first : last + 1])))
        yield _segment(
            (edges[first].item() / rate, edges[last].item() / rate),
            dict(zip(labels, probabilities.tolist(), strict=True)),
            answers[over[first].start : over[last - 1].stop],
            recognizer.sure_from,
        )


def _edges(start: int, end: int, length: int) -> np.ndarray:
    """Where the cells of an utterance begin and end, in samples; the last one takes what is left over."""
    n_cells = max(1, (end - start) // length)
    return np.array([*range(start, start + n_cells * length, length), end])


def _over(windows: list[_Window], middles: np.ndarray) -> list[slice]:
    """For each cell the windows that hold its middle, at least one."""
    first = np.searchsorted([window.end for window in windows], middles, side="right")
    last = np.searchsorted([window.start for window in windows], middles, side="right")
    return [slice(int(i), int(j)) for i, j in zip(first, last, strict=True)]


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, np.finfo(float).tiny))


def _runs(cells: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """First cell and end (exclusive) of every segment; `cells` are log-probabilities, shape (n_cells, n_labels).

    Runs of one held label are named by what fits them best on the whole, and joined where that is the same.
    """
    means = [
        (first, last, int(np.average(cells[first:last], axis=0, weights=lengths[first:last]).argmax()))
        for first, last in _equal(hold(softmax(cells)))
    ]
    for first, last in _equal([label for _, _, label in means]):
        yield means[first][0], means[last - 1][1]


def _equal(values: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First place and end (exclusive) of every run of equal values."""
    for _, run in groupby(enumerate(values), key=lambda item: item[1]):
        places = [place for place, _ in run]
        yield places[0], places[-1] + 1


def hold(cells: np.ndarray) -> Iterator[int]:
    """The label of each cell with hysteresis: it stays until another leads it by `LEAD`.

    `cells` are probabilities, shape (n_cells, n_labels).
    """
    held = int(cells[0].argmax())
    for cell in cells:
        if cell.max() - cell[held] > LEAD:
            held = int(cell.argmax())
        yield held


def _segment(
    times_s: tuple[float, float], probabilities: dict[str, float], answers: list[Prediction], sure_from: float
) -> Segment:
    """A segment, in doubt where most of the windows over it are, or where no label is probable enough."""
    label = max(probabilities, key=probabilities.__getitem__)
    found = {
        reason
        for reason in REASONS
        if reason != "close_call" and 2 * sum(reason in answer.reasons for answer in answers) > len(answers)
    }
    if probabilities[label] < sure_from:
        found.add("close_call")
    return Segment(*times_s, label, probabilities, _ordered(found))


def _doubted(segments: list[Segment], *, clipped: bool, cut_off: bool) -> tuple[Segment, ...]:
    """The segments, all of an overdriven recording in doubt, and the last one before a damage."""
    more = [{"clipped"} if clipped else set() for _ in segments]
    if segments and cut_off:
        more[-1].add("cut_off")
    return tuple(
        replace(segment, reasons=_ordered({*segment.reasons, *reasons}))
        for segment, reasons in zip(segments, more, strict=True)
    )


def _ordered(reasons: set[str]) -> tuple[str, ...]:
    return tuple(reason for reason in REASONS if reason in reasons)
