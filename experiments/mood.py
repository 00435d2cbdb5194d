"""How well derived valence and arousal follow the emotion that was acted, on actors unseen by the networks.

Run: python experiments/mood.py --data FOLDER [--model NAME] [--every 4] [--write]. Each clip of RAVDESS is answered by
the stored graphs of the fold that was trained without its actor. Compared are the mood of the answer and the place of
the acted emotion in the literature (`ser.types.PLACES`). `--write` keeps the report in `reports/`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ser.datasets.corpora import load_corpus  # noqa: E402
from ser.evaluation.evaluate import stored_folds  # noqa: E402
from ser.inference.artifact import find, verify  # noqa: E402
from ser.inference.recognizer import Recognizer  # noqa: E402
from ser.reporting.markdown import table  # noqa: E402
from ser.types import EMOTIONS, PLACES, mood  # noqa: E402

AXES = ("valence", "arousal")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="where RAVDESS lies")
    parser.add_argument("--model", default="voice")
    parser.add_argument("--every", type=int, default=1, help="use every n-th clip of a fold")
    parser.add_argument("--write", type=Path, nargs="?", const=ROOT / "reports", help="folder; default: reports/")
    options = parser.parse_args()
    report = measure(options.model, options.data, options.every)
    text = page(report)
    print(text)
    if options.write:
        (options.write / "mood.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (options.write / "mood.md").write_text(text + "\n", encoding="utf-8")


def measure(model: str, data: Path, every: int) -> dict[str, Any]:
    """Return the mean mood of the answers to each emotion, and how mood and place correlate over the clips."""
    artifact, clips = verify(find(model)), load_corpus("ravdess", str(data)).clips
    truth, moods = [], []
    for fold, tested in stored_folds(artifact, clips, "folds"):
        recognizer = Recognizer(artifact, fold)
        for index in list(tested)[::every]:
            truth.append(clips[index].emotion)
            moods.append(mood(recognizer.predict(clips[index].path).probabilities))
    points, places = np.array(moods), np.array([PLACES[label] for label in truth])
    means = {label: points[np.array(truth) == label].mean(axis=0).tolist() for label in EMOTIONS}
    return {
        "model": artifact.name,
        "corpus": "ravdess",
        "clips": len(truth),
        "means": {label: dict(zip(AXES, point, strict=True)) for label, point in means.items()},
        "correlation": {
            name: float(np.corrcoef(points[:, axis], places[:, axis])[0, 1]) for axis, name in enumerate(AXES)
        },
        "same_sign": {name: _same_sign(points[:, axis], places[:, axis]) for axis, name in enumerate(AXES)},
    }


def _same_sign(points: np.ndarray, places: np.ndarray) -> float:
    """Return the share of clips on the side of their emotion, without those of neutral, which is on neither."""
    sided = places != 0
    return float(np.mean(np.sign(points[sided]) == np.sign(places[sided])))


def page(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    rows = [
        [label, *(f"{PLACES[label][axis]:+.2f}" for axis in (0, 1)), *(f"{point[name]:+.2f}" for name in AXES)]
        for label, point in report["means"].items()
    ]
    head = ("acted", "valence, literature", "arousal, literature", "valence, mean answer", "arousal, mean answer")
    sentences = ", ".join(
        f"{name} r = {report['correlation'][name]:.2f} ({100 * report['same_sign'][name]:.1f} % on the right side of 0)"
        for name in AXES
    )
    return (
        f"# Valence and arousal derived by `{report['model']}`\n\n{report['clips']} clips of RAVDESS, actors unseen by "
        f"the networks. Answers and places of the acted emotions over the clips: {sentences}.\n\n{table(head, rows)}"
    )


if __name__ == "__main__":
    main()
