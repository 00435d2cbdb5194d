"""Brings what is measured after training into a model's card and metrics: python -m tools.card NAME [--formats].

That is the score on worse lines, from reports/robustness.json where it is about this model, and with --formats what
the graphs weigh and take in other formats. The folder is written anew beside and then renamed.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from ser import artifact
from ser.card import card
from ser.export import measure

ROOT = Path(__file__).resolve().parent.parent


def complete(name: str, *, formats: bool = False) -> Path:
    """Write the artifact's card, metrics and manifest anew; every other file stays as it is."""
    folder = artifact.find(name)
    manifest = artifact.verify(folder).manifest
    report = json.loads((ROOT / "reports" / "robustness.json").read_text(encoding="utf-8"))
    if report["model"] == manifest["name"]:
        manifest["metrics"]["robustness"] = report
    if formats:
        manifest["metrics"]["formats"] = measure(name)
    return artifact.write(folder, lambda beside: _fill(folder, beside, manifest), force=True)


def _fill(folder: Path, beside: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    shutil.copytree(folder, beside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(artifact.MANIFEST))
    (beside / "metrics.json").write_text(json.dumps(manifest["metrics"], indent=1) + "\n", encoding="utf-8")
    (beside / "MODEL_CARD.md").write_text(card(manifest), encoding="utf-8")
    return manifest


if __name__ == "__main__":
    complete(sys.argv[1], formats="--formats" in sys.argv)
