"""Scores as pure functions on arrays. Fractions are 0 to 1; labels are integers from 0 to n_labels - 1.

UAR is the mean over labels of the recall on pooled predictions; labels without clips do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000
ECE_BINS = 15
HUMAN = 0.624  # accuracy of listeners on the speech of RAVDESS, neutral and calm accepted for each other


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, n_labels: int) -> np.ndarray:
    """Count the clips of true label i that were predicted as j, at `[i, j]`; shape (n_labels, n_labels)."""
    matrix = np.zeros((n_labels, n_labels), int)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def recalls(confusion: np.ndarray) -> np.ndarray:
    """Return the share of each label's clips that were recognised correctly, shape (n_labels,); NaN without clips."""
    with np.errstate(invalid="ignore"):
        return confusion.diagonal() / confusion.sum(axis=1)


def uar(confusion: np.ndarray) -> float:
    """Return the unweighted average recall: the mean of the recalls of all labels that have clips."""
    return float(np.nanmean(recalls(confusion)))


def accuracy(confusion: np.ndarray) -> float:
    """Return the share of all clips that were recognised correctly."""
    return float(confusion.trace() / confusion.sum())


def top_accuracy(probabilities: np.ndarray, truth: np.ndarray, k: int = 2) -> float:
    """Return the share of clips whose true label is among the `k` most probable; probabilities (n, n_labels)."""
    first = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float(np.mean((first == truth[:, None]).any(axis=1)))


def macro_f1(confusion: np.ndarray) -> float:
    """Return the mean over labels with clips of the F1 score, 2 hits / (true + predicted)."""
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    present = true > 0
    return float(np.mean(2 * confusion.diagonal()[present] / (true + predicted)[present]))


def speaker_interval(
    truth: np.ndarray,
    predicted: np.ndarray,
    speakers: Sequence[str],
    n_labels: int,
    score: Callable[[np.ndarray], float] = uar,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % interval of a score over speakers (percentile bootstrap, 2,000 resamples)."""
    return bootstrap(speaker_matrices(truth, predicted, speakers, n_labels), score, seed)


def speaker_matrices(truth: np.ndarray, predicted: np.ndarray, speakers: Sequence[str], n_labels: int) -> np.ndarray:
    """Return the confusion matrix of each speaker, in sorted order, shape (n_speakers, n_labels, n_labels)."""
    masks = (np.asarray(speakers) == speaker for speaker in sorted(set(speakers)))
    return np.stack([confusion_matrix(truth[mask], predicted[mask], n_labels) for mask in masks])


def bootstrap(matrices: np.ndarray, score: Callable[[np.ndarray], float] = uar, seed: int = 0) -> tuple[float, float]:
    """Return `speaker_interval` from the speakers' confusion matrices, shape (n_speakers, n_labels, n_labels)."""
    draws = np.random.default_rng(seed).integers(len(matrices), size=(RESAMPLES, len(matrices)))
    low, high = np.percentile([score(matrices[draw].sum(axis=0)) for draw in draws], [2.5, 97.5])
    return float(low), float(high)


def gain_interval(before: np.ndarray, after: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the gain in UAR; both arrays have shape (n_speakers, n_labels, n_labels)."""
    return bootstrap(np.stack([before, after], axis=1), lambda pair: uar(pair[1]) - uar(pair[0]), seed)


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error: the mean gap of confidence and accuracy over equal bins of confidence."""
    mean_confidence, accuracy, count = reliability(confidence, correct, bins)
    return float(np.sum(count * np.abs(mean_confidence - accuracy)) / len(correct))


def reliability(
    confidence: np.ndarray, correct: np.ndarray, bins: int = ECE_BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean confidence, accuracy and count in equal bins of confidence; empty bins are left out."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    filled = count > 0
    mean_confidence, accuracy = (np.bincount(index, v, bins)[filled] / count[filled] for v in (confidence, correct))
    return mean_confidence, accuracy, count[filled]


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the coverage of the most confident predictions, rising to 1, and their accuracy.

    There is one point for each confidence: equal ones are accepted together [El-Yaniv and Wiener 2010].
    """
    order = np.argsort(-confidence, kind="stable")
    last_of_equals = np.append(np.diff(confidence[order]) != 0, True)
    accepted = np.arange(1, len(correct) + 1)
    return (accepted / len(correct))[last_of_equals], (np.cumsum(correct[order]) / accepted)[last_of_equals]


def accuracy_at_coverage(confidence: np.ndarray, correct: np.ndarray, coverage: float = 0.5) -> float:
    """Return the accuracy of the most confident predictions that make up at least `coverage` (0 to 1) of all."""
    coverages, accuracy = risk_coverage(confidence, correct)
    return float(accuracy[coverages >= min(coverage, 1)][0])


def confidence_curves(confidence: np.ndarray, correct: np.ndarray) -> dict[str, dict[str, list[float]]]:
    """Return `reliability`, and the accuracy at every per cent of coverage, as lists for manifest, figures and card."""
    levels = [percent / 100 for percent in range(1, 101)]
    mean_confidence, accuracy, count = (values.tolist() for values in reliability(confidence, correct))
    covered = [accuracy_at_coverage(confidence, correct, level) for level in levels]
    return {
        "reliability": {"confidence": mean_confidence, "accuracy": accuracy, "count": count},
        "coverage": {"coverage": levels, "accuracy": covered},
    }


def confidence_threshold(confidence: np.ndarray, correct: np.ndarray, wanted_accuracy: float, least: int = 1) -> float:
    """Return the lowest confidence from which on predictions, at least `least` of them, reach `wanted_accuracy`.

    If even the most confident do not reach it, return a value above the highest confidence.
    """
    coverage, accuracy = risk_coverage(confidence, correct)
    enough = coverage * len(confidence) >= min(least, len(confidence)) - 0.5
    reached = np.unique(confidence)[::-1][(accuracy >= wanted_accuracy) & enough]
    return float(reached[-1] if len(reached) else np.nextafter(confidence.max(), 2))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return probabilities that sum to 1 along the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def temperature(log_probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the divisor of log-probabilities that minimises the cross-entropy on held-out clips [Guo et al. 2017].

    0.1 to 10 in steps of 1 %. The cross-entropy is convex in the reciprocal, so that halving finds the least.
    """
    candidates = np.geomspace(0.1, 10, 463)
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        left, right = (_mean_loss(log_probabilities / t, truth) for t in candidates[[middle, middle + 1]])
        low, high = (low, middle) if left <= right else (middle + 1, high)
    return float(candidates[low])


def _mean_loss(scores: np.ndarray, truth: np.ndarray) -> float:
    top = scores.max(axis=1)
    normaliser = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return float(np.mean(normaliser - scores[np.arange(len(truth)), truth]))


def report(truth: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Return accuracy, UAR, macro F1, recall of each label (None without clips) and the confusion matrix.

    `neutral_calm_merged` are the scores with neutral and calm accepted for each other, as listeners were scored.
    """
    confusion = confusion_matrix(truth, predicted, len(labels))
    merged_confusion = merged(confusion, labels)
    recall = [None if np.isnan(value) else float(value) for value in recalls(confusion)]
    return {
        "accuracy": accuracy(confusion),
        "uar": uar(confusion),
        "macro_f1": macro_f1(confusion),
        "recall": dict(zip(labels, recall, strict=True)),
        "confusion": confusion.tolist(),
        "neutral_calm_merged": {"accuracy": accuracy(merged_confusion), "uar": uar(merged_confusion)},
    }


def merged(confusion: np.ndarray, labels: Sequence[str], pair: tuple[str, str] = ("neutral", "calm")) -> np.ndarray:
    """Return the confusion matrix with two labels merged at the index of the first; unchanged if one is absent."""
    if not set(pair) <= set(labels):
        return confusion
    keep, drop = (list(labels).index(label) for label in pair)
    summed = confusion.copy()
    summed[keep] += summed[drop]
    summed[:, keep] += summed[:, drop]
    return np.delete(np.delete(summed, drop, axis=0), drop, axis=1)
