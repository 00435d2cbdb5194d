"""Bins of predictions for the drift index: expected at training, observed in the service."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from ser.drift import bins, expected, stability_index
from ser.inference.artifact import find
from ser.inference.manifest import read_manifest
from ser.inference.novelty import Novelty, fit_threshold
from ser.types import Prediction


@pytest.mark.parametrize("model", ["dense105", "voice"])
def test_expected_shares_come_from_the_manifest(model):
    manifest = read_manifest(find(model))
    quantities = expected(manifest)
    assert {"label", "features"} <= set(quantities)
    assert all(math.isclose(sum(shares.values()), 1) for shares in quantities.values())
    assert list(quantities["label"]) == manifest["labels"]


def test_confidences_have_the_bins_of_the_manifest():
    manifest = read_manifest(find("voice"))
    measured = manifest["metrics"]["reliability"]
    share = sum(n for mean, n in zip(measured["confidence"], measured["count"], strict=True) if mean >= 0.8)
    assert expected(manifest)["confidence"]["0.8-1.0"] == share / sum(measured["count"])
    assert bins(prediction("happy", 1.0), manifest)["confidence"] == "0.8-1.0"
    assert bins(prediction("sad", 0.2), manifest)["confidence"] == "0.2-0.4"


def test_silence_is_not_observed():
    assert bins(prediction("neutral", 0.125, "silent"), {}) == {}
    assert bins(prediction("neutral", 0.5, "unlike_training"), {})["features"] == "unlike_training"


def test_distances_are_binned_by_the_deciles_of_training(rng):
    """Recordings of left-out speakers fall evenly into the bins, others do not."""
    rows = [rng.normal(size=(200, 5)) for _ in range(2)]
    manifest = {"metrics": {}, "novelty": fit_threshold([(rows[0], rows[1]), (rows[1], rows[0])])}
    shares = expected(manifest)["distance"]
    assert list(shares) == [str(rank) for rank in range(1, 11)] and set(shares.values()) == {0.1}
    near = np.concatenate([Novelty.fitted(fitted).distance(other) for fitted, other in (rows, rows[::-1])])
    assert stability_index(shares, tenths(near, manifest)) == pytest.approx(0, abs=1e-3)
    assert stability_index(shares, tenths(1.5 * near, manifest)) > 0.25
    assert bins(prediction("sad", 0.5, distance=0.0), manifest)["distance"] == "1"
    assert bins(prediction("sad", 0.5, distance=99.0), manifest)["distance"] == "10"


def test_a_model_without_deciles_has_no_index_of_distances():
    manifest = {"metrics": {}, "novelty": {"threshold": 1.5}}
    assert list(expected(manifest)) == ["features"]
    assert set(bins(prediction("sad", 0.5, distance=1.0), manifest)) == {"label", "confidence", "features"}
    stored = {**manifest, "novelty": {"deciles": [0.5] * 9}}
    assert "distance" not in bins(prediction("sad", 0.5), stored)  # of a recogniser without distances


def tenths(distances: np.ndarray, manifest: dict) -> Counter:
    binned = (bins(prediction("sad", 0.5, distance=float(distance)), manifest) for distance in distances)
    return Counter(observed["distance"] for observed in binned)


def prediction(label: str, confidence: float, *reasons: str, distance: float | None = None) -> Prediction:
    return Prediction(label, {label: confidence}, reasons, 1.0, "voice", distance=distance)


def test_the_stability_index_equals_a_calculation_by_hand():
    shares = {"a": 0.5, "b": 0.5}
    assert stability_index(shares, {"a": 60, "b": 40}) == pytest.approx(
        0.1 * math.log(0.6 / 0.5) - 0.1 * math.log(0.4 / 0.5)
    )
    assert stability_index(shares, {"a": 50, "b": 50}) == 0
    assert stability_index(shares, {"a": 99}) is None
    assert stability_index(shares, {"a": 100}) > 2  # finite, though a bin is empty
