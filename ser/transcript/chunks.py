"""Speech cut into stretches of a bounded length, block by block: what a recogniser of words hears in one piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ser.audio.vad import FRAME, MARGIN_S, PAUSE_S, RATE, Span, SpeechFinder

# Speech that goes on without a pause is cut where it is quietest in this part of the longest piece.
SEARCHED = (0.8, 0.98)
QUIET = round(0.02 * RATE)  # samples that are weighed against each other


@dataclass(frozen=True)
class Stretch:
    """Sound from sample `start` of a recording on, at `RATE`, and where in it somebody speaks: (start, end) each."""

    start: int
    samples: np.ndarray
    utterances: tuple[tuple[int, int], ...]


def stretches(blocks: Iterable[np.ndarray], longest_s: float, pause_s: float) -> Iterator[Stretch]:
    """The speech in blocks of mono samples at `RATE`, in pieces of at most `longest_s`, each as soon as it is whole.

    Utterances are joined over pauses of up to `pause_s`. The pieces are the same however the sound came in blocks, and
    no more than one of them is in memory.
    """
    cutter = _Cutter(round(longest_s * RATE), round(pause_s * RATE))
    for block in chain(blocks, (None,)):
        yield from cutter.hear(block)


class _Cutter:
    """Keeps the last seconds of a recording, and the utterances in them that are not handed on yet."""

    def __init__(self, longest: int, pause: int) -> None:
        self._longest, self._pause = longest, pause
        # By then an utterance that fits into a piece has been found to be over.
        self._waits = longest + FRAME + round((PAUSE_S + 2 * MARGIN_S) * RATE)
        self._finder = SpeechFinder(RATE)
        self._tape, self._tape_start = np.empty(0, np.float32), 0
        self._open: list[tuple[int, int]] = []
        self._done = 0  # handed on up to here

    def hear(self, samples: np.ndarray | None) -> Iterator[Stretch]:
        """Listen to the next samples, shape (n,), or with None to the end of the recording."""
        if samples is None:
            yield from self._follow(self._finder.finish())
            yield from self._hand_on()
            return
        self._tape = np.concatenate([self._tape, samples])
        yield from self._follow(self._finder.push(samples))
        if self._open and self._finder.position - self._open[0][0] > self._waits:
            yield from self._hand_on()
        n_old = self._finder.position - self._waits - round(MARGIN_S * RATE) - self._tape_start
        if n_old > 0:
            self._tape, self._tape_start = self._tape[n_old:].copy(), self._tape_start + n_old

    def _follow(self, spans: Iterable[Span]) -> Iterator[Stretch]:
        for span in spans:
            start = max(span.start, self._done)
            if self._open and not self._fits(start, span.end):
                yield from self._hand_on()
            while span.end - start > self._longest:
                cut = self._quietest(start)
                self._open = [(start, cut)]
                yield from self._hand_on()
                start = cut
            if span.over:
                self._open.append((start, span.end))

    def _fits(self, start: int, end: int) -> bool:
        """Whether an utterance can be heard together with those before it."""
        return start - self._open[-1][1] <= self._pause and end - self._open[0][0] <= self._longest

    def _hand_on(self) -> Iterator[Stretch]:
        if self._open:
            start, self._done = self._open[0][0], self._open[-1][1]
            samples = self._tape[start - self._tape_start : self._done - self._tape_start].copy()
            yield Stretch(start, samples, tuple(self._open))
            self._open = []

    def _quietest(self, start: int) -> int:
        """Where to cut what goes on for longer than a piece from `start` on."""
        first, last = (start + round(part * self._longest) for part in SEARCHED)
        n_frames = (last - first) // QUIET
        frames = self._tape[first - self._tape_start :][: n_frames * QUIET].reshape(n_frames, QUIET)
        return first + int((frames**2).sum(axis=1).argmin()) * QUIET + QUIET // 2
