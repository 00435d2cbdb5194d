"""The registry of architectures: Keras models by name, without the feature scaler."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ser.models.published import cnn, cnn_bilstm_attention, cnn_lstm, dense, dense180
from ser.models.voice import sequence, statistics
from ser.types import ParameterError, lookup

if TYPE_CHECKING:
    import keras

ARCHITECTURES: dict[str, Callable[..., Any]] = {
    architecture.__name__: architecture
    for architecture in (dense, dense180, cnn_lstm, cnn_bilstm_attention, cnn, sequence, statistics)
}


def build(name: str, input_shape: tuple[int | None, ...], n_classes: int, **options: Any) -> keras.Model:
    """Build an untrained network from features of `input_shape` to `n_classes` probabilities.

    `options` are the architecture's, e.g. `dropout`. Raises `ParameterError` if an argument is invalid.
    """
    architecture = lookup(name, ARCHITECTURES, "architecture")
    if n_classes < 2:
        raise ParameterError(f"A network needs at least 2 classes, got {n_classes}.")
    return architecture(tuple(input_shape), n_classes, **options)
