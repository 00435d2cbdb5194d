"""The networks of our own model: one that follows a voice over time, one that weighs statistics of the whole.

Each answers the emotion and, from the same embedding, two more things: the speaker's sex and the intensity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ser.models.layers import sound_mask

if TYPE_CHECKING:
    import keras

N_MELS = 64  # the first columns of the frames
N_HEADS = 2  # probability of a woman's voice, intensity
LIMIT = 5.0  # standard deviations beyond which a statistic tells no more


def sequence(
    input_shape: tuple[int | None, ...],
    n_classes: int,
    channels: tuple[int, ...] = (64, 96, 128),
    dropout: tuple[float, float, float] = (0.1, 0.2, 0.4),
) -> keras.Model:
    """Residual convolutions over time on all tracks, each block halving the frames, then attentive statistics.

    Takes (n_frames, n_features); frames that are all zero are padding. `dropout` is that of the tracks, within the
    blocks and of the embedding.
    """
    from keras import Model, layers

    frames = layers.Input(input_shape, name="features")
    heard = sound_mask(frames)
    x = layers.Dropout(dropout[0])(frames)
    x = _relu(_convolution(x, channels[0], 5))
    for n in channels:
        x, heard = _block(x, heard, n, 5, 2, dropout[1])
    return Model(frames, _answers(_pooled(x, heard), n_classes, dropout[2]), name="sequence")


def statistics(
    input_shape: tuple[int | None, ...],
    n_classes: int,
    units: tuple[int, ...] = (128, 128),
    dropout: tuple[float, float] = (0.5, 0.5),
) -> keras.Model:
    """Two dense layers on many statistics, half of which are dropped at every step; outliers are clipped."""
    from keras import Model, layers, ops

    features = layers.Input(input_shape, name="features")
    x = layers.Dropout(dropout[0])(ops.clip(features, -LIMIT, LIMIT))
    for n in units:
        x = layers.Dropout(dropout[1])(_relu(layers.Dense(n, use_bias=False)(x)))
    return Model(features, _answers(x, n_classes, 0.0), name="statistics")


def _convolution(x: Any, channels: int, size: int, stride: int = 1) -> Any:
    from keras import layers

    layer = layers.Conv1D(channels, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal")
    return layer(x)


def _relu(x: Any) -> Any:
    from keras import layers

    return layers.Activation("relu")(layers.BatchNormalization()(x))


def _block(x: Any, heard: Any, channels: int, size: int, stride: int, dropout: float) -> tuple[Any, Any]:
    """Two convolutions beside a shortcut; with stride 2 half the frames are left."""
    from keras import layers

    inner = layers.Dropout(dropout)(_relu(_convolution(x, channels, size, stride)))
    inner = layers.BatchNormalization()(_convolution(inner, channels, size))
    if stride > 1 or x.shape[-1] != channels:
        x = layers.BatchNormalization()(_convolution(x, channels, 1, stride))
    if stride > 1:
        heard = layers.MaxPooling1D(stride, padding="same")(heard)
    return layers.Activation("relu")(inner + x), heard


def _pooled(x: Any, heard: Any) -> Any:
    """Mean and standard deviation over time, weighted for each channel by attention [Okabe et al. 2018]."""
    from keras import layers, ops

    # Convolutions of width 1 rather than dense layers, which ONNX Runtime refuses over a free time axis.
    attention = layers.Conv1D(64, 1, activation="tanh")(x)
    attention = layers.Conv1D(x.shape[-1], 1)(attention) + (heard - 1) * 1e9
    weights = layers.Softmax(axis=1)(attention)
    mean = ops.sum(weights * x, axis=1)
    variance = ops.sum(weights * x * x, axis=1) - mean * mean
    return layers.Concatenate()([mean, ops.sqrt(ops.maximum(variance, 1e-4))])


def _answers(embedding: Any, n_classes: int, dropout: float) -> Any:
    """Probabilities of the emotions, then those of a woman's voice and of strong intensity, side by side."""
    from keras import layers

    x = layers.Dropout(dropout)(embedding)
    emotions = layers.Activation("softmax", name="probabilities")(layers.Dense(n_classes, name="logits")(x))
    heads = layers.Dense(N_HEADS, activation="sigmoid", name="heads")(x)
    return layers.Concatenate(name="answers")([emotions, heads])
