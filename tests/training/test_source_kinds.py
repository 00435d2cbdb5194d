"""What the clips of a source must be like for adaptation: kinds of clips, and what each gains."""

from __future__ import annotations

import numpy as np
import pytest

from ser.metrics import softmax
from ser.training import source_kinds as kinds
from ser.training.source_kinds import Source, source_kinds
from ser.types import Clip

LABELS = ("neutral", "happy", "sad")
SPEAKERS = 2
ALL = {
    *(f"{size} of any mood" for size in (3, 5, 10, 20, 50)),
    "20 of one mood",
    "20 of one speaker",
    "20, of which 70% neutral",
}


def source(each: int = 20, labels: tuple[str, ...] = LABELS, *, bias: float = 3.0, noise: float = 0.3) -> Source:
    """So many clips of every label by each of two speakers, whose answers lean to the last label."""
    clips = [
        Clip(f"{label}-{speaker}-{take}", label, f"x/{speaker}", "x")
        for label in labels
        for speaker in range(SPEAKERS)
        for take in range(each)
    ]
    truth = np.repeat(np.eye(len(labels)), SPEAKERS * each, axis=0)
    leaning = bias * np.eye(len(labels))[-1] + noise * np.random.default_rng(0).standard_normal(truth.shape)
    return Source(clips, labels, np.log(softmax(2 * truth + leaning)))


@pytest.fixture(scope="module")
def report() -> dict[str, dict[str, float]]:
    return source_kinds([source()])


def test_a_biased_source_gains_by_clips_of_all_moods(report):
    assert report.keys() == ALL
    for kind in ("10 of any mood", "20 of any mood", "50 of any mood", "20 of one speaker"):
        assert report[kind]["with"] > report[kind]["without"] + 0.2
    assert report["20 of any mood"]["with"] > report["3 of any mood"]["with"]


def test_a_source_without_a_bias_loses_little():
    for pair in source_kinds([source(bias=0.0)]).values():
        assert pair == pytest.approx({"without": 1.0, "with": 1.0}, abs=0.04)


def test_kinds_that_a_source_has_too_few_clips_for_are_left_out():
    assert source_kinds([source(each=3)]).keys() == {"3 of any mood", "5 of any mood", "10 of any mood"}
    assert source_kinds([source(each=9)]).keys() == ALL - {"20 of one mood"}
    assert source_kinds([]) == {}


def test_a_source_is_left_out_if_nothing_is_left_to_score():
    whole = source(each=1)
    five = Source(whole.clips[:5], LABELS, whole.scores[:5])
    assert source_kinds([five]).keys() == {"3 of any mood"}


def test_calm_stands_for_neutral_where_nothing_is_neutral():
    """Both are what most calls sound like; a source with neither lacks the kind."""
    assert source_kinds([source(labels=("calm", "happy", "sad"))]).keys() == ALL
    assert source_kinds([source(labels=("happy", "sad"))]).keys() == ALL - {"20, of which 70% neutral"}


def test_draws_are_seeded(report):
    assert source_kinds([source()]) == report != source_kinds([source()], seed=1)


def test_what_is_drawn():
    """Moods and speakers are drawn one by one; seven of ten clips of a call are neutral."""
    made = source()
    drawn: dict[str, list[np.ndarray]] = {}
    for kind, indices in kinds._draws(made, np.random.default_rng(0)):
        assert len(set(indices.tolist())) == len(indices) == int(kind.split(",")[0].split()[0])
        drawn.setdefault(kind, []).append(indices)
    moods = [{made.emotions[index] for index in indices} for indices in drawn["20 of one mood"]]
    assert moods == [{label} for label in LABELS for _ in range(kinds.DRAWS)]
    assert [{made.speakers[index] for index in each} for each in drawn["20 of one speaker"]] == [{"x/0"}, {"x/1"}]
    for indices in drawn["20, of which 70% neutral"]:
        assert sum(made.emotions[index] == "neutral" for index in indices) == 14
    assert all(len(drawn[f"{size} of any mood"]) == kinds.DRAWS for size in kinds.SIZES)


def test_moods_and_sources_are_averaged():
    """By hand: two thirds of a mood's own lead are taken off too, so that happy and neutral clips alone lose theirs."""
    exact = source(noise=0.0), source(labels=("happy", "sad"), noise=0.0)
    gains = (1 / 3, (2 / 3 + 2 / 3 + 1) / 3), (1 / 2, (1 / 2 + 1) / 2)
    for sources, expected in ((exact[:1], gains[0]), (exact[1:], gains[1]), (exact, np.mean(gains, axis=0))):
        found = source_kinds(sources)["20 of one mood"]
        assert (found["without"], found["with"]) == pytest.approx(tuple(expected))


def test_by_hand():
    made = source(each=1, bias=0.0, noise=0.0)
    asked = np.arange(2, 6)  # no neutral clip
    np.testing.assert_array_equal(kinds._pair(made, np.array([0, 1]), asked), [1.0, 1.0])
    wrong = Source(made.clips, LABELS, np.roll(made.scores, 1, axis=1))
    assert kinds._pair(wrong, np.array([0, 1]), asked).tolist() == [0.0, 0.0]


def test_clips_of_other_labels_are_drawn_and_not_scored():
    made = source(each=20, bias=0.0, noise=0.0)
    others = [Clip(f"other-{take}", "bored", "x/0", "x") for take in range(40)]
    both = Source([*made.clips, *others], LABELS, np.vstack([made.scores, np.roll(made.scores[:40], 1, axis=1)]))
    assert all(pair["without"] == 1.0 for pair in source_kinds([both]).values())
