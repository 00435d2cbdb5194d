"""A small training, whole: from recordings to a model that answers; killed, resumed, refused; and nothing leaks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, noise, tone, voice
from tiny_encoder import write_checkpoint

import ser
from ser.datasets import splits
from ser.datasets.splits import Split
from ser.evaluation.evaluate import evaluate
from ser.features import published
from ser.features.recipes import ENCODER_WIDTH, RECIPES
from ser.inference import artifact
from ser.inference.artifact import read_manifest, verify
from ser.training import cross_validation as crossval
from ser.training import release
from ser.training.configs import CONFIGS, read_description
from ser.training.cross_validation import TrainingSet, check_no_leak
from ser.training.feature_table import FeatureTable, feature_table
from ser.training.fit import Best, Fitted
from ser.training.train import train
from ser.types import LABEL_SETS, ArtifactError, Clip, ParameterError

SHIPPED = artifact.ARTIFACTS / "dense105"
SPEAKERS = ("Ana/Luz", "bob 2", "chloë")  # as people write them
EMOTIONS = ("neutral", "happy", "angry")
TAKES = 3
N_STEPS = 40  # frames of a window of a recurrent network; 174 where it ships
FIGURES = ("confusion", "recall", "speakers", "training")
N_FITS = 2 * len(SPEAKERS) + 2 + 1  # an inner and an outer fit a fold and for the random split, and the one that ships


def take(emotion: str, speaker: int, number: int) -> np.ndarray:
    """Half a second of something that differs by emotion, speaker and take."""
    pitch_hz = {"neutral": 120, "calm": 160, "happy": 240, "disgust": 320, "angry": 480}[emotion] * (1 + 0.05 * speaker)
    return voice(0.5, pitch_hz, 1 + number) + 0.1 * tone(0.5, 5 * pitch_hz) * (emotion == "angry")


def corpus(folder: Path, speakers: tuple[str, ...] = SPEAKERS, emotions: tuple[str, ...] = EMOTIONS) -> Path:
    """A `table` corpus of tiny clips."""
    folder.mkdir()
    lines = ["path\temotion\tspeaker"]
    for number, speaker in enumerate(speakers):
        for emotion in emotions:
            for k in range(TAKES):
                name = f"{number}-{emotion}-{k}.wav"
                sf.write(folder / name, take(emotion, number, k), RATE)
                lines.append(f"{name}\t{emotion}\t{speaker}")
    (folder / "table.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def table(workspace) -> Path:
    return corpus(workspace / "table")


def small(data: Path, **options) -> Path:
    return train([("table", str(data))], "smoke", jobs=1, progress=False, **options)


@pytest.fixture(scope="module")
def trained(workspace, table) -> Path:
    return small(table)


@pytest.fixture(scope="module")
def data(table, workspace) -> TrainingSet:
    from ser.datasets.corpora import load_corpus

    return crossval.prepare(load_corpus("table", table).clips, CONFIGS["smoke"], workspace / "study", progress=False)


# --- With a pre-trained encoder ---


@pytest.mark.slow
def test_a_model_carries_the_encoder_that_it_needs(workspace, table, monkeypatch):
    checkpoint = write_checkpoint(workspace / "checkpoint", width=ENCODER_WIDTH)
    monkeypatch.setitem(CONFIGS, "encoder", replace(CONFIGS["encoder"], copies=0, epochs=1, steps=2))
    folder = train([("table", str(table))], "encoder", jobs=1, progress=False, encoder=checkpoint)
    manifest = read_manifest(folder)
    assert manifest["encoder"] == {"file": "pretrained.onnx"} and "pretrained.onnx" in manifest["files"]
    shutil.rmtree(checkpoint)  # is not needed to answer
    answer = ser.load(folder).predict(table / "0-happy-0.wav")
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    scores = evaluate("table", table, "encoder", "folds", progress=False)
    assert scores["confusion"] == manifest["metrics"]["folds"]["confusion"]
    shutil.rmtree(folder)


@pytest.mark.slow
def test_an_encoder_must_be_named(empty, monkeypatch):
    monkeypatch.delenv("SER_ENCODER", raising=False)
    data = corpus(empty / "table")
    with pytest.raises(ParameterError, match=r"needs a pre-trained encoder: name the folder .*--encoder"):
        train([("table", str(data))], "encoder", jobs=1, progress=False)
    with pytest.raises(ParameterError, match="is no Whisper checkpoint"):
        train([("table", str(data))], "encoder", jobs=1, progress=False, encoder=empty)


# --- From recordings to a model ---


@pytest.mark.slow
def test_the_model_loads_and_answers(trained, workspace):
    assert trained == workspace / "artifacts" / "smoke"
    recognizer = ser.load("smoke")
    assert recognizer.labels == EMOTIONS
    prediction = recognizer.predict(workspace / "table" / "0-happy-0.wav")
    assert prediction.label in EMOTIONS and sum(prediction.probabilities.values()) == pytest.approx(1)
    with pytest.raises(ArtifactError, match="No model that answers all eight"):
        ser.load()


@pytest.mark.slow
def test_the_folder_holds_what_it_should_and_nothing_else(trained, workspace):
    files = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    single = {"manifest.json", "model.onnx", "model.keras", "scaler.joblib", "golden.npz", "novelty.npz"}
    graphs = {file for fold in read_manifest(trained)["folds"] for file in fold["files"]} | {"folds/random.onnx"}
    figures = {f"figures/{name}.png" for name in (*FIGURES, "reliability", "coverage")}
    assert files == single | graphs | figures | {"metrics.json", "MODEL_CARD.md"}
    assert list((workspace / "artifacts").iterdir()) == [trained]
    assert list((workspace / "cache" / "work").iterdir()) == []  # deleted once the model is written


@pytest.mark.slow
def test_the_manifest_says_what_was_done(trained):
    manifest = read_manifest(trained)
    training = manifest["training"]["corpora"]["table"]
    assert training["speakers"] == sorted(f"table/{speaker}" for speaker in SPEAKERS)
    assert training["clips"] == manifest["training"]["clips"] == 27
    assert [fold["test"] for fold in manifest["folds"]] == [[f"table/{speaker}"] for speaker in sorted(SPEAKERS)]
    assert manifest["training"]["config"]["name"] == "smoke" and len(manifest["random"]["test"]) == 5
    folds = manifest["metrics"]["folds"]
    assert folds["clips"] == 27 and folds["speakers"] == 3 and np.sum(folds["confusion"]) == 27
    assert folds["uar"] == pytest.approx(np.mean(list(folds["recall"].values())))
    assert set(manifest["versions"]) >= {"ser", "numpy", "keras", "librosa", "scikit-learn", "onnxruntime"}
    assert str(trained.parent.parent) not in json.dumps(manifest)  # no place of this machine


@pytest.mark.slow
def test_scaler_and_keras_equal_the_graph(trained):
    import joblib
    import keras

    with np.load(trained / "golden.npz", allow_pickle=False) as golden:
        rows, answers = golden["input_0"], golden["output_0"]
    scaled = joblib.load(trained / "scaler.joblib").transform(rows.astype(np.float64)).astype(np.float32)
    network = keras.saving.load_model(trained / "model.keras")
    np.testing.assert_allclose(np.exp(answers), np.asarray(network(scaled, training=False)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["folds", "random"])
def test_evaluate_recomputes_the_scores(trained, table, protocol):
    stored = read_manifest(trained)["metrics"][protocol]
    found = evaluate("table", table, "smoke", protocol, progress=False)
    assert found["labels"] == list(EMOTIONS) and found["clips"] == stored["clips"]
    assert found["confusion"] == stored["confusion"] and found["uar"] == stored["uar"]


@pytest.mark.slow
def test_evaluate_trains_folds_for_speakers_it_does_not_know(trained, workspace, monkeypatch):
    monkeypatch.setattr("ser.evaluation.evaluate.JOBS", 1)  # here, where training is eager
    other = corpus(workspace / "others", ("eve", "fay", "gus"))
    assert not evaluate("table", other, "smoke", "all", progress=False)["seen_in_training"]
    before = read_manifest(trained)
    found = evaluate("table", other, "smoke", "folds", progress=False)
    assert (found["clips"], found["speakers"], found["errors"]) == (27, 3, [])
    assert np.sum(found["confusion"]) == 27 and read_manifest(trained) == before


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["folds", "random"])
def test_evaluate_does_not_train_where_its_networks_were_left_out(trained, table, tmp_path, protocol):
    installed = shutil.copytree(trained, tmp_path / "smoke", ignore=shutil.ignore_patterns("folds"))
    says = f"smoke: the networks of its '{protocol}' protocol come with the repository, .* Score it in a clone"
    with pytest.raises(ParameterError, match=says):
        evaluate("table", table, installed, protocol)


# --- The published designs ---


def shipped_graph_only(export: Callable[..., None]) -> Callable[..., None]:
    """Leave the graphs of folds empty: no answer needs them, and a recurrent one takes seconds."""

    def exported(fitted: Fitted, path: Path, **options: bool) -> None:
        path.touch() if path.parent.name == "folds" else export(fitted, path, **options)

    return exported


@pytest.fixture
def short_windows(monkeypatch) -> None:
    """A second of frames in place of four: recurrent layers are trained and exported step by step."""
    frames = RECIPES["frames120-v1"]
    monkeypatch.setattr(published, "N_FRAMES", N_STEPS)
    window_s = (N_STEPS - 1) * published.HOP_LENGTH / published.RATE
    monkeypatch.setitem(RECIPES, frames.name, replace(frames, window_s=window_s, shape=(N_STEPS, 120)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("design_")])
def test_every_design_trains_and_answers(empty, table, short_windows, monkeypatch, name):
    """One epoch and one fold are enough to go all the way."""
    folds = splits.speaker_folds
    config = replace(CONFIGS[name], epochs=1, copies=min(CONFIGS[name].copies, 1), batch_size=36)
    monkeypatch.setitem(CONFIGS, name, config)
    monkeypatch.setattr("ser.training.ensemble.speaker_folds", lambda clips: folds(clips)[:1])
    monkeypatch.setattr(release, "export_onnx", shipped_graph_only(release.export_onnx))
    manifest = read_manifest(train([("table", str(table))], name, jobs=1, progress=False))
    labels = tuple(emotion for emotion in EMOTIONS if emotion in LABEL_SETS[config.labels])
    assert tuple(manifest["labels"]) == labels and manifest["branches"][0]["recipe"] == config.recipe
    assert manifest.get("reduce_noise", False) is config.reduce_noise
    left_out = {emotion: TAKES * len(SPEAKERS) for emotion in EMOTIONS if emotion not in labels}
    assert manifest["training"]["corpora"]["table"]["excluded"] == left_out
    assert [(fold["epochs"], fold["ended"]) for fold in manifest["folds"]] == [(1, "epochs")]
    recognizer = ser.load(name)
    assert recognizer.sample_rate == RECIPES[config.recipe].sample_rate
    assert sum(recognizer.predict(table / "0-happy-0.wav").probabilities.values()) == pytest.approx(1)


# --- Again, killed, resumed ---


@pytest.mark.slow
def test_a_second_run_is_refused_before_any_work(trained, table, monkeypatch):
    before = (trained / "manifest.json").read_bytes()
    monkeypatch.setattr("ser.training.train.prepare_ensemble", lambda *_, **__: pytest.fail("it was trained"))
    with pytest.raises(ArtifactError, match=r"smoke exists already; choose another --name, or --force"):
        small(table)
    assert (trained / "manifest.json").read_bytes() == before


TRAIN = """
import sys
from pathlib import Path
import tensorflow as tf
from ser.inference import artifact
tf.config.run_functions_eagerly(True)
artifact.ARTIFACTS = Path(sys.argv[1])
from ser.training.train import train
train([("table", sys.argv[2])], "smoke", force=True, jobs=1, progress=False)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(trained, table, workspace, monkeypatch):
    run = subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(workspace / "artifacts"), str(table)],
        env={**os.environ, "PYTHONPATH": str(Path(ser.__file__).parents[1])},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    work = workspace / "cache" / "work"
    while run.poll() is None and not list(work.rglob("done.json")):
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    old = read_manifest(trained)
    assert verify(trained).labels == EMOTIONS  # the old model stands
    finished = {path.parent.name: path.read_bytes() for path in work.rglob("done.json")}
    assert 0 < len(finished) < N_FITS

    fits = []
    real = crossval.fit
    monkeypatch.setattr(crossval, "fit", lambda *args, **options: fits.append(1) or real(*args, **options))
    assert small(table, resume=True, force=True) == trained
    assert len(fits) == N_FITS - len(finished)
    new = read_manifest(trained)
    assert new["created"] > old["created"] and ser.load(trained).labels == EMOTIONS
    for protocol in ("folds", "random"):  # the seed decides, not the kill
        assert new["metrics"][protocol]["confusion"] == old["metrics"][protocol]["confusion"]
    assert list((workspace / "artifacts").iterdir()) == [trained] and list(work.iterdir()) == []


# --- Refusals ---


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Path:
    """Places that a refused training must leave empty."""
    monkeypatch.setattr(artifact, "ARTIFACTS", tmp_path / "artifacts")
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    return tmp_path


def assert_nothing_written(place: Path) -> None:
    assert not (place / "artifacts").exists() and not list(place.glob("cache/work/*/*"))


def test_one_speaker(empty):
    data = corpus(empty / "table", ("anna",))
    with pytest.raises(ParameterError, match="at least two speakers; all 9 clips have table/anna"):
        small(data)
    assert_nothing_written(empty)


def test_one_emotion(empty):
    data = corpus(empty / "table", emotions=("happy",))
    with pytest.raises(ParameterError, match=r"All 9 table clips .* are happy: training and evaluation need"):
        small(data)
    assert_nothing_written(empty)


@pytest.mark.slow
def test_one_emotion_of_the_label_set(empty):
    data = corpus(empty / "table", emotions=("neutral", "calm", "happy"))
    with pytest.raises(ParameterError, match=r"four labels \(happy, sad, angry, fearful\) the corpora hold happy: at"):
        small(data, labels="four")
    assert_nothing_written(empty)


@pytest.mark.slow
def test_one_speaker_of_the_label_set(empty):
    data = corpus(empty / "table", ("anna",))
    other = corpus(empty / "other", emotions=("calm", "disgust"))
    with pytest.raises(ParameterError, match="at least two speakers; all 9 clips have table/anna"):
        train([("table", str(data)), ("table", str(other))], "smoke", labels="six", jobs=1, progress=False)
    assert_nothing_written(empty)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["recipe", "architecture", "labels"])
def test_unknown_parts_of_a_configuration(empty, monkeypatch, name):
    stored = {"name": "smoke", **CONFIGS["smoke"].to_dict(), name: "other"}
    monkeypatch.setattr("ser.training.train.find_ensemble", lambda _: read_description(stored))
    with pytest.raises(ParameterError, match=r"Unknown .* 'other'; known: "):
        small(corpus(empty / "table"))
    assert_nothing_written(empty)


def test_two_speakers(empty):
    """One on the training side of each fold: nobody is left to choose epochs on."""
    data = corpus(empty / "table", ("anna", "bob"))
    with pytest.raises(ParameterError, match="at least two speakers on the training side, got table/"):
        small(data)
    assert_nothing_written(empty)


@pytest.mark.slow
def test_one_recording_of_two_speakers(empty):
    data = corpus(empty / "table")
    shutil.copy(data / "0-happy-0.wav", data / "2-angry-1.wav")
    with pytest.raises(ParameterError, match=r"0-happy-0\.wav .*2-angry-1\.wav .*same samples"):
        small(data)
    assert_nothing_written(empty)


@pytest.mark.slow
def test_too_many_unreadable_recordings(empty):
    data = corpus(empty / "table")
    for name in ("0-happy-0.wav", "2-angry-1.wav"):
        (data / name).write_bytes(b"not a sound")
    with pytest.raises(ParameterError, match=r"2 of 27 recordings cannot be read; the first: 0-happy-0\.wav"):
        small(data)
    assert_nothing_written(empty)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"labels": "nine"}, "Unknown label set 'nine'; known: eight, seven, six, four"),
        ({"config_name": "huge"}, "Unknown configuration 'huge'; known: dense105, smoke"),
        ({"name": "../up"}, "name is made of letters"),
        ({"corpora": [("iemocap", ".")]}, "Unknown corpus 'iemocap'"),
        ({"corpora": [("table", "nowhere")]}, "No table recordings in nowhere.*no such folder"),
    ],
    ids=["labels", "config", "name", "corpus", "folder"],
)
def test_unknown_names(empty, options, match):
    with pytest.raises(ParameterError, match=match):
        train(**{"corpora": [("table", str(empty))], "config_name": "smoke", "jobs": 1, "progress": False, **options})
    assert_nothing_written(empty)


# --- Leaks ---


def listed(n_speakers: int = 4) -> tuple[list[Clip], FeatureTable]:
    """Two clips a speaker, each with one altered copy, as a feature table numbers them."""
    clips = [Clip(f"{s}{k}.wav", EMOTIONS[k], f"t/{s}", "table") for s in range(n_speakers) for k in range(2)]
    origin = np.repeat(np.arange(len(clips)), 2)
    copy = np.tile([0, 1], len(clips))
    rows = np.random.default_rng(0).standard_normal((len(origin), 105)).astype(np.float32)
    return clips, FeatureTable(rows, origin, copy)


def made_up(duplicates: tuple[tuple[int, ...], ...] = (), clips: list[Clip] | None = None) -> TrainingSet:
    found, rows = listed()
    return TrainingSet(clips or found, CONFIGS["smoke"], rows, duplicates, Path())


def test_copies_stand_only_on_the_training_side():
    rows = made_up().table
    assert rows.side((0, 3), copies=True).tolist() == [0, 1, 6, 7]
    assert rows.side((0, 3), copies=False).tolist() == [0, 6]
    assert rows.side((), copies=True).tolist() == []


def test_the_guard_lets_an_honest_split_pass_and_stops_each_leak():
    honest = Split("honest", (0, 1, 2, 3), (4, 5, 6, 7))
    assert check_no_leak(made_up(), honest) is None
    leaks = {
        "a clip or its augmented copy": (made_up(), replace(honest, train=(0, 1, 4), test=(4, 5), note="inflated")),
        "a speaker": (made_up(), replace(honest, train=(0, 1, 2), test=(3, 4))),
        "a pair with equal samples": (made_up(duplicates=((1, 6),)), honest),
    }
    for what, (data, split) in leaks.items():
        with pytest.raises(ParameterError, match=f"'honest' leaks: {what} is on both sides"):
            check_no_leak(data, split)


def test_the_guard_knows_a_recording_that_lies_there_twice():
    clips, _ = listed()
    clips[6] = replace(clips[0], path="copy/03-01-03-01-02-01-07.wav", corpus="ravdess", speaker="ravdess/07")
    clips[0] = replace(clips[6], path="03-01-03-01-02-01-07.wav")
    with pytest.raises(ParameterError, match="a recording is on both sides"):
        check_no_leak(made_up(clips=clips), Split("twice", (0, 1, 2, 3), (4, 5, 6, 7), "inflated"))


@pytest.mark.slow
def test_no_fit_uses_the_test_side(data, monkeypatch):
    """Whatever `fit` is given in a fold comes from clips of other speakers, and so does what it only watches."""
    given = []
    real = crossval.fit

    def spy(config, rows, targets, unaltered, seed, epochs=None, validation=None, *rest, **named):
        given.append((rows.copy(), unaltered, validation))  # they are scaled in place
        return real(config, rows, targets, unaltered, seed, epochs, validation, *rest, **named)

    monkeypatch.setattr(crossval, "fit", spy)
    split = splits.speaker_folds(data.clips)[0]
    result = crossval.fit_fold(replace(data, work=fresh(data.work / "spied")), split, 0)
    speaker_of = {
        row.tobytes(): data.clips[o].speaker for row, o in zip(data.table.rows, data.table.origin, strict=True)
    }
    copy_of = {row.tobytes(): int(copy) for row, copy in zip(data.table.rows, data.table.copy, strict=True)}
    (tested,) = {data.clips[index].speaker for index in split.test}
    (inner, _, watched), (outer, unaltered, unwatched) = given
    speakers = [{speaker_of[row.tobytes()] for row in rows} for rows in (inner, watched[0], outer)]
    assert tested not in set.union(*speakers) and unwatched is None
    assert not speakers[0] & speakers[1] and speakers[0] | speakers[1] == speakers[2] == set(data.speakers) - {tested}
    assert not any(copy_of[row.tobytes()] for row in watched[0])  # held-out speakers are heard unaltered
    assert [copy_of[row.tobytes()] == 0 for row in outer] == unaltered.tolist() and not unaltered.all()
    np.testing.assert_allclose(result.scaler.mean, outer[unaltered].mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.scaler.variance, outer[unaltered].var(axis=0), rtol=1e-3, atol=1e-8)


def fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.slow
@pytest.mark.data
def test_the_shipped_scaler_saw_every_recording_and_no_copy(ser_data):
    import joblib

    from ser.audio.loading import load_waveform
    from ser.datasets.corpora import load_corpus

    made = RECIPES[read_manifest(SHIPPED)["branches"][0]["recipe"]]
    rows = np.concatenate([made.of(load_waveform(clip.path)) for clip in load_corpus("ravdess", ser_data).clips])
    scaler = joblib.load(SHIPPED / "scaler.joblib")
    np.testing.assert_allclose(scaler.mean_, rows.mean(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scaler.scale_, rows.std(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-4)


# --- Features on disk, seeds, epochs ---


@pytest.mark.slow
def test_feature_table_is_cached_and_follows_seed_and_sound(workspace, tmp_path, monkeypatch):
    from ser.datasets.corpora import load_corpus

    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")  # in other processes
    data = corpus(tmp_path / "table", ("anna", "bob"))
    clips = load_corpus("table", data).clips

    def made(seed: int = 0) -> FeatureTable:
        return feature_table(clips, "voice105-v1", 1, seed, progress=False)

    first = made()
    assert first.rows.shape == (36, 105) and first.rows.dtype == np.float32
    np.testing.assert_array_equal(made().rows, first.rows)
    other = made(seed=1)
    np.testing.assert_array_equal(other.rows[other.copy == 0], first.rows[first.copy == 0])
    assert not np.isclose(other.rows[other.copy == 1], first.rows[first.copy == 1]).all(axis=1).any()
    changed = int(np.flatnonzero(first.origin == 4)[0])
    sf.write(clips[4].path, noise(0.7), RATE)
    again = made()
    assert not np.allclose(again.rows[changed], first.rows[changed])
    others = first.origin != 4
    np.testing.assert_array_equal(again.rows[others], first.rows[others])


@pytest.mark.slow
def test_the_seed_decides_the_weights(data):
    clips = range(len(data.clips))
    one, same, other = (crossval.train_on(data, clips, seed, 1) for seed in (0, 0, 1))
    rows = data.table.rows[:10]
    np.testing.assert_allclose(one.log_probabilities(rows), same.log_probabilities(rows), atol=1e-5)
    assert np.abs(one.log_probabilities(rows) - other.log_probabilities(rows)).max() > 1e-3


@pytest.mark.slow
def test_the_best_epoch_is_that_of_the_highest_smoothed_accuracy():
    from ser.models import registry as models

    network, best, seen = models.build("dense", (2,), 2), Best(), []
    for epoch, accuracy in enumerate([0.9, 0.2, 0.3, 0.4, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4, 0.3], start=1):
        seen.append(accuracy)
        best.see(epoch, seen, network)
    assert best.epochs == 10 and best.accuracy == pytest.approx(0.5) and best.weights
