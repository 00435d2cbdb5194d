"""Writes the figures of README.md from the manifest of the default model and the reports: python -m scripts.readme."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ser.inference.artifact import find
from ser.inference.manifest import read_manifest
from ser.reporting.model_card import robustness_table, score_table, sections, seeds_line

ROOT = Path(__file__).resolve().parent.parent
CORPORA = {
    "ravdess": "RAVDESS (English)",
    "emodb": "EMO-DB (German)",
    "nemo": "nEMO, half of it (Polish)",
    "table": "emotiontts open db (Korean)",
}


def figures() -> dict[str, str]:
    """The text between each pair of markers."""
    manifest = read_manifest(find("voice"))
    scores = f"{score_table(manifest)}\n\n{seeds_line(manifest['metrics']['folds'])}".strip()
    small = f"{score_table(read_manifest(find('dense105')))}"
    return {
        "scores": f"{scores}\n\n{confidence(manifest)}",
        "small": small,
        "others": others(manifest["metrics"]["left_out"]),
        "answers": answers(manifest["metrics"]),
        "lines": robustness_table(report("robustness")),
        "speed": speed(),
        "hour": hour(),
        "load": load(),
    }


def report(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "reports" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def confidence(manifest: dict[str, Any]) -> str:
    """How far the confidence can be relied on, in a sentence."""
    scores = manifest["metrics"]
    return (
        f"Of the surest half of the answers {100 * scores['accuracy_at_half']:.1f} % are right; the calibration error "
        f"is {100 * scores['folds']['calibration_error']:.1f} %."
    )


def others(left_out: dict[str, Any]) -> str:
    """Each corpus as answered by networks that never heard any of it."""
    lines = ["| corpus never heard | UAR | accuracy | labels |", "|---|---|---|---|"]
    for corpus, scores in left_out.items():
        figures = f"{100 * scores['uar']:.1f} % | {100 * scores['accuracy']:.1f} % | {len(scores['labels'])}"
        lines.append(f"| {CORPORA.get(corpus, corpus)} | {figures} |")
    return "\n".join(lines)


def answers(scores: dict[str, Any]) -> str:
    """Sex, intensity, and what a few clips of a voice are worth."""
    parts = sections({key: scores[key] for key in ("sex", "intensity", "calibrated") if key in scores})
    return re.sub(r"^## .*\n\n", "", parts, flags=re.MULTILINE).strip()


def speed() -> str:
    """What `benchmarks/predict.py` found, in four sentences."""
    found = report("predict_benchmark")
    warm, fresh, memory, own = found["warm"]["48000"], found["fresh"], found["memory"], found["default"]
    return (
        f"From bytes, on one thread, `{own['model']}` answers 3.5 s of sound in {own['warm']:.0f} ms, in a fresh "
        f"process of {own['memory']:.0f} MB. `dense105` takes {warm['ours']:.1f} ms at 48 kHz; the plain chain of "
        f"librosa and `model.predict` takes {warm['chain']:.0f} ms. A fresh process of `dense105` answers after "
        f"{fresh['ours']:.2f} s and {memory['ours']:.0f} MB, the chain after {fresh['chain']:.1f} s and "
        f"{memory['chain']:.0f} MB "
        "(`python benchmarks/predict.py`, [report](reports/predict_benchmark.md))."
    )


def hour() -> str:
    """What `benchmarks/timeline.py` found, in a sentence."""
    found = report("timeline_benchmark")
    seconds = max(run["seconds"] for run in found["runs"])
    memory = max(run["megabytes"] for run in (*found["runs"], found["without_pauses"]))
    return (
        f"{found['duration_s'] / 60:.0f} minutes of recording take {seconds:.0f} s on {found['machine']['cores']} "
        f"cores ({found['without_pauses']['seconds']:.0f} s where nobody ever pauses) and {memory:.0f} MB; "
        f"of the time, {100 * found['accuracy']:.1f} % is rightly called speech or silence "
        "(`python benchmarks/timeline.py`, [report](reports/timeline_benchmark.md))."
    )


def load() -> str:
    """What `benchmarks/service.py` found, in a sentence."""
    found = report("service_benchmark")
    return (
        f"{found['workers']} workers of `{found['model']}` gave {found['answers_per_s']:.0f} answers a second to "
        f"{found['clients']} clients on {found['machine']['cores']} cores, 99 % within "
        f"{found['latency_ms']['99']:.0f} ms (`python benchmarks/service.py`, [report](reports/service_benchmark.md))."
    )


def filled(text: str) -> str:
    """The README with every marked block written anew."""
    for name, block in figures().items():
        before, rest = text.split(f"<!-- {name} -->\n", 1)
        _, after = rest.split(f"<!-- /{name} -->", 1)
        text = f"{before}<!-- {name} -->\n{block}\n<!-- /{name} -->{after}"
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(encoding="utf-8")), encoding="utf-8")
