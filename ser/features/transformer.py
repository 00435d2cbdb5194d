"""The transformer behind `ser.sklearn`; the one file that loads scikit-learn at once, since it subclasses it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import soundfile
from sklearn.base import BaseEstimator, TransformerMixin

from ser.audio.loading import MAX_RATE, MIN_RATE, Source, load_waveform
from ser.features import recipes as features
from ser.features.recipes import RECIPES, Recipe
from ser.types import AudioError, ParameterError, SerError, Waveform


class VoiceFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns a list of n recordings into a matrix of features (n, n_features), float32.

    A recording is a path, bytes, an open file, an array of mono samples, or a `Waveform` at the recipe's rate. Its
    silence at both ends is left out, its peak becomes 1, and the features of its windows are averaged. Nothing is
    learned, so `transform` needs no `fit`. What cannot be heard raises `AudioError`; a parameter that does not fit
    raises `ParameterError` in `fit` and `transform`.

    Parameters
    ----------
    recipe : str, default="voice105-v1"
        One of `ser.features.RECIPES` that gives one row of numbers: 105 for the default.
    sample_rate : int or None, default=None
        Of recordings that are arrays, in Hz, 8,000 to 192,000. None: that of the recipe.
    """

    def __init__(self, recipe: str = "voice105-v1", sample_rate: int | None = None) -> None:
        self.recipe = recipe
        self.sample_rate = sample_rate

    def fit(self, X: Iterable[Any], y: Any = None) -> VoiceFeatures:
        """Check the parameters; no recording is heard."""
        self._checked()
        _check_list(X)
        return self

    def transform(self, X: Iterable[Source | Waveform | np.ndarray]) -> np.ndarray:
        """The features of each recording, shape (n, n_features), float32."""
        recipe, rate = self._checked()
        _check_list(X)
        rows = [_row(recording, place, recipe, rate) for place, recording in enumerate(X)]
        return np.stack(rows) if rows else np.empty((0, *recipe.shape), np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """What each column tells; `input_features` is not used, recordings have none."""
        return np.array(self._checked()[0].feature_names, dtype=object)

    def _checked(self) -> tuple[Recipe, int]:
        """The recipe, and the rate of arrays in Hz."""
        recipe = features.recipe(self.recipe)
        if len(recipe.shape) != 1:
            rows = ", ".join(made.name for made in RECIPES.values() if len(made.shape) == 1)
            found = f"{recipe.name} gives arrays of shape {recipe.shape}, not one row of numbers"
            raise ParameterError(f"{found}; recipes that give one are {rows}.")
        rate = recipe.sample_rate if self.sample_rate is None else self.sample_rate
        if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or not MIN_RATE <= rate <= MAX_RATE:
            raise ParameterError(f"sample_rate is a whole number from {MIN_RATE} to {MAX_RATE} Hz, found {rate!r}.")
        return recipe, int(rate)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.transformer_tags.preserves_dtype = []
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True  # paths
        return tags


VoiceFeatures.__module__ = "ser.sklearn"  # where people find it, and so what a stored pipeline names


def _check_list(recordings: Any) -> None:
    """Refuse a single recording, most kinds of which could be iterated over too, and a table."""
    single = isinstance(recordings, str | bytes | bytearray | memoryview) or hasattr(recordings, "read")
    if single or not isinstance(recordings, Iterable) or (isinstance(recordings, np.ndarray) and _is_sound(recordings)):
        found = type(recordings).__name__
        raise ParameterError(f"VoiceFeatures takes a list of recordings, found one {found}; put it into a list.")
    if hasattr(recordings, "columns"):
        raise ParameterError("VoiceFeatures takes a list of recordings, found a table; choose its column of them.")


def _row(recording: Source | Waveform | np.ndarray, place: int, recipe: Recipe, rate: int) -> np.ndarray:
    """Features of one recording, the mean over its windows, shape `recipe.shape`."""
    try:
        return recipe.of(_waveform(recording, recipe, rate)).mean(axis=0)
    except SerError as error:
        raise type(error)(f"Recording {place}: {error}") from error


def _waveform(recording: Source | Waveform | np.ndarray, recipe: Recipe, rate: int) -> Waveform:
    if isinstance(recording, Waveform):
        return recording
    if not isinstance(recording, np.ndarray):
        return load_waveform(recording, recipe.sample_rate)
    if not _is_sound(recording):
        found = f"{recording.dtype} of shape {recording.shape}"
        raise ParameterError(f"an array holds the samples of one channel as numbers, shape (n,), found {found}.")
    if not recording.size:
        raise AudioError("an array without samples; leave it out.")
    wav = io.BytesIO()  # through the door for all sound, with its checks
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused as not finite
        soundfile.write(wav, recording.astype(np.float32), rate, format="WAV", subtype="FLOAT")
    return load_waveform(wav.getvalue(), recipe.sample_rate)


def _is_sound(array: np.ndarray) -> bool:
    return array.ndim == 1 and array.dtype.kind in "fiu"
