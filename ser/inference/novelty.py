"""Tells speech like that of the training from what is not: music, noise, tones, a very different line or room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SHRINKAGE = 0.05  # share of the identity mixed into the covariance of standardised features
KEPT_PERCENT = 99.5  # of training recordings, each measured from the other speakers, that count as usual
DECILES = range(10, 100, 10)  # in percent


@dataclass(frozen=True)
class Novelty:
    """Mean (k,) and whitening matrix (k, k) of the features of training speech."""

    mean: np.ndarray
    whitening: np.ndarray

    @classmethod
    def fitted(cls, rows: np.ndarray) -> Novelty:
        """From the features of unaltered recordings, shape (n, k). With noisy copies among them, noise would pass."""
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(scale > 0, scale, 1)
        covariance = np.cov((rows - mean) / scale, rowvar=False)
        covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(len(covariance))
        whitening = np.linalg.cholesky(np.linalg.inv(covariance)) / scale[:, None]
        return cls(mean.astype(np.float32), whitening.astype(np.float32))

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Root mean square of whitened features, a Mahalanobis distance: (..., k) to (...); near 1 for the training."""
        return np.sqrt(np.mean(np.square((features - self.mean) @ self.whitening), axis=-1))

    def save(self, path: Path) -> None:
        np.savez(path, mean=self.mean, whitening=self.whitening)

    @classmethod
    def load(cls, path: Path) -> Novelty:
        with np.load(path, allow_pickle=False) as stored:
            return cls(stored["mean"], stored["whitening"])


def usual(sides: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """How far left-out speakers' recordings lie from the others'; `sides` are (fitted, left out) rows.

    `threshold` is the distance within which 99.5 % of them lie; the nine `deciles` cut them into ten equal parts.
    """
    distances = np.concatenate([Novelty.fitted(fitted).distance(left_out) for fitted, left_out in sides])
    deciles = np.percentile(distances, list(DECILES)).astype(float).tolist()
    return {"threshold": float(np.percentile(distances, KEPT_PERCENT)), "deciles": deciles}
