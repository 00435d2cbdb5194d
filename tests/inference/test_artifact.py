"""The model's folder: every damage is an `ArtifactError`, nothing is opened unchecked, nothing is ever unpickled."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.make import RATE, voice

import ser
from ser.inference import artifact
from ser.inference.artifact import ARTIFACTS, sha256, verify
from ser.inference.manifest import FIELDS, HEADS, MANIFEST, read_manifest
from ser.types import EMOTIONS, ArtifactError, ParameterError, Waveform

SHIPPED = ARTIFACTS / "dense105"
SHIPPED_MANIFEST = read_manifest(SHIPPED)
NEEDED = ["model.onnx", "golden.npz", "novelty.npz"]
RECIPE = SHIPPED_MANIFEST["branches"][0]["recipe"]
FRAMES = RECIPE.replace("voice105", "voice-frames")  # of the same version
ADAPTATION = {"temperature_ratio": 2.0}
NONSENSE: list[Any] = [
    None,
    True,
    0,
    -7,
    10**400,
    1.5,
    -1.0,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    [[]],
    {},
    {"": 0},
]


class Planted:
    """Unpickling one of these leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.marker),))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of what answering needs of the shipped model."""
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in (MANIFEST, *NEEDED):
        shutil.copy(SHIPPED / name, copied)
    return copied


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def rehash(folder: Path) -> None:
    """The manifest made to agree with the files, as someone would who tampers with care."""
    files = {name: sha256(folder / name) for name in names(folder) if name != MANIFEST}
    edit(folder, lambda manifest: manifest["files"].update(files))


def put(folder: Path, place: tuple[Any, ...], value: Any) -> None:
    """Set, or with `...` remove, one entry of the manifest."""

    def change(manifest: Any) -> None:
        for key in place[:-1]:
            manifest = manifest[key]
        if value is ...:
            del manifest[place[-1]]
        else:
            manifest[place[-1]] = value

    edit(folder, change)


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


@pytest.mark.slow
def test_shipped_model_and_its_copy_load(folder):
    assert ser.load(SHIPPED).labels == ser.load(folder).labels == EMOTIONS
    assert verify(SHIPPED).name == "dense105"


# --- The manifest ---


@pytest.mark.parametrize("field", [name for name in FIELDS if not name.endswith("?")])
def test_missing_field(folder, field):
    put(folder, (field,), ...)
    with pytest.raises(ArtifactError, match=rf"manifest\.json: expected '?{field}.* found None"):
        ser.load(folder)


@pytest.mark.parametrize(("name", "shape"), FIELDS.items(), ids=FIELDS)
def test_field_of_a_wrong_type(folder, name, shape):
    field = name.removesuffix("?")
    for value in NONSENSE:
        if type(value) is not (shape if isinstance(shape, type) else type(shape)):
            put(folder, (field,), value)
            with pytest.raises(ArtifactError, match=rf"manifest\.json: expected '?{field}"):
                ser.load(folder)


DAMAGES: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "another schema": (("schema",), "ser-artifact/2", r"expected schema 'ser-artifact/1', found 'ser-artifact/2'"),
    "labels out of order": (("labels",), [*EMOTIONS[1:], "neutral"], "in this order"),
    "an unknown label": (("labels", 7), "bored", "expected labels from neutral.*bored"),
    "a label twice": (("labels", 7), "calm", "expected labels from"),
    "no labels": (("labels",), [], "expected labels from"),
    "one label": (("labels",), ["sad"], "expected labels from"),
    "labels of lists": (("labels",), [["sad"], ["calm"]], r"expected 'labels\[0\]' as str"),
    "fewer labels than outputs": (("labels",), list(EMOTIONS[:7]), "expected 7 outputs, one a label, found 8"),
    "no branch": (("branches",), [], "expected at least one branch"),
    "a branch too many": (("branches",), 2 * SHIPPED_MANIFEST["branches"], "one file a branch"),
    "a branch that is text": (("branches", 0), "model.onnx", r"expected 'branches\[0\]' as dict"),
    "an unknown recipe": (("branches", 0, "recipe"), "voice9-v1", "recipe 'voice9-v1'; known: voice105-v1"),
    "no recipe": (("branches", 0, "recipe"), ..., r"expected 'branches\[0\]\.recipe' as str, found None"),
    "no weight": (("branches", 0, "weight"), ..., r"'branches\[0\]\.weight' as finite float"),
    "weight 0": (("branches", 0, "weight"), 0.0, "expected a weight from 0.001 to 1000"),
    "weight NaN": (("branches", 0, "weight"), float("nan"), "'.*weight' as finite float, found nan"),
    "temperature 0": (("temperature",), 0.0, "expected a temperature from 0.001 to 1000, found 0.0"),
    "temperature below 0": (("temperature",), -1.0, "expected a temperature from 0.001 to 1000"),
    "temperature infinite": (("temperature",), float("inf"), "'temperature' as finite float"),
    "threshold NaN": (
        ("thresholds", "confidence"),
        float("nan"),
        r"'thresholds\.confidence' as finite float, found nan",
    ),
    "threshold missing": (("thresholds", "confidence"), ..., r"'thresholds\.confidence'.*found None"),
    "threshold of text": (("thresholds", "confidence"), "0.5", r"'thresholds\.confidence'.*found '0.5'"),
    "novelty without threshold": (("novelty", "threshold"), ..., r"'novelty\.threshold'"),
    "novelty threshold NaN": (("novelty", "threshold"), float("nan"), r"'novelty\.threshold' as finite float"),
    "novelty deciles that fall": (
        ("novelty", "deciles"),
        [1.0, 0.9],
        r"expected .novelty\.deciles. to rise, found \[1\.0, 0\.9\]",
    ),
    "novelty deciles of text": (("novelty", "deciles"), ["far"], r"'novelty\.deciles\[0\]' as finite float"),
    "novelty of no branch": (("novelty", "branch"), 1, r"expected 'novelty\.branch' below 1, found 1"),
    "novelty unlisted": (("novelty", "file"), "other.npz", "no SHA-256 for other.npz"),
    "graph unlisted": (("files", "model.onnx"), ..., "no SHA-256 for model.onnx"),
    "golden unlisted": (("files", "golden.npz"), ..., "no SHA-256 for golden.npz"),
    "fold's graph unlisted": (("folds", 0, "files", 0), "folds/other.onnx", "no SHA-256 for folds/other.onnx"),
    "fold without files": (("folds", 0, "files"), [], "one file a branch in every entry of 'folds'"),
    "fold at temperature 0": (("folds", 0, "temperature"), 0.0, "expected a temperature from 0.001 to 1000"),
    "random split without test": (("random", "test"), ..., r"'random\.test' as list"),
    "hash that is none": (("files", "model.onnx"), 5, r"'files\.model\.onnx' as str, found 5"),
    "hash in capitals": (("files", "model.onnx"), SHIPPED_MANIFEST["files"]["model.onnx"].upper(), "SHA-256"),
    "UAR of text": (("metrics", "folds"), {"uar": "high"}, r"'metrics\.folds\.uar' as finite float"),
}


def assert_refused(folder: Path, place: tuple, value: Any, match: str) -> None:
    """Put a value into the manifest; the model is refused by an error that names it."""
    put(folder, place, value)
    with pytest.raises(ArtifactError, match=match) as raised:
        ser.load(folder)
    assert "copied" in str(raised.value) or "dense105" in str(raised.value)


@pytest.mark.parametrize(("place", "value", "match"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_field(folder, place, value, match):
    assert_refused(folder, place, value, match)


@pytest.fixture
def adaptive(folder) -> Path:
    """The shipped model as one that knows how sure adapted answers are and names the recipe of its novelty."""
    put(folder, ("adaptation",), ADAPTATION)
    put(folder, ("novelty", "recipe"), RECIPE)
    put(folder, ("novelty", "branch"), ...)
    return folder


def test_what_a_model_may_have_and_dense105_lacks(adaptive):
    put(adaptive, ("reduce_noise",), False)
    sound = Waveform(voice(2.0), RATE)
    recognizer = ser.load(adaptive)
    answer, plain = recognizer.predict(sound), ser.load(SHIPPED).predict(sound)
    assert answer.probabilities == pytest.approx(plain.probabilities) and answer.reasons == plain.reasons
    adapted, likewise = (each.calibrated([sound]).predict(sound) for each in (recognizer, ser.load(SHIPPED)))
    flatter = np.sqrt([*likewise.probabilities.values()])  # at twice the temperature
    assert [*adapted.probabilities.values()] == pytest.approx(flatter / flatter.sum())


def test_keys_of_an_earlier_adaptation_are_passed_over(adaptive):
    earlier = {"file": "gone.npz", "recipes": [RECIPE], "prior_clips": 5.0, **ADAPTATION}
    put(adaptive, ("adaptation",), earlier)
    put(adaptive, ("folds", 0, "adaptation"), "folds/gone.npz")
    assert ser.load(adaptive).labels == EMOTIONS


ADAPTIVE_DAMAGES: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "adaptation without ratio": (
        ("adaptation", "temperature_ratio"),
        ...,
        r"'adaptation\.temperature_ratio' as finite float, found None",
    ),
    "adaptation of ratio NaN": (
        ("adaptation", "temperature_ratio"),
        float("nan"),
        "temperature_ratio' as finite float",
    ),
    "adaptation of ratio 0": (
        ("adaptation", "temperature_ratio"),
        0.0,
        "expected a temperature_ratio from 0.001 to 1000, found 0.0",
    ),
    "adaptation of ratio 1": (("adaptation", "temperature_ratio"), 1, "temperature_ratio' as finite float, found 1"),
    "adaptation of a number": (("adaptation",), 1.0, "expected 'adaptation' as dict, found 1.0"),
    "adapted threshold of text": (("thresholds", "adapted"), "high", r"'thresholds\.adapted' as finite float"),
    "no heads": (("heads",), [], r"expected 'heads' as \['female', 'strong', 'home'\], found \[\]"),
    "other heads": (("heads",), ["strong", "female"], r"expected 'heads' as \['female', .*\], found \['strong'"),
    "a head that is no text": (("heads",), ["female", 1], r"expected 'heads\[1\]' as str, found 1"),
    "heads that no graph gives": (
        ("heads",),
        ["female", "strong"],
        r"model\.onnx: expected a second output of 2 \(female, strong\), found none",
    ),
    "only home branches": (
        ("branches", 0, "home"),
        True,
        "expected branches that are not 'home' beside those that are",
    ),
    "a home scale without home branches": (
        ("home_scale",),
        2.0,
        "expected 'home_scale', .* together, with branches of",
    ),
    "temperature near 0": (("temperature",), 1e-320, "expected a temperature from 0.001 to 1000, found 1e-320"),
    "weight without end": (("branches", 0, "weight"), 1e308, r"expected a weight from 0.001 to 1000, found 1e\+308"),
    "threshold below 0": (
        ("thresholds", "confidence"),
        -1.0,
        r"expected 'thresholds\.confidence' from 0 to 2, found -1",
    ),
    "home scale of text": (("home_scale",), "2", "'home_scale' as finite float, found '2'"),
    "a threshold for home without its head": (
        ("thresholds", "home"),
        0.6,
        r"expected 'home_scale', 'thresholds\.home' and 'thresholds\.home_adapted' together, with branches of 'home'",
    ),
    "home of a number": (("branches", 0, "home"), 1, r"expected 'branches\[0\]\.home' as bool, found 1"),
    "noise reduction of a number": (("reduce_noise",), 1, "expected 'reduce_noise' as bool, found 1"),
    "novelty of an unknown recipe": (("novelty", "recipe"), "voice9-v1", "recipe 'voice9-v1'; known: voice105-v1"),
    "novelty of a recipe that is no text": (("novelty", "recipe"), None, r"'novelty\.recipe' as str, found None"),
    "novelty of another recipe": (
        ("novelty", "recipe"),
        RECIPE.replace("voice105", "functionals"),
        r"expected mean finite and of shape \(2257,\)",
    ),
    "novelty of frames": (("novelty", "recipe"), FRAMES, r"expected mean finite and of shape \(201, 101\)"),
    "novelty of neither recipe nor branch": (("novelty", "recipe"), ..., r"'novelty\.branch' below 1, found None"),
}


@pytest.mark.parametrize(("place", "value", "match"), ADAPTIVE_DAMAGES.values(), ids=ADAPTIVE_DAMAGES)
def test_damaged_field_of_what_a_model_may_have(adaptive, place, value, match):
    assert_refused(adaptive, place, value, match)


RAW = {
    "empty": (b"", "cannot be read"),
    "not JSON": (b"schema: ser-artifact/1", "cannot be read"),
    "half": (json.dumps(SHIPPED_MANIFEST)[:2000].encode(), "cannot be read"),
    "a list": (b"[]", "expected schema 'ser-artifact/1', found 'list'"),
    "null": (b"null", "found 'NoneType'"),
    "a number": (b"5", "found 'int'"),
    "an empty object": (b"{}", "expected schema 'ser-artifact/1', found None"),
    "UTF-16": (json.dumps(SHIPPED_MANIFEST).encode("utf-16"), "cannot be read"),
    "deep": (b"[" * 200_000, "cannot be read"),
    "deep in a field": (b'{"schema": ' + b'{"a":' * 200_000, "cannot be read"),
    "a huge number": (b"9" * 10_000, "cannot be read"),
}


@pytest.mark.parametrize(("data", "match"), RAW.values(), ids=RAW)
def test_manifest_that_is_none(folder, data, match):
    (folder / MANIFEST).write_bytes(data)
    with pytest.raises(ArtifactError, match=match):
        ser.load(folder)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every entry of the manifest; of long lists and dictionaries to the first of them."""
    if isinstance(value, dict | list):
        items = list(value.items())[:20] if isinstance(value, dict) else list(enumerate(value))[:1]
        for key, part in items:
            yield (*place, key)
            yield from places(part, (*place, key))


def with_value(manifest: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of the manifest with another value in one place."""
    if not place:
        return value
    copy = manifest.copy()
    copy[place[0]] = with_value(manifest[place[0]], place[1:], value)
    return copy


@pytest.mark.slow
def test_nonsense_anywhere_is_refused_or_harmless(tmp_path, monkeypatch):
    """Whatever stands wherever in the manifest: `ArtifactError`, or one that can be answered with."""
    monkeypatch.setattr(artifact, "ARTIFACTS", tmp_path)
    monkeypatch.delenv("SER_MODEL", raising=False)
    folder = tmp_path / "dense105"
    folder.mkdir()
    slim = with_value(SHIPPED_MANIFEST, ("random", "test"), ["a"])
    slim = with_value(slim, ("folds",), slim["folds"][:1])
    slim |= {"adaptation": ADAPTATION, "heads": list(HEADS), "reduce_noise": False}
    taken = set()
    for place in places(slim):
        for value in (None, float("nan"), 0, "x", [[]], {"": 0}):
            (folder / MANIFEST).write_text(json.dumps(with_value(slim, place, value)))
            try:
                assert artifact.find() == folder
                taken.add(place[0])
            except ArtifactError as error:
                assert "dense105/manifest.json" in str(error)
    # Free text, hashes (which then do not hold), and what only reports print.
    free, printed = {"created", "name", "golden", "branches", "novelty", "folds", "random"}, {"metrics", "versions"}
    assert taken == free | {"files", "training"} | printed


# --- The files ---


@pytest.mark.parametrize("name", SHIPPED_MANIFEST["files"])
def test_one_bit_flipped(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    shutil.copy(SHIPPED / name, folder / name)
    assert ser.load(folder).labels == EMOTIONS
    flip(folder / name, -200)
    with pytest.raises(ArtifactError, match=f"copied/{name} is not the file .* expected SHA-256 [0-9a-f]+, found"):
        ser.load(folder)


@pytest.mark.parametrize("name", NEEDED)
def test_needed_file_missing(folder, name):
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"copied/{name} is missing; fetch"):
        ser.load(folder)


@pytest.mark.parametrize("name", NEEDED)
def test_needed_file_is_a_folder(folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(ArtifactError, match=f"copied/{name} is missing"):
        ser.load(folder)


def test_graph_of_another_model(folder):
    shutil.copy(SHIPPED / "folds" / "fold1.onnx", folder / "model.onnx")
    with pytest.raises(ArtifactError, match=r"copied/model\.onnx is not the file of this model: expected SHA-256"):
        ser.load(folder)
    rehash(folder)
    with pytest.raises(ArtifactError, match=r"model\.onnx does not give its stored answer \(golden\.npz\)"):
        ser.load(folder)


@pytest.mark.parametrize("name", NEEDED)
def test_nothing_is_opened_before_every_hash_holds(folder, name):
    """Junk in a needed file, agreed on by the manifest, is not met as long as any other hash is wrong."""
    (folder / name).write_bytes(b"this is not what it should be")
    with pytest.raises(ArtifactError, match=rf"copied/{name} is not the file of this model: expected SHA-256"):
        ser.load(folder)
    rehash(folder)
    shutil.copy(SHIPPED / "scaler.joblib", folder)
    flip(folder / "scaler.joblib", 0)
    with pytest.raises(ArtifactError, match=r"copied/scaler\.joblib is not the file of this model"):
        ser.load(folder)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"\x08\x09", b"words " * 100], ids=["empty", "zip", "stub", "text"]
)
@pytest.mark.parametrize("name", NEEDED)
def test_junk_with_the_right_hash(folder, name, data):
    (folder / name).write_bytes(data)
    rehash(folder)
    with pytest.raises(ArtifactError, match=name):
        ser.load(folder)


ESCAPES = [
    "../model.onnx",
    "/etc/passwd",
    "a/../../b",
    "..",
    ".",
    "",
    "..\\model.onnx",
    "C:\\x",
    "a\0b",
    "\ud800",
    "m" * 300,
]


@pytest.mark.parametrize("name", ESCAPES, ids=ascii)
@pytest.mark.parametrize(
    "place",
    [("branches", 0, "file"), ("golden",), ("novelty", "file"), ("folds", 0, "files", 0), ("random", "files", 0)],
    ids=str,
)
def test_names_that_lead_out_of_the_folder(folder, place, name):
    shutil.copy(folder / "model.onnx", folder.parent)
    put(folder, place, name)
    with pytest.raises(ArtifactError, match="expected file names inside the folder"):
        ser.load(folder)
    put(folder, ("files", name), sha256(folder / "model.onnx"))
    with pytest.raises(ArtifactError, match="expected file names inside the folder"):
        ser.load(folder)


def golden(folder: Path, **arrays: Any) -> None:
    np.savez(folder / "golden.npz", **arrays)
    rehash(folder)


@pytest.mark.slow
def test_golden_that_does_not_hold(folder):
    with np.load(folder / "golden.npz") as stored:
        given, answer = stored["input_0"], stored["output_0"]
    for wrong in (answer + 0.01, answer[::-1], given[:, :8]):
        golden(folder, input_0=given, output_0=wrong)
        with pytest.raises(ArtifactError, match=r"model\.onnx does not give its stored answer \(golden\.npz\)"):
            ser.load(folder)
    for wrong in (answer * np.nan, answer[:, :7], answer[:0], answer[:, :, None], answer[0]):
        golden(folder, input_0=given, output_0=wrong)
        with pytest.raises(ArtifactError, match=r"golden\.npz: expected output_0 finite and of shape \(None, 8\)"):
            ser.load(folder)
    for wrong in (given[:, :104], given[0], given[:0], given[:, :, None], given * np.inf):
        golden(folder, input_0=wrong, output_0=answer)
        with pytest.raises(ArtifactError, match=r"golden\.npz: expected input_0 finite and of shape \(None, 105\)"):
            ser.load(folder)
    golden(folder, input_0=given, output_0=answer)
    assert ser.load(folder).labels == EMOTIONS


@pytest.mark.parametrize("arrays", [{}, {"input_0": np.zeros((1, 105))}, {"input_0": "x", "output_0": "y"}], ids=str)
def test_golden_without_its_arrays(folder, arrays):
    golden(folder, **arrays)
    with pytest.raises(ArtifactError, match=r"golden\.npz does not hold input_0, output_0"):
        ser.load(folder)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"mean": np.zeros(105)},
        {"mean": np.zeros(3), "whitening": np.eye(105)},
        {"mean": np.zeros(105), "whitening": np.eye(3)},
        {"mean": np.zeros(105), "whitening": np.full((105, 105), np.nan)},
        {"mean": "x", "whitening": "y"},
    ],
    ids=["none", "no whitening", "other mean", "other whitening", "NaN", "text"],
)
def test_novelty_without_its_arrays(folder, arrays):
    np.savez(folder / "novelty.npz", **arrays)
    rehash(folder)
    with pytest.raises(ArtifactError, match=r"novelty\.npz"):
        ser.load(folder)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [[1, 105], [None, 7], []], ids=str)
def test_graph_that_takes_or_gives_something_else(folder, shape):
    """A graph that hands its input on: of the wrong width, or with no width at all."""
    from onnx import TensorProto, checker, helper, save

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("features", "answer")]
    graph = helper.make_graph([helper.make_node("Identity", ["features"], ["answer"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, folder / "model.onnx")
    rehash(folder)
    with pytest.raises(ArtifactError, match=r"model\.onnx: expected 8 outputs, one a label, found"):
        ser.load(folder)


@pytest.mark.slow
def test_planted_pickle_is_never_run(folder, tmp_path):
    marker = tmp_path / "marker"
    with pytest.raises(FileExistsError):  # the trap works
        marker.mkdir()
        pickle.loads(pickle.dumps(Planted(marker)))
    marker.rmdir()
    (folder / "scaler.joblib").write_bytes(pickle.dumps(Planted(marker)))
    (folder / "model.keras").write_bytes(pickle.dumps(Planted(marker)))
    rehash(folder)
    assert ser.load(folder).predict(Waveform(voice(1.0), RATE)).label in EMOTIONS
    for name, arrays in (("golden.npz", ("input_0", "output_0")), ("novelty.npz", ("mean", "whitening"))):
        kept = (folder / name).read_bytes()
        np.savez(folder / name, **{key: np.array([Planted(marker)], object) for key in arrays})
        rehash(folder)
        with pytest.raises(ArtifactError, match=name):
            ser.load(folder)
        (folder / name).write_bytes(pickle.dumps(Planted(marker)))
        rehash(folder)
        with pytest.raises(ArtifactError, match=name):
            ser.load(folder)
        (folder / name).write_bytes(kept)
    assert not marker.exists()


# --- Which model ---


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Puts models that differ in name, labels and UAR on an empty shelf."""
    monkeypatch.setattr(artifact, "ARTIFACTS", tmp_path / "artifacts")
    monkeypatch.delenv("SER_MODEL", raising=False)

    def place(name: str, uar: float, labels: tuple[str, ...] = EMOTIONS) -> Path:
        folder = tmp_path / "artifacts" / name
        folder.mkdir(parents=True)
        scores = {"folds": {"uar": uar}}
        (folder / MANIFEST).write_text(
            json.dumps({**SHIPPED_MANIFEST, "name": name, "labels": list(labels), "metrics": scores})
        )
        return folder

    return place


def test_the_best_of_those_that_answer_all_eight(shelf, monkeypatch):
    fair, good, narrow = shelf("fair", 0.4), shelf("good", 0.6), shelf("narrow", 0.9, EMOTIONS[:4])
    assert artifact.find() == good
    assert artifact.find("narrow") == narrow and artifact.find(str(fair)) == fair and artifact.find(fair) == fair
    monkeypatch.setenv("SER_MODEL", "fair")
    assert artifact.find() == fair and artifact.find("good") == good
    monkeypatch.setenv("SER_MODEL", "gone")
    with pytest.raises(ArtifactError, match=r"'gone'.* known: fair, good, narrow"):
        artifact.find()


def test_half_written_models_are_not_known(shelf):
    shelf("good", 0.6)
    shelf(".better-x1y2", 0.9)
    assert list(artifact.known()) == ["good"] and artifact.find().name == "good"


def test_an_empty_shelf(shelf):
    with pytest.raises(ArtifactError, match="No model that answers all eight emotions"):
        ser.load()
    with pytest.raises(ArtifactError, match="none in artifacts/"):
        ser.load("dense105")
    shelf("narrow", 0.9, EMOTIONS[:4])
    with pytest.raises(ArtifactError, match="No model that answers all eight emotions"):
        ser.load()


@pytest.mark.parametrize("name", ["nope", "dense", "../artifacts", "a\0b", "n" * 400, "."])
def test_unknown_model_lists_the_known(name):
    with pytest.raises(ArtifactError, match=r"neither a folder with a manifest\.json nor one of the known: .*dense105"):
        ser.load(name)


# --- Writing ---


def fill(beside: Path) -> dict[str, Any]:
    for name in NEEDED:
        shutil.copy(SHIPPED / name, beside)
    (beside / "folds").mkdir()
    shutil.copy(SHIPPED / "folds" / "fold1.onnx", beside / "folds")
    return {
        **{key: SHIPPED_MANIFEST[key] for key in SHIPPED_MANIFEST if key not in ("files", "folds", "random")},
        "folds": [{"name": "fold1", "files": ["folds/fold1.onnx"], "test": ["ravdess/01"], "temperature": 1.0}],
    }


def test_write_and_read(tmp_path):
    folder = artifact.write(tmp_path / "deep" / "made", fill)
    assert folder == tmp_path / "deep" / "made" and ser.load(folder).labels == EMOTIONS
    files = read_manifest(folder)["files"]
    assert files.keys() == {*NEEDED, "folds/fold1.onnx"}
    assert all(sha256(folder / name) == digest for name, digest in files.items())
    assert names(folder.parent) == ["made"]
    assert folder.stat().st_mode & 0o755 == 0o755  # readable by whoever answers with it


def test_write_replaces_only_when_forced(tmp_path):
    folder = artifact.write(tmp_path / "made", fill)
    (folder / "note").write_text("mine")
    with pytest.raises(ArtifactError, match=r"made exists already; .*--force"):
        artifact.write(folder, lambda beside: pytest.fail("asked before the work is done"))
    assert (folder / "note").exists()
    artifact.write(folder, fill, force=True)
    assert not (folder / "note").exists() and ser.load(folder).labels == EMOTIONS
    assert names(tmp_path) == ["made"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_failing_write_leaves_the_old_one(tmp_path, error):
    folder = artifact.write(tmp_path / "made", fill)
    before = (folder / MANIFEST).read_bytes()

    def half(beside: Path) -> dict[str, Any]:
        assert beside.parent == tmp_path and beside.name.startswith((".made-", ".other-"))
        fill(beside)
        raise error

    for target in (folder, tmp_path / "other"):
        with pytest.raises(type(error)):
            artifact.write(target, half, force=True)
    with pytest.raises(TypeError):  # a manifest that cannot be written
        artifact.write(folder, lambda beside: {**fill(beside), "extra": object()}, force=True)
    assert names(tmp_path) == ["made"] and (folder / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("error", [OSError("disk gone"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("renames", [0, 1])
def test_a_swap_that_is_broken_off_leaves_the_old_one(tmp_path, monkeypatch, error, renames):
    """Broken off after so many of the renames that put the new one in the old one's place."""
    folder = artifact.write(tmp_path / "made", fill)
    (folder / "note").write_text("mine")
    real, done = Path.rename, []

    def rename(path: Path, target: Path) -> Path:
        done.append(path)
        if len(done) == renames + 1:
            raise error
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(type(error)):
        artifact.write(folder, fill, force=True)
    assert names(tmp_path) == ["made"] and (folder / "note").read_text() == "mine"


KILLED = """
import os, signal, sys
from pathlib import Path
from ser.inference import artifact
def half(beside):
    (beside / "model.onnx").write_bytes(b"half")
    (beside / "manifest.json").write_text("{}")
    os.kill(os.getpid(), signal.SIGKILL)
artifact.write(Path(sys.argv[1]), half, force=True)
"""


@pytest.mark.slow
def test_killed_write_leaves_the_old_one(tmp_path, monkeypatch):
    folder = artifact.write(tmp_path / "made", fill)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=ARTIFACTS.parent, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert ser.load(folder).labels == EMOTIONS
    monkeypatch.setattr(artifact, "ARTIFACTS", tmp_path)
    assert list(artifact.known()) == ["made"]
    artifact.write(folder, fill, force=True)
    assert ser.load(folder).labels == EMOTIONS


def test_two_writers_do_not_share_a_folder(tmp_path):
    seen = []

    def outer(beside: Path) -> dict[str, Any]:
        seen.append(beside)
        if len(seen) == 1:
            artifact.write(tmp_path / "made", outer)
        return fill(beside)

    artifact.write(tmp_path / "made", outer, force=True)
    assert seen[0] != seen[1] and ser.load(tmp_path / "made").labels == EMOTIONS


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "-x", "a b", "ä", "a\n"])
def test_names_that_cannot_be_folders(name):
    with pytest.raises(ParameterError, match="A model's name is made of letters"):
        artifact.check_name(name)


@pytest.mark.parametrize("name", ["dense105", "my_model-2.1", "A"])
def test_names_that_can(name):
    assert artifact.check_name(name) == name


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    """The system's refusal is put in its mouth: it lets root read everything."""

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(artifact, "sha256", refuse)
    with pytest.raises(ArtifactError, match=r"copied/.* cannot be read \(Permission denied\)\. Check its rights"):
        ser.load(folder)
