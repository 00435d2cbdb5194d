"""Drift: how far answers have moved from the training, or from one table of answers to another.

The measure is the population stability index: under 0.1 stable, over 0.25 a large shift [Siddiqi 2006]. What is
expected stands in a model's manifest: how often each label was answered on unseen speakers, how sure, how often the
sound was unlike the training, and its distance from it (models that stored none have no index of it).
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
from ser.tables import read
from ser.types import SILENT, Prediction

CONFIDENCE_BINS = 5  # equal; a multiple of them are the bins of `ser.metrics.reliability`
LEAST_SHARE = 1e-3  # of a bin without answers, whose logarithm would be infinite
FEWEST_ANSWERS = 100  # below, chance alone moves the index by (bins - 1) / answers
QUANTITIES = ("label", "confidence", "features")
CHANCE = 0.05
MODERATE, LARGE = 0.1, 0.25  # the usual bounds of the index [Siddiqi 2006]


def expected(manifest: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Share of each bin of each quantity on speakers that the networks had not heard, as far as it was measured."""
    metrics, found = manifest["metrics"], {}
    if "confusion" in metrics.get("folds", {}):
        answered = [sum(column) for column in zip(*metrics["folds"]["confusion"], strict=True)]
        found["label"] = _shares(dict(zip(manifest["labels"], answered, strict=True)))
    if "reliability" in metrics:
        found["confidence"] = _shares(_confidences(**metrics["reliability"]))
    if "novelty" in manifest:
        found["features"] = {"usual": KEPT_PERCENT / 100, "unlike_training": 1 - KEPT_PERCENT / 100}
    if edges := _deciles(manifest):
        found["distance"] = {str(rank): 1 / (len(edges) + 1) for rank in range(1, len(edges) + 2)}
    return found


def bins(prediction: Prediction, manifest: dict[str, Any]) -> dict[str, str]:
    """The bin of each quantity that an answer falls into; none for silence, which says nothing of who speaks."""
    if SILENT in prediction.reasons:
        return {}
    features = "unlike_training" if "unlike_training" in prediction.reasons else "usual"
    found = {
        "label": prediction.label,
        "confidence": _confidence_bin(prediction.confidence),
        "features": features,
    }
    edges = _deciles(manifest)
    if edges and prediction.distance is not None:
        found["distance"] = str(1 + bisect_left(edges, prediction.distance))  # "1" is the nearest tenth
    return found


def stability_index(shares: Mapping[str, float], counts: Mapping[str, float]) -> float | None:
    """Population stability index of counted answers against expected shares; None for fewer than 100 answers."""
    total = sum(counts.get(name, 0) for name in shares)
    if total < FEWEST_ANSWERS:
        return None
    then = [max(share, LEAST_SHARE) for share in shares.values()]
    now = [max(counts.get(name, 0) / total, LEAST_SHARE) for name in shares]
    return sum((p - q) * math.log(p / q) for p, q in zip(now, then, strict=True))


def _deciles(manifest: dict[str, Any]) -> list[float]:
    """What cuts the distances from the training speech into equal parts; nothing where it was not stored."""
    return list(manifest.get("novelty", {}).get("deciles", []))


def _confidences(confidence: Sequence[float], count: Sequence[int], **_: Any) -> dict[str, int]:
    """Answers in each of our bins, from the mean confidence and count of finer ones."""
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
    """What a table holds, counted; `bins` are those of `ser.drift`, without silent recordings."""

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
        if SILENT in row["reasons"]:  # it has a label, as every answer, but no emotion is likelier than another
            self.silent += 1
            return
        self.confidence += row["confidence"]
        self.labels[row["label"]] += 1
        probabilities = {row["label"]: row["confidence"]}  # of which bins need no more
        answer = Prediction(row["label"], probabilities, tuple(row["reasons"]), 0.0, row["model"])
        for name, found in bins(answer, {}).items():
            self.bins[name][found] += 1

    def shares(self) -> dict[str, Any]:
        """Fractions of the answers, for a person to compare; None where there are none.

        Those of the labels, and the mean confidence, are of the answers that are not silent.
        """
        n = self.answered
        named = n - self.silent
        return {
            "models": sorted(self.models),
            "answered": n,
            "failed": self.failed,
            "silent": self.silent,
            "labels": {label: count / named for label, count in self.labels.most_common()},
            "confidence": self.confidence / named if named else None,
            "uncertain": self.uncertain / n if n else None,
        }


def tally(place: str | os.PathLike[str]) -> Tally:
    """Count a table of answers (see `ser.tables.read`) in constant memory."""
    found = Tally()
    for row in read(place):
        found.add(row)
    return found


def compare(before: str | os.PathLike[str], after: str | os.PathLike[str]) -> dict[str, Any]:
    """`{"before", "after", "drift"}`: shares of both tables, and for label, confidence and features (usual or unlike
    the training) the index `psi`, the index `by_chance`, and a `verdict`: stable, moderate, large, or too few answers.
    """
    was, now = tally(before), tally(after)
    return {
        "before": {"results": os.fspath(before), **was.shares()},
        "after": {"results": os.fspath(after), **now.shares()},
        "drift": {name: _drift(was.bins[name], now.bins[name]) for name in QUANTITIES},
    }


def _drift(was: Counter[str], now: Counter[str]) -> dict[str, Any]:
    if min(was.total(), now.total()) < FEWEST_ANSWERS:
        return {"psi": None, "by_chance": None, "verdict": f"too few answers (under {FEWEST_ANSWERS})"}
    shares = {name: was[name] / was.total() for name in sorted(was | now)}
    psi = stability_index(shares, now)
    return {"psi": psi, "by_chance": _by_chance(len(shares), was.total(), now.total()), "verdict": _verdict(psi or 0.0)}


def _by_chance(n_bins: int, *totals: int) -> float:
    """Index under which 95 % of comparisons of samples of the same answers stay [Yurdakul 2018]."""
    from scipy.special import chdtri

    return float(chdtri(n_bins - 1, CHANCE)) * sum(1 / total for total in totals) if n_bins > 1 else 0.0


def _verdict(psi: float) -> str:
    return "stable" if psi < MODERATE else "moderate" if psi <= LARGE else "large"
