"""Scores on a corpus that was left out: over the labels that both sides hold, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ser.datasets.splits import corpus_splits, doubled, doubled_split
from ser.training.configs import Config
from ser.training.cross_validation import FoldResult, TrainingSet, check_no_leak, left_out_scores
from ser.training.feature_table import FeatureTable
from ser.types import Clip, ParameterError

HEARD = ("neutral", "happy", "sad", "angry")
OTHER = ("neutral", "happy", "disgust")


def clips(corpus: str, emotions: tuple[str, ...], speakers: int) -> list[Clip]:
    return [
        Clip(f"{corpus}/{speaker}/{emotion}.wav", emotion, f"{corpus}/{speaker}", corpus)
        for speaker in range(speakers)
        for emotion in emotions
    ]


def training_set(listed: list[Clip], tmp_path) -> TrainingSet:
    rows = np.zeros((len(listed), 1), np.float32)
    return TrainingSet(
        listed, Config(), FeatureTable(rows, np.arange(len(listed)), np.zeros(len(listed))), [], tmp_path
    )


@pytest.mark.slow
def test_only_shared_labels_are_scored(tmp_path):
    made = training_set(clips("nemo", OTHER, 2) + clips("ravdess", HEARD, 3), tmp_path)
    assert made.labels == ("neutral", "happy", "sad", "angry", "disgust")
    split = next(split for split in corpus_splits(made.clips) if split.name == "without_nemo")
    # neutral, happy, disgust of the first speaker, then of the second; angry is always most likely, but not asked for.
    probabilities = np.array([[4, 2, 1, 9, 0.1], [1, 3, 1, 9, 0.1], [1, 1, 1, 9, 1]] * 2)
    probabilities[3, :2] = 2, 4
    fold: Any = FoldResult(split, None, 1.0, {}, np.log(probabilities))  # type: ignore[arg-type]
    found = left_out_scores(made, fold)
    assert (found["labels"], found["clips"], found["speakers"]) == (["neutral", "happy"], 4, 2)
    assert found["confusion"] == [[1, 1], [0, 2]] and found["uar"] == pytest.approx(0.75)
    assert found["excluded"] == {"disgust": 2}
    confidence, right = np.array([4 / 6, 3 / 4, 4 / 6, 3 / 4]), np.array([1, 1, 0, 1])
    gaps = abs((confidence - right)[[0, 2]].sum()) + abs((confidence - right)[[1, 3]].sum())
    assert found["calibration_error"] == pytest.approx(gaps / 4)


def test_only_the_doubled_corpus_may_leak(tmp_path):
    made = training_set(doubled(clips("ravdess", HEARD, 4)), tmp_path)
    split = doubled_split(made.clips)
    check_no_leak(made, split)
    renamed = type(split)("random", split.train, split.test, split.note)
    with pytest.raises(ParameterError, match="'random' leaks: a recording is on both sides"):
        check_no_leak(made, renamed)
