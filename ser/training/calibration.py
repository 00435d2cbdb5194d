"""Temperatures and thresholds: how sure an answer may be, on unseen speakers, unseen corpora, and a known source.

The networks of folds are calibrated on the speakers of other folds. The model that ships answers strangers: it is
calibrated on corpora that its networks were not trained on, if there are any. Recordings that sound as if they were
made like those of the first corpus ("home", see `ser.inference.mixture`) have thresholds of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ser import metrics
from ser.datasets.splits import Split, shared_labels
from ser.training.adaptation import SPEAKER_CLIPS, Source, adapted, adapted_draws, large_sources
from ser.training.cross_validation import FoldResult, tested
from ser.training.ensemble import EnsembleStudy

TARGET_ACCURACY = 0.85  # of answers that are not uncertain
MARGIN = 0.01  # above it on those that a threshold is fitted on: it is right a little less often about others
LEAST_SURE = 30  # answers that reach it; a few may by chance
LEAST_SURE_OF_CORPUS = 10  # of each left-out corpus, all of which must reach it
CLIPS = 20  # of a left-out corpus that answers are adapted to
DRAWS = 3  # of them
RELIABILITY_BINS = 10
NEVER = float(np.nextafter(1, 2))  # above every confidence
EXCLUDED = -1e9  # log-probability of a label that a corpus does not have


T = TypeVar("T")


class Part(NamedTuple):
    """Answers to some clips that a split tests: log-probabilities (n, n_labels), and which are at home (n,)."""

    scores: np.ndarray
    clips: np.ndarray
    split: Split
    home: np.ndarray

    def only(self, kept: np.ndarray) -> Part:
        """Return some of the answers: a mask (n,), or their positions."""
        return Part(self.scores[kept], self.clips[kept], self.split, self.home[kept])

    def cooled(self, temperature: float) -> Part:
        """Return the answers with their scores divided by a temperature."""
        return self._replace(scores=self.scores / temperature)


class Sure(NamedTuple):
    """The confidence from which on answers are sure, and of those that are at home, if these are told apart."""

    confidence: float
    home: float | None = None

    def at_least(self, home: np.ndarray) -> np.ndarray:
        """Return the confidence from which on each answer is sure, from which of them are at home, (n,)."""
        return np.where(home, self.confidence if self.home is None else self.home, self.confidence)


@dataclass(frozen=True)
class Calibration:
    """Temperature and lowest sure confidences of the model that ships, without and with a known source."""

    temperature: float
    sure: Sure
    adapted_temperature: float
    adapted_sure: Sure

    @property
    def thresholds(self) -> dict[str, float]:
        """The confidences as a manifest holds them."""
        strangers = {"confidence": self.sure.confidence, "adapted": self.adapted_sure.confidence}
        home = {"home": self.sure.home, "home_adapted": self.adapted_sure.home}
        return strangers | {name: confidence for name, confidence in home.items() if confidence is not None}


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
        sure = Sure(confidence_threshold(scores / temperature, truth))
        return Calibration(temperature, sure, temperature, sure)
    plain, at_home = list(map(_part, left_out)), _cooled(folds)
    known = list(_adapted_parts(study, plain, CLIPS, "corpus")) or plain
    known_at_home = list(_adapted_parts(study, at_home, SPEAKER_CLIPS, "speaker")) or at_home
    temperature, adapted_temperature = _temperature(study, plain), _temperature(study, known)
    cooler = [part.cooled(adapted_temperature / temperature) for part in known_at_home]
    return Calibration(temperature, _sure(study, plain, at_home), adapted_temperature, _sure(study, known, cooler))


def left_out_temperature(study: EnsembleStudy, folds: Sequence[FoldResult]) -> float:
    """Return the temperature of the answers on left-out corpora."""
    return _temperature(study, list(map(_part, folds)))


def _part(fold: FoldResult) -> Part:
    return Part(fold.log_probabilities, np.array(fold.split.test), fold.split, fold.home)


def _cooled(folds: Sequence[FoldResult]) -> list[Part]:
    """Return the answers of folds, each with its temperature."""
    return [_part(fold).cooled(fold.temperature) for fold in folds]


def _adapted_parts(study: EnsembleStudy, parts: Sequence[Part], n_clips: int, by: Source) -> Iterator[Part]:
    """Yield answers adapted to a few clips of each source, which are not among them."""
    for part in parts:
        kept = np.array(large_sources([study.clips[clip] for clip in part.clips], n_clips, by), int)
        if len(kept):
            clips = [study.clips[clip] for clip in part.clips[kept]]
            for _, drawn, rest in adapted_draws(clips, n_clips, by=by, draws=DRAWS):
                yield part.only(kept[rest])._replace(scores=adapted(part.scores[kept], drawn, rest))


def _sure(study: EnsembleStudy, parts: Sequence[Part], at_home: Sequence[Part]) -> Sure:
    """Return the confidences from which on answers reach the target accuracy, on left-out corpora and at home.

    `at_home` are the answers of folds, divided by their temperature.
    """
    if not study.ensemble.home:
        return Sure(_confidence(study, parts))
    strangers = [part for part in (part.only(~part.home) for part in parts) if len(_answerable(study, part)[1])]
    confidence = _confidence(study, strangers or parts)
    return Sure(confidence, _home_confidence(study, parts, at_home, confidence))


def _home_confidence(study: EnsembleStudy, parts: Sequence[Part], at_home: Sequence[Part], without: float) -> float:
    """Return the lowest sure confidence of answers at home, `without` if there are none on the folds.

    Answers about left-out corpora that are taken for such must reach the target accuracy, too.
    """
    temperatures = _temperatures(study, parts)
    taken = [part.only(part.home).cooled(temperatures[part.split.name]) for part in parts]
    scores, truth = _joined(study, [part.only(part.home) for part in at_home])
    if not len(truth):
        return without
    foreign_scores, foreign_truth = _joined(study, taken)
    confidence = confidence_threshold(scores, truth)
    if len(foreign_truth) < LEAST_SURE_OF_CORPUS:
        return confidence
    return max(confidence, confidence_threshold(foreign_scores, foreign_truth, LEAST_SURE_OF_CORPUS))


def _temperature(study: EnsembleStudy, parts: Sequence[Part]) -> float:
    """Return the temperature that fits the answers over the labels that each corpus shares with its training side."""
    answerable = [_answerable(study, part) for part in parts]
    scores = np.concatenate([np.where(shared, kept.scores, EXCLUDED) for kept, _, shared in answerable])
    return metrics.temperature(scores, np.concatenate([truth for _, truth, _ in answerable]))


def _temperatures_of_others(study: EnsembleStudy, parts: Sequence[Part]) -> dict[str, float]:
    """Return for each left-out corpus, by the name of its split, the temperature of all others, if any."""
    names = dict.fromkeys(part.split.name for part in parts)
    others = {name: [part for part in parts if part.split.name != name] for name in names}
    return {name: _temperature(study, rest) for name, rest in others.items() if rest}


def _temperatures(study: EnsembleStudy, parts: Sequence[Part]) -> dict[str, float]:
    """Return for each left-out corpus the temperature of all others, or its own if there are none."""
    return _temperatures_of_others(study, parts) or {parts[0].split.name: _temperature(study, parts)}


def _confidence(study: EnsembleStudy, parts: Sequence[Part]) -> float:
    """Return the confidence from which on the answers about every corpus are right often enough, or none is so sure.

    Corpora differ: about some the most confident answers are mostly right, about others mostly wrong, and strangers may
    be like either. Each corpus has the temperature of the others. A limit must also hold where it was not fitted: if
    the answers about each corpus that are sure by the limits of the others are too few or too often wrong, none is.
    """
    temperatures = _temperatures(study, parts)
    by_corpus: dict[str, list[Part]] = {}
    for part in parts:
        by_corpus.setdefault(part.split.name, []).append(part.cooled(temperatures[part.split.name]))
    joined = [_joined(study, same) for same in by_corpus.values()]
    limits = [confidence_threshold(scores, truth, LEAST_SURE_OF_CORPUS) for scores, truth in joined]
    if len(limits) == 1:
        return limits[0]
    right = np.concatenate([_right_of_sure(*joined[k], max(rest)) for k, rest in enumerate(_others(limits))])
    return max(limits) if len(right) >= LEAST_SURE and right.mean() >= TARGET_ACCURACY else NEVER


def _right_of_sure(scores: np.ndarray, truth: np.ndarray, limit: float) -> np.ndarray:
    """Return which of the answers whose confidence is at least `limit` are right."""
    probabilities = metrics.softmax(scores)
    return (probabilities.argmax(axis=1) == truth)[probabilities.max(axis=1) >= limit]


def _joined(study: EnsembleStudy, parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of all answerable clips (n, n_labels), and their truth (n,)."""
    answerable = [_answerable(study, part) for part in parts]
    scores = np.concatenate([kept.scores for kept, *_ in answerable])
    return scores, np.concatenate([truth for _, truth, _ in answerable])


def sure_without(study: EnsembleStudy, left_out: Sequence[FoldResult], folds: Sequence[FoldResult]) -> list[Sure]:
    """Return for each of several left-out corpora the lowest sure confidences that fit the others and the folds."""
    return [_sure(study, rest, _cooled(folds)) for rest in _others(list(map(_part, left_out)))]


def sure_of_folds(
    study: EnsembleStudy, folds: Sequence[FoldResult], left_out: Sequence[FoldResult], sure: Sure
) -> list[Sure]:
    """Return for each fold the lowest sure confidences that fit the other folds and the left-out corpora."""
    if sure.home is None:
        return [sure] * len(folds)
    parts = list(map(_part, left_out))
    homes = (_home_confidence(study, parts, rest, sure.confidence) for rest in _others(_cooled(folds)))
    return [Sure(sure.confidence, home) for home in homes]


def _others(parts: list[T]) -> list[list[T]]:
    """Return for each part all others."""
    return [[*parts[:k], *parts[k + 1 :]] for k in range(len(parts))]


def _answerable(study: EnsembleStudy, part: Part) -> tuple[Part, np.ndarray, np.ndarray]:
    """Return the answers to clips whose label is shared, with their truth, and which labels are, (n_labels,)."""
    truth = study.first.truth[part.clips]
    shared = np.isin(study.first.labels, shared_labels(study.clips, part.split))
    return part.only(shared[truth]), truth[shared[truth]], shared


def sure_answers(study: EnsembleStudy, folds: Sequence[FoldResult], limits: Sequence[Sure]) -> dict[str, Any]:
    """Return the share of answers whose confidence is at least the limit of their fold, and how many of them are right.

    Also the calibration error and the reliability of all answers together: mean confidence, accuracy and count in ten
    bins of confidence. Clips whose label the training side lacks are left out; `accuracy` is None if none is sure.
    """
    parts = []
    for fold, limit in zip(folds, limits, strict=True):
        kept, truth, _ = _answerable(study, _part(fold))
        probabilities = metrics.softmax(kept.scores / fold.temperature)
        confidence = probabilities.max(axis=1)
        parts.append((confidence, confidence >= limit.at_least(kept.home), probabilities.argmax(axis=1) == truth))
    confidence, sure, right = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return {
        "share": float(sure.mean()),
        "accuracy": float(right[sure].mean()) if sure.any() else None,
        "answers": len(right),
        "calibration_error": metrics.calibration_error(confidence, right),
        "reliability": [each.tolist() for each in metrics.reliability(confidence, right, RELIABILITY_BINS)],
    }


def confidence_threshold(scores: np.ndarray, truth: np.ndarray, least: int = LEAST_SURE) -> float:
    """Return the confidence from which on answers with these calibrated scores reach the target and its margin."""
    probabilities = metrics.softmax(scores)
    right = probabilities.argmax(axis=1) == truth
    return metrics.confidence_threshold(probabilities.max(axis=1), right, TARGET_ACCURACY + MARGIN, least)
