"""The networks of published systems, as functions that return a Keras model without its feature scaler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser.models.layers import softmax_output, sound_mask
from ser.types import ParameterError

if TYPE_CHECKING:
    import keras


Shape = tuple[int, ...]


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
    return Model(features, softmax_output(x, n_classes), name="dense")


def dense180(input_shape: Shape, n_classes: int, dropout: tuple[float, float, float] = (0.3, 0.3, 0.2)) -> keras.Model:
    """Three dense layers of 256, 128 and 64 units; 87,748 parameters from 180 features to 4 emotions."""
    from keras import Model, layers

    _check_shape("dense180", input_shape, (1,))
    features = x = layers.Input(input_shape, name="features")
    for units, rate in zip((256, 128, 64), dropout, strict=True):
        x = layers.Dropout(rate)(layers.Dense(units, activation="relu")(x))
    return Model(features, softmax_output(x, n_classes), name="dense180")


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
    return Model(features, softmax_output(x, n_classes), name="cnn_lstm")


def cnn_bilstm_attention(input_shape: Shape, n_classes: int, dropout: tuple[float, float] = (0.3, 0.4)) -> keras.Model:
    """Convolutions over time of 64, 128 and 256 filters, each halving the frames, two bidirectional recurrent layers
    of 128 and 64 units, attention with four heads, dense layers of 256 and 128 units.

    Takes (n_frames, n_features); frames that are all zero are padding, and their number changes no answer.
    `dropout` is that of the convolutions and of the dense layers.
    """
    from keras import Model, layers

    _check_shape("cnn_bilstm_attention", input_shape, (8, 1))
    features = x = layers.Input(input_shape, name="features")
    heard = sound_mask(features)
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
    return Model(features, softmax_output(x, n_classes), name="cnn_bilstm_attention")


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
    return Model(features, softmax_output(x, n_classes), name="cnn")


def _check_shape(name: str, found: Shape, least: Shape) -> None:
    """As many axes as `least`, and each as long at least."""
    if len(found) != len(least) or not all(n is not None and n >= m for n, m in zip(found, least, strict=True)):
        axes = f"{len(least)} axes of at least {least}" if len(least) > 1 else "one axis"
        raise ParameterError(f"The architecture {name!r} takes features with {axes}, got the shape {found}.")
