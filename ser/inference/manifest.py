"""The manifest of an artifact: its schema, read and checked before any other file is opened."""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ser.features.recipes import RECIPES
from ser.types import EMOTIONS, ArtifactError

SCHEMA = "ser-artifact/1"
MANIFEST = "manifest.json"
FILE_NAME = re.compile(r"\w[\w.-]{0,99}(/\w[\w.-]{0,99}){0,3}", re.ASCII)  # stays inside the folder
# Columns of a graph's second output: probability of a female voice, of strong intensity, and of a recording that is
# made like those of the first corpus of the training ("home"), which older models lack.
HEADS = ("female", "strong", "home")
FOLD = {"name": str, "files": [str], "test": [str], "temperature": float}
# The schema. [x]: a list of x; {str: x}: any keys; "key?": optional; numbers are finite.
FIELDS: dict[Any, Any] = {
    "schema": str,
    "name": str,
    "created": str,
    "labels": [str],
    "branches": [{"recipe": str, "file": str, "weight": float, "home?": bool}],  # home: see `ser.inference.mixture`
    "golden": str,
    "temperature": float,
    # Confidences from which on answers are sure, also adapted ones, and those that `ser.inference.mixture` calls home.
    "thresholds": {"confidence": float, "adapted?": float, "home?": float, "home_adapted?": float},
    "heads?": [str],
    "home_scale?": float,  # see `ser.inference.mixture`
    "encoder?": {"file": str},
    "adaptation?": {"temperature_ratio": float},  # of answers that are adapted to a source, to others
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
    if problem := next(_problems(manifest), None):
        raise ArtifactError(f"{folder.name}/{MANIFEST}: {problem}.")
    return manifest


def _problems(manifest: Any) -> Iterator[str]:
    """Yield what is wrong with a manifest; every check relies on those before it."""
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        yield f"expected schema {SCHEMA!r}, found {found!r}"
    yield from _misfits(manifest, FIELDS, "")
    labels = manifest["labels"]
    if len(labels) < 2 or labels != [emotion for emotion in EMOTIONS if emotion in labels]:
        yield f"expected labels from {', '.join(EMOTIONS)}, in this order, found {labels}"
    yield from _branch_problems(manifest)
    factors = [("temperature", entry) for entry in (manifest, *_folds(manifest))]
    factors += [("weight", entry) for entry in manifest["branches"]]
    factors += [("home_scale", manifest)] if "home_scale" in manifest else []
    factors += [("temperature_ratio", manifest["adaptation"])] if "adaptation" in manifest else []
    for name, entry in factors:
        if not 1e-3 <= entry[name] <= 1e3:  # what lies beyond makes all answers alike, or none of them finite
            yield f"expected a {name} from 0.001 to 1000, found {entry[name]}"
    for name, confidence in manifest["thresholds"].items():
        if not 0 <= confidence <= 2:  # above 1, no answer is sure
            yield f"expected 'thresholds.{name}' from 0 to 2, found {confidence}"
    for name in {*manifest["files"], *graphs(manifest), *needed(manifest)}:
        if not FILE_NAME.fullmatch(name):
            yield f"expected file names inside the folder, found {reprlib.repr(name)}"


def _misfits(value: Any, shape: Any, key: str) -> Iterator[str]:
    """Check a value against an entry of `FIELDS`, recursively."""
    kind: Any = shape if isinstance(shape, type) else type(shape)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        expected = "finite float" if kind is float else kind.__name__
        yield f"expected {key!r} as {expected}, found {reprlib.repr(value)}"
    elif isinstance(shape, list):
        for index, item in enumerate(value):
            yield from _misfits(item, shape[0], f"{key}[{index}]")
    elif isinstance(shape, dict):
        names = dict.fromkeys(value, shape[str]) if str in shape else {k.removesuffix("?"): shape[k] for k in shape}
        for name, part in names.items():
            if name in value or name in shape:
                yield from _misfits(value.get(name), part, f"{key}.{name}".lstrip("."))


def _branch_problems(manifest: dict[str, Any]) -> Iterator[str]:
    """Check that there are branches of known recipes, and that all entries fit them."""
    branches, novelty = manifest["branches"], manifest.get("novelty", {})
    if not branches:
        yield "expected at least one branch, found none"
    entries = [*branches, *([novelty] if "recipe" in novelty else [])]
    for entry in entries:
        if entry["recipe"] not in RECIPES:
            known = ", ".join(RECIPES)
            yield f"a branch needs recipe {entry['recipe']!r}; known: {known}. A newer ser may know it"
    used = [RECIPES[entry["recipe"]] for entry in entries]
    if len({recipe.prepare for recipe in used}) > 1:
        yield "expected recipes that prepare sound alike (all of one version), found others"
    if any(recipe.encoder for recipe in used) and "encoder" not in manifest:
        yield "expected 'encoder', which a branch needs"
    heads, n_home = manifest.get("heads", []), sum(branch.get("home", False) for branch in branches)
    if "heads" in manifest and heads not in (list(HEADS), list(HEADS[:2])):
        yield f"expected 'heads' as {list(HEADS)}, found {heads}"
    if n_home and (n_home == len(branches) or "home" not in heads):
        yield "expected branches that are not 'home' beside those that are, and a head 'home'"
    given = [*(name in manifest["thresholds"] for name in ("home", "home_adapted")), "home_scale" in manifest]
    if any(given) and not (all(given) and n_home):
        yield "expected 'home_scale', 'thresholds.home' and 'thresholds.home_adapted' together, with branches of 'home'"
    if any(len(fold["files"]) != len(branches) for fold in _folds(manifest)):
        yield "expected one file a branch in every entry of 'folds' and 'random'"
    if novelty and "recipe" not in novelty and novelty.get("branch") not in range(len(branches)):
        yield f"expected 'novelty.branch' below {len(branches)}, found {novelty.get('branch')}"
    deciles = novelty.get("deciles", [])
    if deciles != sorted(deciles):
        yield f"expected 'novelty.deciles' to rise, found {reprlib.repr(deciles)}"


def _folds(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of the folds and of the random split, which name graphs of their own."""
    return [*manifest.get("folds", []), *([manifest["random"]] if "random" in manifest else [])]


def graphs(manifest: dict[str, Any]) -> set[str]:
    """Return the names of all graphs, those of folds included."""
    return {entry["file"] for entry in manifest["branches"]}.union(*(fold["files"] for fold in _folds(manifest)))


def needed(manifest: dict[str, Any]) -> set[str]:
    """Return the names of the files that answering needs."""
    others = [manifest[name] for name in ("novelty", "encoder") if name in manifest]
    return {entry["file"] for entry in [*manifest["branches"], *others]} | {manifest["golden"]}
