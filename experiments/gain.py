"""How far answers move when a recording is turned down or up by 12 dB and stored as 16 bits, over RAVDESS.

The contract is 0.01 in every probability and the same label. Run: python experiments/gain.py RAVDESS_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ser
from ser.audio.loading import load_waveform
from ser.datasets.corpora import load_corpus
from ser.types import Waveform

REPORT = Path(__file__).resolve().parent.parent / "reports" / "gain.json"
EVERY = 5  # clips
GAINS_DB = (-12, 12)
ALLOWED = 0.01


def moved(recognizer: ser.Recognizer, waveform: Waveform) -> list[tuple[float, bool]]:
    """Largest difference of a probability, and whether the label stayed, for each gain that does not clip."""
    plain = recognizer.predict(waveform)
    found = []
    for gain_db in GAINS_DB:
        samples = waveform.samples * 10 ** (gain_db / 20)
        if np.abs(samples).max() >= 1:
            continue
        turned = recognizer.predict(Waveform((np.round(samples * 32768) / 32768).astype(np.float32), 16_000))
        differences = [abs(turned.probabilities[label] - p) for label, p in plain.probabilities.items()]
        found.append((max(differences), turned.label == plain.label))
    return found


def main() -> None:
    recognizer = ser.load("dense105")
    clips = load_corpus("ravdess", sys.argv[1]).clips[::EVERY]
    found = [result for clip in clips for result in moved(recognizer, load_waveform(clip.path))]
    differences = np.array([difference for difference, _ in found])
    report = {
        "turned": len(found),
        "within": float(np.mean(differences <= ALLOWED)),
        "same_label": float(np.mean([same for _, same in found])),
        "median": float(np.median(differences)),
        "largest": float(differences.max()),
    }
    print(json.dumps(report, indent=1))
    REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
