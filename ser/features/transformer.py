"""The scikit-learn transformer of `ser.sklearn`; importing this module loads scikit-learn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from ser.audio.loading import MAX_RATE, MIN_RATE, Source, load_waveform, waveform_of_samples
from ser.features.recipes import RECIPES, Recipe
from ser.types import ParameterError, SerError, Waveform, lookup


class VoiceFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Transform a list of n recordings into a matrix of features (n, n_features), float32.

    A recording is a path, bytes, an open file, an array of samples, or a `Waveform` at the recipe's rate. It is trimmed
    and scaled to peak 1, and the features of its windows are averaged. The transformer is stateless: `transform` works
    without `fit`. Raises `AudioError` if a recording cannot be decoded, `ParameterError` if a parameter is invalid.

    Parameters
    ----------
    recipe : str, default="voice105-v1"
        A recipe of `ser.features.RECIPES` with one vector per window; the default has 105 features.
    sample_rate : int or None, default=None
        Sample rate of arrays in Hz, 8,000 to 192,000. None: the recipe's.
    """

    def __init__(self, recipe: str = "voice105-v1", sample_rate: int | None = None) -> None:
        self.recipe = recipe
        self.sample_rate = sample_rate

    def fit(self, X: Iterable[Any], y: Any = None) -> VoiceFeatures:
        """Check the parameters; the recordings are not read."""
        self._checked()
        _check_list(X)
        return self

    def transform(self, X: Iterable[Source | Waveform | np.ndarray]) -> np.ndarray:
        """Return the features of each recording, shape (n, n_features), float32."""
        recipe, rate = self._checked()
        _check_list(X)
        rows = []
        for index, recording in enumerate(X):
            try:
                rows.append(_features(recording, recipe, rate))
            except SerError as error:
                raise type(error)(f"Recording {index}: {error}") from error
        return np.stack(rows) if rows else np.empty((0, *recipe.shape), np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the name of each column; `input_features` is ignored."""
        return np.array(self._checked()[0].feature_names, dtype=object)

    def _checked(self) -> tuple[Recipe, int]:
        """Return the recipe and the sample rate of arrays in Hz, both validated."""
        recipe = lookup(self.recipe, RECIPES, "recipe")
        if len(recipe.shape) != 1 or recipe.encoder:
            vectors = ", ".join(other.name for other in RECIPES.values() if len(other.shape) == 1 and not other.encoder)
            problem = "needs a model's encoder" if recipe.encoder else f"returns arrays of shape {recipe.shape}"
            raise ParameterError(f"{recipe.name} {problem}, not a vector; recipes that return one: {vectors}.")
        rate = recipe.sample_rate if self.sample_rate is None else self.sample_rate
        if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or not MIN_RATE <= rate <= MAX_RATE:
            raise ParameterError(f"sample_rate must be an integer from {MIN_RATE} to {MAX_RATE} Hz, got {rate!r}.")
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


VoiceFeatures.__module__ = "ser.sklearn"  # its public path, which pickled pipelines store


def _check_list(recordings: Any) -> None:
    """Raise if the input is a single recording (iterating over it would yield bytes or numbers) or a table."""
    single = isinstance(recordings, str | bytes | bytearray | memoryview) or hasattr(recordings, "read")
    samples = isinstance(recordings, np.ndarray) and recordings.ndim == 1 and recordings.dtype.kind in "fiu"
    if single or samples or not isinstance(recordings, Iterable):
        kind = type(recordings).__name__
        raise ParameterError(f"VoiceFeatures takes a list of recordings, got one {kind}; put it into a list.")
    if hasattr(recordings, "columns"):
        raise ParameterError("VoiceFeatures takes a list of recordings, got a table; select its column of recordings.")


def _features(recording: Source | Waveform | np.ndarray, recipe: Recipe, rate: int) -> np.ndarray:
    """Return the mean features over a recording's windows, shape `recipe.shape`."""
    if isinstance(recording, np.ndarray):
        # NumPy's default integers span no known range; the level is normalised anyway.
        samples = recording.astype(np.float32) if recording.dtype == np.int64 else recording
        recording = waveform_of_samples(samples, rate, recipe.sample_rate)
    elif not isinstance(recording, Waveform):
        recording = load_waveform(recording, recipe.sample_rate)
    return recipe.of(recording).mean(axis=0)
