"""Stores in a model how far unseen speakers lie from its training speech, where its training did not:

python -m tools.deciles NAME CORPUS=DIR ...    with the corpora that it was trained on, in their order

The folds are made anew from the recordings, and the threshold that comes out must be the stored one. The folder is
written anew beside and then renamed; nothing but the manifest changes.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ser.datasets.corpora import load_corpus
from ser.datasets.splits import Split, speaker_folds
from ser.inference import artifact
from ser.inference.manifest import MANIFEST
from ser.inference.novelty import usual
from ser.training.configs import CONFIGS
from ser.training.cross_validation import Study
from ser.training.ensemble import ENSEMBLES, Team, team_folds
from ser.training.feature_table import feature_table
from ser.training.train import index_hash
from ser.types import Clip, ParameterError


def store(name: str, corpora: Sequence[tuple[str, str]]) -> Path:
    """Write the deciles into the model's manifest; returns its folder."""
    folder = artifact.find(name)
    manifest = artifact.verify(folder).manifest
    listings = [load_corpus(corpus, data) for corpus, data in corpora]
    clips = [clip for listing in listings for clip in listing.clips]
    if index_hash(clips) != manifest["training"]["index_sha256"]:
        raise ParameterError(f"{name} was trained on other recordings: {', '.join(manifest['training']['corpora'])}.")
    found = measured(manifest, clips, len(listings[0].clips))
    if not math.isclose(found["threshold"], manifest["novelty"]["threshold"], rel_tol=1e-4):
        raise ParameterError(f"{name}: threshold {manifest['novelty']['threshold']}, but now {found['threshold']}.")
    manifest["novelty"]["deciles"] = found["deciles"]
    return artifact.write(folder, lambda beside: _fill(folder, beside, manifest), force=True)


def measured(manifest: dict[str, Any], clips: Sequence[Clip], home: int) -> dict[str, Any]:
    """Threshold and deciles; the first `home` clips are those of the folds' corpus."""
    entry = manifest["novelty"]
    recipe = entry.get("recipe") or manifest["branches"][entry["branch"]]["recipe"]
    table = feature_table(clips, recipe)
    splits = list(_folds(manifest, Study(clips, CONFIGS["dense105"], table, (), Path()), home))
    sides = [[table.rows[table.side(side, copies=False)] for side in (split.train, split.test)] for split in splits]
    return usual((fitted, left_out) for fitted, left_out in sides)


def _folds(manifest: dict[str, Any], study: Study, home: int) -> Iterable[Split]:
    """As the training made them."""
    name = manifest["training"]["config"]["name"]
    if name not in ENSEMBLES:
        return speaker_folds(study.clips)
    return [split for split, _ in team_folds(Team(ENSEMBLES[name], {name: study}, study, home))]


def _fill(folder: Path, beside: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    shutil.copytree(folder, beside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    return manifest


if __name__ == "__main__":
    pairs = [(corpus, data) for corpus, _, data in (given.partition("=") for given in sys.argv[2:])]
    store(sys.argv[1], pairs)
