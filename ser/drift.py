"""How far the answers of today are from those on unseen speakers at training: the population stability index.

What was expected stands in a model's manifest: how often each label was answered, how sure, how often the sound was
unlike that of the training, and how far from it (models trained before that was stored have no index of it).
Under 0.1 nothing has moved, over 0.25 much has [Siddiqi 2006].
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from ser.inference.novelty import KEPT_PERCENT
from ser.types import SILENT, Prediction

CONFIDENCE_BINS = 5  # equal; a multiple of them are the bins of `ser.metrics.reliability`
LEAST_SHARE = 1e-3  # of a bin without answers, whose logarithm would be infinite
FEWEST_ANSWERS = 100  # below, chance alone moves the index by (bins - 1) / answers


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
