"""The networks of `voice` and `small`, over frames and over statistics: emotion, and the heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ser.models.layers import Shape, input_layer, softmax_output, sound_mask

if TYPE_CHECKING:
    import keras

N_MELS = 64  # the first columns of the frames
N_HEADS = 3  # probability of a female voice, of strong intensity, of the recording conditions of the first corpus
LIMIT = 5.0  # standard deviations at which statistics are clipped


def sequence(
    input_shape: Shape,
    n_classes: int,
    channels: tuple[int, ...] = (64, 96, 128),
    dropout: tuple[float, float, float] = (0.1, 0.2, 0.4),
) -> keras.Model:
    """Build residual convolutions over time, each block with stride 2, then attentive statistics pooling.

    Input (n_frames, n_features); frames of zeros are padding. `dropout` is the rate of the input, within the blocks
    and of the embedding.
    """
    from keras import Model, layers

    frames = input_layer("sequence", input_shape, (None, 1))
    mask = sound_mask(frames)
    x = layers.Dropout(dropout[0])(frames)
    x = _relu(_convolution(x, channels[0], 5))
    for n in channels:
        x, mask = _block(x, mask, n, dropout[1])
    embedding = _pooled(x, mask)
    return Model(frames, _outputs(layers.Dropout(dropout[2])(embedding), n_classes), name="sequence")


def statistics(
    input_shape: Shape,
    n_classes: int,
    units: tuple[int, ...] = (128, 128),
    dropout: tuple[float, float] = (0.5, 0.5),
    parts: tuple[tuple[int, int], ...] = (),
) -> keras.Model:
    """Build dense layers of `units` on statistics, with strong dropout of the input; outliers are clipped.

    `parts` are the ranges (first, end) of the features that the network uses; empty: all.
    """
    from keras import Model, layers, ops

    features = input_layer("statistics", input_shape, (1,))
    used = [features[:, first:end] for first, end in parts] or [features]
    x = ops.concatenate(used, axis=-1) if len(used) > 1 else used[0]
    x = layers.Dropout(dropout[0])(ops.clip(x, -LIMIT, LIMIT))
    for n in units:
        x = layers.Dropout(dropout[1])(_relu(layers.Dense(n, use_bias=False)(x)))
    return Model(features, _outputs(x, n_classes), name="statistics")


def _convolution(x: Any, channels: int, size: int, stride: int = 1) -> Any:
    from keras import layers

    return layers.Conv1D(channels, size, stride, "same", use_bias=False, kernel_initializer="he_normal")(x)


def _relu(x: Any) -> Any:
    from keras import layers

    return layers.Activation("relu")(layers.BatchNormalization()(x))


def _block(x: Any, mask: Any, channels: int, dropout: float) -> tuple[Any, Any]:
    """Add a residual block of two convolutions with stride 2; return its output and the mask, both half as long."""
    from keras import layers

    inner = layers.Dropout(dropout)(_relu(_convolution(x, channels, 5, 2)))
    inner = layers.BatchNormalization()(_convolution(inner, channels, 5))
    x = layers.BatchNormalization()(_convolution(x, channels, 1, 2))
    return layers.Activation("relu")(inner + x), layers.MaxPooling1D(2, padding="same")(mask)


def _pooled(x: Any, mask: Any) -> Any:
    """Return attention-weighted mean and standard deviation over time of each channel [Okabe et al. 2018]."""
    from keras import layers, ops

    # Convolutions of width 1: ONNX Runtime refuses dense layers over a free time axis.
    attention = layers.Conv1D(64, 1, activation="tanh")(x)
    attention = layers.Conv1D(x.shape[-1], 1)(attention) + (mask - 1) * 1e9
    weights = layers.Softmax(axis=1)(attention)
    mean = ops.sum(weights * x, axis=1)
    variance = ops.sum(weights * x * x, axis=1) - mean * mean
    return layers.Concatenate()([mean, ops.sqrt(ops.maximum(variance, 1e-4))])


def _outputs(embedding: Any, n_classes: int) -> Any:
    """Add the outputs: probabilities of the emotions, then those of the heads."""
    from keras import layers

    emotions = softmax_output(embedding, n_classes)
    heads = layers.Dense(N_HEADS, activation="sigmoid", name="heads")(embedding)
    return layers.Concatenate(name="answers")([emotions, heads])
