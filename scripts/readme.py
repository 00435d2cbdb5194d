"""Writes the figures of README.md and docs/ from the stored models and the reports: python -m scripts.readme."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import mean
from typing import Any

from ser.inference.artifact import find
from ser.inference.manifest import read_manifest
from ser.metrics import HUMAN
from ser.reporting.markdown import percent, table
from ser.reporting.model_card import (
    adapted_columns,
    explained_table,
    kinds_table,
    robustness_table,
    score_table,
    sections,
    seeds_line,
    sure_line,
)

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
CORPORA = {
    "ravdess": "RAVDESS (English)",
    "emodb": "EMO-DB (German)",
    "nemo": "nEMO, half of it (Polish)",
    "emotiontts": "emotiontts open db (Korean)",
    "aesdd": "AESDD (Greek)",
    "ased": "ASED (Amharic)",
    "turev": "TurEV-DB (Turkish)",
    "emospeech": "Indian EmoSpeech Command (English)",
}


def figures() -> dict[str, str]:
    """Return the text between each pair of markers; links lead from the root of the repository."""
    manifest = read_manifest(find("voice"))
    scores = manifest["metrics"]
    return {
        "summary": summary(scores),
        "scores": f"{score_table(manifest)}\n\n{seeds_line(scores['folds'])}\n{confidence(scores)}",
        "small": score_table(read_manifest(find("small"))),
        "dense105": score_table(read_manifest(find("dense105"))),
        "sure": sure_line(manifest),
        "others": others(scores["left_out"]),
        "kinds": kinds_table(scores["source_kinds"]),
        "answers": answers(scores),
        "mood": mood(report("mood")),
        "explained": explained_table(report("explain")),
        "lines": robustness_table(report("robustness")),
        "speed": speed(report("predict_benchmark")),
        "hour": hour(report("timeline_benchmark")),
        "load": "\n".join(load(name) for name in ("voice", "dense105")),
    }


def report(name: str) -> dict[str, Any]:
    """Return a report of `reports/`."""
    content: dict[str, Any] = json.loads((ROOT / "reports" / f"{name}.json").read_text(encoding="utf-8"))
    return content


def summary(scores: dict[str, Any]) -> str:
    """Return one table of what to expect: unseen speakers, a random split, unseen corpora, listeners."""
    folds, random = scores["folds"], scores["random"]
    low, high = folds["uar_interval"]
    interval = f"95 % interval over speakers {percent(low)} to {percent(high)}"
    unseen = f"**{folds['speakers']} unseen speakers** of RAVDESS (acted, one studio)"
    rows = [
        (unseen, f"**{percent(folds['uar'])}**, {interval}", percent(folds["accuracy"])),
        (f"a random split of RAVDESS, {random['note']}", percent(random["uar"]), percent(random["accuracy"])),
    ]
    left_out = [*scores["left_out"].values()]
    what = f"an unseen corpus, mean of {len(left_out)} (guessing: {percent(mean(map(guessing, left_out)))})"
    rows.append((what, percent(mean(entry["uar"] for entry in left_out)), ""))
    if adapted := [entry["adapted_20"]["with"] for entry in left_out if "adapted_20" in entry]:
        what = "adapted to 20 unlabelled clips of it"
        rows.append((f"an unseen corpus, mean of {len(adapted)}, {what}", percent(mean(adapted)), ""))
    rows.append(("human listeners on RAVDESS, neutral and calm accepted for each other", "", percent(HUMAN)))
    return table(("evaluated on", "UAR", "accuracy"), rows)


def confidence(scores: dict[str, Any]) -> str:
    """Return how far the confidence can be relied on, in a sentence."""
    return (
        f"Of the surest half of the answers {percent(scores['accuracy_at_half'])} are right; the calibration error "
        f"is {percent(scores['folds']['calibration_error'])}. The truth is among the two most probable emotions in "
        f"{percent(scores['folds']['top_two'])} of the answers."
    )


def others(left_out: dict[str, Any]) -> str:
    """Return the scores on each corpus of networks that were trained without it, alone and adapted."""
    known = adapted_columns(left_out)
    rows = [
        (
            CORPORA.get(corpus, corpus),
            percent(scores["uar"]),
            *(percent(scores[key]["with"]) if key in scores else "" for key in known),
            percent(scores["top_two"]),
            percent(scores["calibration_error"]),
            percent(guessing(scores)),
        )
        for corpus, scores in left_out.items()
    ]
    means = [[scores[key]["with"] for scores in left_out.values() if key in scores] for key in known]
    others = [[scores[key] for scores in left_out.values()] for key in ("uar", "top_two", "calibration_error")]
    columns = [others[0], *means, *others[1:], [guessing(scores) for scores in left_out.values()]]
    rows.append(("**mean**", *(percent(mean(values)) for values in columns)))
    titles = ("unseen corpus", "UAR alone", *known.values(), "first two", "calibration error", "guessing")
    return table(titles, rows)


def guessing(scores: dict[str, Any]) -> float:
    """Return the UAR of guessing among the labels of a corpus."""
    return 1 / len(scores["labels"])


def answers(scores: dict[str, Any]) -> str:
    """Return the scores of sex and intensity, and the gain of calibration."""
    parts = sections({key: scores[key] for key in ("sex", "intensity", "calibrated") if key in scores})
    return re.sub(r"^## .*\n\n", "", parts, flags=re.MULTILINE).strip()


def mood(measured: dict[str, Any]) -> str:
    """Return how well valence and arousal follow the acted emotion, by `experiments/mood.py`."""
    followed = " and ".join(f"r = {r:.2f} in {name}" for name, r in measured["correlation"].items())
    sides = " and ".join(percent(share) for share in measured["same_sign"].values())
    return (
        f"On {measured['clips']} clips of unseen actors of RAVDESS, the answer's place and that of the acted emotion "
        f"correlate by {followed}; {sides} of the clips of other emotions than neutral lie on its side of zero "
        "(`python experiments/mood.py --data data --every 4 --write`, [report](reports/mood.md))."
    )


def speed(measured: dict[str, Any]) -> str:
    """Return the figures of `benchmarks/predict.py`."""
    warm, fresh, memory, own = measured["warm"]["48000"], measured["fresh"], measured["memory"], measured["default"]
    return (
        f"From bytes, on one thread, `{own['model']}` answers 3.5 s of sound in {own['warm']:.0f} ms, in a fresh "
        f"process of {own['memory']:.0f} MB. `dense105` takes {warm['ours']:.1f} ms at 48 kHz; the plain chain of "
        f"librosa and `model.predict` takes {warm['chain']:.0f} ms. A fresh process of `dense105` answers after "
        f"{fresh['ours']:.2f} s and {memory['ours']:.0f} MB, the chain after {fresh['chain']:.1f} s and "
        f"{memory['chain']:.0f} MB "
        "(`python benchmarks/predict.py`, [report](reports/predict_benchmark.md))."
    )


def hour(measured: dict[str, Any]) -> str:
    """Return the figures of `benchmarks/timeline.py`, in a sentence."""
    seconds = max(run["seconds"] for run in measured["runs"])
    memory = max(run["megabytes"] for run in (*measured["runs"], measured["without_pauses"]))
    return (
        f"{measured['duration_s'] / 60:.0f} minutes of recording take {seconds:.0f} s on "
        f"{measured['machine']['cores']} cores ({measured['without_pauses']['seconds']:.0f} s if there is no pause at "
        f"all) and {memory:.0f} MB; {percent(measured['accuracy'])} of the time is correctly classified as speech or "
        "silence (`python benchmarks/timeline.py`, [report](reports/timeline_benchmark.md))."
    )


def load(model: str) -> str:
    """Return the figures of `benchmarks/service.py` for a model, in a sentence."""
    measured = report(f"service_benchmark_{model}")
    return (
        f"{measured['workers']} workers of `{measured['model']}` gave {measured['answers_per_s']:.0f} answers a second "
        f"to {measured['clients']} clients on {measured['machine']['cores']} cores, 99 % within "
        f"{measured['latency_ms']['99']:.0f} ms (`python benchmarks/service.py --model {model}`, "
        f"[report](reports/service_benchmark_{model}.md))."
    )


def filled(page: Path) -> str:
    """Return a page with every marked block written anew, its links relative to the page's folder."""
    text = page.read_text(encoding="utf-8")
    up = "" if page.parent == ROOT else "../"
    for name, block in figures().items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        linked = block.replace("](reports/", f"]({up}reports/")
        text = pattern.sub(lambda marked, linked=linked: f"{marked[1]}{linked}\n{marked[2]}", text)
    return text


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path), encoding="utf-8")
