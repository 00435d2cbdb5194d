"""Clipping: finds recordings that were overdriven, also behind lossy coders, resampling and gain.

A coder or a resampler bends the flat tops of clipped sound, so that they no longer lie at one value. What stays: in
many stretches of some milliseconds the largest sample is nearly the same, few are larger, and the wave stays near it
for long. Speech that is not clipped rises to a different height in every stretch, and its tops are narrow.
"""

from __future__ import annotations

import numpy as np

STRETCH_S = 0.016  # a period of a low voice; longer ones would mix vowels with their ends
LEAST_RATE = 14_000  # Hz; every second, third, ... sample of faster recordings is enough to see tops
BINS_PER_OCTAVE = 24  # of the peaks' levels: 0.25 dB
LEVELS = (-30, 10)  # octaves relative to full scale: from below 24 bits to sound in float far beyond it
WINDOW = 8  # bins: peaks of clipped sound lie within 2 dB after a coder
SPAN = 36  # bins: they are counted against those of the 9 dB below the highest of them
TRIED = 24  # bins: levels that are tried, to 6 dB below the loudest peak, which a pop or a coder's overshoot may be
MIN_STRETCHES = 5  # near one level; a pop when a microphone opens has two or three
PRIOR_TOPS = 8  # that are not flat, added to the measured ones: in a short word some are flat by chance
HIGH, LOW = 0.8, 0.5  # of a stretch's peak
FLAT = 0.7  # width of a top at 0.8 by that at 0.5 of its peak: 0.61 for a sine, 0.74 for one that is cut 3 dB deep
MIN_WIDTH = 5  # samples at 0.5 of the peak; the ratio of narrower tops is chance

# Fitted by `experiments/clipping.py` on half of the speakers of eight corpora.
CLIPPED_SCORE = 0.02


class ClipMeter:
    """Measure how clipped a recording is, channel by channel; the memory does not grow with its length.

    The result does not depend on how the recording is cut into blocks.
    """

    def __init__(self, sample_rate: int) -> None:
        self._step = max(1, sample_rate // LEAST_RATE)
        self._length = round(STRETCH_S * sample_rate / self._step)  # of a stretch, in samples that are measured
        self._rest: np.ndarray | None = None
        self._channels: list[_Levels] = []

    def add(self, frames: np.ndarray) -> None:
        """Measure the next frames, shape (n_frames, channels)."""
        frames = frames if self._rest is None else np.concatenate((self._rest, frames))
        self._channels = self._channels or [_Levels() for _ in range(frames.shape[1])]
        size = self._length * self._step
        n_stretches = len(frames) // size
        self._rest = frames[n_stretches * size :].copy()
        if n_stretches:
            for samples, levels in zip(frames[: n_stretches * size : self._step].T, self._channels, strict=True):
                levels.add(samples.reshape(n_stretches, self._length))

    @property
    def score(self) -> float:
        """How clipped the worst channel is, 0 to 1: near 1 for a square wave, 0 for sines and noise."""
        return max((levels.score for levels in self._channels), default=0.0)

    @property
    def clipped(self) -> bool:
        return self.score > CLIPPED_SCORE


class _Levels:
    """Count the stretches of one channel by the level of their peaks.

    The rows of `_counts` are: stretches, samples above `LOW` and above `HIGH` of the stretch's peak, tops that
    lie in one stretch as a whole, flat ones among them.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((5, (LEVELS[1] - LEVELS[0]) * BINS_PER_OCTAVE))
        self._loudest = 2.0 ** LEVELS[0]

    def add(self, samples: np.ndarray) -> None:
        """Count stretches, shape (n_stretches, n_samples)."""
        sound = np.abs(samples)
        peaks = sound.max(axis=1)
        self._loudest = max(self._loudest, float(peaks.max()))
        # What lies further below the loudest than `score` looks can be left out: the loudest only rises.
        loud = peaks > self._loudest * 2.0 ** (-(TRIED + SPAN) / BINS_PER_OCTAVE)
        if not loud.any():
            return
        sound, sign = sound[loud], np.signbit(samples[loud])
        sound[:, :-1] *= sign[:, :-1] == sign[:, 1:]  # a top ends where the sign changes
        sound[:, -1] = 0  # or the stretch
        highest = sound.argmax(axis=1)
        peaks = sound[np.arange(len(sound)), highest]
        n_low, first, end = _tops(sound >= LOW * peaks[:, None], highest)
        n_high, first_high, end_high = _tops(sound >= HIGH * peaks[:, None], highest)
        width, is_whole = end - first, (first > 0) & (end < sound.shape[1] - 1)
        is_flat = is_whole & (width >= MIN_WIDTH) & (end_high - first_high >= FLAT * width)
        octaves = np.log2(np.maximum(peaks, 2.0 ** LEVELS[0])) - LEVELS[0]
        n_bins = self._counts.shape[1]
        bins = (octaves * BINS_PER_OCTAVE).astype(int).clip(0, n_bins - 1)
        self._counts += [np.bincount(bins, of_each, n_bins) for of_each in (None, n_low, n_high, is_whole, is_flat)]

    @property
    def score(self) -> float:
        """The largest product, over levels, of three shares: stretches at the level, high samples, flat tops."""
        end = int(np.flatnonzero(self._counts[0]).max(initial=0)) + 1
        counts = self._counts[:, max(0, end - TRIED - SPAN) : end]
        louder = np.zeros((5, TRIED + SPAN + 1))  # [:, n]: in the n highest bins
        louder[:, 1 : counts.shape[1] + 1] = counts[:, ::-1]
        louder = louder.cumsum(axis=1)
        above = louder[:, :TRIED]  # each level that is tried
        n_stretches, n_low, n_high, n_whole, n_flat = louder[:, WINDOW : TRIED + WINDOW] - above
        n_span = louder[0, SPAN : TRIED + SPAN] - above[0]
        at_level = (n_stretches - above[0]) / np.maximum(n_span, 1)
        scores = at_level * n_high / np.maximum(n_low, 1) * n_flat / (n_whole + PRIOR_TOPS)
        return float(scores.max(where=n_stretches >= MIN_STRETCHES, initial=0.0))


def _tops(is_above: np.ndarray, highest: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each row the number of true values, and first and end (exclusive) of the run that holds a column.

    `is_above` has the shape (n_stretches, n_samples) and is false in the last column; `highest` are the columns.
    """
    n_stretches, n_samples = is_above.shape
    rows = np.arange(n_stretches + 1) * n_samples
    above = np.flatnonzero(is_above)
    counts = np.diff(np.searchsorted(above, rows))
    last = np.append(np.flatnonzero(above[1:] - above[:-1] != 1), len(above) - 1)  # of each run
    lengths = np.diff(last, prepend=-1)
    run = np.searchsorted(above[last], rows[:-1] + highest)
    end = above[last[run]] - rows[:-1] + 1
    return counts, end - lengths[run], end
