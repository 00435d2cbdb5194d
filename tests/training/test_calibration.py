"""From which confidence on answers count as sure."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ser.datasets.splits import Split
from ser.training import calibration
from ser.types import Clip

LABELS = ("neutral", "sad")
N = 40  # clips a corpus


def study() -> SimpleNamespace:
    clips = [Clip(f"{corpus}{n}.wav", LABELS[n % 2], f"{corpus}/{n % 4}", corpus) for corpus in "abc" for n in range(N)]
    truth = np.array([LABELS.index(clip.emotion) for clip in clips])
    return SimpleNamespace(clips=clips, first=SimpleNamespace(labels=LABELS, truth=truth))


def part(made: SimpleNamespace, corpus: int, wrong: int) -> calibration.Part:
    """Answers about a corpus, of rising confidence, of which the `wrong` most confident are wrong."""
    test = tuple(range(corpus * N, (corpus + 1) * N))
    train = tuple(set(range(3 * N)) - set(test))
    margin = np.linspace(0.1, 4, N)
    right = np.arange(N) < N - wrong
    answer = np.where(right, made.first.truth[list(test)], 1 - made.first.truth[list(test)])
    scores = np.zeros((N, 2))
    scores[np.arange(N), answer] = margin
    return scores, np.array(test), Split(f"without_{'abc'[corpus]}", train, test)


def highest(made: SimpleNamespace, parts: list[calibration.Part], corpus: int) -> float:
    temperature = calibration._temperatures_of_others(made, parts)[f"without_{'abc'[corpus]}"]
    return float(1 / (1 + np.exp(-4 / temperature)))


def test_one_corpus_whose_confident_answers_are_wrong_decides():
    made = study()
    good = [part(made, corpus, 0) for corpus in range(3)]
    assert set(calibration._temperatures_of_others(made, good).values()) == {0.1}  # the least
    assert calibration._confidence(made, good) == pytest.approx(
        1 / (1 + np.exp(-0.1 / 0.1))
    )  # of the least sure answer
    bad = [*good[:2], part(made, 2, 15)]
    least = calibration._confidence(made, bad)
    assert least > highest(made, bad, 2)  # of its answers none is sure
    assert calibration._confidence(made, good) < least


def test_a_few_right_answers_do_not_make_a_corpus_sure():
    """The eight most confident are right, and before them many are wrong."""
    made = study()
    scores, index, split = part(made, 2, 0)
    flipped = scores.copy()
    flipped[10 : N - 8] = scores[10 : N - 8, ::-1]
    parts = [part(made, 0, 0), part(made, 1, 0), (flipped, index, split)]
    assert calibration._confidence(made, parts) > highest(made, parts, 2)
