"""Augments standardised frames anew in every batch: pace, vocal tract length, spectral colour, masks.

All functions take rows (n, n_frames, n_features): mel bands first, padding as frames of zeros, which stay zero. The
generator is the only source of randomness.
"""

from __future__ import annotations

import numpy as np

from ser.models.voice import N_MELS

COLOUR_POINTS = 6
COLOUR = 0.15  # standard deviation of a smooth random response over the mel bands
OFFSET = 0.1  # standard deviation of a constant added to each feature
MASKS = 2
MASKED_TIME = 1 / 7  # largest fraction of the frames per mask
MASKED_BANDS = 1 / 7  # largest fraction of the mel bands per mask
DROPPED = 0.08  # probability that a feature is set to zero


def alter_frames(rows: np.ndarray, n_frames: int, stretch: float, warp: float, rng: np.random.Generator) -> np.ndarray:
    """Crop rows to `n_frames` and alter pace, vocal tract length and colour, with masks; (n, n_frames, n_features).

    The pace changes by a factor of up to 1 + `stretch`, the vocal tract length by up to 1 +- `warp`.
    """
    rows = _paced(rows, n_frames, stretch, rng)
    sound = rows.any(axis=-1, keepdims=True)
    rows[..., :N_MELS] = _warped(rows[..., :N_MELS], warp, rng) + _colour(len(rows), rng)
    rows += rng.normal(0, OFFSET, (len(rows), 1, rows.shape[-1])).astype(np.float32)
    _mask(rows, rng)
    return rows * sound


def _paced(rows: np.ndarray, n_frames: int, stretch: float, rng: np.random.Generator) -> np.ndarray:
    """Resample frames in time by linear interpolation, from a random start; frames outside of the row are zero."""
    lengths = np.maximum(rows.any(axis=-1).sum(axis=1), 1)[:, None]
    pace = np.exp(rng.uniform(-1, 1, (len(rows), 1)) * np.log1p(stretch))
    spare = lengths / pace - n_frames  # frames, negative if too few
    start = rng.uniform(0, 1, (len(rows), 1)) * spare
    positions = (np.arange(n_frames) + start) * pace
    inside = (positions >= 0) & (positions <= lengths - 1)
    positions = np.clip(positions, 0, lengths - 1)
    before = positions.astype(int)
    after = np.minimum(before + 1, lengths - 1)
    share = (positions - before)[..., None].astype(np.float32)
    row = np.arange(len(rows))[:, None]
    return (rows[row, before] * (1 - share) + rows[row, after] * share) * inside[..., None]


def _warped(mel: np.ndarray, warp: float, rng: np.random.Generator) -> np.ndarray:
    """Scale the frequency axis of the mel bands, as a shorter or longer vocal tract does."""
    factors = rng.uniform(1 - warp, 1 + warp, (len(mel), 1))
    positions = np.clip(np.arange(N_MELS) * factors, 0, N_MELS - 1)
    before = positions.astype(int)
    after = np.minimum(before + 1, N_MELS - 1)
    share = (positions - before)[:, None].astype(np.float32)
    row = np.arange(len(mel))[:, None]
    bands = mel.transpose(0, 2, 1)
    return bands[row, before].transpose(0, 2, 1) * (1 - share) + bands[row, after].transpose(0, 2, 1) * share


def _colour(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random response over the mel bands for each row, shape (n, 1, 64)."""
    points = np.linspace(0, N_MELS - 1, COLOUR_POINTS)
    curves = [np.interp(np.arange(N_MELS), points, rng.normal(0, COLOUR, COLOUR_POINTS)) for _ in range(n)]
    return np.array(curves, np.float32)[:, None]


def _mask(rows: np.ndarray, rng: np.random.Generator) -> None:
    """Set runs of frames, runs of mel bands and whole features to their mean [Park et al. 2019, SpecAugment]."""
    n, n_frames, n_features = rows.shape
    for row in rows:
        for _ in range(MASKS):
            width, bands = rng.integers(int(n_frames * MASKED_TIME)), rng.integers(int(N_MELS * MASKED_BANDS))
            start, band = rng.integers(n_frames - width), rng.integers(N_MELS - bands)
            row[start : start + width] = 0
            row[:, band : band + bands] = 0
    rows *= rng.random((n, 1, n_features)) >= DROPPED
