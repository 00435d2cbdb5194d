"""Splits: no speaker, recording, duplicate or augmented copy is on both sides, and `check_split` raises if one is."""

from __future__ import annotations

from collections import Counter

import pytest

from ser.datasets.corpora import load_corpus
from ser.datasets.splits import (
    DOUBLED,
    INFLATED,
    RAVDESS_FOLDS,
    Split,
    check_split,
    corpus_splits,
    doubled,
    doubled_split,
    inner_split,
    random_split,
    shared_labels,
    speaker_folds,
)
from ser.types import EMOTIONS, Clip, ParameterError


def corpus(name: str, speakers, per_emotion: int = 2, emotions=EMOTIONS[:4]) -> list[Clip]:
    """Return clips as `load_corpus` lists them; odd speakers are men."""
    return [
        Clip(f"{name}/{speaker}/{emotion}{k}.wav", emotion, f"{name}/{speaker}", name, ("female", "male")[number % 2])
        for number, speaker in enumerate(speakers, start=1)
        for emotion in emotions
        for k in range(per_emotion)
    ]


def ravdess(actors=range(1, 25)) -> list[Clip]:
    return corpus("ravdess", [f"{actor:02d}" for actor in actors])


def speakers_of(clips, indices) -> set[str]:
    return {clips[index].speaker for index in indices}


def test_ravdess_gets_the_six_published_folds():
    clips = ravdess()
    folds = speaker_folds(clips)
    assert [fold.name for fold in folds] == [f"fold{k}" for k in range(1, 7)]
    for fold, actors in zip(folds, RAVDESS_FOLDS, strict=True):
        assert speakers_of(clips, fold.test) == {f"ravdess/{actor:02d}" for actor in actors}
    assert sorted(actor for fold in RAVDESS_FOLDS for actor in fold) == list(range(1, 25))


@pytest.mark.parametrize(
    ("clips", "count"),
    [
        (ravdess(), 6),
        (ravdess([3, 20]), 2),
        (ravdess([1, 11]), 2),
        (corpus("nemo", "abcdefghi"), 9),
        (corpus("emodb", range(12)), 12),
        (corpus("table", range(13)), 6),
        (ravdess() + corpus("nemo", "abc"), 6),
    ],
)
def test_every_clip_is_tested_once_by_unseen_speakers(clips, count):
    folds = speaker_folds(clips)
    assert len(folds) == count
    assert Counter(index for fold in folds for index in fold.test) == Counter(range(len(clips)))
    for fold in folds:
        assert sorted(fold.train + fold.test) == list(range(len(clips)))
        assert not fold.note
        check_split(clips, fold)


def test_one_speaker_cannot_be_split_by_speaker():
    with pytest.raises(ParameterError, match=r"at least two speakers.*have folder/all.*sub-folder"):
        speaker_folds(corpus("folder", ["all"]))


def test_random_split_keeps_shares_and_says_that_it_is_inflated():
    clips = ravdess()
    split = random_split(clips)
    assert len(split.test) == round(0.2 * len(clips))
    assert max(Counter(clips[index].emotion for index in split.test).values()) <= 10
    assert split.note == INFLATED == "inflated by shared speakers"
    assert split == random_split(clips) != random_split(clips, seed=1)
    check_split(clips, split, by_speaker=False)
    with pytest.raises(ParameterError, match="a speaker is on both sides"):
        check_split(clips, split)


def test_random_split_keeps_duplicates_together():
    clips = corpus("table", "ab", per_emotion=5)
    groups = [(k, k + 1) for k in range(0, len(clips) - 1, 5)]
    for seed in range(20):
        check_split(clips, random_split(clips, seed, duplicates=groups), by_speaker=False, duplicates=groups)


def test_random_split_refuses_what_leaves_a_side_empty():
    with pytest.raises(ParameterError, match="between 0 and 1, got 1"):
        random_split(ravdess(), test_share=1)
    with pytest.raises(ParameterError, match="No emotion has two clips"):
        random_split(corpus("table", "a", per_emotion=1))


CORPORA = (
    corpus("nemo", "abc", emotions=("neutral", "happy", "surprised"))
    + ravdess(range(1, 5))
    + corpus("emodb", ["03", "08"], emotions=("disgust", "sad", "neutral"))
)


def test_each_corpus_is_left_out_once():
    splits = corpus_splits(CORPORA)
    assert [split.name for split in splits] == ["without_emodb", "without_nemo", "without_ravdess"]
    for split in splits:
        assert sorted(split.train + split.test) == list(range(len(CORPORA))) and not split.note
        assert {CORPORA[index].corpus for index in split.test} == {split.name.removeprefix("without_")}
        assert split.name.removeprefix("without_") not in {CORPORA[index].corpus for index in split.train}
        check_split(CORPORA, split)


def test_shared_labels_are_on_both_sides():
    labels = {split.name: shared_labels(CORPORA, split) for split in corpus_splits(CORPORA)}
    assert labels == {
        "without_emodb": ("neutral", "sad"),
        "without_nemo": ("neutral", "happy"),
        "without_ravdess": ("neutral", "happy", "sad"),
    }


def test_a_single_corpus_cannot_be_left_out():
    with pytest.raises(ParameterError, match="at least two corpora; all 192 clips are of ravdess"):
        corpus_splits(ravdess())


def test_a_corpus_without_common_labels_cannot_be_scored():
    clips = ravdess() + corpus("emodb", ["03", "08"], emotions=("disgust", "sad"))
    with pytest.raises(ParameterError, match=r"emodb shares sad with the others.*at least two shared labels"):
        corpus_splits(clips)
    with pytest.raises(ParameterError, match="table shares no label with"):
        corpus_splits(ravdess() + corpus("nemo", "ab") + corpus("table", "ab", emotions=("disgust", "surprised")))


def test_the_doubled_corpus_leaks_by_name_only():
    clips = doubled(ravdess())
    assert len(clips) == 2 * len(ravdess()) and len({clip.path for clip in clips}) == len(ravdess())
    split = doubled_split(clips)
    assert split.name == DOUBLED and "copies" in split.note and "inflated" in split.note
    assert (split.train, split.test) == (random_split(clips).train, random_split(clips).test)
    trained = {clips[index].path for index in split.train}
    shared = sum(clips[index].path in trained for index in split.test) / len(split.test)
    assert 0.7 < shared < 0.9
    with pytest.raises(ParameterError, match="a recording is on both sides"):
        check_split(clips, split, by_speaker=False)


def test_inner_speakers_come_from_the_training_side_in_proportion():
    clips = ravdess() + corpus("nemo", "abcdefghi")
    for fold in speaker_folds(ravdess()):
        inner = inner_split(clips, fold.train)
        assert sorted(inner.train + inner.test) == list(fold.train)
        held_out = speakers_of(clips, inner.test)
        assert not held_out & (speakers_of(clips, inner.train) | speakers_of(clips, fold.test))
        assert Counter(int(name[-2:]) % 2 for name in held_out) == {0: 2, 1: 2}
        check_split(clips, inner)
    inner = inner_split(clips, range(len(clips)))
    assert Counter(name.split("/")[0] for name in speakers_of(clips, inner.test)) == {"ravdess": 5, "nemo": 2}
    assert inner == inner_split(clips, range(len(clips))) != inner_split(clips, range(len(clips)), seed=1)


def test_inner_split_needs_two_speakers():
    with pytest.raises(ParameterError, match=r"at least two speakers.*got table/a"):
        inner_split(corpus("table", "a"), range(4))


def test_check_split_refuses_a_shared_speaker():
    clips = corpus("table", "ab")
    split = Split("mine", train=tuple(range(7)), test=tuple(range(7, 16)))
    message = (
        r"Split 'mine' leaks: a speaker .*table/a/.*wav of table/a in training, table/a/sad1\.wav of table/a in test"
    )
    with pytest.raises(ParameterError, match=message):
        check_split(clips, split)


def test_check_split_refuses_a_clip_on_both_sides():
    with pytest.raises(ParameterError, match="a clip or its augmented copy is on both sides"):
        check_split(corpus("table", "ab"), Split("mine", (0, 1, 2), (2, 3)), by_speaker=False)


def test_check_split_refuses_a_second_file_of_a_recording():
    name = "03-01-03-01-01-01-01.wav"
    clips = [Clip(f"{folder}/{name}", "happy", "ravdess/01", "ravdess") for folder in ("Actor_01", "copy/Actor_01")]
    with pytest.raises(ParameterError, match=r"a recording .*copy/Actor_01/03-01-03"):
        check_split(clips, Split("mine", (0,), (1,)), by_speaker=False)


def test_check_split_refuses_a_duplicate():
    clips = corpus("table", "ab")
    split = speaker_folds(clips)[0]
    check_split(clips, split, duplicates=[(0, 1), (8, 9)])
    with pytest.raises(ParameterError, match=r"equal samples .*table/b/neutral0\.wav .*table/a/neutral0\.wav"):
        check_split(clips, split, duplicates=[(0, 8)])


def test_check_split_refuses_an_augmented_copy():
    clips = corpus("table", "ab", per_emotion=1)
    origin = [*range(8), *(index for index in range(8) for _ in range(4))]  # eight clips, then four copies of each
    test = tuple(range(4))
    train = tuple(row for row in range(len(origin)) if origin[row] >= 4)
    check_split(clips, Split("clean", train, test), origin=origin)
    with pytest.raises(ParameterError, match=r"augmented copy .*table/a/neutral0\.wav of table/a in training"):
        check_split(clips, Split("leak", (*train, 8), test), origin=origin, by_speaker=False)


def test_check_split_refuses_an_empty_side():
    for train, test, side in (((), (0,), "training"), ((0,), (), "test")):
        with pytest.raises(ParameterError, match=f"an empty {side} side"):
            check_split(corpus("table", "ab"), Split("mine", train, test))


@pytest.mark.data
def test_the_real_folds_have_240_clips_each(ser_data):
    clips = load_corpus("ravdess", ser_data).clips
    assert [len(fold.test) for fold in speaker_folds(clips)] == [240] * 6
    assert len(random_split(clips).test) == 288
    assert len(doubled(clips)) == 2880
    assert len(speaker_folds(load_corpus("nemo", ser_data).clips)) == 9
    assert len(speaker_folds(load_corpus("table", ser_data / "emotiontts_kr").clips)) == 6


@pytest.mark.data
def test_the_real_corpora_can_each_be_left_out(ser_data):
    names = ("ravdess", "nemo", "emodb", "emotiontts", "ased", "aesdd", "emospeech", "turev")
    clips = [clip for name in names for clip in load_corpus(name, ser_data).clips]
    shared = {split.name: len(shared_labels(clips, split)) for split in corpus_splits(clips)}
    few = {"without_emotiontts": 4, "without_ased": 5, "without_aesdd": 5, "without_emospeech": 4, "without_turev": 4}
    assert shared == {"without_emodb": 6, "without_nemo": 6, "without_ravdess": 8, **few}
    for split in corpus_splits(clips):
        check_split(clips, split)
