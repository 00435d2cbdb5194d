"""The envelope of a waveform, as a player draws it: the level of equal stretches, 0 to 1."""

from __future__ import annotations

import numpy as np

N_PEAKS = 240  # of a short recording
CELL_S = 0.05  # the finest that a long recording is drawn with


def envelope(samples: np.ndarray, n: int = N_PEAKS) -> np.ndarray:
    """Return the peaks of at most `n` equal stretches of samples (n_samples,), over the largest: float32, 0 to 1."""
    if not len(samples):
        return np.zeros(1, np.float32)
    return _scaled(np.maximum.reduceat(np.abs(samples), _edges(len(samples), n)))


class Envelope:
    """The envelope of a recording of unknown length, from its blocks; it holds one number for each 50 ms."""

    def __init__(self, sample_rate: int) -> None:
        self._cell = max(1, round(CELL_S * sample_rate))
        self._rest = np.empty(0, np.float32)
        self._peaks: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        """Add the next samples, shape (n_samples,)."""
        samples = np.concatenate([self._rest, np.abs(samples)])
        n_whole = len(samples) // self._cell * self._cell
        self._rest = samples[n_whole:]
        self._peaks.append(samples[:n_whole].reshape(-1, self._cell).max(axis=1, initial=0))

    def peaks(self, n: int) -> np.ndarray:
        """Return the mean peak of 50 ms in each of at most `n` equal stretches, over the largest.

        The largest peak itself is as high in nearly every stretch of a long recording.
        """
        last = self._rest.max(initial=0, keepdims=True) if len(self._rest) else self._rest
        peaks = np.concatenate([*self._peaks, last])
        if not len(peaks):
            return np.zeros(1, np.float32)
        edges = _edges(len(peaks), n)
        return _scaled(np.add.reduceat(peaks, edges) / np.diff(edges, append=len(peaks)))


def _edges(length: int, n: int) -> np.ndarray:
    """Return the starts of at most `n` equal stretches."""
    return np.linspace(0, length, min(n, length), endpoint=False).astype(int)


def _scaled(peaks: np.ndarray) -> np.ndarray:
    return (peaks / max(float(peaks.max()), 1e-9)).astype(np.float32)
