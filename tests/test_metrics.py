"""Scores: against formulas by hand, and against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ser import metrics
from ser.types import EMOTIONS

TRUTH = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
ANSWER = np.array([0, 0, 0, 1, 1, 0, 2, 2, 0, 1])
CONFUSION = [[3, 1, 0], [1, 1, 0], [1, 1, 2]]


def test_by_hand():
    confusion = metrics.confusion_matrix(TRUTH, ANSWER, 3)
    assert confusion.tolist() == CONFUSION
    assert metrics.recalls(confusion).tolist() == [0.75, 0.5, 0.5]
    assert metrics.uar(confusion) == pytest.approx((0.75 + 0.5 + 0.5) / 3)
    assert metrics.accuracy(confusion) == pytest.approx(0.6)
    assert metrics.macro_f1(confusion) == pytest.approx((6 / 9 + 2 / 5 + 4 / 6) / 3)


def test_a_label_without_clips_does_not_count():
    confusion = metrics.confusion_matrix(TRUTH, ANSWER, 4)
    assert np.isnan(metrics.recalls(confusion)[3])
    assert metrics.uar(confusion) == metrics.uar(np.array(CONFUSION))
    assert metrics.macro_f1(confusion) == metrics.macro_f1(np.array(CONFUSION))
    scores = metrics.report(TRUTH, ANSWER, EMOTIONS[:4])
    assert scores["recall"] == {"neutral": 0.75, "calm": 0.5, "happy": 0.5, "sad": None}


def test_report_holds_plain_numbers():
    scores = metrics.report(TRUTH, ANSWER, ("neutral", "calm", "happy"))
    assert scores["confusion"] == CONFUSION and type(scores["confusion"][0][0]) is int
    assert {type(scores[key]) for key in ("accuracy", "uar", "macro_f1")} == {float}
    assert scores["neutral_calm_merged"]["accuracy"] == pytest.approx(0.8)
    assert scores["neutral_calm_merged"]["uar"] == pytest.approx((1 + 0.5) / 2)


def test_merged_joins_two_labels():
    merged = metrics.merged(np.array(CONFUSION), ("neutral", "calm", "happy"))
    assert merged.tolist() == [[6, 0], [2, 2]]
    apart = metrics.merged(np.array(CONFUSION), ("calm", "happy", "neutral"))
    assert apart.tolist() == [[1, 1], [2, 6]]  # at the index of neutral, before or after calm
    unmerged = metrics.merged(np.array(CONFUSION), ("neutral", "happy", "sad"))
    assert unmerged.tolist() == CONFUSION


def test_softmax():
    probabilities = metrics.softmax(np.array([[0.0, np.log(3)], [1000.0, 1000.0], [-1e30, 0.0]]))
    np.testing.assert_allclose(probabilities, [[0.25, 0.75], [0.5, 0.5], [0, 1]])


# --- Interval ---


@pytest.mark.slow
def test_interval_contains_the_score_and_repeats():
    rng = np.random.default_rng(1)
    truth = rng.integers(4, size=600)
    answer = np.where(rng.random(600) < 0.6, truth, rng.integers(4, size=600))
    speakers = [f"ravdess/{k % 12:02d}" for k in range(600)]
    low, high = metrics.speaker_interval(truth, answer, speakers, 4)
    assert low < metrics.uar(metrics.confusion_matrix(truth, answer, 4)) < high and high - low < 0.15
    assert (low, high) == metrics.speaker_interval(truth, answer, speakers, 4)
    assert (low, high) != metrics.speaker_interval(truth, answer, speakers, 4, seed=1)


@pytest.mark.slow
def test_interval_grows_with_the_difference_between_speakers():
    truth, clip = np.tile([0, 1], 60), np.arange(120)
    mixed = np.where(clip % 5 == 0, 1 - truth, truth)  # one clip in five is wrong, of every speaker
    of_one = np.where(clip < 24, 1 - truth, truth)  # as many, all of one speaker
    spread = metrics.speaker_interval(truth, mixed, [str(k % 4) for k in clip], 2)
    lumped = metrics.speaker_interval(truth, of_one, [str(k // 24) for k in clip], 2)
    assert spread[1] - spread[0] < 0.1 and lumped[1] - lumped[0] > 0.4


@pytest.mark.slow
def test_interval_of_one_speaker_is_a_point():
    low, high = metrics.speaker_interval(TRUTH, ANSWER, ["a"] * 10, 3)
    assert low == high == metrics.uar(np.array(CONFUSION))


@pytest.mark.slow
def test_interval_of_a_gain():
    rng = np.random.default_rng(4)
    before = rng.integers(1, 9, size=(12, 3, 3))
    after = before + 4 * np.eye(3, dtype=int)
    gain = metrics.uar(after.sum(axis=0)) - metrics.uar(before.sum(axis=0))
    low, high = metrics.gain_interval(before, after)
    assert 0 < low < gain < high
    assert metrics.gain_interval(before, before) == (0, 0)
    assert metrics.gain_interval(after, before) == pytest.approx((-high, -low))
    # Speakers differ alike before and after: that does not widen the interval of the gain.
    wide = metrics.bootstrap(before)
    assert high - low < (wide[1] - wide[0]) / 2


@pytest.mark.slow
def test_matrices_of_speakers():
    matrices = metrics.speaker_matrices(TRUTH, ANSWER, ["b"] * 4 + ["a"] * 6, 3)
    assert matrices[1].tolist() == [[3, 1, 0], [0, 0, 0], [0, 0, 0]] and matrices.sum(axis=0).tolist() == CONFUSION
    assert metrics.bootstrap(matrices) == metrics.speaker_interval(TRUTH, ANSWER, ["b"] * 4 + ["a"] * 6, 3)


# --- Calibration ---


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.52, 0.52])
    right = np.array([1, 1, 1, 0, 0, 1], bool)
    expected = 4 / 6 * abs(0.95 - 0.75) + 2 / 6 * abs(0.52 - 0.5)
    assert metrics.calibration_error(confidence, right) == pytest.approx(expected)
    assert metrics.calibration_error(np.ones(4), np.ones(4, bool)) == 0


def test_reliability_by_hand():
    confidence = np.array([0.95, 1.0, 0.97, 0.94, 0.52, 0.5])
    right = np.array([1, 1, 1, 0, 0, 1], bool)
    mean_confidence, accuracy, count = metrics.reliability(confidence, right, bins=10)
    assert count.tolist() == [2, 4] and accuracy.tolist() == [0.5, 0.75]  # empty bins are left out
    assert mean_confidence.tolist() == pytest.approx([0.51, 0.965])


def test_coverage_by_hand():
    confidence, right = np.array([0.6, 0.9, 0.7, 0.8]), np.array([0, 1, 0, 1], bool)
    coverage, accuracy = metrics.risk_coverage(confidence, right)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1] and accuracy.tolist() == pytest.approx([1, 1, 2 / 3, 0.5])
    assert metrics.accuracy_at_coverage(confidence, right) == 1
    assert metrics.accuracy_at_coverage(confidence, right, 0.51) == pytest.approx(2 / 3)
    assert metrics.accuracy_at_coverage(confidence, right, 1.0) == 0.5


def test_coverage_accepts_equal_confidences_together():
    coverage, accuracy = metrics.risk_coverage(np.array([0.9, 0.5, 0.9, 0.9]), np.array([1, 1, 0, 0], bool))
    assert coverage.tolist() == [0.75, 1] and accuracy.tolist() == pytest.approx([1 / 3, 0.5])
    assert metrics.accuracy_at_coverage(np.ones(5), np.arange(5) > 0, 0.5) == 0.8


def test_curves_are_plain_and_agree_with_the_functions():
    rng = np.random.default_rng(5)
    confidence = rng.random(700)
    right = rng.random(700) < confidence
    curves = json.loads(json.dumps(metrics.confidence_curves(confidence, right), allow_nan=False))
    assert len(curves["coverage"]["accuracy"]) == 100 and sum(curves["reliability"]["count"]) == 700
    assert curves["coverage"]["coverage"][49] == 0.5
    assert curves["coverage"]["accuracy"][49] == metrics.accuracy_at_coverage(confidence, right, 0.5)
    assert curves["coverage"]["accuracy"][-1] == pytest.approx(right.mean())


def test_temperature_is_the_best_of_all_that_are_tried():
    rng = np.random.default_rng(0)
    for scale in (0.05, 0.3, 1.0, 4.0, 30.0):
        scores, truth = scale * rng.normal(size=(200, 4)), rng.integers(0, 4, 200)
        tried = np.geomspace(0.1, 10, 463)
        losses = [metrics._mean_loss(scores / temperature, truth) for temperature in tried]
        assert metrics.temperature(scores, truth) == pytest.approx(tried[np.argmin(losses)])


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [0.5, 1.0, 2.0])
def test_temperature_recovers_the_one_that_was_used(wanted):
    rng = np.random.default_rng(3)
    scores = 2 * rng.standard_normal((5_000, 5))
    probabilities = metrics.softmax(scores)
    truth = (probabilities.cumsum(axis=1) < rng.random((5_000, 1))).sum(axis=1)
    distorted = wanted * (scores - scores.max(axis=1, keepdims=True))
    temperature = metrics.temperature(distorted, truth)
    assert temperature == pytest.approx(wanted, rel=0.06)
    calibrated = metrics.softmax(distorted / temperature)
    assert metrics.calibration_error(calibrated.max(axis=1), calibrated.argmax(axis=1) == truth) < 0.03


# --- Threshold ---


def given(confidence: np.ndarray, right: np.ndarray, threshold: float) -> np.ndarray:
    """Return the hits and misses among the predictions that `Recognizer` would not mark as uncertain."""
    return right[confidence >= threshold]


def test_threshold_by_hand():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    right = np.array([1, 1, 0, 1, 0], bool)
    assert metrics.confidence_threshold(confidence, right, 0.75) == 0.6
    assert metrics.confidence_threshold(confidence, right, 0.8) == 0.8
    assert metrics.confidence_threshold(confidence, right, 0.6) == 0.5


def test_threshold_gives_the_wanted_accuracy():
    rng = np.random.default_rng(2)
    confidence = rng.random(3000)
    right = rng.random(3000) < confidence
    threshold = metrics.confidence_threshold(confidence, right, 0.85)
    assert 0.85 <= given(confidence, right, threshold).mean() < 0.86
    lower = np.unique(confidence[confidence < threshold])[-1]
    assert given(confidence, right, lower).mean() < 0.85


def test_threshold_above_all_if_none_is_accurate_enough():
    confidence = np.array([0.9, 1.0, 0.7])
    threshold = metrics.confidence_threshold(confidence, np.zeros(3, bool), 0.85)
    assert not len(given(confidence, np.zeros(3, bool), threshold)) and np.isfinite(threshold)


def test_a_few_right_by_chance_make_no_threshold():
    confidence, right = np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([1, 0, 0, 0, 1], bool)
    assert metrics.confidence_threshold(confidence, right, 0.5, least=2) == 0.8
    assert not len(given(confidence, right, metrics.confidence_threshold(confidence, right, 0.5, least=3)))
    assert metrics.confidence_threshold(confidence, right, 0.4, least=9) == 0.5  # fewer than that at all


def test_threshold_counts_equal_confidences_together():
    confidence, right = np.array([0.9, 0.9, 0.9, 0.5]), np.array([1, 0, 0, 1], bool)
    threshold = metrics.confidence_threshold(confidence, right, 0.85)
    assert not len(given(confidence, right, threshold))


# --- Against scikit-learn ---


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_equal_to_scikit_learn(seed):
    from sklearn import metrics as known

    rng = np.random.default_rng(seed)
    truth, answer = rng.integers(8, size=(2, 300))
    confusion = metrics.confusion_matrix(truth, answer, 8)
    np.testing.assert_array_equal(confusion, known.confusion_matrix(truth, answer, labels=range(8)))
    np.testing.assert_allclose(metrics.recalls(confusion), known.recall_score(truth, answer, average=None))
    assert metrics.uar(confusion) == pytest.approx(known.balanced_accuracy_score(truth, answer))
    assert metrics.accuracy(confusion) == pytest.approx(known.accuracy_score(truth, answer))
    assert metrics.macro_f1(confusion) == pytest.approx(known.f1_score(truth, answer, average="macro"))
