"""Before the features: trimming, level, noise reduction and windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ser.extras import needs
from ser.features.spectral import HOP_LENGTH, frame_power
from ser.types import Waveform

TOP_DB = 30.0  # sound more than this below the loudest frame counts as silence at both ends


def trim(samples: np.ndarray, top_db: float = TOP_DB) -> tuple[int, int]:
    """First sample and end (exclusive) of the sound, after silence at both ends is left out.

    Silence is what lies `top_db` or more below the loudest of the frames (2048 samples every 512, root mean square),
    so a change of gain changes nothing. Digital silence is returned whole.
    """
    power = frame_power(samples)
    loud = np.flatnonzero(power > power.max() * 10 ** (-top_db / 10))
    if not len(loud):
        return 0, len(samples)
    return int(loud[0]) * HOP_LENGTH, min(len(samples), (int(loud[-1]) + 1) * HOP_LENGTH)


def normalise(samples: np.ndarray) -> np.ndarray:
    """The samples scaled to a peak of 1.0; digital silence as it is."""
    peak = np.abs(samples).max()
    return samples / peak if peak > 0 else samples


def reduce_noise(waveform: Waveform) -> Waveform:
    """The waveform with steady noise turned down (noisereduce, spectral gating with its own defaults).

    Where the noise cannot be estimated, as in digital silence, the waveform as it is.
    """
    with needs("denoise", "a model that turns down noise"):
        from noisereduce import reduce_noise as gate

    with np.errstate(divide="ignore", invalid="ignore"):
        # In one piece: by chunks it would write the sound to a temporary file.
        samples = gate(y=waveform.samples, sr=waveform.sample_rate, chunk_size=None)
    return replace(waveform, samples=samples) if np.isfinite(samples).all() else waveform


def windows(samples: np.ndarray, length: int) -> list[np.ndarray]:
    """Windows of `length` samples with half overlap; the last one ends with the sound.

    Sound no longer than a window is one window of its own length: padding would spoil statistics.
    """
    if len(samples) <= length:
        return [samples]
    starts = [*range(0, len(samples) - length, length // 2), len(samples) - length]
    return [samples[start : start + length] for start in starts]
