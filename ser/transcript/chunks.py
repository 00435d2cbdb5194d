"""Split speech into chunks of bounded length for a transcription engine, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ser.audio.vad import FRAME, MARGIN_S, PAUSE_S, RATE, Span, SpeechFinder

SEARCHED = (0.8, 0.98)  # part of the longest chunk in which speech without a pause is cut, at its quietest
QUIET = round(0.02 * RATE)  # samples per compared energy


@dataclass(frozen=True)
class Chunk:
    """Samples of a recording at `RATE` from sample `start` on, and its utterances as (start, end) of the recording."""

    start: int
    samples: np.ndarray
    utterances: tuple[tuple[int, int], ...]


def chunks(blocks: Iterable[np.ndarray], longest_s: float, pause_s: float) -> Iterator[Chunk]:
    """Yield the speech in blocks of mono samples at `RATE` as chunks of at most `longest_s`, each once it is complete.

    Utterances are joined over pauses of up to `pause_s`. The chunks do not depend on the blocks; only one is in memory.
    """
    chunker = _Chunker(round(longest_s * RATE), round(pause_s * RATE))
    for block in blocks:
        yield from chunker.push(block)
    yield from chunker.finish()


class _Chunker:
    """Buffer the latest seconds of a recording, with the utterances that are not yet part of a chunk."""

    def __init__(self, longest: int, pause: int) -> None:
        self._longest, self._pause = longest, pause
        # After so many samples an utterance that fits into the chunk has ended.
        self._waits = longest + FRAME + round((PAUSE_S + 2 * MARGIN_S) * RATE)
        self._finder = SpeechFinder(RATE)
        self._buffer, self._buffer_start = np.empty(0, np.float32), 0
        self._open: list[tuple[int, int]] = []
        self._done = 0  # end of the latest chunk

    def push(self, samples: np.ndarray) -> Iterator[Chunk]:
        """Process the next samples, shape (n,)."""
        n_old = max(0, self._finder.position - self._waits - round(MARGIN_S * RATE) - self._buffer_start)
        self._buffer, self._buffer_start = np.concatenate([self._buffer[n_old:], samples]), self._buffer_start + n_old
        yield from self._add(self._finder.push(samples))
        if self._open and self._finder.position - self._open[0][0] > self._waits:
            yield from self._flush()

    def finish(self) -> Iterator[Chunk]:
        """Process the end of the recording."""
        yield from self._add(self._finder.finish())
        yield from self._flush()

    def _add(self, spans: Iterable[Span]) -> Iterator[Chunk]:
        for span in spans:
            start = max(span.start, self._done)
            if self._open and (start - self._open[-1][1] > self._pause or span.end - self._open[0][0] > self._longest):
                yield from self._flush()
            while span.end - start > self._longest:
                cut = self._quietest(start)
                self._open = [(start, cut)]
                yield from self._flush()
                start = cut
            if span.over:
                self._open.append((start, span.end))

    def _flush(self) -> Iterator[Chunk]:
        if self._open:
            start, self._done = self._open[0][0], self._open[-1][1]
            samples = self._buffer[start - self._buffer_start : self._done - self._buffer_start].copy()
            yield Chunk(start, samples, tuple(self._open))
            self._open = []

    def _quietest(self, start: int) -> int:
        """Return the sample at which to cut speech from `start` on that is longer than a chunk."""
        first, last = (start + round(part * self._longest) for part in SEARCHED)
        n_frames = (last - first) // QUIET
        frames = self._buffer[first - self._buffer_start :][: n_frames * QUIET].reshape(n_frames, QUIET)
        return first + int((frames**2).sum(axis=1).argmin()) * QUIET + QUIET // 2
