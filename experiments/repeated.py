"""Whether a clip that is said twice, with a pause between, keeps its label; `--write` keeps the shares in `reports/`.

Run: python experiments/repeated.py --data FOLDER [--model NAME] [--every 4] [--write]. RAVDESS, by the stored folds.
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

from ser.audio.loading import load_waveform  # noqa: E402
from ser.datasets.corpora import load_corpus  # noqa: E402
from ser.evaluation.evaluate import stored_folds  # noqa: E402
from ser.inference.artifact import find, verify  # noqa: E402
from ser.inference.recognizer import Recognizer  # noqa: E402
from ser.types import Waveform  # noqa: E402

PAUSES_S = (1.0, 5.0, 10.0)
WANTED = 0.97


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="where RAVDESS lies")
    parser.add_argument("--model", default="voice", help="a model's name or folder; default: voice")
    parser.add_argument("--every", type=int, default=4, help="take each n-th clip only")
    parser.add_argument("--write", type=Path, nargs="?", const=ROOT / "reports", help="folder; default: reports/")
    options = parser.parse_args()
    report = measure(options.model, options.data, options.every)
    for pause, share in report["same_label"].items():
        verdict = "pass" if share >= WANTED else "fail"
        print(
            f"{report['model']}, a pause of {pause} s: {share:.1%} of {report['clips']} clips keep their label "
            f"({verdict})"
        )
    if options.write:
        (options.write / "repeated.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def measure(model: str, data: Path, every: int) -> dict[str, Any]:
    """Return the share of clips whose label stays, by the seconds of the pause."""
    from tqdm import tqdm

    artifact, clips = verify(find(model)), load_corpus("ravdess", str(data)).clips
    asked = [(fold, index) for fold, tested in stored_folds(artifact, clips, "folds") for index in tested[::every]]
    recognizers: dict[str, Recognizer] = {}
    kept = dict.fromkeys(PAUSES_S, 0)
    for fold, index in tqdm(asked, desc="Clips"):
        if (key := fold["files"][0]) not in recognizers:
            recognizers[key] = Recognizer(artifact, fold)
        recognizer = recognizers[key]
        once = load_waveform(clips[index].path, recognizer.sample_rate)
        label = recognizer.predict(once).label
        for pause_s in PAUSES_S:
            pause = np.zeros(round(pause_s * once.sample_rate), np.float32)
            twice = Waveform(np.concatenate((once.samples, pause, once.samples)), once.sample_rate)
            kept[pause_s] += recognizer.predict(twice).label == label
    shares = {f"{pause_s:g}": count / len(asked) for pause_s, count in kept.items()}
    return {"model": artifact.name, "clips": len(asked), "every": every, "same_label": shares}


if __name__ == "__main__":
    main()
