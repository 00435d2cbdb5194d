"""The manifest of an artifact: its schema, read and checked before any other file is opened."""

from __future__ import annotations

import json
import math
import re
import reprlib
from pathlib import Path
from typing import Any

from ser.features.recipes import RECIPES
from ser.types import EMOTIONS, ArtifactError

SCHEMA = "ser-artifact/1"
MANIFEST = "manifest.json"
FILE_NAME = re.compile(r"\w[\w.-]{0,99}(/\w[\w.-]{0,99}){0,3}", re.ASCII)  # stays inside the folder
# Columns of a graph's second output: probability of a female voice, of strong intensity.
HEADS = ("female", "strong")
FOLD = {"name": str, "files": [str], "own_voice?": str, "test": [str], "temperature": float}
# The schema. [x]: a list of x; {str: x}: any keys; "key?": optional; numbers are finite.
FIELDS: dict[Any, Any] = {
    "schema": str,
    "name": str,
    "created": str,
    "labels": [str],
    "branches": [{"recipe": str, "file": str, "weight": float}],
    "golden": str,
    "temperature": float,
    "thresholds": {"confidence": float},
    "heads?": [str],
    "own_voice?": {"recipe": str, "file": str, "weight": float},
    "reduce_noise?": bool,
    "novelty?": {"file": str, "branch?": int, "recipe?": str, "threshold": float, "deciles?": [float]},
    "folds?": [FOLD],
    "random?": FOLD,
    "training": {"config": {"seeds": [int]}, "corpora": {str: {"speakers": [str]}}},
    "metrics": {"folds?": {"uar": float}},
    "versions": {str: str},
    "files": {str: str},
}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder after a check of its fields; raises `ArtifactError` if it is not valid."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{folder.name}: no {MANIFEST} in this folder.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{folder.name}/{MANIFEST} cannot be read: {error}.") from error
    _check_fields(manifest, f"{folder.name}/{MANIFEST}")
    return manifest


def _check_fields(manifest: Any, where: str) -> None:
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        raise ArtifactError(f"{where}: expected schema {SCHEMA!r}, found {found!r}.")
    _check_shape(manifest, FIELDS, "", where)
    labels = manifest["labels"]
    if len(labels) < 2 or labels != [emotion for emotion in EMOTIONS if emotion in labels]:
        raise ArtifactError(f"{where}: expected labels from {', '.join(EMOTIONS)}, in this order, found {labels}.")
    _check_branches(manifest, where)
    _check_numbers(manifest, where)
    for name in {*manifest["files"], *graphs(manifest), *needed(manifest)}:
        if not FILE_NAME.fullmatch(name):
            raise ArtifactError(f"{where}: expected file names inside the folder, found {reprlib.repr(name)}.")


def _check_shape(value: Any, shape: Any, key: str, where: str) -> None:
    """Check a value against an entry of `FIELDS`, recursively."""
    kind: Any = shape if isinstance(shape, type) else type(shape)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        expected = "finite float" if kind is float else kind.__name__
        raise ArtifactError(f"{where}: expected {key!r} as {expected}, found {reprlib.repr(value)}.")
    if isinstance(shape, list):
        for index, item in enumerate(value):
            _check_shape(item, shape[0], f"{key}[{index}]", where)
    elif isinstance(shape, dict):
        for name, part in _fields(value, shape):
            _check_shape(value.get(name), part, f"{key}.{name}".lstrip("."), where)


def _fields(value: dict[str, Any], shape: dict[Any, Any]) -> list[tuple[str, Any]]:
    """Return the required and the present keys of a dictionary, each with the shape of its value."""
    if str in shape:
        return [(name, shape[str]) for name in value]
    names = {key.removesuffix("?"): key for key in shape}
    return [(name, shape[key]) for name, key in names.items() if name == key or name in value]


def _check_branches(manifest: dict[str, Any], where: str) -> None:
    """Check that there are branches of known recipes, and that all entries fit them."""
    branches = manifest["branches"]
    if not branches:
        raise ArtifactError(f"{where}: expected at least one branch, found none.")
    novelty = manifest.get("novelty", {})
    own = [manifest["own_voice"]] if "own_voice" in manifest else []
    for entry in [*branches, *own, *([novelty] if "recipe" in novelty else [])]:
        if entry["recipe"] not in RECIPES:
            unknown = f"recipe {entry['recipe']!r}; known: {', '.join(RECIPES)}"
            raise ArtifactError(f"{where}: a branch needs {unknown}. A newer ser may know it.")
    if manifest.get("heads", list(HEADS)) != list(HEADS):
        raise ArtifactError(f"{where}: expected 'heads' as {list(HEADS)}, found {manifest['heads']}.")
    if any(len(fold["files"]) != len(branches) for fold in _folds(manifest)):
        raise ArtifactError(f"{where}: expected one file a branch in every entry of 'folds' and 'random'.")
    if novelty and "recipe" not in novelty and novelty.get("branch") not in range(len(branches)):
        branch = novelty.get("branch")
        raise ArtifactError(f"{where}: expected 'novelty.branch' below {len(branches)}, found {branch}.")
    deciles = novelty.get("deciles", [])
    if deciles != sorted(deciles):
        raise ArtifactError(f"{where}: expected 'novelty.deciles' to rise, found {reprlib.repr(deciles)}.")


def _check_numbers(manifest: dict[str, Any], where: str) -> None:
    """Check that temperatures and weights are above 0."""
    numbers = [("temperature", entry["temperature"]) for entry in (manifest, *_folds(manifest))]
    weighted = [*manifest["branches"], *([manifest["own_voice"]] if "own_voice" in manifest else [])]
    numbers += [("weight", entry["weight"]) for entry in weighted]
    for name, value in numbers:
        if value <= 0:
            raise ArtifactError(f"{where}: expected a {name} above 0, found {value}.")


def _folds(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of the folds and of the random split, which name graphs of their own."""
    return [*manifest.get("folds", []), *([manifest["random"]] if "random" in manifest else [])]


def graphs(manifest: dict[str, Any]) -> set[str]:
    """Return the names of all graphs, those of folds included."""
    own = {fold["own_voice"] for fold in _folds(manifest) if "own_voice" in fold}
    shipped = {entry["file"] for entry in manifest["branches"]} | _own_voice(manifest)
    return shipped | own | {file for fold in _folds(manifest) for file in fold["files"]}


def _own_voice(manifest: dict[str, Any]) -> set[str]:
    return {manifest["own_voice"]["file"]} if "own_voice" in manifest else set()


def needed(manifest: dict[str, Any]) -> set[str]:
    """Return the names of the files that answering needs."""
    novelty = {manifest["novelty"]["file"]} if "novelty" in manifest else set()
    return {entry["file"] for entry in manifest["branches"]} | {manifest["golden"]} | novelty | _own_voice(manifest)
