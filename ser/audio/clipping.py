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
MOST_HELD = 2**16  # samples
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
        self._skipped = 0  # samples of the next block before the first that is measured
        self._held: list[np.ndarray] = []  # they are measured together, which is faster
        self._n_held = 0
        self._channels: list[_Levels] = []

    def add(self, frames: np.ndarray) -> None:
        """Measure the next frames, shape (n_frames, channels)."""
        self._channels = self._channels or [_Levels() for _ in range(frames.shape[1])]
        held = frames[self._skipped :: self._step].copy()
        self._skipped = (self._skipped - len(frames)) % self._step
        self._held.append(held)
        self._n_held += held.size
        if self._n_held >= MOST_HELD:
            self._measure()

    def _measure(self) -> None:
        """Measure the stretches that are held as a whole."""
        samples = np.concatenate(self._held)
        n_stretches = len(samples) // self._length
        end = n_stretches * self._length
        self._held, self._n_held = [samples[end:].copy()], samples[end:].size
        if n_stretches:
            for channel, levels in zip(samples[:end].T, self._channels, strict=True):
                levels.add(channel.reshape(n_stretches, self._length))

    @property
    def score(self) -> float:
        """How clipped the worst channel is, 0 to 1: near 1 for a square wave, 0 for sines and noise."""
        if self._held:
            self._measure()
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
        rows, sound = np.arange(len(samples)), np.abs(samples)
        peaks = sound[rows, sound.argmax(axis=1)]  # faster than the maximum of each row
        self._loudest = max(self._loudest, float(peaks.max()))
        # What lies further below the loudest than `score` looks can be left out: the loudest only rises.
        loud = np.flatnonzero(peaks > self._loudest * 2.0 ** (-(TRIED + SPAN) / BINS_PER_OCTAVE))
        if not len(loud):
            return
        sound, bits = sound.take(loud, axis=0), samples.take(loud, axis=0).ravel().view(np.int32)
        changes = bits[:-1] ^ bits[1:]
        changes >>= 31  # -1 if the next sample has another sign, else 0
        sound.ravel()[:-1].view(np.int32)[:] &= np.invert(changes, out=changes)  # where a top ends
        sound[:, -1] = 0  # or the stretch
        highest = sound.argmax(axis=1)
        peaks = sound[rows[: len(sound)], highest]
        octaves = np.log2(np.maximum(peaks, 2.0 ** LEVELS[0])) - LEVELS[0]
        n_bins = self._counts.shape[1]
        bins = (octaves * BINS_PER_OCTAVE).astype(int).clip(0, n_bins - 1)
        self._counts[0] += np.bincount(bins, minlength=n_bins)
        # Only the tops of louder stretches are looked at.
        looked = np.flatnonzero(bins > self._counts[0].nonzero()[0][-1] - TRIED - WINDOW)
        if not len(looked):
            return
        sound, highest, peaks, bins = (values.take(looked, axis=0) for values in (sound, highest, peaks, bins))
        is_behind = np.arange(sound.shape[1], dtype=np.int16) >= highest.astype(np.int16)[:, None]
        levels = np.multiply.outer(np.array((LOW, HIGH), np.float32), peaks)
        (n_low, n_high), (first, first_high), (end, end_high) = _tops(sound >= levels[..., None], is_behind)
        width, is_whole = end - first, (first > 0) & (end < sound.shape[1] - 1)
        is_flat = is_whole & (width >= MIN_WIDTH) & (end_high - first_high >= FLAT * width)
        self._counts[1:] += [np.bincount(bins, of_each, n_bins) for of_each in (n_low, n_high, is_whole, is_flat)]

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


def _tops(is_above: np.ndarray, is_behind: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each row the number of true values, and first and end (exclusive) of the run that holds a column.

    Rows are those of the last axis. `is_above` is false in the last column; `is_behind` is true from that column on.
    """
    is_below = ~is_above
    end = (is_below & is_behind).argmax(axis=-1)
    first = -(is_below > is_behind)[..., ::-1].argmax(axis=-1) % is_above.shape[-1]  # 0 if nothing before is false
    return is_above.sum(axis=-1, dtype=np.int32), first, end
