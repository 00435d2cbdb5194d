"""Measure drift: how far predictions differ from those in training, or between two tables of predictions.

The measure is the population stability index: below 0.1 stable, above 0.25 a large shift [Siddiqi 2006].
"""

from __future__ import annotations

import math
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ser.inference.novelty import KEPT_PERCENT
from ser.tables import read_rows
from ser.types import SILENT, Prediction

CONFIDENCE_BINS = 5  # of equal width; `ser.metrics.reliability` uses a multiple
LEAST_SHARE = 1e-3  # for an empty bin, whose logarithm would be infinite
FEWEST_ANSWERS = 100  # for fewer, chance alone moves the index by (bins - 1) / answers
QUANTITIES = ("label", "confidence", "features")
CHANCE = 0.05
MODERATE, LARGE = 0.1, 0.25  # the usual bounds of the index [Siddiqi 2006]


def expected(manifest: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the share of each bin of each measured quantity on speakers that were not in the training."""
    metrics, shares = manifest["metrics"], {}
    if "confusion" in metrics.get("folds", {}):
        predicted = [sum(column) for column in zip(*metrics["folds"]["confusion"], strict=True)]
        shares["label"] = _shares(dict(zip(manifest["labels"], predicted, strict=True)))
    if "reliability" in metrics:
        shares["confidence"] = _shares(_confidences(**metrics["reliability"]))
    if "novelty" in manifest:
        shares["features"] = {"usual": KEPT_PERCENT / 100, "unlike_training": 1 - KEPT_PERCENT / 100}
    if edges := manifest.get("novelty", {}).get("deciles"):
        shares["distance"] = {str(rank): 1 / (len(edges) + 1) for rank in range(1, len(edges) + 2)}
    return shares


def bins(prediction: Prediction, manifest: dict[str, Any]) -> dict[str, str]:
    """Return the bin of each quantity of a prediction; none for silence, which holds no speech to compare."""
    if SILENT in prediction.reasons:
        return {}
    features = "unlike_training" if "unlike_training" in prediction.reasons else "usual"
    binned = {"label": prediction.label, "confidence": _confidence_bin(prediction.confidence), "features": features}
    edges = manifest.get("novelty", {}).get("deciles")
    if edges and prediction.distance is not None:
        binned["distance"] = str(1 + bisect_left(edges, prediction.distance))  # "1" is the nearest tenth
    return binned


def stability_index(shares: Mapping[str, float], counts: Mapping[str, float]) -> float | None:
    """Return the population stability index of counts against expected shares; None for fewer than 100 predictions."""
    total = sum(counts.get(name, 0) for name in shares)
    if total < FEWEST_ANSWERS:
        return None
    expected_shares = [max(share, LEAST_SHARE) for share in shares.values()]
    found_shares = [max(counts.get(name, 0) / total, LEAST_SHARE) for name in shares]
    return sum((p - q) * math.log(p / q) for p, q in zip(found_shares, expected_shares, strict=True))


def _confidences(confidence: Sequence[float], count: Sequence[int], **_: Any) -> dict[str, int]:
    """Count predictions in each bin of confidence, from the mean confidence and count of finer bins."""
    counts = {_confidence_bin((i + 0.5) / CONFIDENCE_BINS): 0 for i in range(CONFIDENCE_BINS)}
    for mean, n in zip(confidence, count, strict=True):
        counts[_confidence_bin(mean)] += n
    return counts


def _confidence_bin(confidence: float) -> str:
    low = min(int(confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1) / CONFIDENCE_BINS
    return f"{low:.1f}-{low + 1 / CONFIDENCE_BINS:.1f}"


def _shares(counts: dict[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()}


# --- Two tables compared ---


@dataclass
class Tally:
    """Count the predictions of a table; `bins` are those of `bins()`, without silent recordings."""

    answered: int = 0
    failed: int = 0
    silent: int = 0
    uncertain: int = 0
    confidence: float = 0.0  # summed
    labels: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    bins: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in QUANTITIES})

    def add(self, row: dict[str, Any]) -> None:
        if row["error"] is not None:
            self.failed += 1
            return
        self.answered += 1
        self.uncertain += row["uncertain"]
        self.models[row["model"]] += 1
        if SILENT in row["reasons"]:  # its label means nothing: all emotions are equally likely
            self.silent += 1
            return
        self.confidence += row["confidence"]
        self.labels[row["label"]] += 1
        probabilities = {row["label"]: row["confidence"]}  # all that bins need
        prediction = Prediction(row["label"], probabilities, tuple(row["reasons"]), 0.0, row["model"])
        for name, bin in bins(prediction, {}).items():
            self.bins[name][bin] += 1

    def shares(self) -> dict[str, Any]:
        """Return counts and fractions of the predictions, None if there are none.

        Labels and mean confidence are those of recordings that are not silent.
        """
        sounding = self.answered - self.silent
        return {
            "models": sorted(self.models),
            "answered": self.answered,
            "failed": self.failed,
            "silent": self.silent,
            "labels": _shares(dict(self.labels.most_common())),
            "confidence": self.confidence / sounding if sounding else None,
            "uncertain": self.uncertain / self.answered if self.answered else None,
        }


def tally(path: str | os.PathLike[str]) -> Tally:
    """Count the predictions in a table (see `ser.tables.read_rows`) in constant memory."""
    counts = Tally()
    for row in read_rows(path):
        counts.add(row)
    return counts


def compare(before: str | os.PathLike[str], after: str | os.PathLike[str]) -> dict[str, Any]:
    """Compare two tables: `{"before", "after", "drift"}`, the shares of both and the drift of each quantity.

    That holds for label, confidence and features (usual or unlike the training) the index `psi`, the index `by_chance`,
    and a `verdict`: stable, moderate, large, or too few answers.
    """
    old, new = tally(before), tally(after)
    return {
        "before": {"results": os.fspath(before), **old.shares()},
        "after": {"results": os.fspath(after), **new.shares()},
        "drift": {name: _drift(old.bins[name], new.bins[name]) for name in QUANTITIES},
    }


def _drift(old: Counter[str], new: Counter[str]) -> dict[str, Any]:
    if min(old.total(), new.total()) < FEWEST_ANSWERS:
        return {"psi": None, "by_chance": None, "verdict": f"too few answers (under {FEWEST_ANSWERS})"}
    shares = _shares({name: old[name] for name in sorted(old | new)})
    psi = stability_index(shares, new) or 0.0
    verdict = "stable" if psi < MODERATE else "moderate" if psi <= LARGE else "large"
    return {"psi": psi, "by_chance": _by_chance(len(shares), old.total(), new.total()), "verdict": verdict}


def _by_chance(n_bins: int, *totals: int) -> float:
    """Return the index that 95 % of comparisons of samples of one distribution stay below [Yurdakul 2018]."""
    from scipy.special import chdtri

    return float(chdtri(n_bins - 1, CHANCE)) * sum(1 / total for total in totals) if n_bins > 1 else 0.0
