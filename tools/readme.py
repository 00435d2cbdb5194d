"""Writes the figures of README.md from the default model's manifest and the benchmark's report."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ser.artifact import find, read_manifest
from ser.card import score_table, seeds_line

ROOT = Path(__file__).resolve().parent.parent


def figures() -> dict[str, str]:
    """The text between each pair of markers."""
    manifest = read_manifest(find("dense105"))
    scores = f"{score_table(manifest)}\n\n{seeds_line(manifest['metrics']['folds'])}"
    return {"scores": scores.strip(), "speed": speed()}


def speed() -> str:
    """One sentence from the report of `benchmarks/predict.py`."""
    report = json.loads((ROOT / "reports" / "predict_benchmark.json").read_text())
    return json.dumps(report)


def filled(text: str) -> str:
    """The README with every marked block written anew."""
    for name, block in figures().items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda found, block=block: f"{found[1]}{block}\n{found[2]}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(encoding="utf-8")), encoding="utf-8")
