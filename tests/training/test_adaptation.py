"""Adaptation in training: which rows are adapted to what, and what adaptation is worth where a source has a bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser.training.adaptation import (
    PRIOR_CLIPS,
    SPEAKER_CLIPS,
    Answer,
    adapted_rows,
    clip_means,
    reference_mean,
    shift,
    source_scores,
)
from ser.training.feature_table import FeatureTable
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


# --- Rows ---


def table(n_clips: int, *, copies: int = 1, size: int = 3, seed: int = 0) -> FeatureTable:
    """Two windows a clip and copy."""
    origin = np.repeat(np.arange(n_clips), 2 * (copies + 1))
    copy = np.tile(np.repeat(np.arange(copies + 1), 2), n_clips)
    rows = np.random.default_rng(seed).standard_normal((len(origin), size)).astype(np.float32)
    return FeatureTable(rows, origin, copy)


def test_means_are_of_unaltered_rows():
    made = table(4)
    means = clip_means(made, 4)
    np.testing.assert_allclose(means[2], made.rows[(made.origin == 2) & (made.copy == 0)].mean(axis=0), atol=1e-6)


def test_every_corpus_counts_the_same_for_the_reference():
    clips = [*clips_of(1, "small"), *clips_of(4, "large")]
    made = table(len(clips))
    made.rows[:] = np.array([1.0 if clips[clip].corpus == "small" else 3.0 for clip in made.origin])[:, None]
    np.testing.assert_array_equal(reference_mean(made, clips, range(len(clips))), [2, 2, 2])
    np.testing.assert_array_equal(reference_mean(made, clips, range(20)), [1, 1, 1])  # the training side only


def test_few_clips_count_less():
    means, reference = np.full((5, 2), 4.0, np.float32), np.array([1.0, 2.0], np.float32)
    np.testing.assert_allclose(shift(means, reference), [3 * 5 / (5 + PRIOR_CLIPS), 2 * 5 / (5 + PRIOR_CLIPS)])


def test_a_third_of_the_rows_stays_and_the_others_lose_what_their_source_has():
    clips = [*clips_of(4, "a"), *clips_of(4, "b")]
    made = table(len(clips))
    offsets = np.array([0.0 if clips[clip].corpus == "a" else 100.0 for clip in made.origin], np.float32)
    made = replace(made, rows=made.rows + offsets[:, None])
    train, rows = range(len(clips)), np.arange(len(made.rows))
    adapted = adapted_rows(made, clips, train, rows, seed=0)
    moved = (made.rows - adapted)[:, 0]
    assert 0.25 < np.mean(moved == 0) < 0.42
    of_b = np.array([clips[clip].corpus == "b" for clip in made.origin])
    assert (moved[of_b & (moved != 0)] > 20).all() and (moved[~of_b & (moved != 0)] < -20).all()
    speakers = np.isclose(np.abs(moved), 50 * SPEAKER_CLIPS / (SPEAKER_CLIPS + PRIOR_CLIPS), atol=1)
    assert 0.25 < speakers.mean() < 0.42  # the others are adapted to at least eight clips of their corpus
    np.testing.assert_array_equal(adapted, adapted_rows(made, clips, train, rows, seed=0))
    assert not np.array_equal(adapted, adapted_rows(made, clips, train, rows, seed=1))
    assert not np.shares_memory(adapted, made.rows)


def test_rows_are_adapted_to_training_clips_only():
    clips = clips_of(4)
    made = table(len(clips))
    train = range(40)
    before = adapted_rows(made, clips, train, made.side(train, copies=True), seed=0)
    made.rows[np.isin(made.origin, range(40, 80))] = 1e6
    np.testing.assert_array_equal(before, adapted_rows(made, clips, train, made.side(train, copies=True), seed=0))


# --- Scores ---


def biased(clips: list[Clip], bias: float, asked: list[tuple] | None = None) -> Answer:
    """Return answers by sounds with a bias of every speaker; the mean of known clips is taken off."""
    rng = np.random.default_rng(1)
    bias_of = {speaker: bias * rng.standard_normal(len(LABELS)) for speaker in sorted({c.speaker for c in clips})}
    sounds = np.array(
        [
            np.eye(len(LABELS))[LABELS.index(clip.emotion)]
            + bias_of[clip.speaker]
            + 0.2 * rng.standard_normal(len(LABELS))
            for clip in clips
        ]
    )

    def answer(drawn, scored):
        if asked is not None:
            asked.append((list(drawn), list(scored)))
        return sounds[scored] - (sounds[list(drawn)].mean(axis=0) if len(drawn) else 0)

    return answer


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
    assert scores["without"] > 0.95 and scores["with"] <= scores["without"]  # five clips are not balanced: it costs


def test_draws_do_not_see_labels_and_are_not_scored():
    clips, asked = clips_of(2), []
    source_scores(clips, LABELS, biased(clips, 0.0, asked), 4, draws=3)
    adapted = [(drawn, scored) for drawn, scored in asked if drawn]
    assert len(adapted) == 6
    for drawn, scored in adapted:
        assert len(set(drawn)) == 4 and len({clips[index].speaker for index in [*drawn, *scored]}) == 1
        assert not set(scored) & set(drawn) and len(set(scored)) == 16


def test_a_source_may_be_a_corpus():
    clips, asked = [*clips_of(2, "a"), *clips_of(2, "b")], []
    scores = source_scores(clips, LABELS, biased(clips, 0.5, asked), 10, by="corpus", draws=2)
    assert scores["corpora"] == 2 and scores["clips"] == 10
    assert all(len({clips[index].corpus for index in [*drawn, *scored]}) == 1 for drawn, scored in asked)
    assert any(len({clips[index].speaker for index in drawn}) == 2 for drawn, _ in asked)


def test_by_hand():
    clips = [Clip(str(n), LABELS[n % 2], "x/1", "x") for n in range(4)]
    scores = source_scores(
        clips, LABELS[:2], lambda drawn, asked: np.eye(2)[[i % 2 if drawn else 0 for i in asked]], 1, draws=8
    )
    assert (scores["without"], scores["with"], scores["interval"]) == (0.5, 1.0, (0.5, 0.5))


def test_other_labels_are_drawn_but_not_scored():
    clips, asked = clips_of(2), []
    answer = biased(clips, 0.0, asked)
    source_scores(clips, ("neutral", "sad"), lambda drawn, scored: answer(drawn, scored)[:, [0, 2]], 5)
    assert {clips[index].emotion for _, scored in asked for index in scored} == {"neutral", "sad"}
    assert {clips[index].emotion for drawn, _ in asked for index in drawn} == set(LABELS)


def test_too_few_clips():
    clips = clips_of(3)[: 2 * len(LABELS) * TAKES + 5]
    with pytest.raises(ParameterError, match=r"scored on the other clips of a speaker; found 1 with .*x/02"):
        source_scores(clips, LABELS, biased(clips, 0.0), 5)
    with pytest.raises(ParameterError, match="no clips at all"):
        source_scores([], LABELS, biased([], 0.0), 5)
