"""Scores as pure functions on arrays. Fractions from 0 to 1; labels are integers from 0 to n_labels - 1.

UAR is the mean over labels of the recall on pooled answers; labels without a clip do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000
ECE_BINS = 15
HUMAN = 0.624  # accuracy of listeners on the speech of RAVDESS, neutral and calm accepted for each other


def confusion_matrix(truth: np.ndarray, answer: np.ndarray, n_labels: int) -> np.ndarray:
    """`[i, j]` counts the clips of true label i that were answered j; shape (n_labels, n_labels)."""
    matrix = np.zeros((n_labels, n_labels), int)
    np.add.at(matrix, (truth, answer), 1)
    return matrix


def recalls(confusion: np.ndarray) -> np.ndarray:
    """Share of each true label's clips that were answered right, shape (n_labels,); NaN without clips."""
    with np.errstate(invalid="ignore"):
        return confusion.diagonal() / confusion.sum(axis=1)


def uar(confusion: np.ndarray) -> float:
    """Unweighted average recall: the mean of the recalls of all labels that have clips."""
    return float(np.nanmean(recalls(confusion)))


def accuracy(confusion: np.ndarray) -> float:
    """Share of all clips that were answered right."""
    return float(confusion.trace() / confusion.sum())


def macro_f1(confusion: np.ndarray) -> float:
    """Mean over labels that have clips of the harmonic mean of precision and recall, 2 hits / (true + answered)."""
    true, answered = confusion.sum(axis=1), confusion.sum(axis=0)
    present = true > 0
    return float(np.mean(2 * confusion.diagonal()[present] / (true + answered)[present]))


def speaker_interval(
    truth: np.ndarray,
    answer: np.ndarray,
    speakers: Sequence[str],
    n_labels: int,
    score: Callable[[np.ndarray], float] = uar,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % interval of a score: speakers are drawn anew, with replacement, 2,000 times (percentile bootstrap)."""
    return bootstrap(speaker_matrices(truth, answer, speakers, n_labels), score, seed)


def speaker_matrices(truth: np.ndarray, answer: np.ndarray, speakers: Sequence[str], n_labels: int) -> np.ndarray:
    """The confusion matrix of each speaker, in sorted order, shape (n_speakers, n_labels, n_labels)."""
    masks = (np.asarray(speakers) == speaker for speaker in sorted(set(speakers)))
    return np.stack([confusion_matrix(truth[mask], answer[mask], n_labels) for mask in masks])


def bootstrap(matrices: np.ndarray, score: Callable[[np.ndarray], float] = uar, seed: int = 0) -> tuple[float, float]:
    """`speaker_interval` from the speakers' confusion matrices, shape (n_speakers, n_labels, n_labels)."""
    return _interval([score(matrices[draw].sum(axis=0)) for draw in _speaker_draws(len(matrices), seed)])


def gain_interval(before: np.ndarray, after: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % interval of UAR after less UAR before, of the same speakers: each draw takes both matrices of a speaker.

    Both hold a confusion matrix a speaker, shape (n_speakers, n_labels, n_labels).
    """
    draws = _speaker_draws(len(before), seed)
    return _interval([uar(after[draw].sum(axis=0)) - uar(before[draw].sum(axis=0)) for draw in draws])


def _speaker_draws(n_speakers: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(n_speakers, size=(RESAMPLES, n_speakers))


def _interval(scores: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(scores, [2.5, 97.5])
    return float(low), float(high)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = ECE_BINS) -> float:
    """Expected calibration error: mean gap of confidence and accuracy in equal bins of confidence, by their share."""
    claimed, found, count = reliability(confidence, right, bins)
    return float(np.sum(count * np.abs(claimed - found)) / len(right))


def reliability(
    confidence: np.ndarray, right: np.ndarray, bins: int = ECE_BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence, accuracy and count of the answers in equal bins of confidence; bins without any are left out."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    held = count > 0
    claimed, found = (np.bincount(index, values, bins)[held] / count[held] for values in (confidence, right))
    return claimed, found, count[held]


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the answers that are given when only the surest are, rising to 1, and how many of those are right.

    One point for each confidence, since equal ones are given together or not at all [El-Yaniv and Wiener 2010].
    """
    order = np.argsort(-confidence, kind="stable")
    last_of_equals = np.append(np.diff(confidence[order]) != 0, True)
    given = np.arange(1, len(right) + 1)
    return (given / len(right))[last_of_equals], (np.cumsum(right[order]) / given)[last_of_equals]


def accuracy_at_coverage(confidence: np.ndarray, right: np.ndarray, coverage: float = 0.5) -> float:
    """Share of right answers among the surest that make up at least `coverage` (0 to 1) of all."""
    given, accuracy = risk_coverage(confidence, right)
    return float(accuracy[given >= min(coverage, 1)][0])


def confidence_curves(confidence: np.ndarray, right: np.ndarray) -> dict[str, dict[str, list[float]]]:
    """`reliability` and, at every per cent, `coverage` as plain lists for a manifest, the figures and the card."""
    levels = [percent / 100 for percent in range(1, 101)]
    claimed, found, count = reliability(confidence, right)
    return {
        "reliability": {"confidence": claimed.tolist(), "accuracy": found.tolist(), "count": count.tolist()},
        "coverage": {
            "coverage": levels,
            "accuracy": [accuracy_at_coverage(confidence, right, level) for level in levels],
        },
    }


def confidence_threshold(confidence: np.ndarray, right: np.ndarray, wanted_accuracy: float) -> float:
    """The lowest confidence from which on the answers given are right at least `wanted_accuracy` of the time.

    Above the highest confidence, so that no answer is given, where even the surest answers are not.
    """
    _, accuracy = risk_coverage(confidence, right)
    enough = np.flatnonzero(accuracy >= wanted_accuracy)
    if not len(enough):
        return float(np.nextafter(confidence.max(), 2))
    return float(np.unique(confidence)[::-1][enough[-1]])


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis that sum to 1."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def temperature(log_probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The divisor of log-probabilities that makes the right label most likely on held-out clips.

    A scan of 0.1 to 10 in steps of 1 % [Guo et al. 2017, "On calibration of modern neural networks"].
    """
    candidates = np.geomspace(0.1, 10, 463)
    return float(candidates[np.argmin([_mean_loss(log_probabilities / t, truth) for t in candidates])])


def _mean_loss(scores: np.ndarray, truth: np.ndarray) -> float:
    top = scores.max(axis=1)
    normaliser = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return float(np.mean(normaliser - scores[np.arange(len(truth)), truth]))


def report(truth: np.ndarray, answer: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy, UAR, macro F1, recall per label (null without clips), the confusion matrix, and the scores
    with neutral and calm accepted for each other, as listeners were scored."""
    confusion = confusion_matrix(truth, answer, len(labels))
    one = merged(confusion, labels)
    recall = {
        label: None if np.isnan(value) else float(value)
        for label, value in zip(labels, recalls(confusion), strict=True)
    }
    return {
        "accuracy": accuracy(confusion),
        "uar": uar(confusion),
        "macro_f1": macro_f1(confusion),
        "recall": recall,
        "confusion": confusion.tolist(),
        "neutral_calm_merged": {"accuracy": accuracy(one), "uar": uar(one)},
    }


def merged(confusion: np.ndarray, labels: Sequence[str], pair: tuple[str, str] = ("neutral", "calm")) -> np.ndarray:
    """The confusion matrix with two labels taken for one, at the place of the first; unchanged if one is absent."""
    if not set(pair) <= set(labels):
        return confusion
    keep, drop = (list(labels).index(label) for label in pair)
    group = np.arange(len(labels))
    group[drop] = keep
    summed = np.zeros_like(confusion)
    np.add.at(summed, (group[:, None], group[None, :]), confusion)
    return np.delete(np.delete(summed, drop, axis=0), drop, axis=1)
