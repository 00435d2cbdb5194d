"""Artifacts: one folder a released model, written beside and renamed, verified before a graph is opened."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ser.features.log_mel import N_MELS
from ser.features.recipes import RECIPES
from ser.inference.encoder import Encoder
from ser.inference.manifest import MANIFEST, graphs, needed, read_manifest
from ser.inference.sessions import open_session
from ser.types import EMOTIONS, ArtifactError, ParameterError

INSTALLED = Path(__file__).resolve().parents[1] / "artifacts"  # of the wheel
ARTIFACTS = INSTALLED if INSTALLED.is_dir() else INSTALLED.parent.parent / "artifacts"
MODEL_VARIABLE = "SER_MODEL"
GOLDEN_TOLERANCE = 1e-4  # largest difference of a log-probability from the stored one
# Of a statistic of the encoder, whose standard deviation is 0.3: its integers round differently on other processors.
ENCODER_TOLERANCE = 0.02


class Branch(NamedTuple):
    """One network of a model: its recipe, its graph, the weight of its log-probabilities, and for what it counts."""

    recipe: str
    file: str
    weight: float
    home: bool = False  # only for recordings that are made like those of the first corpus


@dataclass(frozen=True)
class Artifact:
    """A verified folder with its manifest."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of the networks' outputs."""
        return tuple(self.manifest["labels"])

    @property
    def branches(self) -> tuple[Branch, ...]:
        return tuple(
            Branch(entry["recipe"], entry["file"], entry["weight"], entry.get("home", False))
            for entry in self.manifest["branches"]
        )

    def path(self, file: str) -> Path:
        return self.folder / file


def known() -> dict[str, Path]:
    """Return the folder of every artifact of the project or installation by name; hidden folders are unfinished."""
    return {path.parent.name: path.parent for path in sorted(ARTIFACTS.glob(f"[!.]*/{MANIFEST}"))}


def find(model: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of a model by name or folder.

    By default that of `SER_MODEL`, else the artifact with the highest six-fold UAR among those that answer all eight
    emotions. Raises `ArtifactError`, which lists the known ones, and `ParameterError` if `model` is neither.
    """
    if not isinstance(model, str | os.PathLike | None):
        raise ParameterError(f"A model is given by its name or its folder, found {model!r:.80}.")
    model, folders = model or os.environ.get(MODEL_VARIABLE) or _best(), known()
    if str(model) in folders:
        return folders[str(model)]
    with suppress(OSError):  # a name too long for any folder
        if (Path(model) / MANIFEST).is_file():
            return Path(model)
    names = ", ".join(folders) or f"none in {ARTIFACTS.name}/"
    raise ArtifactError(f"No model {str(model)!r}: neither a folder with a {MANIFEST} nor one of the known: {names}.")


def _best() -> str:
    manifests = {name: read_manifest(folder) for name, folder in known().items()}
    metrics = {name: entry["metrics"] for name, entry in manifests.items() if tuple(entry["labels"]) == EMOTIONS}
    if not metrics:
        raise ArtifactError(f"No model that answers all eight emotions in {ARTIFACTS.name}/; train one or name one.")
    return max(metrics, key=lambda name: metrics[name].get("folds", {}).get("uar", 0.0))


def verify(folder: Path) -> Artifact:
    """Return the artifact of a folder after a check of schema, recipes and the SHA-256 of every file.

    Files that answering needs must be present; those for training and scoring may be absent from an installation.
    """
    manifest = read_manifest(folder)
    answering = needed(manifest)
    unlisted = (answering | graphs(manifest)) - set(manifest["files"])
    if unlisted:
        raise ArtifactError(f"{folder.name}/{MANIFEST} gives no SHA-256 for {', '.join(sorted(unlisted))}.")
    for name, expected in manifest["files"].items():
        if (folder / name).is_file():
            _check_hash(folder / name, f"{folder.name}/{name}", expected)
        elif name in answering:
            raise ArtifactError(f"{folder.name}/{name} is missing; fetch the model's folder again.")
    return Artifact(folder, manifest)


def _check_hash(path: Path, label: str, expected: str) -> None:
    try:
        digest = sha256(path)
    except OSError as error:
        raise ArtifactError(f"{label} cannot be read ({error.strerror}). Check its rights.") from error
    if digest != expected:
        raise ArtifactError(f"{label} is not the file of this model: expected SHA-256 {expected}, found {digest}.")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_digest(folder: Path) -> str:
    """Return the SHA-256 of an artifact's manifest, which identifies the version of the model."""
    return sha256(folder / MANIFEST)


def reference(folder: Path) -> str:
    """Return what `find` takes on any machine for a known model: its name; else the absolute path."""
    return folder.name if known().get(folder.name) == folder else str(folder.resolve())


def open_graph(artifact: Artifact, file: str, recipe: str | None = None) -> Any:
    """Return an ONNX Runtime session for one graph of a verified artifact, on one thread.

    Raises `ArtifactError` unless its outputs fit the labels and heads, and its input the `recipe`, if given.
    """
    session = open_session(artifact.path(file), f"{artifact.name}/{file}")
    _check_ends(session, artifact, file, recipe)
    return session


def _check_ends(session: Any, artifact: Artifact, file: str, recipe: str | None) -> None:
    """Check the input of a graph against the recipe, its outputs against labels and heads."""
    where, heads = f"{artifact.name}/{file}", artifact.manifest.get("heads", [])
    width, *more = [(output.shape or [0])[-1] for output in session.get_outputs()]
    if width != len(artifact.labels):
        raise ArtifactError(f"{where}: expected {len(artifact.labels)} outputs, one a label, found {width}.")
    if heads and more[:1] != [len(heads)]:
        second = more[0] if more else "none"
        raise ArtifactError(f"{where}: expected a second output of {len(heads)} ({', '.join(heads)}), found {second}.")
    shape = session.get_inputs()[0].shape[1:]  # numbers, or the name of a free axis
    given = RECIPES[recipe].shape if recipe else shape
    if len(shape) != len(given) or any(isinstance(n, int) and n != m for n, m in zip(shape, given, strict=True)):
        raise ArtifactError(f"{where} does not take what recipe {recipe} gives: expected {given}, found {shape}.")


def open_encoder(artifact: Artifact) -> Encoder | None:
    """Return the artifact's encoder, checked against its stored example; None if the model has none."""
    entry = artifact.manifest.get("encoder")
    if entry is None:
        return None
    name = f"{artifact.name}/{entry['file']}"
    encoder = Encoder(artifact.path(entry["file"]), name)
    golden = artifact.manifest["golden"]
    given, expected = read_arrays(artifact, golden, log_mel=(N_MELS, None), statistics=(encoder.size,))
    difference = float(np.abs(encoder(given) - expected).max())
    if not difference <= ENCODER_TOLERANCE:
        reason = f"expected a difference of at most {ENCODER_TOLERANCE}, found {difference:.3g}"
        raise ArtifactError(f"{name} does not give its stored answer ({golden}): {reason}.")
    return encoder


def run_graph(session: Any, features: np.ndarray) -> np.ndarray:
    """Return the log-probabilities for a batch, (n, n_labels)."""
    return run_outputs(session, features)[0]


def run_outputs(session: Any, features: np.ndarray) -> list[np.ndarray]:
    """Return all outputs for a batch: log-probabilities (n, n_labels) and heads (n, n_heads), if the model has them."""
    return session.run(None, {session.get_inputs()[0].name: features})


def read_arrays(artifact: Artifact, file: str, **shapes: tuple[int | None, ...]) -> list[np.ndarray]:
    """Return finite float32 arrays of an `.npz` by name and shape (None: any length); nothing is unpickled."""
    try:
        with np.load(artifact.path(file), allow_pickle=False) as stored:
            arrays = [np.asarray(stored[name], np.float32) for name in shapes]
    except Exception as error:  # NumPy, zipfile and zlib share no narrower base
        raise ArtifactError(f"{artifact.name}/{file} does not hold {', '.join(shapes)}: {error}.") from error
    for (name, shape), array in zip(shapes.items(), arrays, strict=True):
        fits = len(array.shape) == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        if not fits or not array.size or not np.isfinite(array).all():
            raise ArtifactError(f"{artifact.name}/{file}: expected {name} finite and of shape {shape}, found another.")
    return arrays


def check_golden(artifact: Artifact, sessions: list[Any]) -> None:
    """Check every branch against its stored example, `input_i` and `output_i` of the golden file."""
    file = artifact.manifest["golden"]
    for i, (branch, session) in enumerate(zip(artifact.branches, sessions, strict=True)):
        shapes = {f"input_{i}": (None, *RECIPES[branch.recipe].shape), f"output_{i}": (None, len(artifact.labels))}
        given, expected = read_arrays(artifact, file, **shapes)
        graph = f"{artifact.name}/{branch.file}"
        try:
            difference = float(np.abs(run_graph(session, given) - expected).max())
        except Exception as error:  # as for opening
            raise ArtifactError(f"{graph} does not take what recipe {branch.recipe} gives: {error}") from error
        if not difference <= GOLDEN_TOLERANCE:
            reason = f"expected a difference of at most {GOLDEN_TOLERANCE}, found {difference:.3g}"
            raise ArtifactError(f"{graph} does not give its stored answer ({file}): {reason}.")


def new_folder(name: str) -> Path:
    """Return the folder for a new artifact: beside the others, or in the working folder if `ser` is installed."""
    return (Path("artifacts") if ARTIFACTS == INSTALLED else ARTIFACTS) / name


def check_name(name: str) -> str:
    """Return the name if it can be a folder; raises `ParameterError` otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ParameterError(f"A model's name is made of letters, digits, '.', '_' and '-', found {name!r}.")
    return name


def check_free(folder: Path, *, force: bool) -> None:
    """Raise `ArtifactError` if the folder exists and `force` does not allow to replace it."""
    if folder.exists() and not force:
        raise ArtifactError(f"{folder} exists already; choose another --name, or --force to replace it.")


def write(folder: Path, fill: Callable[[Path], dict[str, Any]], *, force: bool = False) -> Path:
    """Write an artifact: `fill` writes every file into a temporary folder and returns the manifest; then rename.

    The hashes of all files are added to the manifest, which is written last. An older artifact is replaced only with
    `force` and stays as it was if the run fails, is interrupted or killed; if it is killed between the two renames, the
    older one has the hidden name `.NAME-….old` and must be renamed back.
    """
    check_free(folder, force=force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        manifest = fill(beside)
        files = sorted(path.relative_to(beside).as_posix() for path in beside.rglob("*") if path.is_file())
        manifest = {**manifest, "files": {name: sha256(beside / name) for name in files}}
        (beside / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        beside.chmod(0o755)
        _swap(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _swap(beside: Path, folder: Path) -> None:
    """Rename `beside` to `folder`, which may exist; if that fails, restore the old one."""
    if not folder.exists():
        beside.rename(folder)
        return
    old = beside.with_name(beside.name + ".old")
    try:
        folder.rename(old)
        beside.rename(folder)
    except BaseException:  # Ctrl-C, too
        if not folder.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old)
