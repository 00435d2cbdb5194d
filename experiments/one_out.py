"""Leave one actor of RAVDESS out after the other, as others score their networks; kept in `reports/one_out.json`.

Run: python experiments/one_out.py --data DIR [--config dense105] [--jobs 2] [--write]. `voice` trains 24 times five
networks, which takes about 45 minutes on two cores (features cached); a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser.datasets.corpora import load_corpus
from ser.datasets.splits import Split
from ser.features.recipes import RECIPES
from ser.metrics import softmax
from ser.training.configs import CONFIGS, ENSEMBLES, describe, find_ensemble
from ser.training.cross_validation import scores, tested
from ser.training.ensemble import fold_result, prepare_ensemble, train_networks
from ser.training.train import work_folder
from ser.types import LABEL_SETS, Clip

REPORT = Path(__file__).resolve().parent.parent / "reports" / "one_out.json"
# That an ensemble is trained on beside RAVDESS; the folder of `emotiontts` has another name.
OTHERS = ("emodb", "emotiontts", "nemo", "aesdd", "turev", "ased", "emospeech")
FOLDERS = {"emotiontts": "emotiontts_kr"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the corpora")
    parser.add_argument("--config", default="dense105", choices=[*CONFIGS, *ENSEMBLES])
    parser.add_argument("--jobs", type=int, default=2, help="networks trained at a time")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {REPORT.name}")
    options = parser.parse_args()
    report = _report(options.data, options.config, options.jobs)
    low, high = report["uar_interval"]
    print(
        f"{options.config}, one actor left out after the other: UAR {report['uar']:.4f} "
        f"[{low:.4f}, {high:.4f}], accuracy {report['accuracy']:.4f}"
    )
    if options.write:
        reports = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
        REPORT.write_text(json.dumps({**reports, options.config: report}, indent=1) + "\n", encoding="utf-8")


def _report(data: Path, name: str, jobs: int) -> dict[str, Any]:
    ensemble, configs = find_ensemble(name)
    scored = load_corpus("ravdess", data).clips
    labels = next(iter(configs.values())).labels
    clips = [*scored, *_other_clips(data, labels)] if ensemble.first_corpus else scored
    work = work_folder(f"one-out-{name}", clips, describe(name, ensemble, configs), resume=True)
    study = prepare_ensemble(clips, ensemble, configs, work, n_scored=len(scored))
    splits = _one_out(study.clips, study.n_scored)
    train_networks(study, [], splits, jobs)
    index, log_probabilities = tested([fold_result(study, split) for split in splits])
    first = study.first
    report = scores(first.truth[index], softmax(log_probabilities), first.speakers[index], first.labels)
    keys = ("clips", "speakers", "uar", "uar_interval", "accuracy", "macro_f1")
    pretrained = any(RECIPES[config.recipe].encoder for config in configs.values())
    return {"labels": list(first.labels), "pretrained": pretrained, **{key: report[key] for key in keys}}


def _other_clips(data: Path, labels: str) -> list[Clip]:
    listings = [load_corpus(corpus, data / FOLDERS.get(corpus, corpus)) for corpus in OTHERS]
    return [clip for listing in listings for clip in listing.clips if clip.emotion in LABEL_SETS[labels]]


def _one_out(clips: Sequence[Clip], n_scored: int) -> list[Split]:
    """Return a split for every speaker of the first `n_scored` clips, tested on that speaker alone."""
    speakers = sorted({clip.speaker for clip in clips[:n_scored]})
    return [
        Split(
            f"without-{speaker.replace('/', '-')}",
            tuple(index for index, clip in enumerate(clips) if clip.speaker != speaker),
            tuple(index for index, clip in enumerate(clips) if clip.speaker == speaker),
        )
        for speaker in speakers
    ]


if __name__ == "__main__":
    main()
