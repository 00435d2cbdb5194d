"""How a configuration does on speakers that it has not heard, without a look at the test folds.

python experiments/pairs.py --data DIR --config sequence [--pairs 1]. Each network is trained without two of the six
published folds of RAVDESS and asked about both, so every speaker stands for an inner one: 16 actors to train on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser import metrics
from ser.datasets.corpora import load_corpus
from ser.datasets.splits import Split, speaker_folds
from ser.training.configs import find_config
from ser.training.cross_validation import check_no_leak, clip_log_probabilities, prepare, train_on

PAIRS = ((0, 1), (2, 3), (4, 5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder that holds the corpora")
    parser.add_argument("--corpora", default="ravdess", help="names, comma between; ravdess first")
    parser.add_argument("--config", default="sequence")
    parser.add_argument("--set", default="{}", help='changed fields as JSON, e.g. {"epochs": 20}')
    parser.add_argument("--pairs", type=int, default=3, choices=(1, 2, 3))
    options = parser.parse_args()
    config = replace(find_config(options.config), **json.loads(options.set))
    listings = [load_corpus(name, options.data).clips for name in options.corpora.split(",")]
    clips = [clip for listing in listings for clip in listing]
    folds = speaker_folds(listings[0])
    scores = []
    with tempfile.TemporaryDirectory() as work:
        data = prepare(clips, config, Path(work))
        for one, other in PAIRS[: options.pairs]:
            started = time.monotonic()
            test = (*folds[one].test, *folds[other].test)
            split = Split(f"without{one + 1}{other + 1}", tuple(sorted(set(range(len(clips))) - set(test))), test)
            check_no_leak(data, split)
            fitted = train_on(data, split.train, config.seeds[0], config.epochs)
            answer = clip_log_probabilities(data, fitted, test).argmax(axis=1)
            confusion = metrics.confusion_matrix(data.truth[list(test)], answer, len(data.labels))
            scores.append(metrics.uar(confusion))
            print(f"folds {one + 1} and {other + 1}: UAR {scores[-1]:.3f}, {time.monotonic() - started:.0f} s")
    print(f"{options.config} {options.set}: mean {np.mean(scores):.3f}")


if __name__ == "__main__":
    main()
