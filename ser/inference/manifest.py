"""The manifest of an artifact: what it must hold, read and checked before anything else is opened."""

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
# Columns of a graph's second output: probabilities of a woman's voice, of strong intensity.
HEADS = ("female", "strong")
VARIANT = {"name": str, "files": [str], "own_voice?": str, "test": [str], "temperature": float}
# What the manifest must hold. [x]: a list of x; {str: x}: any keys; "key?": may be left out; numbers are finite.
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
    "folds?": [VARIANT],
    "random?": VARIANT,
    "training": {"config": {"seeds": [int]}, "corpora": {str: {"speakers": [str]}}},
    "metrics": {"folds?": {"uar": float}},
    "versions": {str: str},
    "files": {str: str},
}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, its fields and their types checked, nothing else opened."""
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


def _check_shape(value: Any, shape: Any, at: str, where: str) -> None:
    """Hold a value against an entry of `FIELDS`, and what is in it against what is in that."""
    kind: Any = shape if isinstance(shape, type) else type(shape)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        wanted = "finite float" if kind is float else kind.__name__
        raise ArtifactError(f"{where}: expected {at!r} as {wanted}, found {reprlib.repr(value)}.")
    if isinstance(shape, list):
        for place, item in enumerate(value):
            _check_shape(item, shape[0], f"{at}[{place}]", where)
    elif isinstance(shape, dict):
        for key, part in _parts(value, shape):
            _check_shape(value.get(key), part, f"{at}.{key}".lstrip("."), where)


def _parts(value: dict[str, Any], shape: dict[Any, Any]) -> list[tuple[str, Any]]:
    """The keys that a dictionary of this shape must hold or happens to hold, each with the shape of its value."""
    if str in shape:
        return [(key, shape[str]) for key in value]
    names = {key.removesuffix("?"): key for key in shape}
    return [(name, shape[key]) for name, key in names.items() if name == key or name in value]


def _check_branches(manifest: dict[str, Any], where: str) -> None:
    """At least one, each of a known recipe, and everything that refers to them."""
    branches = manifest["branches"]
    if not branches:
        raise ArtifactError(f"{where}: expected at least one branch, found none.")
    novelty = manifest.get("novelty", {})
    own = [manifest["own_voice"]] if "own_voice" in manifest else []
    for entry in [*branches, *own, *([novelty] if "recipe" in novelty else [])]:
        if entry["recipe"] not in RECIPES:
            found = f"recipe {entry['recipe']!r}; known: {', '.join(RECIPES)}"
            raise ArtifactError(f"{where}: a branch needs {found}. A newer ser may know it.")
    if manifest.get("heads", list(HEADS)) != list(HEADS):
        raise ArtifactError(f"{where}: expected 'heads' as {list(HEADS)}, found {manifest['heads']}.")
    if any(len(variant["files"]) != len(branches) for variant in _variants(manifest)):
        raise ArtifactError(f"{where}: expected one file a branch in every entry of 'folds' and 'random'.")
    if novelty and "recipe" not in novelty and novelty.get("branch") not in range(len(branches)):
        found = novelty.get("branch")
        raise ArtifactError(f"{where}: expected 'novelty.branch' below {len(branches)}, found {found}.")
    deciles = novelty.get("deciles", [])
    if deciles != sorted(deciles):
        raise ArtifactError(f"{where}: expected 'novelty.deciles' to rise, found {reprlib.repr(deciles)}.")


def _check_numbers(manifest: dict[str, Any], where: str) -> None:
    """Scores are weighted by one and divided by the other."""
    found = [("temperature", entry["temperature"]) for entry in (manifest, *_variants(manifest))]
    weighted = [*manifest["branches"], *([manifest["own_voice"]] if "own_voice" in manifest else [])]
    found += [("weight", entry["weight"]) for entry in weighted]
    for name, value in found:
        if value <= 0:
            raise ArtifactError(f"{where}: expected a {name} above 0, found {value}.")


def _variants(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries that name other graphs: those of folds and of the random split."""
    return [*manifest.get("folds", []), *([manifest["random"]] if "random" in manifest else [])]


def graphs(manifest: dict[str, Any]) -> set[str]:
    """Every graph that may ever be run."""
    own = {entry["own_voice"] for entry in _variants(manifest) if "own_voice" in entry}
    shipped = {entry["file"] for entry in manifest["branches"]} | _own_voice(manifest)
    return shipped | own | {file for variant in _variants(manifest) for file in variant["files"]}


def _own_voice(manifest: dict[str, Any]) -> set[str]:
    return {manifest["own_voice"]["file"]} if "own_voice" in manifest else set()


def needed(manifest: dict[str, Any]) -> set[str]:
    """The files that answering needs."""
    novelty = {manifest["novelty"]["file"]} if "novelty" in manifest else set()
    return {entry["file"] for entry in manifest["branches"]} | {manifest["golden"]} | novelty | _own_voice(manifest)
