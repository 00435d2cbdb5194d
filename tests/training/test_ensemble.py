"""Several networks as one model: who is trained on, who is kept from them, and how one's own voice is described."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, voice

from ser.datasets.splits import RAVDESS_FOLDS, Split
from ser.inference import artifact
from ser.training import cross_validation as crossval
from ser.training.configs import CONFIGS
from ser.training.cross_validation import FoldResult, Study, guard
from ser.training.ensemble import (
    ENSEMBLES,
    FINAL,
    INNER_SHARE,
    OWN_DRAWS,
    Ensemble,
    Team,
    _same_rows,
    head_scores,
    relative,
    team_final,
    team_folds,
    team_left_out,
    team_random,
)
from ser.training.feature_table import FeatureTable
from ser.training.release import find_ensemble, train_ensemble
from ser.types import EMOTIONS, ArtifactError, Clip, ParameterError

SEXES = ("female", "male")


def clips(corpus: str, n_speakers: int, emotions: tuple[str, ...] = EMOTIONS[:4], takes: int = 2) -> list[Clip]:
    """Men and women in turn; every second take is strong, but for neutral and for corpora other than RAVDESS."""
    return [
        Clip(
            f"{corpus}/{number:02d}/{emotion}-{take}.wav",
            emotion,
            f"{corpus}/{number:02d}",
            corpus,
            sex=SEXES[number % 2],
            intensity=None if corpus != "ravdess" else "strong" if take % 2 and emotion != "neutral" else "normal",
        )
        for number in range(1, n_speakers + 1)
        for emotion in emotions
        for take in range(takes)
    ]


def table(n_clips: int, copies: int = 1, windows: int = 2) -> FeatureTable:
    """Whole numbers, so that means are exact."""
    origin = np.repeat(np.arange(n_clips), (1 + copies) * windows)
    copy = np.tile(np.repeat(np.arange(1 + copies), windows), n_clips)
    rows = np.random.default_rng(0).integers(-8, 8, (len(origin), 3)).astype(np.float32)
    return FeatureTable(rows, origin, copy)


def study(listed: list[Clip], **options: Any) -> Study:
    return Study(listed, replace(CONFIGS["statistics"], **options), table(len(listed)), (), Path())


def team(listed: list[Clip], duplicates: tuple[tuple[int, ...], ...] = ()) -> Team:
    """Folds are made of the first clip's corpus."""
    made = replace(study(listed), duplicates=duplicates)
    home = sum(clip.corpus == listed[0].corpus for clip in listed)
    return Team(Ensemble({"one": 0.5, "other": 0.5}, "one", 0.6), {"one": made, "other": made}, made, home)


@pytest.fixture(scope="module")
def whole() -> Team:
    return team(clips("ravdess", 24) + clips("nemo", 4, EMOTIONS[2:5]) + clips("emodb", 3))


def speakers(made: Team, side: tuple[int, ...]) -> set[str]:
    return {made.clips[index].speaker for index in side}


# --- Splits ---


def test_networks_never_hear_tested_and_kept_speakers(whole):
    folds = team_folds(whole)
    home, others = set(range(whole.home)), set(range(whole.home, len(whole.clips)))
    assert [speakers(whole, split.test) for split, _ in folds] == [
        {f"ravdess/{actor:02d}" for actor in fold} for fold in RAVDESS_FOLDS
    ]
    for split, kept in folds:
        assert guard(whole.first, split) is None
        sides = [speakers(whole, side) for side in (split.train, split.test, kept)]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
        assert set(split.train) | set(split.test) | set(kept) == home | others
        assert others < set(split.train) and set(kept) < home
        assert len(sides[2]) == round(INNER_SHARE * 20)
        assert {whole.clips[index].sex for index in kept} == set(SEXES)


def test_small_corpora_keep_one_speaker():
    for n_speakers in (3, 5):
        made = team(clips("table", n_speakers))
        for split, kept in team_folds(made):
            assert len(speakers(made, kept)) == len(speakers(made, split.test)) == 1
            assert len(speakers(made, split.train)) == n_speakers - 2
    with pytest.raises(ParameterError, match="at least two speakers on the training side"):
        team_folds(team(clips("table", 2)))


def test_the_random_split_tests_the_home_corpus_and_trains_on_all_others():
    listed = clips("ravdess", 6) + clips("nemo", 3)
    same = (0, 9)  # a recording that lies there twice, and one of another corpus
    made = team(listed, (same, (50, 51)))
    split = team_random(made)
    assert guard(made.first, split) is None and "inflated" in split.note
    assert max(split.test) < made.home == 48 and set(split.train) | set(split.test) == set(range(len(listed)))
    assert speakers(made, split.test) & speakers(made, split.train)
    assert len({index in split.test for index in same}) == 1
    assert len(split.test) == pytest.approx(48 / 5, abs=2)
    assert team_random(made) == split != team_random(made, seed=1)


def test_every_corpus_is_left_out_once(whole):
    left = {split.name: split for split in team_left_out(whole)}
    assert set(left) == {"without_ravdess", "without_nemo", "without_emodb"}
    for name, split in left.items():
        corpus = name.removeprefix("without_")
        assert {whole.clips[index].corpus for index in split.test} == {corpus}
        assert corpus not in {whole.clips[index].corpus for index in split.train}
        assert set(split.train) | set(split.test) == set(range(len(whole.clips)))
    assert team_left_out(team(clips("table", 4))) == []


def test_what_ships_hears_everything_and_a_voice_of_ones_own_is_not_trained_everywhere(whole):
    final = team_final(whole)
    assert final.train == tuple(range(len(whole.clips))) and final.test == ()
    splits = [*(split for split, _ in team_folds(whole)), final, team_random(whole), *team_left_out(whole)]
    own = {split.name for split in splits if "own" in whole.trained(split)}
    assert own == {*(f"fold{k}" for k in range(1, 7)), FINAL}
    assert all(whole.trained(split)[:2] == ["one", "other"] for split in splits)


# --- What is drawn and learned ---


def test_every_emotion_of_every_speaker_is_drawn_as_often():
    listed = clips("ravdess", 3) + clips("nemo", 2, EMOTIONS[:2], takes=7)
    made = study(listed, home_share=0.0)
    rows = made.table.side(range(len(listed)), copies=True)[5:]  # some have fewer rows than others
    chances = crossval._balanced(made, rows)
    mass = defaultdict(float)
    for chance, origin in zip(chances, made.table.origin[rows], strict=True):
        mass[listed[origin].speaker, listed[origin].emotion] += chance
    assert chances.shape == rows.shape and (chances > 0).all() and chances.sum() == pytest.approx(1)
    assert len(mass) == 3 * 4 + 2 * 2
    np.testing.assert_allclose(list(mass.values()), 1 / len(mass))


def test_the_first_corpus_gets_its_share_of_the_draws():
    listed = clips("ravdess", 3) + clips("nemo", 2, EMOTIONS[:2], takes=7)
    home = np.array([clip.corpus == "ravdess" for clip in listed])
    made = study(listed, home_share=0.8)
    rows = made.table.side(range(len(listed)), copies=True)
    at_home = home[made.table.origin[rows]]
    chances = crossval._balanced(made, rows)
    assert chances.sum() == pytest.approx(1) and chances[at_home].sum() == pytest.approx(0.8)
    assert len({round(chance, 9) for chance in chances[at_home]}) == 1  # all clips of this list are as rare
    for part in (rows[at_home], rows[~at_home]):  # a side of one corpus has nothing to share with
        np.testing.assert_allclose(
            crossval._balanced(made, part), crossval._balanced(study(listed, home_share=0.0), part)
        )


def test_targets_of_the_heads():
    unknown = Clip("x.wav", "sad", "table/x", "table")
    made = study([*clips("ravdess", 2, ("neutral", "happy")), unknown])
    targets = crossval._head_targets(made)
    man, woman, neutral = [0, 0, 0, 0], [1, 1, 1, 1], -1
    assert targets[:, 0].tolist() == [*man, *woman, -1]
    assert targets[:, 1].tolist() == [neutral, neutral, 0, 1, neutral, neutral, 0, 1, -1]
    rows, wanted, unaltered, chances = crossval._training_rows(made, (2, 3, 8))
    assert len(rows) == len(wanted) == len(chances) == 12 and unaltered.sum() == 6
    assert wanted[:, :3].tolist() == 8 * [[0, 1, 0]] + 4 * [[0, 0, 1]]
    assert wanted[:, 3:].tolist() == 4 * [[0, 0]] + 4 * [[0, 1]] + 4 * [[-1, -1]]


def test_without_heads_and_balance_there_are_neither():
    _, wanted, _, chances = crossval._training_rows(study(clips("ravdess", 2), heads=False, balance=False), (0, 1))
    assert wanted.shape == (8, 4) and chances is None


# --- A voice of one's own ---


def speaker_of(made: FeatureTable, listed: list[Clip]) -> np.ndarray:
    return np.array([int(listed[origin].speaker[-2:]) for origin in made.origin])


def test_what_a_speaker_always_does_disappears():
    """Five clips a speaker, so that each is described by four others, whose mean is exact."""
    listed = clips("table", 3, ("happy", "sad", "calm", "angry", "disgust"), takes=1)
    plain = table(len(listed))
    constant = np.array([0, 64, -32, 17], np.float32)[speaker_of(plain, listed), None] * [1, 2, -1]
    other = replace(plain, rows=plain.rows + constant.astype(np.float32))
    np.testing.assert_array_equal(relative(other, listed).rows, relative(plain, listed).rows)
    assert relative(plain, listed).rows.any()


def test_no_clip_describes_itself_and_copies_describe_nothing():
    listed = clips("table", 2, ("happy", "sad", "calm", "angry", "disgust"), takes=1)
    plain = table(len(listed))
    louder = replace(plain, rows=plain.rows + 8 * ((plain.origin == 3) & (plain.copy == 0))[:, None])
    before, after = relative(plain, listed), relative(louder, listed)
    moved = (after.rows - before.rows)[:, 0]
    own = np.array([listed[origin].speaker == listed[3].speaker for origin in before.origin])
    assert (moved[(before.origin == 3) & (before.copy == 0)] == 8).all()
    assert not moved[(before.origin == 3) & (before.copy == 1)].any() and not moved[~own].any()
    assert (moved[own & (before.origin != 3)] == -2).all()  # one of the four others
    copies = replace(plain, rows=plain.rows + 8 * (plain.copy == 1)[:, None])
    np.testing.assert_array_equal(
        relative(copies, listed).rows - before.rows, 8 * (before.copy == 1)[:, None] + 0 * before.rows
    )


def test_every_row_is_described_by_several_draws():
    listed = clips("table", 2, takes=3)
    plain = table(len(listed))
    made = relative(plain, listed)
    n = len(plain.rows)
    assert made.rows.shape == (OWN_DRAWS * n, 3) and made.rows.dtype == np.float32
    for k in range(OWN_DRAWS):
        part = slice(k * n, (k + 1) * n)
        np.testing.assert_array_equal(made.origin[part], plain.origin)
        np.testing.assert_array_equal(made.copy[part], plain.copy)
    assert not np.array_equal(made.rows[:n], made.rows[n : 2 * n])
    np.testing.assert_array_equal(relative(plain, listed).rows, made.rows)
    assert not np.array_equal(relative(plain, listed, seed=1).rows, made.rows)


def test_a_speaker_of_one_clip_is_described_by_it():
    listed = [*clips("table", 1), Clip("alone.wav", "happy", "table/alone", "table")]
    made = relative(table(len(listed), copies=0, windows=1), listed)
    assert not made.rows[made.origin == len(listed) - 1].any() and np.isfinite(made.rows).all()


# --- Scores of the heads ---


def told(made: Team, index: list[int], heads: list[list[float]]) -> dict[str, Any]:
    fold: Any = FoldResult(Split("fold1", (), tuple(index)), None, 1.0, {}, np.zeros((len(index), 4)))  # type: ignore[arg-type]
    return head_scores(made, [fold], [np.array(heads)])


@pytest.mark.slow
def test_heads_are_scored_where_the_truth_is_known():
    listed = [*clips("ravdess", 2, ("neutral", "happy")), Clip("x.wav", "sad", "table/x", "table")]
    heads = [[0.1, 0.9], [0.2, 0.9], [0.6, 0.4], [0.4, 0.3], [0.9, 0.9], [0.5, 0.9], [0.9, 0.6], [0.9, 0.8], [0.0, 0.0]]
    found = told(team(listed), list(range(9)), heads)
    assert found["sex"] == {"accuracy": pytest.approx(7 / 8), "clips": 8}
    # normal, strong, normal, strong at .4, .3, .6, .8; neutral has no strong form
    assert found["intensity"] == {"accuracy": pytest.approx(0.5), "auc": pytest.approx(0.5), "clips": 4}


@pytest.mark.slow
def test_heads_without_any_truth_have_no_score():
    listed = [Clip(f"{k}.wav", "sad", "table/x", "table") for k in range(3)]
    assert told(team(listed), [0, 1, 2], [[0.5, 0.5]] * 3) == {}


def test_branches_of_one_recipe_share_their_rows(tmp_path):
    first = Study([], CONFIGS["sequence"], table(2), (), tmp_path / "sequence")
    shared = _same_rows({"sequence": first}, "sequence_mixed", tmp_path)
    assert shared.table is first.table and shared.config is CONFIGS["sequence_mixed"]
    assert shared.work == tmp_path / "sequence_mixed" and shared.work.is_dir()
    assert _same_rows({"sequence": first}, "statistics", tmp_path) is None


# --- Refusals ---


def test_ensembles_are_made_of_configurations():
    for ensemble in ENSEMBLES.values():
        assert set(ensemble.branches) <= set(CONFIGS) and ensemble.own in ensemble.branches
        assert sum(ensemble.branches.values()) == pytest.approx(1) and ensemble.own_weight > 0
        assert all(CONFIGS[name].heads and CONFIGS[name].round_weights for name in ensemble.branches)
        assert len(CONFIGS[ensemble.own].seeds) == 1
    assert find_ensemble("voice") is ENSEMBLES["voice"]


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Path:
    """Places that a refused training must leave empty."""
    monkeypatch.setattr(artifact, "ARTIFACTS", tmp_path / "artifacts")
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    return tmp_path


def corpus(folder: Path, names: tuple[str, ...], emotions: tuple[str, ...] = ("happy", "sad")) -> Path:
    """A `table` corpus of short clips."""
    folder.mkdir()
    lines = ["path\temotion\tspeaker"]
    for number, speaker in enumerate(names):
        for emotion in emotions:
            sf.write(folder / f"{number}-{emotion}.wav", voice(0.6, 100 + 10 * number, 1 + len(lines)), RATE)
            lines.append(f"{number}-{emotion}.wav\t{emotion}\t{speaker}")
    (folder / "table.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def train(*corpora: Path, **options: Any) -> Path:
    named = [("table", str(folder)) for folder in corpora]
    return train_ensemble(**{"corpora": named, "progress": False, "jobs": 1, **options})


def assert_nothing_written(place: Path) -> None:
    assert not (place / "artifacts").exists() and not (place / "cache").exists()


@pytest.mark.parametrize(
    ("names", "emotions", "match"),
    [
        (("anna",), ("happy", "sad"), "at least two speakers; all 2 clips have table/anna"),
        (("anna", "bob"), ("happy", "sad"), "at least two speakers on the training side, found table/"),
        (("anna", "bob", "cleo"), ("sad",), "are sad: at least two emotions"),
    ],
    ids=["one speaker", "two speakers", "one emotion"],
)
def test_a_corpus_that_gives_no_honest_score(empty, names, emotions, match):
    with pytest.raises(ParameterError, match=match):
        train(corpus(empty / "table", names, emotions))
    assert_nothing_written(empty)


def test_another_corpus_does_not_stand_in_for_the_first(empty):
    """Folds are of the first corpus' speakers, however many the second has."""
    data, more = corpus(empty / "table", ("anna",)), corpus(empty / "more", ("bob", "cleo", "dan"))
    with pytest.raises(ParameterError, match="at least two speakers; all 2 clips have table/anna"):
        train(data, more)
    assert_nothing_written(empty)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"ensemble_name": "choir"}, "Unknown ensemble 'choir'; known: voice"),
        ({"name": "../up"}, "name is made of letters"),
        ({"corpora": [("iemocap", ".")]}, "Unknown corpus 'iemocap'"),
        ({"corpora": [("table", "nowhere")]}, "No table recordings in nowhere.*no such folder"),
    ],
    ids=["ensemble", "name", "corpus", "folder"],
)
def test_unknown_names(empty, options, match):
    with pytest.raises(ParameterError, match=match):
        train(**options)
    assert_nothing_written(empty)


def test_a_folder_that_exists_is_not_replaced_unasked(empty):
    folder = empty / "artifacts" / "voice"
    folder.mkdir(parents=True)
    (folder / "note").write_text("mine")
    with pytest.raises(ArtifactError, match=r"voice exists already; choose another --name, or --force"):
        train(corpus(empty / "table", ("anna", "bob", "cleo")))
    assert [path.name for path in folder.iterdir()] == ["note"] and not (empty / "cache").exists()
