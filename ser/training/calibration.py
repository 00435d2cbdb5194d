"""Temperatures and thresholds: how sure an answer may be, on unseen speakers, unseen corpora, and a known source.

The networks of folds are calibrated on the speakers of other folds. The model that ships answers strangers: it is
calibrated on corpora that its networks were not trained on, if there are any.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ser import metrics
from ser.datasets.splits import Split, shared_labels
from ser.training.adaptation import adapted, adapted_draws
from ser.training.cross_validation import FoldResult, tested
from ser.training.ensemble import EnsembleStudy

TARGET_ACCURACY = 0.85  # of answers that are not uncertain
LEAST_SURE = 30  # answers that reach it; a few may by chance
LEAST_SURE_OF_CORPUS = 10  # of each left-out corpus, all of which must reach it
CLIPS = 20  # of a left-out corpus that answers are adapted to
DRAWS = 3  # of them
EXCLUDED = -1e9  # log-probability of a label that a corpus does not have

Part = tuple[np.ndarray, np.ndarray, Split]  # log-probabilities (n, n_labels), clips (n,) and the split that tests them


@dataclass(frozen=True)
class Calibration:
    """Temperature and lowest sure confidence of the model that ships, without and with a known source."""

    temperature: float
    confidence: float
    adapted_temperature: float
    adapted_confidence: float


def calibrated_left_out(study: EnsembleStudy, folds: Sequence[FoldResult]) -> list[FoldResult]:
    """Return the answers on left-out corpora, each with the temperature that fits the others, if there are several."""
    parts = list(map(_part, folds))
    temperatures = _temperatures_of_others(study, parts)
    return [replace(fold, temperature=temperatures.get(fold.split.name, fold.temperature)) for fold in folds]


def calibration(study: EnsembleStudy, folds: Sequence[FoldResult], left_out: Sequence[FoldResult]) -> Calibration:
    """Return the calibration of the model that ships, from the answers on left-out corpora, else those on the folds."""
    if not left_out:
        index, scores = tested(folds)
        truth = study.first.truth[index]
        temperature = metrics.temperature(scores, truth)
        confidence = confidence_threshold(scores / temperature, truth)
        return Calibration(temperature, confidence, temperature, confidence)
    plain = list(map(_part, left_out))
    known = list(_adapted_parts(study, left_out)) or plain
    return Calibration(*_fit(study, plain), *_fit(study, known))


def left_out_temperature(study: EnsembleStudy, folds: Sequence[FoldResult]) -> float:
    """Return the temperature of the answers on left-out corpora."""
    return _temperature(study, list(map(_part, folds)))


def _part(fold: FoldResult) -> Part:
    return fold.log_probabilities, np.array(fold.split.test), fold.split


def _adapted_parts(study: EnsembleStudy, left_out: Sequence[FoldResult]) -> Iterator[Part]:
    """Yield answers adapted to a few clips of each left-out corpus, which are not among them."""
    for fold in left_out:
        scores, index = fold.log_probabilities, np.array(fold.split.test)
        clips = [study.clips[clip] for clip in index]
        if len(clips) > CLIPS:
            for _, drawn, rest in adapted_draws(clips, CLIPS, by="corpus", draws=DRAWS):
                yield adapted(scores, drawn, rest), index[rest], fold.split


def _fit(study: EnsembleStudy, parts: Sequence[Part]) -> tuple[float, float]:
    """Return the temperature of some answers, and the confidence from which on they reach the target accuracy."""
    return _temperature(study, parts), _confidence(study, parts)


def _temperature(study: EnsembleStudy, parts: Sequence[Part]) -> float:
    """Return the temperature that fits the answers over the labels that each corpus shares with its training side."""
    answerable = [_answerable(study, part) for part in parts]
    scores = np.concatenate([np.where(shared, scores, EXCLUDED) for scores, _, shared in answerable])
    return metrics.temperature(scores, np.concatenate([truth for _, truth, _ in answerable]))


def _temperatures_of_others(study: EnsembleStudy, parts: Sequence[Part]) -> dict[str, float]:
    """Return for each left-out corpus, by the name of its split, the temperature of all others, if any."""
    names = dict.fromkeys(part[2].name for part in parts)
    others = {name: [part for part in parts if part[2].name != name] for name in names}
    return {name: _temperature(study, rest) for name, rest in others.items() if rest}


def _confidence(study: EnsembleStudy, parts: Sequence[Part]) -> float:
    """Return the confidence from which on the answers about every corpus are right often enough, or none is so sure.

    Corpora differ: about some the most confident answers are mostly right, about others mostly wrong, and strangers may
    be like either. Each corpus has the temperature of the others.
    """
    temperatures = _temperatures_of_others(study, parts) or {parts[0][2].name: _temperature(study, parts)}
    by_corpus: dict[str, list[Part]] = {}
    for part in parts:
        by_corpus.setdefault(part[2].name, []).append(part)
    return max(_corpus_confidence(study, same, temperatures[name]) for name, same in by_corpus.items())


def _corpus_confidence(study: EnsembleStudy, parts: Sequence[Part], temperature: float) -> float:
    answerable = [_answerable(study, part) for part in parts]
    scores = np.concatenate([scores for scores, _, _ in answerable])
    truth = np.concatenate([truth for _, truth, _ in answerable])
    return confidence_threshold(scores / temperature, truth, LEAST_SURE_OF_CORPUS)


def confidences_of_others(study: EnsembleStudy, folds: Sequence[FoldResult]) -> list[float]:
    """Return for each of several left-out corpora the lowest sure confidence that fits the others."""
    parts = list(map(_part, folds))
    return [_confidence(study, [*parts[:k], *parts[k + 1 :]]) for k in range(len(parts))]


def _answerable(study: EnsembleStudy, part: Part) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scores and the truth of clips whose label is shared, and which labels are, (n_labels,)."""
    scores, index, split = part
    shared = np.isin(study.first.labels, shared_labels(study.clips, split))
    truth = study.first.truth[index]
    return scores[shared[truth]], truth[shared[truth]], shared


def sure_answers(study: EnsembleStudy, folds: Sequence[FoldResult], confidences: Sequence[float]) -> dict[str, Any]:
    """Return the share of answers whose confidence is at least that of their fold, and how many of these are right.

    Also the calibration error of all answers together. Clips whose label the training side lacks are left out;
    `accuracy` is None if no answer is sure.
    """
    parts = []
    for fold, least in zip(folds, confidences, strict=True):
        scores, truth, _ = _answerable(study, _part(fold))
        probabilities = metrics.softmax(scores / fold.temperature)
        confidence = probabilities.max(axis=1)
        parts.append((confidence, confidence >= least, probabilities.argmax(axis=1) == truth))
    confidence, sure, right = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return {
        "share": float(sure.mean()),
        "accuracy": float(right[sure].mean()) if sure.any() else None,
        "calibration_error": metrics.calibration_error(confidence, right),
    }


def confidence_threshold(scores: np.ndarray, truth: np.ndarray, least: int = LEAST_SURE) -> float:
    """Return the confidence above which answers with these calibrated scores reach the target accuracy."""
    probabilities = metrics.softmax(scores)
    right = probabilities.argmax(axis=1) == truth
    return metrics.confidence_threshold(probabilities.max(axis=1), right, TARGET_ACCURACY, least)
