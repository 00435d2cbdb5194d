"""Adds scores measured after training to a model's card and metrics: python -m scripts.card NAME [--formats].

These are the scores on worse lines and of explanations, from reports/robustness.json and reports/explain.json if these
are about this model, and with --formats the size and time of the graphs in other formats. The folder is written beside
the old one and then renamed.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from ser.inference import artifact
from ser.reporting.model_card import card
from ser.training.export import measure

ROOT = Path(__file__).resolve().parent.parent
REPORTS = {"robustness": "robustness", "explained": "explain"}  # by their key among a model's metrics


def complete(name: str, *, formats: bool = False) -> Path:
    """Rewrite the artifact's card, metrics and manifest; every other file stays as it is."""
    folder = artifact.find(name)
    manifest = artifact.verify(folder).manifest
    for key, file in REPORTS.items():
        report = _report(file)
        if report.get("model") == manifest["name"]:
            manifest["metrics"][key] = report
    if formats:
        manifest["metrics"]["formats"] = measure(name)
    return artifact.write(folder, lambda beside: _fill(folder, beside, manifest), force=True)


def _report(name: str) -> dict[str, Any]:
    path = ROOT / "reports" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _fill(folder: Path, beside: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    shutil.copytree(folder, beside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(artifact.MANIFEST))
    (beside / "metrics.json").write_text(json.dumps(manifest["metrics"], indent=1) + "\n", encoding="utf-8")
    (beside / "MODEL_CARD.md").write_text(card(manifest), encoding="utf-8")
    return manifest


if __name__ == "__main__":
    complete(sys.argv[1], formats="--formats" in sys.argv)
