"""Leave one actor of RAVDESS out after the other, as others score their networks; kept in `reports/one_out.json`.

Run: python experiments/one_out.py --data DIR [--config dense105] [--jobs 2] [--write]. `voice` trains 24 times two
networks, which takes about three hours on two cores; a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser.datasets.corpora import load_corpus
from ser.datasets.splits import Split
from ser.metrics import softmax
from ser.training.configs import CONFIGS, find_config
from ser.training.cross_validation import prepare, run_fold, scores
from ser.training.ensemble import ENSEMBLES, answers, assemble, train_team
from ser.training.train import work_folder
from ser.types import Clip

REPORT = Path(__file__).resolve().parent.parent / "reports" / "one_out.json"
OTHERS = ("nemo", "emodb")  # that an ensemble is trained on beside RAVDESS, and the Korean table
TABLE = "emotiontts_kr"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the corpora")
    parser.add_argument("--config", default="dense105", choices=[*CONFIGS, *ENSEMBLES])
    parser.add_argument("--jobs", type=int, default=2, help="networks of an ensemble trained at a time")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {REPORT.name}")
    options = parser.parse_args()
    found = _ensemble(options) if options.config in ENSEMBLES else _single(options)
    low, high = found["uar_interval"]
    print(
        f"{options.config}, one actor left out after the other: UAR {found['uar']:.4f} "
        f"[{low:.4f}, {high:.4f}], accuracy {found['accuracy']:.4f}"
    )
    if options.write:
        kept = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
        REPORT.write_text(json.dumps({**kept, options.config: found}, indent=1) + "\n", encoding="utf-8")


def _single(options: argparse.Namespace) -> dict[str, Any]:
    clips = load_corpus("ravdess", options.data).clips
    config = find_config(options.config)
    study = prepare(clips, config, work_folder(f"one-out-{options.config}", clips, config, True))
    splits = _one_out(study.clips, len(study.clips))
    folds = [run_fold(study, split, config.seeds[0]) for split in tqdm(splits, desc="Actors")]
    return _scores(study, splits, [fold.log_probabilities for fold in folds])


def _ensemble(options: argparse.Namespace) -> dict[str, Any]:
    home = load_corpus("ravdess", options.data).clips
    others = [clip for name in OTHERS for clip in load_corpus(name, options.data).clips]
    clips = [*home, *others, *load_corpus("table", options.data / TABLE).clips]
    ensemble = ENSEMBLES[options.config]
    more = json.dumps({name: find_config(name).to_dict() for name in ensemble.branches}, sort_keys=True)
    first = find_config(next(iter(ensemble.branches)))
    team = assemble(clips, len(home), ensemble, work_folder(f"one-out-{options.config}", clips, first, True, more))
    splits = _one_out(team.clips, team.home)
    train_team(team, splits, options.jobs)
    return _scores(team.first, splits, [answers(team, split, split.test).log_probabilities for split in splits])


def _one_out(clips: Sequence[Clip], home: int) -> list[Split]:
    """A split for every speaker of the first `home` clips, tested on that speaker alone."""
    speakers = sorted({clip.speaker for clip in clips[:home]})
    return [
        Split(
            f"without-{speaker.replace('/', '-')}",
            tuple(index for index, clip in enumerate(clips) if clip.speaker != speaker),
            tuple(index for index, clip in enumerate(clips) if clip.speaker == speaker),
        )
        for speaker in speakers
    ]


def _scores(study: Any, splits: Sequence[Split], log_probabilities: Sequence[np.ndarray]) -> dict[str, Any]:
    index = np.array([clip for split in splits for clip in split.test])
    probabilities = softmax(np.concatenate(log_probabilities))
    found = scores(study.truth[index], probabilities, study.speakers[index], study.labels)
    return {key: found[key] for key in ("clips", "speakers", "labels", "uar", "uar_interval", "accuracy", "macro_f1")}


if __name__ == "__main__":
    main()
