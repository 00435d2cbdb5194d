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
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ser.features import recipe
from ser.types import EMOTIONS, ArtifactError, ParameterError

SCHEMA = "ser-artifact/1"
MANIFEST = "manifest.json"
ARTIFACTS = Path(__file__).resolve().parent.parent / "artifacts"
GOLDEN_TOLERANCE = 1e-4  # between a stored log-probability and the one that this machine computes
FIELDS = {
    "schema": str,
    "name": str,
    "created": str,
    "labels": list,
    "branches": list,
    "golden": str,
    "temperature": float,
    "thresholds": dict,
    "training": dict,
    "metrics": dict,
    "versions": dict,
    "files": dict,
}


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
        return tuple(Branch(**branch) for branch in self.manifest["branches"])

    def path(self, file: str) -> Path:
        return self.folder / file


def known() -> dict[str, Path]:
    """Name and folder of every artifact that lies in the project's `artifacts/`."""
    return {path.parent.name: path.parent for path in sorted(ARTIFACTS.glob(f"*/{MANIFEST}"))}


def find(model: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a model given by name or folder.

    Without one: what `SER_MODEL` names, else the artifact with the highest six-fold UAR among those that answer
    all eight emotions. `ArtifactError` lists the known ones.
    """
    model = model or os.environ.get("SER_MODEL") or _best()
    if str(model) in known():
        return known()[str(model)]
    if Path(model, MANIFEST).is_file():
        return Path(model)
    names = ", ".join(known()) or f"none in {ARTIFACTS.name}/"
    raise ArtifactError(f"No model {str(model)!r}: neither a folder with a {MANIFEST} nor one of the known: {names}.")


def _best() -> str:
    scores = {}
    for name, folder in known().items():
        manifest = read_manifest(folder)
        if tuple(manifest["labels"]) == EMOTIONS:
            scores[name] = manifest["metrics"].get("folds", {}).get("uar", 0.0)
    if not scores:
        raise ArtifactError(f"No model that answers all eight emotions in {ARTIFACTS.name}/; train one or name one.")
    return max(scores, key=scores.__getitem__)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, its fields and their types checked, nothing else opened."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{folder.name}: no {MANIFEST} in this folder.") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder.name}/{MANIFEST} cannot be read: {error}.") from error
    _check_fields(manifest, f"{folder.name}/{MANIFEST}")
    return manifest


def _check_fields(manifest: Any, where: str) -> None:
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        raise ArtifactError(f"{where}: expected schema {SCHEMA!r}, found {found!r}.")
    for field, kind in FIELDS.items():
        if not isinstance(manifest.get(field), kind):
            raise ArtifactError(f"{where}: expected {field!r} as {kind.__name__}, found {manifest.get(field)!r}.")
    labels = manifest["labels"]
    if len(labels) < 2 or labels != [emotion for emotion in EMOTIONS if emotion in labels]:
        raise ArtifactError(f"{where}: expected labels from {', '.join(EMOTIONS)}, in this order, found {labels}.")
    _check_numbers(manifest, where)
    for name in [*manifest["files"], *(branch["file"] for branch in manifest["branches"]), manifest["golden"]]:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise ArtifactError(f"{where}: expected file names inside the folder, found {name!r}.")


def _check_numbers(manifest: dict[str, Any], where: str) -> None:
    for branch in manifest["branches"]:
        keys = {"recipe": str, "file": str, "weight": float}
        if not isinstance(branch, dict) or any(not isinstance(branch.get(key), kind) for key, kind in keys.items()):
            raise ArtifactError(f"{where}: expected branches with recipe, file and weight, found {branch!r}.")
    if not manifest["branches"]:
        raise ArtifactError(f"{where}: expected at least one branch, found none.")
    if not 0 < manifest["temperature"] < np.inf:
        raise ArtifactError(f"{where}: expected a temperature above 0, found {manifest['temperature']}.")


def verify(folder: Path) -> Artifact:
    """The artifact in a folder, after schema, recipes and the SHA-256 of every file hold.

    What answering needs must be there; what is only for training and scoring may be left out of an installation.
    """
    manifest = read_manifest(folder)
    artifact = Artifact(folder, manifest)
    for branch in artifact.branches:
        recipe(branch.recipe)
    needed = {branch.file for branch in artifact.branches} | {manifest["golden"]} | set(_novelty_files(manifest))
    unlisted = needed - set(manifest["files"])
    if unlisted:
        raise ArtifactError(f"{folder.name}/{MANIFEST} gives no SHA-256 for {', '.join(sorted(unlisted))}.")
    for name, expected in manifest["files"].items():
        _check_hash(folder, name, expected, needed=name in needed)
    return artifact


def _novelty_files(manifest: dict[str, Any]) -> list[str]:
    return [manifest["novelty"]["file"]] if manifest.get("novelty") else []


def _check_hash(folder: Path, name: str, expected: str, *, needed: bool) -> None:
    path = folder / name
    if not path.is_file():
        if needed:
            raise ArtifactError(f"{folder.name}/{name} is missing; fetch the model's folder again.")
        return
    found = sha256(path)
    if found != expected:
        raise ArtifactError(
            f"{folder.name}/{name} is not the file of this model: expected SHA-256 {expected}, found {found}."
        )


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_graph(artifact: Artifact, file: str) -> Any:
    """An ONNX Runtime session for one graph of a verified artifact, one thread, output as wide as the labels."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(artifact.path(file)), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no narrower base
        raise ArtifactError(f"{artifact.name}/{file} is not a graph that ONNX Runtime can open: {error}") from error
    width, expected = session.get_outputs()[0].shape[-1], len(artifact.labels)
    if width != expected:
        raise ArtifactError(f"{artifact.name}/{file}: expected {expected} outputs, one a label, found {width}.")
    return session


def run_graph(session: Any, features: np.ndarray) -> np.ndarray:
    """Log-probabilities of a batch, shape (n, n_labels)."""
    return session.run(None, {session.get_inputs()[0].name: features})[0]


def check_golden(artifact: Artifact, sessions: list[Any]) -> None:
    """Every branch must give its stored answer for its stored input; `golden` holds `input_i` and `output_i`."""
    file = artifact.manifest["golden"]
    with np.load(artifact.path(file), allow_pickle=False) as golden:
        for i, session in enumerate(sessions):
            found = run_graph(session, golden[f"input_{i}"])
            difference = float(np.abs(found - golden[f"output_{i}"]).max())
            if not difference <= GOLDEN_TOLERANCE:
                name = artifact.branches[i].file
                raise ArtifactError(
                    f"{artifact.name}/{name} does not give its stored answer ({file}): expected a difference of at "
                    f"most {GOLDEN_TOLERANCE}, found {difference:.3g}."
                )


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

    The hashes of all files are added to the manifest, which is written last. A killed or failing run leaves an older
    artifact as it was; it is replaced only with `force`.
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
    """Put `beside` in the place of `folder`, which may exist."""
    if folder.exists():
        old = beside.with_name(beside.name + ".old")
        folder.rename(old)
        beside.rename(folder)
        shutil.rmtree(old)
    else:
        beside.rename(folder)
