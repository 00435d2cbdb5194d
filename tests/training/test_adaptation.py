"""Scores of adapted answers: what adaptation is worth where a source has a bias, and which clips are drawn for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser.metrics import softmax
from ser.training.adaptation import adapted, adapted_draws, large_sources, source_scores
from ser.types import Clip, ParameterError

LABELS = ("neutral", "happy", "sad", "angry")
TAKES = 5


def clips_of(n_speakers: int, corpus: str = "x") -> list[Clip]:
    return [
        Clip(f"{speaker}-{label}-{take}", label, f"{corpus}/{speaker:02d}", corpus)
        for speaker in range(n_speakers)
        for label in LABELS
        for take in range(TAKES)
    ]


def biased(clips: list[Clip], bias: float) -> np.ndarray:
    """Log-probabilities with a bias of every speaker."""
    rng = np.random.default_rng(1)
    bias_of = {speaker: bias * rng.standard_normal(len(LABELS)) for speaker in sorted({c.speaker for c in clips})}
    truth = np.eye(len(LABELS))[[LABELS.index(clip.emotion) for clip in clips]]
    noise = 0.2 * rng.standard_normal(truth.shape)
    return np.log(softmax(truth + np.array([bias_of[clip.speaker] for clip in clips]) + noise))


# --- Adapted scores ---


def test_a_share_of_the_drawn_clips_mean_is_taken_off():
    scores = np.log(softmax(np.random.default_rng(0).standard_normal((9, 4))))
    mean = scores[[1, 2, 5]].mean(axis=0)
    found = adapted(scores, [1, 2, 5], np.array([0, 5]))
    np.testing.assert_allclose(found, scores[[0, 5]] - 3 / 8 * (mean - mean.mean()))


def test_a_bias_to_one_label_is_outweighed():
    truth = np.repeat(np.arange(4), 5)
    scores = np.log(softmax(2 * np.eye(4)[truth] + np.array([0, 0, 2.5, 0])))
    assert set(scores.argmax(axis=1)) == {2}
    drawn, asked = np.arange(0, 20, 2), np.arange(1, 20, 2)
    np.testing.assert_array_equal(adapted(scores, drawn, asked).argmax(axis=1), truth[asked])


def test_clips_of_one_mood_do_not_turn_its_answers_away():
    """At most two thirds are taken off, so the mood that all clips have stays the likeliest."""
    scores = np.log(softmax(3 * np.eye(4)))
    for mood in range(4):
        found = adapted(np.repeat(scores[[mood]], 50, axis=0), range(40), range(40, 50))
        assert set(found.argmax(axis=1)) == {mood}


def test_large_sources():
    clips = [*clips_of(2, "a"), *clips_of(1, "b"), Clip("alone", "sad", "a/09", "a")]
    assert large_sources(clips, 5, "speaker") == list(range(60))
    assert large_sources(clips, 20, "speaker") == [] and large_sources([], 1, "corpus") == []
    assert large_sources(clips, 20, "corpus") == [*range(40), 60]


# --- Scores ---


def test_adaptation_takes_the_bias_of_a_speaker_away():
    clips = clips_of(8)
    scores = source_scores(clips, LABELS, biased(clips, 1.0), 5)
    assert scores["with"] > scores["without"] + 0.1
    low, high = scores["interval"]
    assert 0 < low < scores["with"] - scores["without"] < high
    assert (scores["clips"], scores["draws"], scores["speakers"]) == (5, 20, 8)
    assert scores == source_scores(clips, LABELS, biased(clips, 1.0), 5)
    assert scores != source_scores(clips, LABELS, biased(clips, 1.0), 5, seed=1)


def test_speakers_without_a_bias_gain_nothing():
    clips = clips_of(8)
    scores = source_scores(clips, LABELS, biased(clips, 0.0), 5)
    assert scores["without"] > 0.95 and abs(scores["with"] - scores["without"]) < 0.01


def test_by_hand():
    """A sixth of the lead of "happy" in the one clip that is drawn is taken off: enough for the one unsure clip."""
    clips = [Clip(str(n), LABELS[n % 2], "x/1", "x") for n in range(4)]
    scores = np.log(softmax(np.array([[0.0, 1.1], [0.0, 1.1], [0.0, 0.1], [0.0, 1.1]])))
    found = source_scores(clips, LABELS[:2], scores, 1, draws=8)
    asked = [rest for _, _, rest in adapted_draws(clips, 1, by="speaker", draws=8)]
    right = sum(2 in rest for rest in asked)
    n_neutral = sum(n in rest for rest in asked for n in (0, 2))
    assert found["without"] == 0.5
    assert found["with"] == pytest.approx((1 + right / n_neutral) / 2) and 0 < right < n_neutral


def test_other_labels_are_drawn_but_not_scored():
    """Clips of other labels weigh in the mean; two of four labels are scored."""
    clips = clips_of(2)
    scores = biased(clips, 1.0)[:, [0, 2]]
    found = source_scores(clips, ("neutral", "sad"), scores, 5)
    relabelled = [clip if clip.emotion in ("neutral", "sad") else replace(clip, emotion="calm") for clip in clips]
    assert source_scores(relabelled, ("neutral", "sad"), scores, 5) == found
    scores[[clip.emotion not in ("neutral", "sad") for clip in clips]] += [9.0, 0.0]
    assert source_scores(clips, ("neutral", "sad"), scores, 5)["with"] != found["with"]


# --- Draws ---


def test_draws_do_not_see_labels_and_are_not_scored():
    clips = clips_of(2)
    draws = list(adapted_draws(clips, 4, by="speaker", draws=3))
    assert [source for source, _, _ in draws] == ["x/00"] * 3 + ["x/01"] * 3
    for source, drawn, rest in draws:
        assert len(set(drawn)) == 4 and len(rest) == 16 and not set(rest) & set(drawn)
        assert {clips[index].speaker for index in [*drawn, *rest]} == {source}
    moods = {clips[index].emotion for _, drawn, _ in adapted_draws(clips, 4, by="speaker") for index in drawn}
    assert moods == set(LABELS)


def test_a_source_may_be_a_corpus():
    clips = [*clips_of(2, "a"), *clips_of(2, "b")]
    scores = source_scores(clips, LABELS, biased(clips, 0.5), 10, by="corpus", draws=2)
    assert scores["corpora"] == 2 and scores["clips"] == 10
    draws = list(adapted_draws(clips, 10, by="corpus", draws=2))
    assert all(len({clips[index].corpus for index in [*drawn, *rest]}) == 1 for _, drawn, rest in draws)
    assert any(len({clips[index].speaker for index in drawn}) == 2 for _, drawn, _ in draws)


def test_every_draw_is_told():
    clips, told = clips_of(2), []
    source_scores(clips, LABELS, biased(clips, 0.5), 5, draws=3, on_draw=lambda: told.append(1))
    assert len(told) == 6


def test_too_few_clips():
    clips = clips_of(3)[: 2 * len(LABELS) * TAKES + 5]
    with pytest.raises(ParameterError, match=r"scored on the other clips of a speaker; found 1 with .*x/02"):
        source_scores(clips, LABELS, biased(clips, 0.0), 5)
    with pytest.raises(ParameterError, match="no clips at all"):
        source_scores([], LABELS, np.zeros((0, 4)), 5)
