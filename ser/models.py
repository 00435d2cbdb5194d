"""The networks, as functions that return a Keras model without its feature scaler."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ser.types import ParameterError

if TYPE_CHECKING:
    import keras
    import numpy as np


def dense(
    input_shape: tuple[int, ...], n_classes: int, dropout: tuple[float, float, float, float] = (0.3, 0.3, 0.2, 0.2)
) -> keras.Model:
    """Four dense layers of 512, 256, 128 and 64 units; 230,856 parameters from 105 features to 8 emotions.

    `dropout` gives the share of units dropped after each of the four while training.
    """
    from keras import Model, layers

    features = x = layers.Input(input_shape, name="features")
    for units, rate in zip((512, 256, 128), dropout, strict=False):
        x = layers.Dense(units, activation="relu")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Dropout(rate)(x)
    x = layers.Dropout(dropout[3])(layers.Dense(64, activation="relu")(x))
    return Model(features, _softmax(x, n_classes), name="dense")


ARCHITECTURES: dict[str, Callable[..., Any]] = {"dense": dense}


def build(name: str, input_shape: tuple[int, ...], n_classes: int, **options: Any) -> keras.Model:
    """An untrained network from features of `input_shape` to `n_classes` probabilities.

    `options` are those of the architecture, e.g. `dropout`. `ParameterError` for an unknown name, or shapes or
    classes that cannot be: it lists what is known.
    """
    if name not in ARCHITECTURES:
        raise ParameterError(f"Unknown architecture {name!r}; known: {', '.join(ARCHITECTURES)}.")
    if n_classes < 2:
        raise ParameterError(f"A network needs at least 2 classes, got {n_classes}.")
    return ARCHITECTURES[name](tuple(input_shape), n_classes, **options)


def with_scaler(network: keras.Model, mean: np.ndarray, variance: np.ndarray) -> keras.Model:
    """Raw features to log-probabilities: standardisation, the network up to its logits, log-softmax.

    The scaler is a frozen batch normalisation without epsilon, since Keras' `Normalization` does not survive the
    export to ONNX.
    """
    from keras import Model, layers

    features = layers.Input(network.input_shape[1:], name="features")
    scaler = layers.BatchNormalization(epsilon=0, center=False, scale=False, trainable=False, name="scaler")
    x = scaler(features)
    scaler.set_weights([mean, variance])
    logits = Model(network.input, network.get_layer("logits").output)
    return Model(features, layers.Activation("log_softmax", name="log_probabilities")(logits(x)))


def _softmax(x: Any, n_classes: int) -> Any:
    """The last layer of every network: `logits`, then softmax."""
    from keras import layers

    return layers.Activation("softmax", name="probabilities")(layers.Dense(n_classes, name="logits")(x))
