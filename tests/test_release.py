"""A tiny ensemble, whole: from two corpora to a model that answers, knows a voice, and can be scored again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf

from ser.readers import RAVDESS_EMOTIONS
from ser.synthetic import speak

ACTORS = (1, 4, 8)  # of three of the published folds
EMPTY: dict = {}


def actors(folder: Path) -> Path:
    folder.mkdir()
    for actor in ACTORS:
        for code, emotion in RAVDESS_EMOTIONS.items():
            for level in ("01",) if emotion == "neutral" else ("01", "02"):
                rng = np.random.default_rng([actor, int(code), int(level)])
                made = speak(emotion, 120 if actor % 2 else 210, rng)
                sf.write(folder / f"03-01-{code}-{level}-01-01-{actor:02d}.wav", made.samples, made.sample_rate)
    return folder
