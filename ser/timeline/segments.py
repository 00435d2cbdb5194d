"""The timeline of a recording of up to four hours: segments of its speech, by the smoothed labels of its windows.

The recording is decoded once, in blocks; only its last seconds are in memory.
"""

from __future__ import annotations

import os
import statistics
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Any, Literal, Protocol, get_args

import numpy as np

from ser.audio.loading import BLOCK_S, MAX_TIMELINE_BYTES, MAX_TIMELINE_S, Source, open_recording, source_name
from ser.audio.vad import FRAME, MARGIN_S, PAUSE_S, RATE, Span, SpeechFinder
from ser.metrics import softmax
from ser.types import (
    REASONS,
    SELF,
    Adaptation,
    AudioError,
    Channels,
    OnBlock,
    Prediction,
    Progress,
    Segment,
    Timeline,
    Waveform,
    check_known,
)

# Half of this hop costs twice as much and gains nothing: if an unseen actor's emotion changes every 2 to 9 s without a
# pause, 60 % of the time is labelled correctly with either.
HOP_S = 1.0  # from window to window, and the length of the cells that are labelled
# On the same recordings 0.3 gives 1.02 segments an emotion; 0 gives 1.5, no better labelled; 0.4 costs 6 points.
LEAD = 0.3  # in probability, by which another label must lead to end a segment
ENOUGH_S = 60.0  # of speech, from which on a recording is adapted to
MAX_JOBS = 4  # threads by default; each holds features of one window
UNSETTLED = 8  # utterances whose windows may still be analysed
PENDING = 4  # windows a thread that may wait, so that decoding does not run far ahead

Adapt = Literal["self", "none"]


class WindowRecognizer(Protocol):
    """What a timeline needs of a recogniser: windows of `window_s` are analysed, then answered, adapted or not."""

    name: str
    labels: tuple[str, ...]
    sample_rate: int

    @property
    def window_s(self) -> float: ...
    @property
    def adaptation(self) -> Adaptation | None: ...
    def analyse(self, source: Waveform) -> Any: ...
    def answer(self, analysis: Any) -> Prediction: ...
    def adapted_to_windows(self, windows: Iterable[Any], clips: int) -> WindowRecognizer: ...


def timeline(
    source: Source,
    recognizer: WindowRecognizer,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
    adapt: Adapt = "self",
    channels: Channels = "mix",
    track: int | None = None,
    block_s: float = BLOCK_S,
    max_s: float = MAX_TIMELINE_S,
    max_bytes: int = MAX_TIMELINE_BYTES,
    stop: Callable[[], bool] = lambda: False,
    on_block: OnBlock = lambda block: None,
) -> Timeline:
    """Return the timeline of a recording of up to four hours: a path, bytes or an open binary file.

    `progress` is called after every block with the seconds done and in all (None if the file does not tell); an
    exception from it stops the work within a fraction of a second. `stop` is asked after every block as well; once it
    is true, the timeline ends there, with `stopped`. `on_block` is given every block, at the model's rate, so that who
    draws or plays the recording need not decode it again. `jobs` windows are predicted at a time, by default
    one a core. Segments are the same for every `block_s` and `jobs`. With `adapt="self"` the answers are adapted to the
    recording's own speech if that lasts a minute, and the recogniser is not adapted already; a
    channel that is heard by itself is a source by itself.

    `channels` takes the mean of all channels, one of them, or each by itself, as the two sides of a call: then the
    segments of all of them are in order of time. `track` is the sound track of a file that has several, from 1. Times
    are those of the file: a late start or a gap in it counts as silence.

    Raises `AudioError` as `ser.audio.open_recording` does. If the file is damaged after half a second of sound, the
    timeline ends there, with `cut_off`; sound without speech gives a timeline without segments.
    """
    check_known(adapt, get_args(Adapt), "adapt")
    jobs, stopped = jobs or min(MAX_JOBS, _cores()), False
    opened = open_recording(source, max_s=max_s, max_bytes=max_bytes, track=track, keep_times=True)
    with opened as recording, ThreadPoolExecutor(jobs) as pool:
        adapting = adapt == "self" and recognizer.adaptation is None
        names = recording.names(channels)
        segmenters = [_Segmenter(recognizer, pool, PENDING * jobs, adapting) for _ in names]
        for block in recording.channel_blocks(recognizer.sample_rate, block_s, progress, channels):
            for segmenter, samples in zip(segmenters, block, strict=True):
                segmenter.push(samples)
            on_block(block)
            if stopped := stop():
                break
        of_channels = [
            [replace(segment, channel=name) for segment in _ended(segmenter, clipped, recording.cut_off)]
            for name, segmenter, clipped in zip(names, segmenters, recording.clipped_channels, strict=True)
        ]
    duration_s = segmenters[0].duration_s
    if not duration_s:
        raise AudioError(f"{recording.label}: too few samples to be sound. Record it again, for longer.")
    return Timeline(
        source_name(source),
        duration_s,
        tuple(sorted(chain(*of_channels), key=lambda segment: segment.start_s)),
        recognizer.labels,
        recognizer.name,
        recording.cut_off,
        adapted=_adaptation([segmenter.recognizer for segmenter in segmenters]),
        channels=tuple(filter(None, names)),
        track=recording.track if recording.n_tracks > 1 else None,
        stopped=stopped,
    )


def _ended(segmenter: _Segmenter, clipped: bool, cut_off: bool) -> list[Segment]:
    """Return the segments of a channel, with the reasons for doubt that concern the whole recording."""
    segments = segmenter.finish()
    if clipped:
        segments = [_doubted(segment, {"clipped"}) for segment in segments]
    if segments and cut_off:
        segments[-1] = _doubted(segments[-1], {"cut_off"})
    return segments


def _adaptation(recognizers: Sequence[WindowRecognizer]) -> Adaptation | None:
    """Return what the channels are adapted to; the clips of those that adapt to their own speech are summed."""
    adaptations = [each.adaptation for each in recognizers if each.adaptation is not None]
    own = [adaptation for adaptation in adaptations if adaptation.source == SELF]
    if own:
        return Adaptation(SELF, sum(adaptation.clips for adaptation in own))
    return adaptations[0] if adaptations else None


def _cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- From blocks to analysed windows ---


@dataclass
class _Window:
    """A window from sample `start` to `end` of the recording, analysed."""

    start: int
    end: int
    analysis: Future[Any]


class _Segmenter:
    """Keeps the last seconds of a recording and has the model analyse windows of its speech.

    If it is `adapting`, the windows of all utterances are kept until the end, as numbers.
    """

    def __init__(self, recognizer: WindowRecognizer, pool: ThreadPoolExecutor, pending: int, adapting: bool) -> None:
        self.recognizer, self._pool, self._most_pending, self._adapting = recognizer, pool, pending, adapting
        self._rate = recognizer.sample_rate
        self._finder = SpeechFinder(self._rate)
        self._length = round(recognizer.window_s * self._rate)
        self._hop = round(HOP_S * self._rate)
        self._kept = self._length + round((PAUSE_S + 2 * MARGIN_S + FRAME / RATE) * self._rate)
        self._buffer, self._buffer_start = np.empty(0, np.float32), 0
        self._pending: deque[Future[Any]] = deque()
        self._windows: list[_Window] = []  # of the utterance that is going on
        self._utterances: deque[list[_Window]] = deque()
        self._segments: list[Segment] = []

    @property
    def duration_s(self) -> float:
        """Seconds pushed so far."""
        return (self._buffer_start + len(self._buffer)) / self._rate

    def push(self, samples: np.ndarray) -> None:
        """Add the next samples, shape (n,), and drop those that no window needs any more."""
        n_old = max(0, self._finder.position - self._kept - self._buffer_start)
        self._buffer, self._buffer_start = np.concatenate([self._buffer[n_old:], samples]), self._buffer_start + n_old
        self._follow(self._finder.push(samples))

    def finish(self) -> list[Segment]:
        """End the recording and return its segments."""
        self._follow(self._finder.finish())
        if self._adapting:
            self._adapt()
        self._settle(0)
        return self._segments

    def _adapt(self) -> None:
        """Adapt to all windows, if there is enough speech."""
        speech_s = sum(windows[-1].end - windows[0].start for windows in self._utterances) / self._rate
        if speech_s >= ENOUGH_S:
            analyses = (window.analysis.result() for windows in self._utterances for window in windows)
            self.recognizer = self.recognizer.adapted_to_windows(analyses, round(speech_s / self.recognizer.window_s))

    def _follow(self, spans: Iterable[Span]) -> None:
        for span in spans:
            for start, end in self._due(span):
                self._submit(start, end)
            if span.over:
                self._utterances.append(self._windows)
                self._windows = []
                if not self._adapting:
                    self._settle(UNSETTLED)

    def _settle(self, n_left: int) -> None:
        """Turn all but the last `n_left` utterances into segments, which are a hundred times smaller."""
        while len(self._utterances) > n_left:
            self._segments += _segments(self._utterances.popleft(), self.recognizer)

    def _due(self, span: Span) -> Iterator[tuple[int, int]]:
        """Yield the windows of a span that are complete: one every hop, and a last one that ends with the utterance."""
        start = self._windows[-1].start + self._hop if self._windows else span.start
        while start + self._length <= span.end:
            yield start, start + self._length
            start += self._hop
        if span.over and (not self._windows or self._windows[-1].end < span.end):
            yield max(span.start, span.end - self._length), span.end

    def _submit(self, start: int, end: int) -> None:
        """Submit a window to the pool; if too many wait, after the oldest is predicted."""
        samples = self._buffer[start - self._buffer_start : end - self._buffer_start].copy()
        if len(self._pending) >= self._most_pending:
            self._pending.popleft().result()
        analysis = self._pool.submit(self.recognizer.analyse, Waveform(samples, self._rate))
        self._pending.append(analysis)
        self._windows.append(_Window(start, end, analysis))


# --- From analysed windows to segments ---


def _segments(windows: list[_Window], recognizer: WindowRecognizer) -> Iterator[Segment]:
    """Yield the segments of one utterance, which leave no gap."""
    rate, labels = recognizer.sample_rate, recognizer.labels
    predictions = [recognizer.answer(window.analysis.result()) for window in windows]
    hop, start, end = round(HOP_S * rate), windows[0].start, windows[-1].end
    edges = np.array([*range(start, max(start, end - hop) + 1, hop), end])  # of cells; the last takes the remainder
    over = _over(windows, (edges[:-1] + edges[1:]) / 2)
    shares = np.array([[prediction.probabilities[label] for label in labels] for prediction in predictions])
    logs = np.log(np.maximum(shares, np.finfo(float).tiny))
    cells = np.array([logs[window].mean(axis=0) for window in over])
    for first, last in _runs(cells, np.diff(edges)):
        probabilities = softmax(np.average(cells[first:last], axis=0, weights=np.diff(edges[first : last + 1])))
        times_s = edges[first].item() / rate, edges[last].item() / rate
        covering = predictions[over[first].start : over[last - 1].stop]
        yield _segment(times_s, dict(zip(labels, probabilities.tolist(), strict=True)), covering)


def _over(windows: list[_Window], middles: np.ndarray) -> list[slice]:
    """Return for each cell the windows that hold its middle, at least one."""
    first = np.searchsorted([window.end for window in windows], middles, side="right")
    last = np.searchsorted([window.start for window in windows], middles, side="right")
    return [slice(int(i), int(j)) for i, j in zip(first, last, strict=True)]


def _runs(cells: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield first cell and end of every segment: runs of one held label, joined if the best mean is of one label."""
    means = [
        (first, last, int(np.average(cells[first:last], axis=0, weights=lengths[first:last]).argmax()))
        for first, last in _equal(list(hold(softmax(cells))))
    ]
    for first, last in _equal([label for _, _, label in means]):
        yield means[first][0], means[last - 1][1]


def _equal(values: list[int]) -> Iterable[tuple[int, int]]:
    """Return first index and end (exclusive) of every run of equal values, which are not negative."""
    return pairwise(np.flatnonzero(np.diff(values, prepend=-1, append=-1)).tolist())


def hold(cells: np.ndarray) -> Iterator[int]:
    """Yield the index of each cell's label, which stays until another leads it by `LEAD`; (n_cells, n_labels)."""
    held = int(cells[0].argmax())
    for cell in cells:
        if cell.max() - cell[held] > LEAD:
            held = int(cell.argmax())
        yield held


def _segment(times_s: tuple[float, float], probabilities: dict[str, float], predictions: list[Prediction]) -> Segment:
    """Return a segment with the reasons for doubt of most of its windows, and `close_call` if no label is sure."""
    sure_from = statistics.median_high(prediction.sure_from for prediction in predictions)
    label = max(probabilities, key=probabilities.__getitem__)
    counts = Counter(reason for prediction in predictions for reason in prediction.reasons if reason != "close_call")
    reasons = {reason for reason, count in counts.items() if 2 * count > len(predictions)}
    if probabilities[label] < sure_from:
        reasons.add("close_call")
    return _doubted(Segment(*times_s, label, probabilities), reasons)


def _doubted(segment: Segment, reasons: set[str]) -> Segment:
    """Add reasons for doubt to a segment, in the order of `REASONS`."""
    return replace(segment, reasons=tuple(reason for reason in REASONS if reason in {*segment.reasons, *reasons}))
