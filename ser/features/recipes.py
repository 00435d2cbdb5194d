"""The registry of recipes. A published recipe never changes; a new version has a new name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ser.features import published
from ser.features.descriptors import FRAMES_WINDOW_S, N_FRAMES, NAMES, voice_frames
from ser.features.functionals import FEATURE_NAMES, functionals
from ser.features.preprocessing import normalise, trim, windows
from ser.features.spectral import SAMPLE_RATE
from ser.features.voice105 import VOICE105_NAMES, WINDOW_S, voice105
from ser.types import ParameterError, Waveform, lookup


@dataclass(frozen=True)
class Recipe:
    """How the features of a window are computed.

    `extract` maps the samples of one window, shape (n,), peak 1, to an array of `shape`: a vector of statistics, or
    (n_frames, n_features) in which frames of zeros are padding.
    """

    name: str
    sample_rate: int
    window_s: float
    feature_names: tuple[str, ...]
    shape: tuple[int, ...]
    extract: Callable[[np.ndarray], np.ndarray]

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Return the features of every window of trimmed, normalised samples, shape (n_windows, *shape), float32."""
        return np.stack([self.extract(part) for part in windows(samples, round(self.window_s * self.sample_rate))])

    def of(self, waveform: Waveform) -> np.ndarray:
        """Trim and normalise a waveform, and return the features of its windows, shape (n_windows, *shape)."""
        if waveform.sample_rate != self.sample_rate:
            raise ParameterError(f"{self.name} needs audio at {self.sample_rate} Hz, got {waveform.sample_rate} Hz.")
        start, end = trim(waveform.samples)
        return self(normalise(waveform.samples[start:end]))


RECIPES = {
    entry.name: entry
    for entry in (
        Recipe("voice105-v1", SAMPLE_RATE, WINDOW_S, VOICE105_NAMES, (105,), voice105),
        # No window is published for the statistics, which need no fixed length.
        Recipe("static42-v1", published.RATE, WINDOW_S, published.STATIC42_NAMES, published.GRID, published.static42),
        Recipe("static180-v1", published.RATE, WINDOW_S, published.STATIC180_NAMES, (180,), published.static180),
        Recipe(
            "frames120-v1",
            published.RATE,
            published.FRAMES_WINDOW_S,
            published.FRAMES120_NAMES,
            (published.N_FRAMES, 120),
            published.frames120,
        ),
        Recipe(
            "mfcc40-v1",
            SAMPLE_RATE,
            published.MFCC_WINDOW_S,
            published.MFCC_NAMES,
            (published.MFCC_FRAMES, 40),
            published.mfcc40,
        ),
        Recipe("voice-frames-v1", SAMPLE_RATE, FRAMES_WINDOW_S, NAMES, (N_FRAMES, len(NAMES)), voice_frames),
        Recipe("functionals-v1", SAMPLE_RATE, WINDOW_S, FEATURE_NAMES, (len(FEATURE_NAMES),), functionals),
    )
}


def recipe(name: str) -> Recipe:
    """Return the recipe of that name; raise `ParameterError` if it is unknown."""
    return lookup(name, RECIPES, "recipe")
