"""Other formats: each holds the same answers on real clips, or is refused with a sentence and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ser.cli import main as cli
from ser.features.recipes import RECIPES, Recipe
from ser.inference.artifact import ARTIFACTS, MANIFEST, read_manifest, sha256, write
from ser.models.layers import with_scaler
from ser.reporting.model_card import sections
from ser.training.export import FORMATS, SAMPLES, TOLERANCE, export, measure
from ser.types import EMOTIONS, ArtifactError, ParameterError

SHIPPED = ARTIFACTS / "dense105"
N_SAMPLES = len(list(SAMPLES.glob("*.flac")))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def golden(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(folder / "golden.npz", allow_pickle=False) as stored:
        return stored["input_0"], stored["output_0"]


@pytest.fixture
def copied(tmp_path) -> Path:
    """A copy of the shipped model."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "models" / "copied"))


def rehash(folder: Path, **changes: Any) -> None:
    """The manifest made to agree with the files."""
    manifest = {**json.loads((folder / MANIFEST).read_text(encoding="utf-8")), **changes}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
    manifest["files"] = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


@pytest.fixture
def frames(monkeypatch) -> Callable[[int | None], str]:
    """Puts a recipe of raw frames on the list: some from all of a clip, or the first `n` of these."""

    def add(n: int | None) -> str:
        def extract(samples: np.ndarray) -> np.ndarray:
            rows = samples[: len(samples) // 64 * 64].reshape(-1, 64).astype(np.float32)
            return rows[::20][:n]

        monkeypatch.setitem(RECIPES, "frames-v1", Recipe("frames-v1", 16_000, 3.5, (), (n, 64), extract))
        return "frames-v1"

    return add


def store(folder: Path, recipe: str, *networks: Any) -> Path:
    """An artifact whose branches are Keras networks from raw features to log-probabilities and further outputs."""

    def fill(beside: Path) -> dict[str, Any]:
        arrays, rng = {}, np.random.default_rng(1)
        for i, network in enumerate(networks):
            shape = [n or 50 for n in network.input_shape[1:]]
            arrays[f"input_{i}"] = rng.standard_normal((2, *shape), np.float32)
            outputs = network(arrays[f"input_{i}"], training=False)
            arrays[f"output_{i}"] = np.asarray(outputs[0] if isinstance(outputs, list) else outputs)
            network.save(beside / f"model-{i}.keras")
            network.export(beside / f"model-{i}.onnx", format="onnx", verbose=False)
        np.savez(beside / "golden.npz", **arrays)
        kept = {
            key: value for key, value in read_manifest(SHIPPED).items() if key not in ("folds", "random", "novelty")
        }
        branches = [{"recipe": recipe, "file": f"model-{i}.onnx", "weight": 0.5} for i in range(len(networks))]
        return {**kept, "name": folder.name, "branches": branches}

    return write(folder, fill)


def convolution(seed: int) -> Any:
    """A free time axis, attention pooling, and heads for sex and intensity."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    x = features = layers.Input((None, 64))
    x = layers.BatchNormalization()(layers.Conv1D(16, 5, padding="same", activation="relu")(x))
    attention = layers.Softmax(axis=1)(layers.Conv1D(1, 1)(x))
    x = layers.Flatten()(layers.Dot(axes=1)([attention, x]))
    emotion = layers.Activation("log_softmax")(layers.Dense(len(EMOTIONS), name="logits")(x))
    heads = [layers.Dense(2, "softmax", name="sex")(x), layers.Dense(1, "sigmoid", name="intensity")(x)]
    return keras.Model(features, [emotion, *heads])


def recurrent(steps: int | None) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    x = features = layers.Input((steps, 64))
    x = layers.LSTM(8)(layers.Bidirectional(layers.GRU(8, return_sequences=True))(x))
    return keras.Model(features, layers.Activation("log_softmax")(layers.Dense(len(EMOTIONS), name="logits")(x)))


# --- The shipped model ---


@pytest.mark.slow
def test_onnx_is_the_original(tmp_path):
    made = export("dense105", "onnx", tmp_path / "deep" / "out", report=tmp_path / "figures.json")
    (row,) = made["branches"]
    assert names(tmp_path / "deep" / "out") == [row["file"]] == ["dense105.onnx"]
    assert (tmp_path / "deep" / "out" / "dense105.onnx").read_bytes() == (SHIPPED / "model.onnx").read_bytes()
    assert row["difference"] == 0 and row["bytes"] == (SHIPPED / "model.onnx").stat().st_size and 0 < row["ms"] < 5
    assert made["clips"] == N_SAMPLES and json.loads((tmp_path / "figures.json").read_text()) == made


@pytest.mark.slow
def test_keras_takes_raw_features(tmp_path):
    import keras

    (row,) = export("dense105", "keras", tmp_path / "whole.keras")["branches"]
    given, expected = golden(SHIPPED)
    answers = keras.saving.load_model(tmp_path / "whole.keras")(given, training=False)
    np.testing.assert_allclose(np.asarray(answers), expected, atol=TOLERANCE)
    assert row["difference"] <= TOLERANCE and row["bytes"] == (tmp_path / "whole.keras").stat().st_size


@pytest.mark.slow
def test_tflite_takes_raw_features(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    (row,) = export("dense105", "tflite", tmp_path)["branches"]
    given, expected = golden(SHIPPED)
    interpreter = Interpreter(str(tmp_path / "dense105.tflite"))
    (into,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(into["index"], given.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(into["index"], given)
    interpreter.invoke()
    np.testing.assert_allclose(interpreter.get_tensor(answer["index"]), expected, atol=TOLERANCE)
    assert row["difference"] <= TOLERANCE and row["bytes"] == (tmp_path / "dense105.tflite").stat().st_size


@pytest.mark.slow
@pytest.mark.data
def test_a_folder_adds_its_recordings(tmp_path, ser_data):
    made = export("dense105", "tflite", tmp_path, ser_data / "ravdess")
    assert N_SAMPLES + 50 < made["clips"] <= N_SAMPLES + 100 and made["branches"][0]["difference"] <= TOLERANCE


# --- Branches, heads, time axes ---


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_every_branch_with_its_heads_over_free_time(tmp_path, frames, format):
    folder = store(tmp_path / "models" / "two", frames(None), convolution(1), convolution(2))
    made = export(folder, format, tmp_path / "out", report=tmp_path / "out" / "figures.json")
    files = [f"two-model-{i}.{format}" for i in range(2)]
    assert names(tmp_path / "out") == ["figures.json", *files] and [row["file"] for row in made["branches"]] == files
    assert all(row["difference"] <= TOLERANCE for row in made["branches"])
    with pytest.raises(ParameterError, match=rf"one\.{format} cannot hold 2 {format} file\(s\); name a folder"):
        export(folder, format, tmp_path / f"one.{format}")


@pytest.mark.slow
def test_recurrent_layers_over_a_fixed_window(tmp_path, frames):
    folder = store(tmp_path / "models" / "fixed", frames(5), recurrent(5))
    for format in FORMATS:
        assert export(folder, format, tmp_path / "out")["branches"][0]["difference"] <= TOLERANCE
    assert names(tmp_path / "out") == ["fixed.keras", "fixed.onnx", "fixed.tflite"]


@pytest.mark.slow
def test_recurrent_layers_over_free_time_do_not_fit_into_tflite(tmp_path, frames):
    folder = store(tmp_path / "models" / "free", frames(None), recurrent(None))
    with pytest.raises(ArtifactError, match=r"free/model-0\.onnx has recurrent layers .* which TFLite cannot hold"):
        export(folder, "tflite", tmp_path / "out")
    assert names(tmp_path) == ["models"]
    (onnx, keras, tflite) = measure(folder)
    assert onnx["branches"][0]["difference"] == 0 and keras["branches"][0]["difference"] <= TOLERANCE
    card = sections({"formats": [onnx, keras, tflite]})
    assert "| onnx | free.onnx | 0." in card and f"| tflite | {tflite['refused']} |" in card


@pytest.mark.slow
def test_a_scaler_of_frames_that_lies_beside(tmp_path, frames):
    import joblib
    import keras
    from sklearn.preprocessing import StandardScaler

    features = keras.Input((None, 64))
    mean = keras.layers.GlobalAveragePooling1D()(features)
    network = keras.Model(features, keras.layers.Dense(len(EMOTIONS), name="logits")(mean))
    scaler = StandardScaler().fit(np.random.default_rng(1).standard_normal((50, 64)) * 3 + 1)
    whole = with_scaler(network, scaler.mean_.astype(np.float32), scaler.var_.astype(np.float32))
    folder = store(tmp_path / "models" / "scaled", frames(None), whole)
    (folder / "model-0.keras").unlink()
    (folder / "model-0.onnx").rename(folder / "model.onnx")
    network.save(folder / "model.keras")
    joblib.dump(scaler, folder / "scaler.joblib")
    branches = [{**read_manifest(folder)["branches"][0], "file": "model.onnx"}]
    rehash(folder, branches=branches)
    for format in FORMATS:
        assert export(folder, format, tmp_path / "out")["branches"][0]["difference"] <= TOLERANCE


# --- Refusals: nothing is left behind ---


def test_unknown_names():
    with pytest.raises(ParameterError, match="Unknown format 'h5'; known: onnx, keras, tflite"):
        export("dense105", "h5")
    with pytest.raises(ArtifactError, match=r"No model 'nope'.*known: .*dense105"):
        export("nope", "onnx")


@pytest.mark.parametrize("name", ["model.onnx", "model.keras", "scaler.joblib", "golden.npz"])
def test_a_damaged_model(copied, tmp_path, name):
    data = bytearray((copied / name).read_bytes())
    data[-200] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=f"copied/{name} is not the file of this model"):
        export(copied, "onnx", tmp_path / "out")
    with pytest.raises(ArtifactError, match=f"copied/{name} is not the file of this model"):
        measure(copied)
    assert names(tmp_path) == ["models"]


def test_a_name_that_leads_elsewhere(copied, tmp_path):
    manifest = read_manifest(copied)
    (copied / MANIFEST).write_text(json.dumps({**manifest, "name": "../out"}))
    with pytest.raises(ParameterError, match="A model's name is made of letters"):
        export(copied, "onnx", tmp_path / "out")
    assert names(tmp_path) == ["models"]


@pytest.mark.slow
def test_a_network_that_is_not_that_of_the_graph(copied, tmp_path):
    import keras

    network = keras.saving.load_model(copied / "model.keras")
    weights = network.get_weights()
    network.set_weights([*weights[:-1], weights[-1] + np.float32([0.01] + 7 * [0])])
    network.save(copied / "model.keras")
    rehash(copied)
    out = tmp_path / "out"
    out.mkdir()
    (out / "dense105.keras").write_text("the old one")
    for format in ("keras", "tflite"):
        with pytest.raises(ArtifactError, match=rf"model\.onnx and its \.{format} file differ by 0\.0.* nothing was"):
            export(copied, format, out, report=out / "figures.json", force=True)
    assert names(out) == ["dense105.keras"] and (out / "dense105.keras").read_text() == "the old one"


@pytest.mark.slow
def test_a_network_without_the_heads_of_the_graph(tmp_path, frames):
    import keras

    folder = store(tmp_path / "models" / "headless", frames(None), convolution(1))
    network = keras.saving.load_model(folder / "model-0.keras")
    keras.Model(network.input, network.outputs[0]).save(folder / "model-0.keras")
    rehash(folder)
    with pytest.raises(ArtifactError, match=r"expected outputs of shapes .*\(1, 2\).* gives \[\(\d, 8\)\]"):
        export(folder, "keras", tmp_path / "out")
    assert names(tmp_path) == ["models"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.keras", "scaler.joblib"])
def test_a_file_that_was_left_out(copied, tmp_path, name):
    (copied / name).unlink()
    with pytest.raises(ArtifactError, match=f"dense105/{name} is missing, only onnx"):
        export(copied, "keras", tmp_path / "out")
    assert names(tmp_path) == ["models"]
    export(copied, "onnx", tmp_path / "out")
    assert names(tmp_path / "out") == ["dense105.onnx"]


@pytest.mark.slow
def test_a_keras_file_that_is_none(copied, tmp_path):
    (copied / "model.keras").write_bytes(b"only words")
    rehash(copied)
    with pytest.raises(ArtifactError, match=r"dense105/model\.onnx cannot be held by a \.keras file"):
        export(copied, "keras", tmp_path / "out")
    assert names(tmp_path) == ["models"]


@pytest.mark.slow
def test_existing_files_are_replaced_only_when_forced(tmp_path):
    (tmp_path / "dense105.onnx").write_text("mine")
    with pytest.raises(ParameterError, match=r"dense105\.onnx exists already; choose another path, or --force"):
        export("dense105", "onnx", tmp_path)
    assert (tmp_path / "dense105.onnx").read_text() == "mine"
    export("dense105", "onnx", tmp_path, force=True)
    assert names(tmp_path) == ["dense105.onnx"] and sha256(tmp_path / "dense105.onnx") == sha256(SHIPPED / "model.onnx")


@pytest.mark.slow
def test_a_report_replaces_nothing_unasked(tmp_path):
    (tmp_path / "clip.wav").write_text("mine")
    with pytest.raises(ParameterError, match=r"clip\.wav exists already; choose another path, or --force"):
        export("dense105", "onnx", tmp_path / "out", report=tmp_path / "clip.wav")
    assert names(tmp_path) == ["clip.wav"] and (tmp_path / "clip.wav").read_text() == "mine"


@pytest.mark.slow
def test_places_that_cannot_be(tmp_path):
    with pytest.raises(ParameterError, match=r"cannot be written: File name too long"):
        export("dense105", "onnx", tmp_path / ("x" * 300))
    (tmp_path / "file").write_text("mine")
    for out, report in ((tmp_path / "file", None), (tmp_path / "out", tmp_path / "file" / "figures.json")):
        with pytest.raises(ParameterError, match=r"cannot be written: (File exists|Not a directory)"):
            export("dense105", "onnx", out, report=report)
    with pytest.raises(ParameterError, match=r"x\.keras cannot hold 1 onnx file\(s\)"):
        export("dense105", "onnx", tmp_path / "x.keras")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["file"]


def test_no_recordings(tmp_path):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ParameterError, match=f"No recordings to check with in .*{folder.name}; name a folder"):
            export("dense105", "onnx", tmp_path / "out", check=folder)


# --- The command ---


@pytest.mark.slow
def test_the_command_prints_the_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    words = ["export", "--model", "dense105", "--format", "onnx", "--out", str(tmp_path)]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0 and f"on {N_SAMPLES} clips" in result.stdout
    for word in ("dense105.onnx", "0.92 MB", " ms ", "0.0e+00"):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "h5"], "is not one of"),
        (["--format", "onnx", "--model", "nope"], "No model 'nope'"),
        ([], "Missing option '--format'"),
    ],
)
def test_the_command_refuses_with_2(monkeypatch, capsys, words, said):
    monkeypatch.setattr("sys.argv", ["ser", "export", *words])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    captured = capsys.readouterr()
    assert exit.value.code == 2 and captured.out == "" and said in captured.err
