"""Several networks as one model: who is trained on, who is kept from them, and how one's own voice is described."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, voice

from ser.datasets.splits import RAVDESS_FOLDS, Split
from ser.inference import artifact
from ser.inference.manifest import read_manifest
from ser.metrics import softmax
from ser.training import cross_validation as crossval
from ser.training import ensemble as ensembles
from ser.training import train as training
from ser.training.configs import CONFIGS, ENSEMBLES, Ensemble, describe, find_ensemble, read_description
from ser.training.cross_validation import FoldResult, TrainingSet, check_no_leak
from ser.training.ensemble import (
    EnsembleStudy,
    _same_rows,
    adapted_left_out,
    calibrated_scores,
    fold_result,
    head_scores,
)
from ser.training.feature_table import FeatureTable
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


def training_set(listed: list[Clip], **options: Any) -> TrainingSet:
    return TrainingSet(listed, replace(CONFIGS["statistics"], **options), table(len(listed)), (), Path())


def study(listed: list[Clip], duplicates: tuple[tuple[int, ...], ...] = (), **options: Any) -> EnsembleStudy:
    """Folds are made of the first clip's corpus."""
    made = replace(training_set(listed, **options), duplicates=duplicates)
    n_scored = sum(clip.corpus == listed[0].corpus for clip in listed)
    return EnsembleStudy(Ensemble({"one": 0.5, "other": 0.5}), {"one": made, "other": made}, n_scored)


@pytest.fixture(scope="module")
def several() -> EnsembleStudy:
    return study(clips("ravdess", 24) + clips("nemo", 4, EMOTIONS[2:5]) + clips("emodb", 3))


def speakers(made: EnsembleStudy, side: tuple[int, ...]) -> set[str]:
    return {made.clips[index].speaker for index in side}


def test_training_that_diverged_is_named(several, monkeypatch):
    split = several.folds()[0][0]
    broken = np.full((len(split.test), 4), np.nan), None
    monkeypatch.setattr(ensembles, "networks", lambda *_: {"one": SimpleNamespace(history={})})
    monkeypatch.setattr(ensembles, "answers", lambda *_: broken)
    with pytest.raises(ParameterError, match=rf"one \+ other, {split.name}: the probabilities are not finite"):
        fold_result(several, split)


# --- Splits ---


def test_networks_are_trained_on_all_speakers_that_are_not_tested(several):
    folds = several.folds()
    everyone = set(range(len(several.clips)))
    assert [speakers(several, split.test) for split, _ in folds] == [
        {f"ravdess/{actor:02d}" for actor in fold} for fold in RAVDESS_FOLDS
    ]
    for split, held in folds:
        assert check_no_leak(several.first, split) is None
        assert set(split.train) == everyone - set(split.test) and not held
        assert not speakers(several, split.train) & speakers(several, split.test)


def test_a_split_without_others_holds_speakers_out(several):
    """Its temperature cannot be fitted on other folds."""
    split = several.folds()[0][0]
    rest, held = several.hold_out(split)
    assert {*rest.train, *held} == set(split.train) and set(held) < set(range(several.n_scored))
    assert not speakers(several, held) & speakers(several, rest.train)
    assert len(speakers(several, held)) == round(several.ensemble.held_share * 20)
    assert {several.clips[index].sex for index in held} == set(SEXES)


def test_a_single_network_holds_out_no_speaker():
    made = replace(study(clips("table", 4)), ensemble=Ensemble.of_one("smoke"))
    assert all(not held and len(speakers(made, split.train)) == 3 for split, held in made.folds())


def test_the_random_split_tests_the_scored_corpus_and_trains_on_all_others():
    listed = clips("ravdess", 6) + clips("nemo", 3)
    same = (0, 9)  # a recording that lies there twice, and one of another corpus
    made = study(listed, (same, (50, 51)))
    split = made.random_split()
    assert check_no_leak(made.first, split) is None and "inflated" in split.note
    assert max(split.test) < made.n_scored == 48 and set(split.train) | set(split.test) == set(range(len(listed)))
    assert speakers(made, split.test) & speakers(made, split.train)
    assert len({index in split.test for index in same}) == 1
    assert len(split.test) == pytest.approx(48 / 5, abs=2)
    assert made.random_split() == split != study(listed, (same, (50, 51)), seeds=(1,)).random_split()


def test_every_corpus_is_left_out_once(several):
    left_out = {split.name: split for split in several.left_out()}
    assert set(left_out) == {"without_ravdess", "without_nemo", "without_emodb"}
    for name, split in left_out.items():
        corpus = name.removeprefix("without_")
        assert {several.clips[index].corpus for index in split.test} == {corpus}
        assert corpus not in {several.clips[index].corpus for index in split.train}
        assert set(split.train) | set(split.test) == set(range(len(several.clips)))
    assert study(clips("table", 4)).left_out() == []
    assert replace(several, ensemble=Ensemble.of_one("smoke")).left_out() == []


# --- Networks ---


def test_every_branch_is_trained_on_all_splits_and_on_all_clips(several, monkeypatch):
    fits: list[tuple[str, str]] = []
    for name in ("fit_inner", "fit_fold", "fit_final"):
        monkeypatch.setattr(
            ensembles, name, lambda data, split, *_, fit=name: fits.append((fit, getattr(split, "name", "")))
        )
    folds, others = [split for split, _ in several.folds()], [several.random_split(), *several.left_out()]
    ensembles.train_networks(several, folds, others, 1, progress=False, final=True)
    n_branches, n_seeds = len(several.branches), 3
    assert Counter(fits) == {
        **{("fit_fold", split.name): n_branches * n_seeds for split in folds},
        **{("fit_fold", split.name): n_branches for split in others},
        ("fit_final", ""): n_branches,
    }


def test_a_single_network_has_inner_fits_and_several_seeds(monkeypatch, capsys):
    """The progress bar counts networks, so that it is full at the end however early their fits end."""
    made = study(clips("table", 4), seeds=(0, 1, 2))
    made = EnsembleStudy(Ensemble.of_one("one"), {"one": made.first}, made.n_scored)
    fits: list[str] = []
    for name in ("fit_inner", "fit_fold", "fit_final"):
        monkeypatch.setattr(ensembles, name, lambda *_, fit=name: fits.append(fit))
    splits = [split for split, _ in made.folds()]
    ensembles.train_networks(made, splits, [made.random_split()], 1, final=True)
    assert fits == 5 * ["fit_inner"] + (4 * 3 + 1) * ["fit_fold"] + ["fit_final"]
    bar = capsys.readouterr().err.split("\r")
    assert "0/19" in bar[1] and "100%" in bar[-1] and "19/19" in bar[-1]


# --- What is drawn and learned ---


def test_every_emotion_of_every_speaker_is_drawn_as_often():
    listed = clips("ravdess", 3) + clips("nemo", 2, EMOTIONS[:2], takes=7)
    made = training_set(listed, home_share=0.0)
    rows = made.table.side(range(len(listed)), copies=True)[5:]  # some have fewer rows than others
    weights = crossval._sample_weights(made, rows)
    mass = defaultdict(float)
    for weight, origin in zip(weights, made.table.origin[rows], strict=True):
        mass[listed[origin].speaker, listed[origin].emotion] += weight
    assert weights.shape == rows.shape and (weights > 0).all() and weights.sum() == pytest.approx(1)
    assert len(mass) == 3 * 4 + 2 * 2
    np.testing.assert_allclose(list(mass.values()), 1 / len(mass))


def test_the_first_corpus_gets_its_share_of_the_draws():
    listed = clips("ravdess", 3) + clips("nemo", 2, EMOTIONS[:2], takes=7)
    in_first = np.array([clip.corpus == "ravdess" for clip in listed])
    made = training_set(listed, home_share=0.8)
    rows = made.table.side(range(len(listed)), copies=True)
    first = in_first[made.table.origin[rows]]
    weights = crossval._sample_weights(made, rows)
    assert weights.sum() == pytest.approx(1) and weights[first].sum() == pytest.approx(0.8)
    assert len({round(weight, 9) for weight in weights[first]}) == 1  # all clips of this list are as rare
    for part in (rows[first], rows[~first]):  # a side of one corpus has nothing to share with
        np.testing.assert_allclose(
            crossval._sample_weights(made, part), crossval._sample_weights(training_set(listed, home_share=0.0), part)
        )


def test_targets_of_the_heads():
    unknown = Clip("x.wav", "sad", "table/x", "table")
    made = training_set([*clips("ravdess", 2, ("neutral", "happy")), unknown])
    targets = crossval._head_targets(made)
    man, woman, neutral = [0, 0, 0, 0], [1, 1, 1, 1], -1
    assert targets[:, 0].tolist() == [*man, *woman, -1]
    assert targets[:, 1].tolist() == [neutral, neutral, 0, 1, neutral, neutral, 0, 1, -1]
    assert targets[:, 2].tolist() == [1] * 8 + [0]  # of the first corpus
    rows, wanted, unaltered, weights, corpora = crossval._training_rows(made, (2, 3, 8))
    assert corpora.tolist() == 8 * ["ravdess"] + 4 * ["table"]
    assert len(rows) == len(wanted) == len(weights) == 12 and unaltered.sum() == 6
    assert wanted[:, :3].tolist() == 8 * [[0, 1, 0]] + 4 * [[0, 0, 1]]
    assert wanted[:, 3:].tolist() == 4 * [[0, 0, 1]] + 4 * [[0, 1, 1]] + 4 * [[-1, -1, 0]]


def test_without_heads_and_balance_there_are_neither():
    made = training_set(clips("ravdess", 2), heads=False, balance=False)
    _, wanted, _, weights, _ = crossval._training_rows(made, (0, 1))
    assert wanted.shape == (8, 4) and weights is None


# --- Scores of the heads ---


def scored(made: EnsembleStudy, index: list[int], heads: list[list[float]]) -> dict[str, Any]:
    split, answers = Split("fold1", (), tuple(index)), np.zeros((len(index), 4))
    return head_scores(made, [FoldResult(split, None, 1.0, {}, answers, np.array(heads))])  # type: ignore[arg-type]


@pytest.mark.slow
def test_heads_are_scored_if_the_truth_is_known():
    listed = [*clips("ravdess", 2, ("neutral", "happy")), Clip("x.wav", "sad", "table/x", "table")]
    heads = [[0.1, 0.9], [0.2, 0.9], [0.6, 0.4], [0.4, 0.3], [0.9, 0.9], [0.5, 0.9], [0.9, 0.6], [0.9, 0.8], [0.0, 0.0]]
    scores = scored(study(listed), list(range(9)), heads)
    assert scores["sex"] == {"accuracy": pytest.approx(7 / 8), "clips": 8}
    # normal, strong, normal, strong at .4, .3, .6, .8; neutral has no strong form
    assert scores["intensity"] == {"accuracy": pytest.approx(0.5), "auc": pytest.approx(0.5), "clips": 4}


@pytest.mark.slow
def test_heads_without_any_truth_have_no_score():
    listed = [Clip(f"{k}.wav", "sad", "table/x", "table") for k in range(3)]
    assert scored(study(listed), [0, 1, 2], [[0.5, 0.5]] * 3) == {}


# --- Scores of adapted answers ---


def leaning(made: EnsembleStudy, split: Split) -> FoldResult:
    """Answers of the test side that lean to "sad", so far that it is always the likeliest."""
    names, test = np.array(made.first.labels), list(split.test)
    scores = np.log(softmax(2 * np.eye(len(names))[made.first.truth[test]] + 2.5 * (names == "sad")))
    return FoldResult(split, None, 1.0, {}, scores)  # type: ignore[arg-type]


def test_five_clips_of_every_tested_speaker_take_a_bias_away(several):
    found = calibrated_scores(several, [leaning(several, split) for split, _ in several.folds()])["calibrated"]
    assert (found["clips"], found["speakers"]) == (5, 24)
    assert found["without"] == 1 / 4 and found["with"] > 0.6


def test_speakers_of_few_clips_have_no_calibrated_score():
    few = study(clips("ravdess", 24, takes=1))
    assert calibrated_scores(few, [leaning(few, split) for split, _ in few.folds()]) == {}


def test_a_left_out_corpus_is_adapted_to_over_the_shared_labels(several):
    """The other corpora know two of its three labels; its 24 clips are of four speakers."""
    [split] = [split for split in several.left_out() if split.name == "without_nemo"]
    found = adapted_left_out(several, leaning(several, split))
    assert {key: each["clips"] for key, each in found.items()} == {"adapted_10": 10, "adapted_20": 20, "calibrated": 5}
    assert found["calibrated"]["speakers"] == 4 and found["adapted_10"]["corpora"] == 1
    assert all(each["without"] == 1 / 2 and each["with"] > 0.8 for each in found.values())


def test_a_small_left_out_corpus_has_fewer_adapted_scores():
    made = study(clips("ravdess", 3) + clips("nemo", 4, EMOTIONS[2:5], takes=1))
    [split] = [split for split in made.left_out() if split.name == "without_nemo"]
    assert adapted_left_out(made, leaning(made, split)).keys() == {"adapted_10"}  # three clips a speaker


def test_branches_of_one_recipe_share_their_rows(tmp_path):
    first = TrainingSet([], CONFIGS["sequence"], table(2), (), tmp_path)
    assert _same_rows({"sequence": first}, CONFIGS["sequence_mixed"]) is first
    assert _same_rows({"sequence": first}, CONFIGS["statistics"]) is None


# --- Refusals ---


def test_ensembles_are_made_of_configurations():
    for ensemble in ENSEMBLES.values():
        assert set(ensemble.branches) <= set(CONFIGS)
        assert set(ensemble.home) < set(ensemble.branches)
        for kind in {name in ensemble.home for name in ensemble.branches}:
            weights = [weight for name, weight in ensemble.branches.items() if (name in ensemble.home) is kind]
            assert sum(weights) == pytest.approx(1)
        assert all(CONFIGS[name].heads and CONFIGS[name].round_weights for name in ensemble.branches)
        n_first, *n_seeds = [len(CONFIGS[name].seeds) for name in ensemble.branches]
        assert set(n_seeds) <= {1, n_first}  # one starts again where the first has others
    ensemble, configs = find_ensemble("voice")
    assert ensemble is ENSEMBLES["voice"] and configs == {name: CONFIGS[name] for name in ensemble.branches}


@pytest.mark.parametrize("name", ["voice", "dense105", "sequence_mixed"])
def test_a_description_is_read_back(name):
    ensemble, configs = find_ensemble(name)
    stored = json.loads(json.dumps(describe(name, ensemble, configs)))
    found, read = read_description(stored)
    assert found == ensemble and json.dumps(describe(name, found, read)) == json.dumps(stored)


@pytest.mark.parametrize("name", ["voice", "dense105"])
def test_the_stored_descriptions_are_read(name):
    stored = read_manifest(artifact.ARTIFACTS / name)["training"]["config"]
    found, configs = read_description(stored)
    assert found == find_ensemble(name)[0] and configs.keys() == find_ensemble(name)[1].keys()


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
    return training.train(**{"config_name": "voice", "corpora": named, "progress": False, "jobs": 1, **options})


def assert_nothing_written(place: Path) -> None:
    assert not (place / "artifacts").exists() and not (place / "cache").exists()


@pytest.mark.parametrize(
    ("names", "emotions", "match"),
    [
        (("anna",), ("happy", "sad"), "at least two speakers; all 2 clips have table/anna"),
        (("anna", "bob"), ("happy", "sad"), "at least two speakers on the training side, got table/"),
        (("anna", "bob", "cleo"), ("sad",), "are sad: training and evaluation need at least two emotions"),
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
        ({"config_name": "choir"}, "Unknown configuration 'choir'; known: dense105, .*voice"),
        ({"labels": "four"}, "are for single networks; voice is an ensemble"),
        ({"reduce_noise": True}, "are for single networks; voice is an ensemble"),
        ({"name": "../up"}, "name is made of letters"),
        ({"corpora": [("iemocap", ".")]}, "Unknown corpus 'iemocap'"),
        ({"corpora": [("table", "nowhere")]}, "No table recordings in nowhere.*no such folder"),
    ],
    ids=["ensemble", "labels", "noise", "name", "corpus", "folder"],
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
