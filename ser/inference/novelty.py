"""Novelty detection: how far features are from those of the training speech (music, noise and tones are far)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SHRINKAGE = 0.05  # share of the identity mixed into the covariance of standardised features
KEPT_PERCENT = 99.5  # of left-out training recordings that lie within the threshold
DECILES = range(10, 100, 10)  # in percent


class Novelty(NamedTuple):
    """Mean (k,) and whitening matrix (k, k) of the features of training speech."""

    mean: np.ndarray
    whitening: np.ndarray

    @classmethod
    def fitted(cls, rows: np.ndarray) -> Novelty:
        """Fit to the features of unaltered recordings, shape (n, k); noisy copies among them would let noise pass."""
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(scale > 0, scale, 1)
        covariance = np.cov((rows - mean) / scale, rowvar=False)
        covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(len(covariance))
        whitening = np.linalg.cholesky(np.linalg.inv(covariance)) / scale[:, None]
        return cls(mean.astype(np.float32), whitening.astype(np.float32))

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return the Mahalanobis distance, the root mean square of whitened features: (..., k) to (...)."""
        return np.sqrt(np.mean(np.square((features - self.mean) @ self.whitening), axis=-1))

    def save(self, path: Path) -> None:
        np.savez(path, mean=self.mean, whitening=self.whitening)


def fit_threshold(sides: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Return the manifest's `threshold` and `deciles` of distances; `sides` are pairs of (fitted, left out) rows.

    99.5 % of the left-out speakers' recordings lie within `threshold`; nine `deciles` cut them into equal parts.
    """
    distances = np.concatenate([Novelty.fitted(fitted).distance(left_out) for fitted, left_out in sides])
    deciles = np.percentile(distances, list(DECILES)).astype(float).tolist()
    return {"threshold": float(np.percentile(distances, KEPT_PERCENT)), "deciles": deciles}
