"""Writes the figures of README.md from the manifest of `dense105` and the reports: python -m tools.readme."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ser.artifact import find, read_manifest
from ser.card import score_table, seeds_line

ROOT = Path(__file__).resolve().parent.parent
OTHERS = {"emodb": "EMO-DB (German)", "nemo": "nEMO, half of it (Polish)", "table": "emotiontts open db (Korean)"}


def figures() -> dict[str, str]:
    """The text between each pair of markers."""
    manifest = read_manifest(find("dense105"))
    scores = f"{score_table(manifest)}\n\n{seeds_line(manifest['metrics']['folds'])}"
    return {"scores": scores.strip(), "others": others(), "speed": speed()}


def others() -> str:
    """The shipped network on corpora that it was not trained on, from the reports of `evaluate --protocol all`."""
    lines = ["| corpus not trained on | UAR | accuracy | labels |", "|---|---|---|---|"]
    for corpus in ("emodb", "nemo", "table"):
        report = json.loads((ROOT / "reports" / f"dense105_{corpus}_all.json").read_text(encoding="utf-8"))
        scores = f"{100 * report['uar']:.1f} % | {100 * report['accuracy']:.1f} % | {len(report['labels'])}"
        lines.append(f"| {OTHERS[corpus]} | {scores} |")
    return "\n".join(lines)


def speed() -> str:
    """What `benchmarks/predict.py` found, in three sentences."""
    report = json.loads((ROOT / "reports" / "predict_benchmark.json").read_text(encoding="utf-8"))
    warm, fresh, memory = report["warm"]["48000"], report["fresh"], report["memory"]
    return (
        f"An answer to 3.5 s of 48 kHz sound, from bytes, takes {warm['ours']:.1f} ms on one thread; the plain chain "
        f"of librosa and `model.predict` takes {warm['chain']:.0f} ms. A fresh process answers after "
        f"{fresh['ours']:.2f} s and {memory['ours']:.0f} MB, the chain after {fresh['chain']:.1f} s "
        f"and {memory['chain']:.0f} MB (`python benchmarks/predict.py`, [report](reports/predict_benchmark.md))."
    )


def filled(text: str) -> str:
    """The README with every marked block written anew."""
    for name, block in figures().items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda found, block=block: f"{found[1]}{block}\n{found[2]}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(encoding="utf-8")), encoding="utf-8")
