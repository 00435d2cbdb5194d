"""What each choice behind `dense105` is worth on inner speakers: prints, and keeps in reports/choices.json.

Every configuration is trained 15 times, each time without two of the six published folds, and answers both. A pair's
networks have heard neither fold, so the choice for a fold (the mean over its five pairs of the score on the other
fold) never uses that fold's actors. Run: python experiments/choices.py RAVDESS_FOLDER
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser import metrics
from ser.datasets.corpora import load_corpus
from ser.datasets.splits import speaker_folds
from ser.training.configs import CONFIGS, Config
from ser.training.feature_table import FeatureTable, feature_table
from ser.training.fit import fit
from ser.types import EMOTIONS, Clip

SHIPPED = CONFIGS["dense105"]
PUBLISHED = replace(
    SHIPPED, options={}, learning_rate=1e-3, epochs=60, label_smoothing=0.0, mixup=0.0, feature_noise=0.0
)
CHOICES = {
    "published network, plain training": PUBLISHED,
    "shipped": SHIPPED,
    "published dropout": replace(SHIPPED, options={}),
    "no feature noise": replace(SHIPPED, feature_noise=0.0),
    "feature noise 0.8": replace(SHIPPED, feature_noise=0.8),
    "mixup 0.3": replace(SHIPPED, mixup=0.3),
    "no label smoothing": replace(SHIPPED, label_smoothing=0.0),
    "60 epochs": replace(SHIPPED, epochs=60),
    "no copies, 120 epochs": replace(SHIPPED, copies=0, epochs=120),
}
REPORT = Path(__file__).resolve().parent.parent / "reports" / "choices.json"


def inner_scores(config: Config, clips: list[Clip], table: FeatureTable, seed: int, bar: tqdm) -> list[float]:
    """For each published fold the mean UAR on the other five folds of networks that heard neither."""
    folds = [fold.test for fold in speaker_folds(clips)]
    truth = np.array([EMOTIONS.index(clip.emotion) for clip in clips])
    scores = np.zeros((len(folds), len(folds)))
    for pair in combinations(range(len(folds)), 2):
        held_out = np.concatenate([folds[fold] for fold in pair])
        train = np.flatnonzero(~np.isin(table.origin, held_out) & (table.copy <= config.copies))
        targets = np.eye(len(EMOTIONS), dtype=np.float32)[truth[table.origin[train]]]
        fitted = fit(config, table.rows[train], targets, table.copy[train] == 0, seed)
        for fold, other in (pair, pair[::-1]):
            rows = table.side(folds[other], copies=False)
            answers = fitted.log_probabilities(table.rows[rows]).argmax(axis=1)
            confusion = metrics.confusion_matrix(truth[table.origin[rows]], answers, len(EMOTIONS))
            scores[fold, other] = metrics.uar(confusion)
        bar.update()
    return (scores.sum(axis=1) / (len(folds) - 1)).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where RAVDESS lies")
    parser.add_argument("--only", nargs="*", choices=CHOICES, help="names of choices; default: all")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    clips = load_corpus("ravdess", arguments.folder).clips
    table = feature_table(clips, SHIPPED.recipe, SHIPPED.copies, SHIPPED.seeds[0])
    found = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    names = arguments.only or list(CHOICES)
    with tqdm(total=15 * len(names), unit="network") as bar:
        for name in names:
            scores = inner_scores(CHOICES[name], clips, table, arguments.seed, bar)
            found[name] = {"inner_uar": float(np.mean(scores)), "by_fold": scores, "seed": arguments.seed}
            print(f"{name:36} {found[name]['inner_uar']:.4f}  " + " ".join(f"{s:.3f}" for s in scores), flush=True)
            REPORT.parent.mkdir(exist_ok=True)
            REPORT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
