"""Faults of a recording that answers bear but people should know of: an offset and mains hum."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

OFFSET = 0.015  # mean, of full scale
OFFSET_SHARE = 0.5  # ... or of the deviation from it: offset of a recording that was turned down; speech is below 0.03
LEAST_OFFSET = 1e-3  # of full scale; less is the rounding of quiet sound
MAINS_HZ = (50.0, 60.0)
BESIDE_HZ = 10.0  # from the mains: rumble and voices are as strong there, hum is not
HUM_DB = -27.0  # of the hum's fundamental, relative to the peak; of 1,500 recordings 0.3 % have more
STRETCH_S = 0.4
LEAST_ENERGY = 0.5  # of what hum would have at least; less rules it out
QUIET_SHARE = 0.25  # of the stretches has less hum: it goes on where a voice pauses
DECIMATION_HZ = 2000  # of the sound that hum is looked for in, about


def faults(samples: np.ndarray, sample_rate: int, mains_energy: float = math.inf) -> tuple[str, ...]:
    """Return which of `offset` and `hum` are strong in a waveform.

    `mains_energy` is that of `ser.features.preprocessing.Prepared`, if it is known: mostly it rules out hum.
    """
    mean = float(samples.mean())
    hum = _hum(samples, mean, sample_rate, mains_energy) > 10 ** (HUM_DB / 20)
    found = {"offset": _is_offset(samples, mean), "hum": hum}
    return tuple(name for name, present in found.items() if present)


def _is_offset(samples: np.ndarray, mean: float) -> bool:
    if abs(mean) <= LEAST_OFFSET:
        return False
    return abs(mean) > OFFSET or abs(mean) > OFFSET_SHARE * float(samples.std())


def _hum(samples: np.ndarray, mean: float, sample_rate: int, mains_energy: float) -> float:
    """Return the amplitude of steady 50 or 60 Hz by the largest sample, both without the mean; 0 if it is ruled out."""
    step = max(1, sample_rate // DECIMATION_HZ)
    rate = sample_rate / step
    length = round(STRETCH_S * rate)
    n_stretches = (len(samples) // step - length) // (length // 2) + 1
    peak = max(float(samples.max()) - mean, mean - float(samples.min()))
    if n_stretches < 1 or peak <= 0 or mains_energy < _least_energy(n_stretches, length * step, peak):
        return 0.0
    # As a matrix product, which is ten times as fast as a mean over rows of eight.
    slow = samples[: len(samples) // step * step].reshape(-1, step) @ np.full(step, 1 / step, samples.dtype) - mean
    stretches = np.lib.stride_tricks.sliding_window_view(slow, length)[:: length // 2]
    projected = stretches @ _waves(rate, length, slow.dtype.char)
    half = projected.shape[1] // 2
    power = np.sort(projected[:, :half] ** 2 + projected[:, half:] ** 2, axis=0)
    power = power[int(QUIET_SHARE * (len(stretches) - 1))]
    below, at, above = power.reshape(3, -1)
    return float(np.sqrt(max(0.0, float((at - np.maximum(below, above)).max()))) / peak)


def _least_energy(n_stretches: int, n_samples: int, peak: float) -> float:
    """Return the energy near the mains that a recording with strong hum has at least.

    Of a recording whose stretches of `n_samples` overlap by half, the squares of the amplitudes that a Hann window
    finds at one frequency sum up to at most 4 / `n_samples` of the energy around it. In hum, all but the quiet share of
    them are above the limit.
    """
    limit = (10 ** (HUM_DB / 20) * peak) ** 2
    return LEAST_ENERGY * (1 - QUIET_SHARE) * n_stretches * limit * n_samples / 4


@cache
def _waves(rate: float, length: int, dtype: str) -> np.ndarray:
    """Return windowed cosines, then sines, in columns: below, at and above each frequency of the mains."""
    hz = np.add.outer((-BESIDE_HZ, 0.0, BESIDE_HZ), MAINS_HZ).ravel()
    phase = 2 * np.pi / rate * np.outer(np.arange(length), hz)
    window = np.hanning(length + 1)[:-1]
    waves = np.concatenate((np.cos(phase), np.sin(phase)), axis=1) * (2 * window / window.sum())[:, None]
    return waves.astype(dtype)
