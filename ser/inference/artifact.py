"""One folder, one released model: written beside, manifest last, then renamed; verified before anything is opened."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser.features.recipes import RECIPES
from ser.inference.manifest import MANIFEST, graphs, needed, read_manifest
from ser.types import EMOTIONS, ArtifactError, ParameterError

# Read when ONNX Runtime is first imported: else it leaves an identifier and a log in the user's home and sends them on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

INSTALLED = Path(__file__).resolve().parents[1] / "artifacts"  # where the wheel puts them
ARTIFACTS = INSTALLED if INSTALLED.is_dir() else INSTALLED.parent.parent / "artifacts"
GOLDEN_TOLERANCE = 1e-4  # between a stored log-probability and the one that this machine computes


@dataclass(frozen=True)
class Branch:
    """One network: a recipe's features in, log-probabilities out, and the weight of its vote."""

    recipe: str
    file: str
    weight: float


@dataclass(frozen=True)
class Artifact:
    """A verified folder and its manifest."""

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
        return tuple(Branch(entry["recipe"], entry["file"], entry["weight"]) for entry in self.manifest["branches"])

    def path(self, file: str) -> Path:
        return self.folder / file


def known() -> dict[str, Path]:
    """Name and folder of every artifact of the project or the installation; hidden ones are half written."""
    return {path.parent.name: path.parent for path in sorted(ARTIFACTS.glob(f"[!.]*/{MANIFEST}"))}


def find(model: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a model given by name or folder.

    Without one: what `SER_MODEL` names, else the artifact with the highest six-fold UAR among those that answer
    all eight emotions. `ArtifactError` lists the known ones.
    """
    model = model or os.environ.get("SER_MODEL") or _best()
    if str(model) in known():
        return known()[str(model)]
    if _holds_manifest(Path(model)):
        return Path(model)
    names = ", ".join(known()) or f"none in {ARTIFACTS.name}/"
    raise ArtifactError(f"No model {str(model)!r}: neither a folder with a {MANIFEST} nor one of the known: {names}.")


def _holds_manifest(folder: Path) -> bool:
    try:
        return (folder / MANIFEST).is_file()
    except OSError:  # a name too long for any folder
        return False


def _best() -> str:
    scores = {}
    for name, folder in known().items():
        manifest = read_manifest(folder)
        if tuple(manifest["labels"]) == EMOTIONS:
            scores[name] = manifest["metrics"].get("folds", {}).get("uar", 0.0)
    if not scores:
        raise ArtifactError(f"No model that answers all eight emotions in {ARTIFACTS.name}/; train one or name one.")
    return max(scores, key=scores.__getitem__)


def verify(folder: Path) -> Artifact:
    """The artifact in a folder, after schema, recipes and the SHA-256 of every file hold.

    What answering needs must be there; what is only for training and scoring may be left out of an installation.
    """
    manifest = read_manifest(folder)
    answering = needed(manifest)
    unlisted = (answering | graphs(manifest)) - set(manifest["files"])
    if unlisted:
        raise ArtifactError(f"{folder.name}/{MANIFEST} gives no SHA-256 for {', '.join(sorted(unlisted))}.")
    for name, expected in manifest["files"].items():
        _check_hash(folder, name, expected, needed=name in answering)
    return Artifact(folder, manifest)


def _check_hash(folder: Path, name: str, expected: str, *, needed: bool) -> None:
    path = folder / name
    if not path.is_file():
        if needed:
            raise ArtifactError(f"{folder.name}/{name} is missing; fetch the model's folder again.")
        return
    try:
        found = sha256(path)
    except OSError as error:
        raise ArtifactError(f"{folder.name}/{name} cannot be read ({error.strerror}). Check its rights.") from error
    if found != expected:
        raise ArtifactError(
            f"{folder.name}/{name} is not the file of this model: expected SHA-256 {expected}, found {found}."
        )


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_graph(artifact: Artifact, file: str, recipe: str | None = None) -> Any:
    """An ONNX Runtime session for one graph of a verified artifact, one thread.

    Its first output is as wide as the labels, the second as the heads, if there are any; with `recipe` it takes what
    that gives.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(artifact.path(file)), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no narrower base
        raise ArtifactError(f"{artifact.name}/{file} is not a graph that ONNX Runtime can open: {error}") from error
    _check_ends(session, artifact, file, recipe)
    return session


def _check_ends(session: Any, artifact: Artifact, file: str, recipe: str | None) -> None:
    """Hold what a graph takes and gives against recipe, labels and heads."""
    where, heads = f"{artifact.name}/{file}", artifact.manifest.get("heads", [])
    width, *more = [(output.shape or [0])[-1] for output in session.get_outputs()]
    if width != len(artifact.labels):
        raise ArtifactError(f"{where}: expected {len(artifact.labels)} outputs, one a label, found {width}.")
    if heads and more[:1] != [len(heads)]:
        found = more[0] if more else "none"
        raise ArtifactError(f"{where}: expected a second output of {len(heads)}, {' and '.join(heads)}, found {found}.")
    taken = session.get_inputs()[0].shape[1:]  # a number, or the name of a free axis
    given = RECIPES[recipe].shape if recipe else taken
    if len(taken) != len(given) or any(isinstance(n, int) and n != m for n, m in zip(taken, given, strict=True)):
        raise ArtifactError(f"{where} does not take what recipe {recipe} gives: expected {given}, found {taken}.")


def run_graph(session: Any, features: np.ndarray) -> np.ndarray:
    """Log-probabilities of a batch, shape (n, n_labels)."""
    return run_outputs(session, features)[0]


def run_outputs(session: Any, features: np.ndarray) -> list[np.ndarray]:
    """All outputs for a batch: log-probabilities (n, n_labels) and, where there are heads, `HEADS` (n, 2)."""
    return session.run(None, {session.get_inputs()[0].name: features})


def read_arrays(artifact: Artifact, file: str, **shapes: tuple[int | None, ...]) -> list[np.ndarray]:
    """Finite float32 arrays by name and shape (None: any length) from an `.npz`; nothing is unpickled."""
    try:
        with np.load(artifact.path(file), allow_pickle=False) as stored:
            arrays = [np.asarray(stored[name], np.float32) for name in shapes]
    except Exception as error:  # NumPy, zipfile and zlib raise what they like
        raise ArtifactError(f"{artifact.name}/{file} does not hold {', '.join(shapes)}: {error}.") from error
    for (name, shape), array in zip(shapes.items(), arrays, strict=True):
        fits = len(array.shape) == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        if not fits or not array.size or not np.isfinite(array).all():
            raise ArtifactError(f"{artifact.name}/{file}: expected {name} finite and of shape {shape}, found another.")
    return arrays


def check_golden(artifact: Artifact, sessions: list[Any]) -> None:
    """Every branch must give its stored answer for its stored input; `golden` holds `input_i` and `output_i`."""
    file = artifact.manifest["golden"]
    for i, (branch, session) in enumerate(zip(artifact.branches, sessions, strict=True)):
        shapes = {f"input_{i}": (None, *RECIPES[branch.recipe].shape), f"output_{i}": (None, len(artifact.labels))}
        given, expected = read_arrays(artifact, file, **shapes)
        try:
            difference = float(np.abs(run_graph(session, given) - expected).max())
        except Exception as error:  # as for opening
            found = f"does not take what recipe {branch.recipe} gives: {error}"
            raise ArtifactError(f"{artifact.name}/{branch.file} {found}") from error
        if not difference <= GOLDEN_TOLERANCE:
            raise ArtifactError(
                f"{artifact.name}/{branch.file} does not give its stored answer ({file}): expected a difference of at "
                f"most {GOLDEN_TOLERANCE}, found {difference:.3g}."
            )


def home(name: str) -> Path:
    """Where a newly trained model goes: beside the others, or in the working folder where `ser` is installed."""
    return (Path("artifacts") if ARTIFACTS == INSTALLED else ARTIFACTS) / name


def check_name(name: str) -> str:
    """The name, if it can be a folder of its own; else `ParameterError`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ParameterError(f"A model's name is made of letters, digits, '.', '_' and '-', found {name!r}.")
    return name


def check_free(folder: Path, *, force: bool) -> None:
    """`ArtifactError` where the folder exists, unless `force` allows to replace it."""
    if folder.exists() and not force:
        raise ArtifactError(f"{folder} exists already; choose another --name, or --force to replace it.")


def write(folder: Path, fill: Callable[[Path], dict[str, Any]], *, force: bool = False) -> Path:
    """Write an artifact: `fill` puts every file into a fresh folder beside and gives the manifest; then the rename.

    The hashes of all files are added to the manifest, which is written last. An older artifact is replaced only with
    `force`, and a failing, interrupted or killed run leaves it as it was; only if killed between the two renames, it
    stands beside under a hidden name, `.NAME-….old`, and has to be renamed back.
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
    """Put `beside` in the place of `folder`, which may exist; where that fails the old one comes back."""
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
