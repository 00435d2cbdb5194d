"""A small ensemble, whole: trained, stopped, gone on with, scored, calibrated, asked again from its folder alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from tiny_encoder import write_checkpoint
from typer.testing import CliRunner

import ser
from ser.cli import main as cli
from ser.datasets.corpora import load_corpus
from ser.datasets.synthetic import speak, write_corpus
from ser.evaluation import evaluate as evaluation
from ser.evaluation.evaluate import evaluate
from ser.features.recipes import ENCODER_WIDTH
from ser.inference import artifact
from ser.inference.artifact import sha256
from ser.inference.manifest import HEADS, read_manifest
from ser.inference.mixture import HOME_SHARE
from ser.training import cross_validation as crossval
from ser.training import train as training
from ser.training.configs import CONFIGS, ENSEMBLES, Ensemble, find_ensemble
from ser.training.ensemble import prepare_ensemble
from ser.types import EMOTIONS, ArtifactError, ParameterError

pytestmark = pytest.mark.slow

ACTORS = (1, 4, 8)  # of three published folds
STRONG = ("happy", "angry", "fearful")
ENCODERS = ("encoder", "encoder_mixed")
BRANCHES = (*ENCODERS, "sequence")
ENSEMBLE = Ensemble({"encoder": 1.0, "encoder_mixed": 0.7, "sequence": 0.3}, home=("encoder",))
SMALL: dict[str, dict[str, Any]] = {name: {"units": (8,)} for name in ENCODERS} | {"sequence": {"channels": (8,)}}
N_NETWORKS = len(BRANCHES) * (len(ACTORS) + 1 + 1 + 2)  # folds, final, random, left out


@dataclass(frozen=True)
class Release:
    """The artifact, the folder of corpora and cache, and how many networks the failing and the second run trained."""

    folder: Path
    workspace: Path
    fits: tuple[int, int]
    left: list[str]  # where the artifact goes, after the run that failed

    @property
    def clips(self) -> list[Path]:
        return sorted((self.workspace / "ravdess").glob("*.wav"))

    @property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.folder)


def actors(folder: Path) -> Path:
    """Synthetic voices under RAVDESS' names; odd actors are men."""
    folder.mkdir()
    for actor in ACTORS:
        for code, emotion in enumerate(EMOTIONS, start=1):
            for level in (1, 2) if emotion in STRONG else (1,):
                made = speak(emotion, 120 if actor % 2 else 210, np.random.default_rng([actor, code, level]))
                name = f"03-01-{code:02d}-{level:02d}-01-01-{actor:02d}.wav"
                sf.write(folder / name, made.samples, made.sample_rate)
    return folder


@pytest.fixture(scope="module")
def small(workspace) -> Iterator[Path]:
    """The workspace, with networks of a few hundred weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "JOBS", 1)
        patch.setitem(ENSEMBLES, "voice", ENSEMBLE)
        for name, changed in SMALL.items():
            config = CONFIGS[name]
            options, copies, seeds = {**config.options, **changed}, int(name in ENCODERS), config.seeds[:1]
            made = replace(config, options=options, copies=copies, epochs=1, steps=1, batch_size=8, seeds=seeds)
            patch.setitem(CONFIGS, name, made)
        yield workspace


@pytest.fixture(scope="module")
def made(small) -> Release:
    """Trained once; the run that does it finds the disk full at the end, the next one goes on from there."""
    corpora = [("ravdess", str(actors(small / "ravdess"))), ("table", str(write_corpus(small / "table", 2, 1)))]
    encoder = write_checkpoint(small / "checkpoint", width=ENCODER_WIDTH)
    fits: list[int] = []
    real = crossval.fit

    def full(*_: Any, **options: Any) -> None:
        raise OSError("disk full")

    def run() -> Path:
        fits.append(0)
        return training.train(corpora, "voice", "tiny", jobs=1, resume=True, progress=False, encoder=encoder)

    def counted(*args: Any, **options: Any) -> Any:
        fits[-1] += 1
        return real(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossval, "fit", counted)
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr("ser.training.release.export_onnx", full)
            with pytest.raises(OSError, match="disk full"):
                run()
        left = [path.name for path in small.glob("artifacts/*")]
        return Release(run(), small, (fits[0], fits[1]), left)


@pytest.fixture(scope="module")
def recognizer(made) -> ser.Recognizer:
    return ser.load("tiny")


@pytest.fixture
def copied(made, tmp_path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "copied"))


def vector(prediction: ser.Prediction) -> np.ndarray:
    return np.array(list(prediction.probabilities.values()))


# --- From recordings to a model ---


def test_a_run_that_fails_leaves_nothing_half_written_and_the_next_goes_on(made):
    assert made.fits == (N_NETWORKS, 0) and made.left == []
    assert [path.name for path in made.folder.parent.iterdir()] == ["tiny"]
    assert list((made.workspace / "cache" / "work").iterdir()) == []
    with pytest.raises(ArtifactError, match=r"tiny exists already; choose another --name, or --force"):
        training.train([("ravdess", str(made.workspace / "ravdess"))], "voice", "tiny", jobs=1, progress=False)


def test_the_folder_holds_what_it_should_and_nothing_else(made):
    files = {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file()}
    networks = {f"{name}.{ending}" for name in BRANCHES for ending in ("onnx", "keras")}
    splits = ("fold1", "fold2", "fold3", "random")
    folds = {f"folds/{split}-{name}.onnx" for split in splits for name in BRANCHES}
    single = {"manifest.json", "golden.npz", "novelty.npz", "metrics.json", "MODEL_CARD.md", "pretrained.onnx"}
    assert {file for file in files if not file.startswith("figures/")} == single | networks | folds
    assert {"figures/confusion.png", "figures/reliability.png"} <= files


def test_the_manifest_says_what_was_done(made):
    manifest = made.manifest
    assert [branch["recipe"] for branch in manifest["branches"]] == [CONFIGS[name].recipe for name in BRANCHES]
    assert manifest["heads"] == list(HEADS) and manifest["encoder"] == {"file": "pretrained.onnx"}
    assert manifest["adaptation"].keys() == {"temperature_ratio"}
    assert manifest["thresholds"].keys() == {"confidence", "adapted", "home", "home_adapted"}
    assert [fold["test"] for fold in manifest["folds"]] == [["ravdess/01"], ["ravdess/04"], ["ravdess/08"]]
    assert set(manifest["training"]["corpora"]) == {"ravdess", "table"}
    assert set(manifest["training"]["config"]["configs"]) == set(BRANCHES) and manifest["training"]["minutes"] > 0
    assert str(made.workspace) not in json.dumps(manifest)  # no place of this machine
    assert json.loads((made.folder / "metrics.json").read_text()) == manifest["metrics"]


def test_everything_is_scored(made):
    found, n = made.manifest["metrics"], len(made.clips)
    assert (found["folds"]["clips"], found["folds"]["speakers"]) == (n, 3)
    assert {corpus: scored["clips"] for corpus, scored in found["left_out"].items()} == {"ravdess": n, "table": 16}
    assert found["sex"]["clips"] == n and 0 <= found["sex"]["accuracy"] <= 1
    assert found["intensity"]["clips"] == n - len(ACTORS) and 0 <= found["intensity"]["auc"] <= 1
    assert found["calibrated"].keys() >= {"with", "without", "interval"}
    assert found["left_out"]["ravdess"].keys() >= {"adapted_10", "adapted_20", "calibrated"}
    kinds = found["source_kinds"]
    assert kinds["folds"].keys() == {f"{size} of any mood" for size in (3, 5, 10)}  # eleven clips an actor
    assert kinds["left_out"].keys() == kinds["folds"].keys() | {"20 of any mood"}
    assert 0 <= found["folds"]["top_two"] <= 1
    assert len(found["coverage"]["accuracy"]) == 100 and sum(found["reliability"]["count"]) == n
    assert "inflated" in found["random"]["note"]


def test_with_one_corpus_all_networks_count(made, tmp_path):
    ensemble, configs = find_ensemble("voice")
    clips = load_corpus("table", made.workspace / "table").clips
    graph = made.folder / "pretrained.onnx"
    study = prepare_ensemble(clips, ensemble, configs, tmp_path, progress=False, encoder=graph)
    assert ensemble.home and study.ensemble == replace(ensemble, home=())


# --- Answers ---


def test_sex_and_intensity_are_answered(made, recognizer):
    assert recognizer.labels == EMOTIONS and ser.load().name == "tiny"
    for clip in made.clips[::5]:
        found = recognizer.predict(clip)
        assert sum(found.probabilities.values()) == pytest.approx(1)
        assert list(found.sex) == ["male", "female"] and sum(found.sex.values()) == pytest.approx(1)
        assert 0 <= found.intensity <= 1 and 0 <= found.sex["male"] <= 1
    silent = recognizer.predict(ser.types.Waveform(np.zeros(16_000, np.float32), 16_000))
    assert silent.reasons == ("silent",) and silent.sex is None and silent.intensity is None


def test_branches_are_weighted_and_heads_averaged(made, recognizer):
    """By hand, from the graphs and the manifest."""
    inputs, manifest = recognizer.inputs(made.clips[0]), made.manifest
    assert set(inputs.rows) == {CONFIGS["encoder"].recipe, "voice-frames-v2", "voice105-v2"}  # the last for novelty
    scores, heads, weights = {True: np.zeros(8), False: np.zeros(8)}, np.zeros(3), 0.0
    for branch in manifest["branches"]:
        session = artifact.open_graph(recognizer.artifact, branch["file"], branch["recipe"])
        scored, answered = (
            array.mean(axis=0) for array in artifact.run_outputs(session, inputs.rows[branch["recipe"]])
        )
        scores[branch.get("home", False)] += branch["weight"] * scored
        heads, weights = heads + branch["weight"] * answered, weights + branch["weight"]
    female, strong, home = heads / weights
    at_home = manifest["home_scale"] * (HOME_SHARE * scores[True] + (1 - HOME_SHARE) * scores[False])
    powers = np.exp((home * at_home + (1 - home) * scores[False]) / manifest["temperature"])
    answer = recognizer.predict(made.clips[0])
    np.testing.assert_allclose(vector(answer), powers / powers.sum(), atol=1e-6)
    assert [answer.sex["female"], answer.intensity] == pytest.approx([female, strong], abs=1e-6)


@pytest.mark.parametrize("adapted", [False, True], ids=["plain", "adapted"])
@pytest.mark.parametrize(("share", "home"), [(0.89, False), (0.9, True)])
def test_recordings_like_those_of_the_first_corpus_have_a_threshold_of_their_own(
    made, recognizer, share, home, adapted
):
    thresholds = {"confidence": 0.13, "adapted": 0.14, "home": 0.15, "home_adapted": 0.16}
    manifest = {**recognizer.artifact.manifest, "thresholds": thresholds}
    found = ser.Recognizer(replace(recognizer.artifact, manifest=manifest))
    found = found.adapted(made.clips[:5]) if adapted else found
    heads = np.array([0.5, 0.5, share])
    answers = [found.answer(replace(recognizer.analyse(clip), heads=heads)) for clip in made.clips[5:12]]
    name = {(False, False): "confidence", (False, True): "adapted", (True, False): "home", (True, True): "home_adapted"}
    threshold = thresholds[name[home, adapted]]
    for answer in answers:
        assert answer.sure_from == threshold
        assert ("close_call" in answer.reasons) is (answer.confidence < threshold)


# --- Adaptation ---


def test_calibration_leaves_the_original_untouched(made, recognizer):
    own, other = made.clips[:5], made.clips[7]
    before = recognizer.predict(other)
    calibrated = recognizer.calibrated(own)
    found = calibrated.predict(other)
    assert recognizer.predict(other) == before
    assert np.abs(vector(found) - vector(before)).max() > 1e-5
    assert (found.sex, found.intensity, found.model) == (before.sex, before.intensity, before.model)
    assert found.adapted.to_dict() == {"source": "speaker", "clips": 5} and before.adapted is None
    assert calibrated.calibrated(own).predict(other) == found  # anew, not on top


def test_half_the_mean_scores_of_five_clips_are_taken_off(made, recognizer):
    """By hand, from the manifest and the answers of the graphs."""
    manifest, asked = made.manifest, recognizer.analyse(made.clips[7])
    mean = np.mean([recognizer.analyse(clip).scores for clip in made.clips[:5]], axis=0)
    scores = asked.scores - (mean - mean.mean()) / 2
    powers = np.exp(scores / (manifest["temperature"] * manifest["adaptation"]["temperature_ratio"]))
    answer = recognizer.calibrated(made.clips[:5]).predict(made.clips[7])
    np.testing.assert_allclose(vector(answer), powers / powers.sum(), atol=1e-9)


@pytest.mark.parametrize("protocol", ["folds", "all"])
def test_evaluate_scores_adapted_answers(made, protocol):
    found = evaluate("ravdess", made.workspace / "ravdess", "tiny", protocol, adapt=10, progress=False)
    assert found["adapted"]["clips"] == 10 and found["adapted"]["corpora"] == 1 and found["adapted"]["draws"] == 20
    assert found["calibrated"]["clips"] == 5 and found["calibrated"]["speakers"] == 3
    assert 0 <= found["sure"]["share"] <= 1 and found["top_two"] >= found["accuracy"]
    if protocol == "folds":
        stored = made.manifest["metrics"]["calibrated"]
        for key in ("without", "with"):
            assert found["calibrated"][key] == pytest.approx(stored[key], abs=0.01)


def test_labels_make_answers_lean(made, recognizer):
    own, other = made.clips[:5], made.clips[7]
    plain, leaning = recognizer.calibrated(own), recognizer.calibrated(own, ["disgust"] * 5)
    assert leaning.predict(other).probabilities["disgust"] > plain.predict(other).probabilities["disgust"]
    again = leaning.calibrated(own)  # another speaker's labels say nothing of this voice
    assert again.predict(other) == plain.predict(other)


def test_calibration_that_cannot_be(made, recognizer):
    clips, silence = made.clips[:2], ser.types.Waveform(np.zeros(16_000, np.float32), 16_000)
    for own in ([], [silence, silence]):
        with pytest.raises(ParameterError, match="at least one recording of the voice that is not silent"):
            recognizer.calibrated(own)
    with pytest.raises(ParameterError, match=r"one label a clip from neutral, .*found 'bored'"):
        recognizer.calibrated(clips, ["happy", "bored"])
    with pytest.raises(ParameterError, match=r"one label a clip from neutral, .*found 1 labels for 2 clips"):
        recognizer.calibrated(clips, ["happy"])


# --- Scores from recordings ---


@pytest.mark.parametrize("protocol", ["folds", "random"])
def test_evaluate_recomputes_the_scores(made, protocol):
    stored = made.manifest["metrics"][protocol]
    found = evaluate("ravdess", made.workspace / "ravdess", "tiny", protocol, progress=False)
    assert found["clips"] == stored["clips"] and found["confusion"] == stored["confusion"]
    assert found["uar"] == stored["uar"] and found["errors"] == []
    assert found["calibration_error"] == pytest.approx(stored["calibration_error"], abs=1e-4)


@pytest.mark.parametrize("protocol", ["folds", "random"])
def test_evaluate_trains_the_ensemble_for_speakers_it_does_not_know(made, tmp_path, protocol):
    other = write_corpus(tmp_path / "table", 3, 1, seed=5)
    before = (made.folder / "manifest.json").read_bytes()
    found = evaluate("table", other, "tiny", protocol, progress=False)
    n = 24 if protocol == "folds" else len(EMOTIONS)  # one clip an emotion stays out of a random split's training
    assert (found["clips"], np.sum(found["confusion"]), found["errors"]) == (n, n, [])
    assert found["labels"] == list(EMOTIONS) and not found["seen_in_training"]
    assert (made.folder / "manifest.json").read_bytes() == before


def test_evaluate_says_who_was_heard(made):
    found = evaluate("table", made.workspace / "table", "tiny", "all", progress=False)
    assert found["seen_in_training"] and found["clips"] == 16


# --- Damage ---


def rehash(folder: Path, file: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][file] = sha256(folder / file)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("file", ["folds/fold2-sequence.onnx", "encoder.onnx", "golden.npz"])
def test_a_damaged_file_is_refused(made, copied, file):
    data = bytearray((copied / file).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / file).write_bytes(data)
    for refused in (ser.load, lambda folder: evaluate("ravdess", made.workspace / "ravdess", folder, progress=False)):
        with pytest.raises(ArtifactError, match=f"copied/{file} is not the file of this model: expected SHA-256"):
            refused(copied)


@pytest.mark.parametrize(
    ("file", "other", "match"),
    [
        ("folds/fold2-sequence.onnx", "golden.npz", "is not a graph that ONNX Runtime can open"),
        ("folds/fold2-sequence.onnx", "encoder.onnx", "does not take what recipe voice-frames-v2 gives"),
    ],
)
def test_a_fold_graph_that_is_another_file_is_refused(made, copied, file, other, match):
    shutil.copy(copied / other, copied / file)
    rehash(copied, file)
    with pytest.raises(ArtifactError, match=f"tiny/{file} {match}"):
        evaluate("ravdess", made.workspace / "ravdess", copied, progress=False)


# --- Other formats ---


def test_export_by_command(made, tmp_path):
    places = ["--out", str(tmp_path / "out"), "--check", str(made.workspace / "table" / "01")]
    result = CliRunner().invoke(cli.app, ["export", "--model", "tiny", "--format", "onnx", *places])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"tiny-{name}.onnx" for name in BRANCHES
    )
    for name in BRANCHES:
        assert (tmp_path / "out" / f"tiny-{name}.onnx").read_bytes() == (made.folder / f"{name}.onnx").read_bytes()
