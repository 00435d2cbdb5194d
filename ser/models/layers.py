"""Layers that several networks share, and the feature scaler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ser.types import ParameterError

if TYPE_CHECKING:
    import keras
    import numpy as np

Shape = tuple[int | None, ...]

# Training crops are a multiple of this many frames; recipes give one frame more. Padded to the next multiple, three
# poolings by 2 align with those of training.
FRAME_MULTIPLE = 8


def with_scaler(network: keras.Model, mean: np.ndarray, variance: np.ndarray) -> keras.Model:
    """Wrap a network: standardise raw features, then logits and log-softmax; heads as second output (n, n_heads).

    `mean` and `variance` have the shape of the input, or of one frame; padding (frames of zeros) stays zero. The scaler
    is a frozen batch normalisation without epsilon, since Keras' `Normalization` breaks the export to ONNX.
    """
    from keras import Model, layers

    features = layers.Input(network.input_shape[1:], name="features")
    scaler = layers.BatchNormalization(epsilon=0, center=False, scale=False, trainable=False, name="scaler")
    if mean.ndim == features.ndim - 1:
        x = layers.Reshape(mean.shape)(scaler(layers.Flatten()(features))) if mean.ndim > 1 else scaler(features)
    else:
        x = scaler(features) * sound_mask(features)
        if features.shape[1] is None:
            x = layers.ZeroPadding1D((0, FRAME_MULTIPLE - 1))(x)
    scaler.set_weights([mean.ravel(), variance.ravel()])
    outputs = [layer.output for name in ("logits", "heads") for layer in network.layers if layer.name == name]
    inner = Model(network.input, outputs)
    logits, *heads = inner(x)
    return Model(features, [layers.Activation("log_softmax", name="log_probabilities")(logits), *heads])


def input_layer(name: str, shape: Shape, least: Shape) -> Any:
    """Return an input layer; raise if the shape has another number of axes than `least`, or a shorter one.

    An axis of `least` that is None may have any length, and be free.
    """
    fits = [m is None or (n is not None and n >= m) for n, m in zip(shape, least, strict=False)]
    if len(shape) != len(least) or not all(fits):
        lengths = tuple("any" if n is None else n for n in least)
        axes = f"{len(least)} axes of at least ({', '.join(map(str, lengths))})" if len(least) > 1 else "one axis"
        raise ParameterError(f"The architecture {name!r} needs features with {axes}, got the shape {shape}.")
    from keras import layers

    return layers.Input(shape, name="features")


def sound_mask(frames: Any) -> Any:
    """Return 0 for frames of zeros, else 1; (batch, n_frames, n_features) to (batch, n_frames, 1)."""
    from keras import ops

    return ops.cast(ops.max(ops.abs(frames), axis=-1, keepdims=True) > 0, "float32")


def softmax_output(x: Any, n_classes: int) -> Any:
    """Add the last layers of every network: `logits`, then softmax."""
    from keras import layers

    return layers.Activation("softmax", name="probabilities")(layers.Dense(n_classes, name="logits")(x))
