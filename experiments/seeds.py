"""The score of an ensemble with other seeds: its folds trained anew; kept in `reports/seeds.json`.

Run: python experiments/seeds.py --data DIR [--model voice] [--jobs 2] [--write]. Trains the networks of every fold and
seed; a killed run goes on where it was. `python -m scripts.card` takes the figures over.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser.datasets.corpora import load_corpus
from ser.datasets.splits import Split
from ser.metrics import softmax
from ser.training.configs import ENSEMBLES, describe, find_ensemble
from ser.training.cross_validation import TrainingSet, scores, tested
from ser.training.ensemble import EnsembleStudy, fold_result, prepare_ensemble, train_networks
from ser.training.train import work_folder

REPORT = Path(__file__).resolve().parent.parent / "reports" / "seeds.json"
SEEDS = (1, 2)  # beside 0, which ships
APART = 10  # more than the seeds of one ensemble's networks differ
OTHERS = ("nemo", "emodb")  # corpora beside RAVDESS, and the Korean table
TABLE = "emotiontts_kr"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the corpora")
    parser.add_argument("--model", default="voice", choices=[*ENSEMBLES])
    parser.add_argument("--jobs", type=int, default=2, help="networks trained at a time, each on one thread")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {REPORT.name}")
    options = parser.parse_args()
    study = _study(options.data, options.model)
    folds = [split for split, _ in study.folds()]
    train_networks(study, folds, [], options.jobs)
    by_seed = {str(seed): _scores(study, folds, index) for index, seed in enumerate(SEEDS)}
    for seed, report in by_seed.items():
        print(f"{options.model}, seed {seed}: UAR {report['uar']:.4f}", flush=True)
    if options.write:
        reports = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
        REPORT.write_text(json.dumps({**reports, options.model: by_seed}, indent=1) + "\n", encoding="utf-8")


def _study(data: Path, name: str) -> EnsembleStudy:
    """Prepare the features of the shipped networks, to train networks with other seeds."""
    scored = load_corpus("ravdess", data).clips
    others = [clip for corpus in OTHERS for clip in load_corpus(corpus, data).clips]
    clips = [*scored, *others, *load_corpus("table", data / TABLE).clips]
    ensemble, configs = find_ensemble(name)
    work = work_folder(f"seeds-{name}", clips, describe(name, ensemble, configs), resume=True)
    study = prepare_ensemble(clips, replace(ensemble, own=None), configs, work, n_scored=len(scored))
    return replace(study, branches={branch: _with_seeds(data) for branch, data in study.branches.items()})


def _with_seeds(data: TrainingSet) -> TrainingSet:
    seeds = tuple(data.config.seeds[0] + APART * seed for seed in SEEDS)
    return replace(data, config=replace(data.config, seeds=seeds))


def _scores(study: EnsembleStudy, folds: Sequence[Split], seed_index: int) -> dict[str, Any]:
    index, log_probabilities = tested([fold_result(study, split, seed_index=seed_index) for split in folds])
    data = study.first
    report = scores(data.truth[index], softmax(log_probabilities), data.speakers[index], data.labels)
    return {key: report[key] for key in ("clips", "speakers", "uar", "uar_interval", "accuracy", "macro_f1")}


if __name__ == "__main__":
    main()
