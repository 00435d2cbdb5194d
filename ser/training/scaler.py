"""Brings features to mean 0 and variance 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scaler:
    """Mean and variance of each feature over unaltered training rows; a constant feature has variance 1.

    Rows (n_frames, n_features) are scaled by feature, over the frames of all rows; frames of zeros, which are
    padding, do not count and stay zero. In rows of any other shape every number is a feature.
    """

    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def fitted(cls, rows: np.ndarray) -> Scaler:
        from sklearn.preprocessing import StandardScaler

        shape = rows.shape[-1:] if rows.ndim == 3 else rows.shape[1:]
        flat = rows[rows.any(axis=-1)] if rows.ndim == 3 else rows.reshape(len(rows), -1)
        fitted = StandardScaler().fit(flat.astype(np.float64))
        mean, variance = fitted.mean_.astype(np.float32), (fitted.scale_**2).astype(np.float32)
        return cls(mean.reshape(shape), variance.reshape(shape))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        scaled = (rows - self.mean) / np.sqrt(self.variance)
        return scaled * rows.any(axis=-1, keepdims=True) if rows.ndim == 3 else scaled
