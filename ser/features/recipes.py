"""The registry of recipes. A published recipe never changes; a new version has a new name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ser.features import published
from ser.features.descriptors import FRAMES_WINDOW_S, N_FRAMES, NAMES, voice_frames
from ser.features.functionals import FEATURE_NAMES, functionals
from ser.features.log_mel import log_mel
from ser.features.preprocessing import Prepared, prepare, prepare_v1, windows
from ser.features.spectral import SAMPLE_RATE
from ser.features.voice105 import VOICE105_NAMES, WINDOW_S, voice105
from ser.types import ParameterError, Waveform, lookup


@dataclass(frozen=True)
class Recipe:
    """How the features of a window are computed.

    `prepare` is applied to a whole recording. `extract` maps the samples of one window, shape (n,), to an array of
    `shape`: a vector of statistics, or (n_frames, n_features) in which frames of zeros are padding. With `blocks`, of
    a pre-trained encoder, it gives what the encoder takes, and the encoder's output has the `shape`: see
    `with_encoder`.
    """

    name: str
    sample_rate: int
    window_s: float
    feature_names: tuple[str, ...]
    shape: tuple[int, ...]
    extract: Callable[[np.ndarray], np.ndarray]
    prepare: Callable[[np.ndarray, int], Prepared] = prepare_v1
    blocks: tuple[int, ...] = ()  # counted from 1; empty: no encoder

    @property
    def encoder(self) -> bool:
        """Return whether a pre-trained encoder gives the features."""
        return bool(self.blocks)

    def __call__(self, samples: np.ndarray, breaks: Sequence[int] = ()) -> np.ndarray:
        """Return the features of every window of prepared samples, shape (n_windows, *shape), float32."""
        length = round(self.window_s * self.sample_rate)
        return np.stack([self.extract(part) for part in windows(samples, length, breaks)])

    def of(self, waveform: Waveform) -> np.ndarray:
        """Prepare a waveform and return the features of its windows, shape (n_windows, *shape), float32."""
        if waveform.sample_rate != self.sample_rate:
            raise ParameterError(f"{self.name} needs audio at {self.sample_rate} Hz, got {waveform.sample_rate} Hz.")
        prepared = self.prepare(waveform.samples, waveform.sample_rate)
        return self(prepared.samples, prepared.breaks)


ENCODER_WIDTH = 512  # of Whisper base
ENCODER_BLOCKS = (1, 2, 3, 4)  # of its encoder, counted from 1: the lower ones, which hear emotion best


def encoder_recipe(name: str, blocks: tuple[int, ...]) -> Recipe:
    """Return a recipe of mean and standard deviation over time of blocks of Whisper's encoder."""
    units = range(1, ENCODER_WIDTH + 1)
    names = tuple(f"block{block}_{kind}_{unit:03d}" for block in blocks for kind in ("mean", "std") for unit in units)
    return Recipe(name, SAMPLE_RATE, WINDOW_S, names, (len(names),), log_mel, prepare, blocks)


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
        Recipe("voice105-v2", SAMPLE_RATE, WINDOW_S, VOICE105_NAMES, (105,), voice105, prepare),
        Recipe("voice-frames-v2", SAMPLE_RATE, FRAMES_WINDOW_S, NAMES, (N_FRAMES, len(NAMES)), voice_frames, prepare),
        Recipe("functionals-v2", SAMPLE_RATE, WINDOW_S, FEATURE_NAMES, (len(FEATURE_NAMES),), functionals, prepare),
        encoder_recipe("encoder-v1", (2, 3)),
        encoder_recipe("encoder-v2", ENCODER_BLOCKS),
    )
}


def recipe(name: str) -> Recipe:
    """Return the recipe of that name; raise `ParameterError` if it is unknown."""
    return lookup(name, RECIPES, "recipe")


def with_encoder(features: Recipe, encode: Callable[[np.ndarray], np.ndarray] | None) -> Recipe:
    """Return a recipe whose `extract` is followed by its encoder, if it needs one."""
    if not features.encoder or encode is None:
        return features
    return replace(features, extract=lambda samples: encode(features.extract(samples)), blocks=())
