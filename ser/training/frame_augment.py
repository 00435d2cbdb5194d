"""Alters standardised frames anew in every batch: pace, vocal tract, colour of the line, gaps.

All take rows (n, n_frames, n_features) whose first columns are mel bands and whose padding is frames of zeros, and
keep padding zero; the generator is the only source of randomness.
"""

from __future__ import annotations

import numpy as np

from ser.models.voice import N_MELS

COLOUR_POINTS = 6
COLOUR = 0.15  # standard deviation of a smooth random response over the mel bands
OFFSET = 0.1  # of a constant added to each feature
MASKS = 2
MASKED_TIME = 1 / 7  # of the frames, at most, by each mask
MASKED_BANDS = 1 / 7  # of the mel bands
DROPPED = 0.08  # chance that a track is left out


def alter_frames(rows: np.ndarray, n_frames: int, stretch: float, warp: float, rng: np.random.Generator) -> np.ndarray:
    """`n_frames` of each row at another pace (up to a factor 1 + `stretch`) and vocal tract length (up to 1 +- `warp`),
    coloured and with gaps; shape (n, n_frames, n_features)."""
    rows = _paced(rows, n_frames, stretch, rng)
    heard = rows.any(axis=-1, keepdims=True)
    rows[..., :N_MELS] = _warped(rows[..., :N_MELS], warp, rng) + _colour(len(rows), rng)
    rows += rng.normal(0, OFFSET, (len(rows), 1, rows.shape[-1])).astype(np.float32)
    _mask(rows, rng)
    return rows * heard


def _paced(rows: np.ndarray, n_frames: int, stretch: float, rng: np.random.Generator) -> np.ndarray:
    """Frames read at another pace by linear interpolation, from a random start; what lies outside stays zero."""
    lengths = np.maximum(rows.any(axis=-1).sum(axis=1), 1)[:, None]
    pace = np.exp(rng.uniform(-1, 1, (len(rows), 1)) * np.log1p(stretch))
    spare = lengths / pace - n_frames  # frames too many, or too few
    start = rng.uniform(0, 1, (len(rows), 1)) * spare
    places = (np.arange(n_frames) + start) * pace
    inside = (places >= 0) & (places <= lengths - 1)
    places = np.clip(places, 0, lengths - 1)
    before = places.astype(int)
    after = np.minimum(before + 1, lengths - 1)
    share = (places - before)[..., None].astype(np.float32)
    row = np.arange(len(rows))[:, None]
    return (rows[row, before] * (1 - share) + rows[row, after] * share) * inside[..., None]


def _warped(mel: np.ndarray, warp: float, rng: np.random.Generator) -> np.ndarray:
    """Bands moved up or down in proportion, as a shorter or longer vocal tract does."""
    factors = rng.uniform(1 - warp, 1 + warp, (len(mel), 1))
    places = np.clip(np.arange(N_MELS) * factors, 0, N_MELS - 1)
    before = places.astype(int)
    after = np.minimum(before + 1, N_MELS - 1)
    share = (places - before)[:, None].astype(np.float32)
    row = np.arange(len(mel))[:, None]
    bands = mel.transpose(0, 2, 1)
    return bands[row, before].transpose(0, 2, 1) * (1 - share) + bands[row, after].transpose(0, 2, 1) * share


def _colour(n: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth response over the mel bands for each row, shape (n, 1, 64)."""
    points = np.linspace(0, N_MELS - 1, COLOUR_POINTS)
    curves = [np.interp(np.arange(N_MELS), points, rng.normal(0, COLOUR, COLOUR_POINTS)) for _ in range(n)]
    return np.array(curves, np.float32)[:, None]


def _mask(rows: np.ndarray, rng: np.random.Generator) -> None:
    """Stretches of time and of mel bands, and whole tracks, set to their mean [Park et al. 2019, SpecAugment]."""
    n, n_frames, n_features = rows.shape
    for row in rows:
        for _ in range(MASKS):
            width, bands = rng.integers(int(n_frames * MASKED_TIME)), rng.integers(int(N_MELS * MASKED_BANDS))
            start, band = rng.integers(n_frames - width), rng.integers(N_MELS - bands)
            row[start : start + width] = 0
            row[:, band : band + bands] = 0
    rows *= rng.random((n, 1, n_features)) >= DROPPED
