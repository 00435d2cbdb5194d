"""Scores enrolment: how much a few unlabelled clips of a speaker improve the answers on the other clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np

from ser import metrics
from ser.types import Clip, ParameterError

CLIPS = 5
DRAWS = 20

Answer = Callable[[int], np.ndarray]  # index of a clip to probabilities, shape (n_labels,)


class Enrollable(Protocol):
    """A recogniser that can be scored with the features of each clip computed once."""

    def inputs(self, source: Any) -> Any: ...

    def probabilities(self, features: Any) -> np.ndarray: ...

    def calibrated_to(self, features: Sequence[Any]) -> Enrollable:
        """Return the recogniser calibrated to a speaker, from the features of a few clips."""
        ...


def enrolment(
    clips: Sequence[Clip],
    labels: Sequence[str],
    plain: Answer,
    calibrated: Callable[[list[int]], Answer],
    *,
    n_clips: int = CLIPS,
    draws: int = DRAWS,
    seed: int = 0,
    on_draw: Callable[[], Any] = lambda: None,
) -> dict[str, Any]:
    """Return UAR with and without calibration to each speaker, pooled over speakers and draws, and the gain's interval.

    Each draw takes `n_clips` clips of a speaker regardless of their labels, calls `calibrated` with their indices, and
    compares both answers for the speaker's other clips. The 95 % interval is over speakers (bootstrap). Clips whose
    label is not in `labels` are drawn but not scored. Raises `ParameterError` if a speaker has too few clips.
    """
    rng = np.random.default_rng(seed)
    plain = cache(plain)
    pairs = []
    for indices in _by_speaker(clips, n_clips).values():
        pair = np.zeros((2, len(labels), len(labels)), int)
        for _ in range(draws):
            drawn = rng.choice(indices, n_clips, replace=False).tolist()
            scored = [index for index in indices if index not in drawn and clips[index].emotion in labels]
            pair += _confusions(clips, labels, scored, (plain, calibrated(drawn)))
            on_draw()
        pairs.append(pair)
    before, after = np.stack(pairs, axis=1)
    return {
        "with": metrics.uar(after.sum(axis=0)),
        "without": metrics.uar(before.sum(axis=0)),
        "interval": metrics.gain_interval(before, after),
        "clips": n_clips,
        "draws": draws,
        "seed": seed,
        "speakers": len(pairs),
    }


def voices(
    clips: Sequence[Clip], recognizers: Mapping[str, Enrollable]
) -> tuple[Answer, Callable[[list[int]], Answer]]:
    """Return `plain` and `calibrated` for `enrolment`, from a recogniser per speaker that was not trained on it."""

    @cache
    def features(index: int) -> Any:
        return recognizers[clips[index].speaker].inputs(clips[index].path)

    def plain(index: int) -> np.ndarray:
        return recognizers[clips[index].speaker].probabilities(features(index))

    def calibrated(drawn: list[int]) -> Answer:
        recognizer = recognizers[clips[drawn[0]].speaker].calibrated_to([features(index) for index in drawn])
        return lambda index: recognizer.probabilities(features(index))

    return plain, calibrated


def _by_speaker(clips: Sequence[Clip], n_clips: int) -> dict[str, list[int]]:
    """Return the indices of each speaker's clips; raise if a speaker has no more than `n_clips`."""
    speakers: dict[str, list[int]] = {speaker: [] for speaker in sorted({clip.speaker for clip in clips})}
    for index, clip in enumerate(clips):
        speakers[clip.speaker].append(index)
    few = [speaker for speaker, indices in speakers.items() if len(indices) <= n_clips]
    if few or not speakers:
        raise ParameterError(
            f"Calibration to {n_clips} clips is scored on a speaker's other clips; found {len(few)} speakers with no "
            f"more than that ({', '.join(few[:3]) or 'no clips at all'}). Leave them out, or calibrate to fewer."
        )
    return speakers


def _confusions(
    clips: Sequence[Clip], labels: Sequence[str], indices: list[int], answers: Sequence[Answer]
) -> np.ndarray:
    """Return the confusion matrix of each kind of answer, shape (n_answers, n_labels, n_labels)."""
    truth = np.array([labels.index(clips[index].emotion) for index in indices], int)
    predicted = (np.array([answer(index).argmax() for index in indices], int) for answer in answers)
    return np.stack([metrics.confusion_matrix(truth, answer, len(labels)) for answer in predicted])
