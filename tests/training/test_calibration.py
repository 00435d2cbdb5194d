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
    return calibration.Part(scores, np.array(test), Split(f"without_{'abc'[corpus]}", train, test), np.zeros(N, bool))


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
    assert least == calibration.NEVER  # by the limit of the others, fifteen of its answers would be sure and wrong
    assert least > highest(made, bad, 2)  # of its answers none is sure
    assert calibration._confidence(made, good) < least


def test_a_few_right_answers_do_not_make_a_corpus_sure():
    """The eight most confident are right, and before them many are wrong."""
    made = study()
    last = part(made, 2, 0)
    flipped = last.scores.copy()
    flipped[10 : N - 8] = last.scores[10 : N - 8, ::-1]
    parts = [part(made, 0, 0), part(made, 1, 0), last._replace(scores=flipped)]
    assert calibration._confidence(made, parts) > highest(made, parts, 2)


def test_answers_at_home_have_a_threshold_of_their_own():
    """Those of the folds decide it, and those of left-out corpora the other one, unless they are taken for home."""
    made = study()
    made.ensemble = SimpleNamespace(home=("encoder",))
    corpora = [part(made, 0, 0), part(made, 1, 0)]
    folds = [part(made, 2, 0)._replace(home=np.ones(N, bool))]
    sure = calibration._sure(made, corpora, folds)
    assert sure.home == pytest.approx(1 / (1 + np.exp(-0.1)))  # of the least sure answer
    wrong = part(made, 0, 15)
    few, many = ([wrong._replace(home=np.arange(N) >= N - n), corpora[1]] for n in (9, 15))
    assert calibration._sure(made, few, folds).home == sure.home  # they may be so by chance
    assert calibration._sure(made, many, folds).home > sure.home
    assert calibration._sure(made, many, folds).confidence < calibration._confidence(made, many)
    assert sure.at_least(np.array([True, False])) == pytest.approx([sure.home, sure.confidence])


def test_a_corpus_that_is_all_at_home_is_no_stranger():
    made = study()
    made.ensemble = SimpleNamespace(home=("encoder",))
    folds, every = [part(made, 2, 0)._replace(home=np.ones(N, bool))], np.ones(N, bool)
    bad, good = part(made, 0, 15), part(made, 1, 0)
    sure = calibration._sure(made, [bad._replace(home=every), good], folds)
    assert sure.confidence == calibration._confidence(made, [good]) and sure.home > 0.9
    both = [bad._replace(home=every), good._replace(home=every)]
    assert calibration._sure(made, both, folds).confidence == calibration._confidence(made, [bad, good])


def test_without_answers_at_home_both_thresholds_are_the_same():
    made = study()
    made.ensemble = SimpleNamespace(home=("encoder",))
    parts = [part(made, corpus, 0) for corpus in range(3)]
    sure = calibration._sure(made, parts[:2], parts[2:])
    assert sure.home == sure.confidence == calibration._confidence(made, parts[:2])


def test_a_model_that_tells_no_home_has_one_threshold():
    made = study()
    made.ensemble = SimpleNamespace(home=())
    parts = [part(made, corpus, 0)._replace(home=np.ones(N, bool)) for corpus in range(3)]
    sure = calibration._sure(made, parts[:2], parts[2:])
    assert sure == (calibration._confidence(made, parts[:2]), None)
    assert set(sure.at_least(parts[2].home)) == {sure.confidence}
