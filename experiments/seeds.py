"""The score of an ensemble with other seeds: its folds trained anew; kept in `reports/seeds.json`.

Run: python experiments/seeds.py --data DIR [--model voice] [--jobs 2] [--write]. Trains the networks of every fold and
seed; a killed run goes on where it was. `python -m scripts.card` takes the figures over.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser.datasets.corpora import load_corpus
from ser.datasets.splits import Split
from ser.metrics import softmax
from ser.training.configs import find_config
from ser.training.cross_validation import scores
from ser.training.ensemble import ENSEMBLES, Team, answers, assemble, fit_one, team_folds
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
    team = _team(options.data, options.model)
    folds = [split for split, _ in team_folds(team)]
    found = {}
    for seed in SEEDS:
        seeded = _seeded(team, seed)
        _train(seeded, folds, options.jobs, f"Seed {seed}")
        found[str(seed)] = _scores(seeded, folds)
        print(f"{options.model}, seed {seed}: UAR {found[str(seed)]['uar']:.4f}", flush=True)
    if options.write:
        kept = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
        REPORT.write_text(json.dumps({**kept, options.model: found}, indent=1) + "\n", encoding="utf-8")


def _team(data: Path, name: str) -> Team:
    home = load_corpus("ravdess", data).clips
    others = [clip for corpus in OTHERS for clip in load_corpus(corpus, data).clips]
    clips = [*home, *others, *load_corpus("table", data / TABLE).clips]
    ensemble = ENSEMBLES[name]
    configs = {branch: find_config(branch) for branch in ensemble.branches}
    more = json.dumps({branch: config.to_dict() for branch, config in configs.items()}, sort_keys=True)
    work = work_folder(f"seeds-{name}", clips, next(iter(configs.values())), True, more)
    return assemble(clips, len(home), ensemble, work)


def _seeded(team: Team, seed: int) -> Team:
    """The same clips and features, networks of another seed."""
    studies = {}
    for name, study in team.studies.items():
        work = study.work / f"seed{seed}"
        work.mkdir(parents=True, exist_ok=True)
        seeds = (study.config.seeds[0] + APART * seed,)
        studies[name] = replace(study, config=replace(study.config, seeds=seeds), work=work)
    return replace(team, studies=studies)


def _train(team: Team, folds: Sequence[Split], jobs: int, title: str) -> None:
    tasks = [delayed(fit_one)(study, split, os.getpid()) for split in folds for study in team.studies.values()]
    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1), tqdm(total=len(tasks), desc=title) as bar:
        for _ in Parallel(return_as="generator_unordered")(tasks):
            bar.update()


def _scores(team: Team, folds: Sequence[Split]) -> dict[str, Any]:
    found = np.concatenate([answers(team, split, split.test).log_probabilities for split in folds])
    index = np.array([clip for split in folds for clip in split.test])
    study = team.first
    report = scores(study.truth[index], softmax(found), study.speakers[index], study.labels)
    return {key: report[key] for key in ("clips", "speakers", "uar", "uar_interval", "accuracy", "macro_f1")}


if __name__ == "__main__":
    main()
