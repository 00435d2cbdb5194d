"""Adds scores measured after training to a card and metrics: python -m scripts.card NAME [--formats] [--adapted DIR].

These are the scores on worse lines and of explanations, from reports/robustness.json and reports/explain.json if these
are about this model, with --formats the size and time of the graphs in other formats, and with --adapted the gain of
adaptation on the stored folds. The folder is written beside the old one and then renamed.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ser.datasets.corpora import load_corpus
from ser.evaluation.evaluate import stored_folds
from ser.inference import artifact
from ser.inference.recognizer import Recognizer
from ser.reporting.model_card import card
from ser.training.adaptation import SPEAKER_CLIPS, source_scores
from ser.training.export import measure
from ser.training.source_kinds import Source, source_kinds

ROOT = Path(__file__).resolve().parent.parent
REPORTS = {"robustness": "robustness", "explained": "explain"}  # by their key among a model's metrics


def complete(name: str, *, formats: bool = False, data: str | None = None) -> Path:
    """Rewrite the artifact's card, metrics and manifest; every other file stays as it is."""
    folder = artifact.find(name)
    manifest = artifact.verify(folder).manifest
    for key, file in REPORTS.items():
        report = _report(file)
        if report.get("model") == manifest["name"]:
            manifest["metrics"][key] = report
    if formats:
        manifest["metrics"]["formats"] = measure(name)
    if data:
        manifest["metrics"] |= adapted_scores(name, data)
    return artifact.write(folder, lambda beside: _fill(folder, beside, manifest), force=True)


def adapted_scores(name: str, data: str) -> dict[str, Any]:
    """Return what adaptation gains on the folds of a model that was stored with other scores of it."""
    model, clips = artifact.verify(artifact.find(name)), load_corpus("ravdess", data).clips
    scores, sources = np.zeros((len(clips), len(model.labels))), []
    for fold, tested in stored_folds(model, clips, "folds"):
        recognizer = Recognizer(model, fold)
        scores[tested] = [recognizer.analyse(clips[index].path).scores for index in tested]
        sources.append(Source([clips[index] for index in tested], model.labels, scores[tested]))
    calibrated = source_scores(clips, model.labels, scores, SPEAKER_CLIPS)
    return {"calibrated": calibrated, "source_kinds": {"folds": source_kinds(sources), "left_out": {}}}


def _report(name: str) -> dict[str, Any]:
    path = ROOT / "reports" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _fill(folder: Path, beside: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    shutil.copytree(folder, beside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(artifact.MANIFEST))
    (beside / "metrics.json").write_text(json.dumps(manifest["metrics"], indent=1) + "\n", encoding="utf-8")
    (beside / "MODEL_CARD.md").write_text(card(manifest), encoding="utf-8")
    return manifest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--formats", action="store_true")
    parser.add_argument("--adapted", metavar="DIR", dest="data", help="where RAVDESS lies")
    complete(**vars(parser.parse_args()))
