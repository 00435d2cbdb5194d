"""Makes the clips that the tests listen to, and writes the golden 105 numbers of some of them.

Run it as `python tests/helpers/golden/make.py`, only when a new recipe is published: an old one never changes.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = Path(__file__).with_name("voice105.json")
RATE = 16_000


def seconds(duration_s: float) -> np.ndarray:
    """Times of the samples in seconds."""
    return np.arange(round(duration_s * RATE)) / RATE


def tone(duration_s: float = 1.0, pitch_hz: float = 1000.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * pitch_hz * seconds(duration_s))).astype(np.float32)


def noise(duration_s: float = 1.0, level: float = 0.3, seed: int = 1) -> np.ndarray:
    """Uniform white noise, from the raw bits that NumPy promises to keep for ever."""
    bits = np.random.PCG64(seed).random_raw(round(duration_s * RATE))
    return (level * (bits / 2.0**63 - 1)).astype(np.float32)


@cache
def voice(duration_s: float = 2.0, pitch_hz: float = 140.0, seed: int = 1) -> np.ndarray:
    """Twenty harmonics of a wavering pitch in four syllables a second, and some breath; peak near 0.5; read-only."""
    time = seconds(duration_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * 1.7 * time))) / RATE
    sound = sum(np.sin(k * phase) / (1 + (k * pitch_hz / 700) ** 2) for k in range(1, 21))
    syllables = np.sin(np.pi * 4 * time) ** 2
    samples = (0.12 * sound * syllables + noise(duration_s, 0.01, seed)).astype(np.float32)
    samples.flags.writeable = False
    return samples


def chords(duration_s: float = 3.0) -> np.ndarray:
    """Four plain triads that die away, as a keyboard plays them."""
    time = seconds(duration_s)
    roots = np.array([220.0, 174.6, 261.6, 196.0])[np.minimum((time / duration_s * 4).astype(int), 3)]
    since = time % (duration_s / 4)
    triad = sum(np.sin(2 * np.pi * roots * step * time) for step in (1, 1.26, 1.5))
    return (0.2 * triad * np.exp(-1.5 * since)).astype(np.float32)


def clips() -> dict[str, np.ndarray]:
    """The clips with golden numbers: plain and hard ones, silence at their ends, shorter and longer than a window."""
    pause = np.zeros(RATE // 2, np.float32)
    return {
        "tone": tone(),
        "noise": noise(),
        "voice": voice(),
        "voice between pauses": np.concatenate([pause, voice(1.0, 220.0), pause]),
        "quiet voice": 0.01 * voice(1.5, 180.0),
        "short voice": voice(0.2),
        "silence": np.zeros(RATE, np.float32),
        "chords": chords(),
        "long voice": voice(5.0, 110.0),
    }


def golden() -> dict[str, object]:
    from ser.features.recipes import RECIPES
    from ser.types import Waveform

    made = RECIPES["voice105-v1"]
    rows = {name: made.of(Waveform(samples, RATE)) for name, samples in clips().items()}
    return {
        "recipe": made.name,
        "names": list(made.feature_names),
        "windows": {name: [[float(f"{value:.7g}") for value in row] for row in part] for name, part in rows.items()},
    }


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    GOLDEN.write_text(json.dumps(golden(), indent=None) + "\n", encoding="utf-8")
