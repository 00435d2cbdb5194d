"""Layers that several networks share, and the scaler in front of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import numpy as np


# Rows over a free time axis are one frame longer than a multiple of this. Padded to the next one, three halvings fall
# on the same frames as in the crops of training, which are such a multiple.
WHOLE_FRAMES = 8


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
        x = scaler(features) * sound_mask(features)
        if features.shape[1] is None:
            x = layers.ZeroPadding1D((0, WHOLE_FRAMES - 1))(x)
    scaler.set_weights([mean.ravel(), variance.ravel()])
    names = {layer.name for layer in network.layers}
    read = ["logits", *(["heads"] if "heads" in names else [])]
    inner = Model(network.input, [network.get_layer(name).output for name in read])
    logits, *heads = inner(x)
    return Model(features, [layers.Activation("log_softmax", name="log_probabilities")(logits), *heads])


def sound_mask(frames: Any) -> Any:
    """1 for every frame that is not all zero, else 0; (batch, n_frames, n_features) to (batch, n_frames, 1)."""
    from keras import ops

    return ops.cast(ops.max(ops.abs(frames), axis=-1, keepdims=True) > 0, "float32")


def softmax_output(x: Any, n_classes: int) -> Any:
    """The last layer of every network: `logits`, then softmax."""
    from keras import layers

    return layers.Activation("softmax", name="probabilities")(layers.Dense(n_classes, name="logits")(x))
