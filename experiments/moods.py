"""What the clips of a source must be like: adaptation to clips of all moods, of one mood, and of one speaker.

Run: python experiments/moods.py --data FOLDER [--model NAME] [--write]. Each of the six folds of RAVDESS is a source,
its actors unseen by the networks that answer; clips that are adapted to are not scored. `--write` keeps the table in
`reports/`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ser import metrics  # noqa: E402
from ser.datasets.corpora import load_corpus  # noqa: E402
from ser.evaluation.evaluate import stored_folds  # noqa: E402
from ser.inference.adaptation import SourceMeans  # noqa: E402
from ser.inference.artifact import find, verify  # noqa: E402
from ser.inference.recognizer import Recognizer  # noqa: E402
from ser.reporting.markdown import table  # noqa: E402
from ser.types import EMOTIONS, Clip  # noqa: E402

SIZES = (3, 5, 10, 20, 50)
CLIPS = 20  # of one mood, or of one speaker
Pool = Callable[[Clip], bool]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="where RAVDESS lies")
    parser.add_argument("--model", default="voice", help="a model that adapts; default: voice")
    parser.add_argument("--draws", type=int, default=5, help="for each fold and kind")
    parser.add_argument("--write", type=Path, nargs="?", const=ROOT / "reports", help="folder; default: reports/")
    options = parser.parse_args()
    report = measure(options.model, options.data, options.draws)
    text = page(report)
    print(text)
    if options.write:
        (options.write / "moods.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (options.write / "moods.md").write_text(text + "\n", encoding="utf-8")


def measure(model: str, data: Path, draws: int, seed: int = 0) -> dict[str, Any]:
    """Return the UAR on clips that are not adapted to, plain and adapted, by the kind of clips."""
    from tqdm import tqdm

    artifact, clips = verify(find(model)), load_corpus("ravdess", str(data)).clips
    confusions: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((2, len(EMOTIONS), len(EMOTIONS)), int))
    rng = np.random.default_rng(seed)
    for fold, tested in tqdm(stored_folds(artifact, clips, "folds"), desc="Folds"):
        recognizer = Recognizer(artifact, fold)
        analyses = {index: recognizer.analyse(clips[index].path) for index in tested}
        plain = {index: recognizer.answer(analysis).label for index, analysis in analyses.items()}
        for kind, pool, n_clips in _kinds([clips[index] for index in tested]):
            members = [index for index in tested if pool(clips[index])]
            for _ in range(draws):
                drawn = set(rng.choice(members, n_clips, replace=False).tolist())
                means = SourceMeans()
                for index in drawn:
                    means.add(analyses[index].means)
                adapted = recognizer.adapted_to(means, "source")
                for index in set(tested) - drawn:
                    truth = EMOTIONS.index(clips[index].emotion)
                    labels = plain[index], adapted.answer(analyses[index]).label
                    for which, label in enumerate(labels):
                        confusions[kind][which, truth, EMOTIONS.index(label)] += 1
    scores = {
        kind: dict(zip(("plain", "adapted"), map(metrics.uar, pair), strict=True)) for kind, pair in confusions.items()
    }
    return {"model": artifact.name, "draws": draws, "seed": seed, "kinds": scores}


def _kinds(clips: list[Clip]) -> Iterator[tuple[str, Pool, int]]:
    """Yield (name, which clips may be drawn, how many) of every kind."""
    yield from ((f"{n} clips of any mood", lambda clip: True, n) for n in SIZES)
    speaker = sorted({clip.speaker for clip in clips})[0]
    yield f"{CLIPS} clips of one speaker", lambda clip: clip.speaker == speaker, CLIPS
    for emotion in EMOTIONS:
        n_clips = min(CLIPS, sum(clip.emotion == emotion for clip in clips))
        yield f"{CLIPS} clips, only {emotion}", lambda clip, emotion=emotion: clip.emotion == emotion, n_clips


def page(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    rows = [
        [
            kind,
            f"{100 * pair['plain']:.1f}",
            f"{100 * pair['adapted']:.1f}",
            f"{100 * (pair['adapted'] - pair['plain']):+.1f}",
        ]
        for kind, pair in report["kinds"].items()
    ]
    head = ("clips of the source", "plain, UAR %", "adapted, UAR %", "gain")
    return (
        f"# What `{report['model']}` is adapted to\n\nSix folds of RAVDESS, each a source of four actors that the "
        f"networks have not been trained on; {report['draws']} draws a fold.\n\n{table(head, rows)}"
    )


if __name__ == "__main__":
    main()
