"""The networks, as functions that return a Keras model without its feature scaler."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ser.models.voice import sequence, statistics
from ser.types import ParameterError

if TYPE_CHECKING:
    import keras
    import numpy as np

Shape = tuple[int, ...]
# Rows over a free time axis are one frame longer than a multiple of this. Padded to the next one, three halvings fall
# on the same frames as in the crops of training, which are such a multiple.
WHOLE_FRAMES = 8


def dense(
    input_shape: Shape, n_classes: int, dropout: tuple[float, float, float, float] = (0.3, 0.3, 0.2, 0.2)
) -> keras.Model:
    """Four dense layers of 512, 256, 128 and 64 units; 230,856 parameters from 105 features to 8 emotions.

    `dropout` gives the share of units dropped after each of the four while training.
    """
    from keras import Model, layers

    _check_shape("dense", input_shape, (1,))
    features = x = layers.Input(input_shape, name="features")
    for units, rate in zip((512, 256, 128), dropout, strict=False):
        x = layers.Dense(units, activation="relu")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Dropout(rate)(x)
    x = layers.Dropout(dropout[3])(layers.Dense(64, activation="relu")(x))
    return Model(features, _softmax(x, n_classes), name="dense")


def dense180(input_shape: Shape, n_classes: int, dropout: tuple[float, float, float] = (0.3, 0.3, 0.2)) -> keras.Model:
    """Three dense layers of 256, 128 and 64 units; 87,748 parameters from 180 features to 4 emotions."""
    from keras import Model, layers

    _check_shape("dense180", input_shape, (1,))
    features = x = layers.Input(input_shape, name="features")
    for units, rate in zip((256, 128, 64), dropout, strict=True):
        x = layers.Dropout(rate)(layers.Dense(units, activation="relu")(x))
    return Model(features, _softmax(x, n_classes), name="dense180")


def cnn_lstm(
    input_shape: Shape, n_classes: int, dropout: tuple[float, float, float] = (0.25, 0.25, 0.3)
) -> keras.Model:
    """Features laid out as an image (11, 4, 1), two convolutions, two recurrent layers over the two rows that are left.

    69,480 parameters to 8 emotions.
    """
    from keras import Model, layers

    _check_shape("cnn_lstm", input_shape, (4, 4, 1))
    features = x = layers.Input(input_shape, name="features")
    for filters, rate in zip((32, 64), dropout, strict=False):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(layers.BatchNormalization()(x))
        x = layers.Dropout(rate)(x)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    for units, whole in ((64, True), (32, False)):
        # Unrolled: the few steps are quicker without a loop, and every export format can hold them.
        x = layers.LSTM(units, return_sequences=whole, unroll=True)(x)
        x = layers.BatchNormalization()(x)
    x = layers.Dropout(dropout[2])(layers.Dense(64, activation="relu")(x))
    x = layers.Dense(32, activation="relu")(x)
    return Model(features, _softmax(x, n_classes), name="cnn_lstm")


def cnn_bilstm_attention(input_shape: Shape, n_classes: int, dropout: tuple[float, float] = (0.3, 0.4)) -> keras.Model:
    """Convolutions over time of 64, 128 and 256 filters, each halving the frames, two bidirectional recurrent layers
    of 128 and 64 units, attention with four heads, dense layers of 256 and 128 units.

    Takes (n_frames, n_features); frames that are all zero are padding, and their number changes no answer.
    `dropout` is that of the convolutions and of the dense layers.
    """
    from keras import Model, layers

    _check_shape("cnn_bilstm_attention", input_shape, (8, 1))
    features = x = layers.Input(input_shape, name="features")
    heard = _heard(features)
    for filters in (64, 128, 256):
        x = layers.Conv1D(filters, 5, padding="same")(x)
        x = layers.BatchNormalization()(x, mask=heard[..., 0] > 0)
        x = layers.MaxPooling1D(2, padding="same")(layers.Activation("relu")(x) * heard)
        heard = layers.MaxPooling1D(2, padding="same")(heard)
        x = layers.Dropout(dropout[0])(x)
    mask = heard[..., 0] > 0
    for units in (128, 64):
        x = layers.Bidirectional(layers.LSTM(units, return_sequences=True))(x, mask=mask)
    attended = layers.MultiHeadAttention(num_heads=4, key_dim=32)(x, x, attention_mask=mask[:, None, :])
    x = layers.LayerNormalization()(x + attended)
    x = layers.GlobalAveragePooling1D()(x, mask=mask)
    for units in (256, 128):
        x = layers.BatchNormalization()(layers.Dense(units, activation="relu")(x))
        x = layers.Dropout(dropout[1])(x)
    return Model(features, _softmax(x, n_classes), name="cnn_bilstm_attention")


def cnn(input_shape: Shape, n_classes: int, dropout: tuple[float, float, float] = (0.3, 0.3, 0.4)) -> keras.Model:
    """An image of frames and features, three convolutions of 64, 128 and 256 filters, two dense layers.

    Takes (n_frames, n_features), or an image with one channel; 2,603,144 trainable parameters to 8 emotions.
    """
    from keras import Model, layers

    _check_shape("cnn", input_shape[:2] if input_shape[2:] == (1,) else input_shape, (32, 32))
    features = layers.Input(input_shape, name="features")
    x = layers.Reshape((*input_shape[:2], 1))(features)
    for filters, rate in zip((64, 128, 256), dropout, strict=True):
        x = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x))
        x = layers.MaxPooling2D(2)(layers.Activation("relu")(x))
        x = layers.Dropout(rate)(x)
    x = layers.Flatten()(layers.AdaptiveAveragePooling2D(4)(x))
    for units in (512, 256):
        x = layers.BatchNormalization()(layers.Dense(units)(x))
        x = layers.Activation("relu")(x)
    return Model(features, _softmax(x, n_classes), name="cnn")


ARCHITECTURES: dict[str, Callable[..., Any]] = {
    "dense": dense,
    "dense180": dense180,
    "cnn_lstm": cnn_lstm,
    "cnn_bilstm_attention": cnn_bilstm_attention,
    "cnn": cnn,
    "sequence": sequence,
    "statistics": statistics,
}


def build(name: str, input_shape: tuple[int | None, ...], n_classes: int, **options: Any) -> keras.Model:
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

    Where the network answers sex and intensity, they are a second output, (n, 2).

    `mean` and `variance` have the shape of the input, or that of one frame of it; frames of zeros, which are padding,
    stay zero. The scaler is a frozen batch normalisation without epsilon, since Keras' `Normalization` does not
    survive the export to ONNX.
    """
    from keras import Model, layers

    features = layers.Input(network.input_shape[1:], name="features")
    scaler = layers.BatchNormalization(epsilon=0, center=False, scale=False, trainable=False, name="scaler")
    if mean.ndim == features.ndim - 1:
        x = layers.Reshape(mean.shape)(scaler(layers.Flatten()(features))) if mean.ndim > 1 else scaler(features)
    else:
        x = scaler(features) * _heard(features)
        if features.shape[1] is None:
            x = layers.ZeroPadding1D((0, WHOLE_FRAMES - 1))(x)
    scaler.set_weights([mean.ravel(), variance.ravel()])
    names = {layer.name for layer in network.layers}
    read = ["logits", *(["heads"] if "heads" in names else [])]
    inner = Model(network.input, [network.get_layer(name).output for name in read])
    logits, *heads = inner(x)
    return Model(features, [layers.Activation("log_softmax", name="log_probabilities")(logits), *heads])


def _heard(frames: Any) -> Any:
    """1 for every frame that is not all zero, else 0; (batch, n_frames, n_features) to (batch, n_frames, 1)."""
    from keras import ops

    return ops.cast(ops.max(ops.abs(frames), axis=-1, keepdims=True) > 0, "float32")


def _softmax(x: Any, n_classes: int) -> Any:
    """The last layer of every network: `logits`, then softmax."""
    from keras import layers

    return layers.Activation("softmax", name="probabilities")(layers.Dense(n_classes, name="logits")(x))


def _check_shape(name: str, found: Shape, least: Shape) -> None:
    """As many axes as `least`, and each as long at least."""
    if len(found) != len(least) or not all(n is not None and n >= m for n, m in zip(found, least, strict=True)):
        axes = f"{len(least)} axes of at least {least}" if len(least) > 1 else "one axis"
        raise ParameterError(f"The architecture {name!r} takes features with {axes}, got the shape {found}.")
