"""Preprocessing of waveforms: trimming, level normalisation, noise reduction and windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ser.extras import needs
from ser.features.spectral import HOP_LENGTH, frame_power
from ser.types import Waveform

TOP_DB = 30.0  # frames further below the loudest are trimmed at both ends


def trim(samples: np.ndarray) -> tuple[int, int]:
    """Return the first sample and the end (exclusive) of a waveform without the silence at both ends.

    Silent frames (2048 samples every 512) have an RMS at least 30 dB below the loudest, so gain has no effect.
    Digital silence is not trimmed.
    """
    power = frame_power(samples)
    loud = np.flatnonzero(power > power.max() * 10 ** (-TOP_DB / 10))
    if not len(loud):
        return 0, len(samples)
    return int(loud[0]) * HOP_LENGTH, min(len(samples), (int(loud[-1]) + 1) * HOP_LENGTH)


def normalise(samples: np.ndarray) -> np.ndarray:
    """Scale the samples to a peak of 1.0; digital silence is returned unchanged."""
    peak = np.abs(samples).max()
    return samples / peak if peak > 0 else samples


def reduce_noise(waveform: Waveform) -> Waveform:
    """Reduce stationary noise by spectral gating (noisereduce with its defaults).

    If the noise cannot be estimated, as in digital silence, the waveform is returned unchanged.
    """
    with needs("denoise", "a model with noise reduction"):
        from noisereduce import reduce_noise as gate

    with np.errstate(divide="ignore", invalid="ignore"):
        # In chunks it would write the samples to a temporary file.
        samples = gate(y=waveform.samples, sr=waveform.sample_rate, chunk_size=None)
    return replace(waveform, samples=samples) if np.isfinite(samples).all() else waveform


def windows(samples: np.ndarray, length: int) -> list[np.ndarray]:
    """Split samples into windows of `length` with half overlap; the last one ends with the samples.

    Samples no longer than a window are returned as one unpadded window, since padding would distort statistics.
    """
    if len(samples) <= length:
        return [samples]
    starts = [*range(0, len(samples) - length, length // 2), len(samples) - length]
    return [samples[start : start + length] for start in starts]
