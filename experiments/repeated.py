"""Whether a clip that is said twice, with a pause between, keeps its label; `--write` keeps the shares in `reports/`.

The pause is digital silence, or pink noise of a room that both clips are heard in, too. In a room the share of clips
that keep their label if they are said once, in other noise as loud, stands beside it.

Run: python experiments/repeated.py --data FOLDER [--model NAME] [--every 4] [--write]. RAVDESS, by the stored folds.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ser.audio.loading import load_waveform  # noqa: E402
from ser.datasets.corpora import load_corpus  # noqa: E402
from ser.evaluation.distortions import pink_noise, speech_level  # noqa: E402
from ser.evaluation.evaluate import stored_folds  # noqa: E402
from ser.inference.artifact import find, verify  # noqa: E402
from ser.inference.recognizer import Recognizer  # noqa: E402
from ser.types import Waveform  # noqa: E402

PAUSES_S = (1.0, 5.0, 10.0)
ROOM_PAUSE_S = 5.0
ROOM_DB = (40, 30, 25, 20)  # of the mean power of the speech above that of the room
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
        _say(report, f"a pause of {pause} s", share, WANTED)
    for level_db, share in report["same_label_in_room"].items():
        other = report["same_label_in_other_noise"][level_db]
        case = f"a pause of {ROOM_PAUSE_S:g} s in a room, speech {level_db} dB above it"
        _say(report, case, share, min(WANTED, other))
        print(f"    said once, in other noise as loud: {other:.1%}")
    if options.write:
        (options.write / "repeated.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _say(report: dict[str, Any], case: str, share: float, wanted: float) -> None:
    verdict = "pass" if share >= wanted else "fail"
    print(f"{report['model']}, {case}: {share:.1%} of {report['clips']} clips keep their label ({verdict})")


def measure(model: str, data: Path, every: int) -> dict[str, Any]:
    """Return the share of clips whose label stays, by the seconds of the pause."""
    from tqdm import tqdm

    artifact, clips = verify(find(model)), load_corpus("ravdess", str(data)).clips
    asked = [(fold, index) for fold, tested in stored_folds(artifact, clips, "folds") for index in tested[::every]]
    recognizers: dict[str, Recognizer] = {}
    kept, in_room, in_other_noise = (dict.fromkeys(cases, 0) for cases in (PAUSES_S, ROOM_DB, ROOM_DB))
    for fold, index in tqdm(asked, desc="Clips"):
        if (key := fold["files"][0]) not in recognizers:
            recognizers[key] = Recognizer(artifact, fold)
        recognizer = recognizers[key]
        once = load_waveform(clips[index].path, recognizer.sample_rate)
        clean = recognizer.predict(once).label
        for pause_s in PAUSES_S:
            kept[pause_s] += recognizer.predict(_twice(once, pause_s)).label == clean
        rng, speech = np.random.default_rng(index), speech_level(once)
        for level_db in ROOM_DB:
            noise = speech * 10 ** (-level_db / 20)
            label, other, again = (
                recognizer.predict(_with_noise(waveform, noise, rng)).label
                for waveform in (once, once, _twice(once, ROOM_PAUSE_S))
            )
            in_room[level_db] += again == label
            in_other_noise[level_db] += other == label
    return {
        "model": artifact.name,
        "clips": len(asked),
        "every": every,
        "same_label": {f"{pause_s:g}": count / len(asked) for pause_s, count in kept.items()},
        "same_label_in_room": {str(level_db): count / len(asked) for level_db, count in in_room.items()},
        "same_label_in_other_noise": {str(level_db): count / len(asked) for level_db, count in in_other_noise.items()},
    }


def _twice(waveform: Waveform, pause_s: float) -> Waveform:
    pause = np.zeros(round(pause_s * waveform.sample_rate), np.float32)
    return replace(waveform, samples=np.concatenate((waveform.samples, pause, waveform.samples)))


def _with_noise(waveform: Waveform, level: float, rng: np.random.Generator) -> Waveform:
    noise = level * pink_noise(len(waveform.samples), waveform.sample_rate, rng)
    return replace(waveform, samples=(waveform.samples + noise).astype(np.float32))


if __name__ == "__main__":
    main()
