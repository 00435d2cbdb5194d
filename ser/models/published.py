"""Networks of published systems: functions that return a Keras model without the feature scaler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser.models.layers import Shape, input_layer, softmax_output, sound_mask

if TYPE_CHECKING:
    import keras

Rates = tuple[float, ...]


def dense(input_shape: Shape, n_classes: int, dropout: Rates = (0.3, 0.3, 0.2, 0.2)) -> keras.Model:
    """Build four dense layers of 512, 256, 128 and 64 units; 230,856 parameters for 105 features and 8 emotions.

    `dropout` is the rate after each layer.
    """
    from keras import Model, layers

    features = x = input_layer("dense", input_shape, (1,))
    for units, rate in zip((512, 256, 128), dropout, strict=False):
        x = layers.Dense(units, activation="relu")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Dropout(rate)(x)
    x = layers.Dropout(dropout[3])(layers.Dense(64, activation="relu")(x))
    return Model(features, softmax_output(x, n_classes), name="dense")


def dense180(input_shape: Shape, n_classes: int, dropout: Rates = (0.3, 0.3, 0.2)) -> keras.Model:
    """Build three dense layers of 256, 128 and 64 units; 87,748 parameters for 180 features and 4 emotions."""
    from keras import Model, layers

    features = x = input_layer("dense180", input_shape, (1,))
    for units, rate in zip((256, 128, 64), dropout, strict=True):
        x = layers.Dropout(rate)(layers.Dense(units, activation="relu")(x))
    return Model(features, softmax_output(x, n_classes), name="dense180")


def cnn_lstm(input_shape: Shape, n_classes: int, dropout: Rates = (0.25, 0.25, 0.3)) -> keras.Model:
    """Build two convolutions over features as an image (11, 4, 1), then two LSTMs over the two remaining rows.

    69,480 parameters for 8 emotions.
    """
    from keras import Model, layers

    features = x = input_layer("cnn_lstm", input_shape, (4, 4, 1))
    for filters, rate in zip((32, 64), dropout, strict=False):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(layers.BatchNormalization()(x))
        x = layers.Dropout(rate)(x)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    for units, sequences in ((64, True), (32, False)):
        # Unrolled: the two steps are faster without a loop, and TFLite needs it.
        x = layers.LSTM(units, return_sequences=sequences, unroll=True)(x)
        x = layers.BatchNormalization()(x)
    x = layers.Dropout(dropout[2])(layers.Dense(64, activation="relu")(x))
    x = layers.Dense(32, activation="relu")(x)
    return Model(features, softmax_output(x, n_classes), name="cnn_lstm")


def cnn_bilstm_attention(input_shape: Shape, n_classes: int, dropout: Rates = (0.3, 0.4)) -> keras.Model:
    """Build convolutions over time (64, 128, 256 filters, each followed by pooling by 2), two bidirectional LSTMs (128,
    64 units), attention with four heads, and dense layers (256, 128 units).

    Input (n_frames, n_features); frames of zeros are padding and do not change the output. `dropout` is the rate of
    the convolutions and of the dense layers.
    """
    from keras import Model, layers, ops

    features = x = input_layer("cnn_bilstm_attention", input_shape, (8, 1))
    mask = sound_mask(features)
    for filters in (64, 128, 256):
        x = layers.Conv1D(filters, 5, padding="same")(x)
        x = layers.BatchNormalization()(x, mask=mask[..., 0] > 0)
        x = layers.MaxPooling1D(2, padding="same")(layers.Activation("relu")(x) * mask)
        mask = layers.MaxPooling1D(2, padding="same")(mask)
        x = layers.Dropout(dropout[0])(x)
    mask = mask[..., 0] > 0
    for units in (128, 64):
        x = layers.Bidirectional(layers.LSTM(units, return_sequences=True))(x, mask=mask)
    attended = layers.MultiHeadAttention(num_heads=4, key_dim=32)(x, x, attention_mask=mask[:, None, :])
    x = layers.LayerNormalization()(x + attended)
    # Not GlobalAveragePooling1D: it divides by zero if an augmentation has masked all frames of a short recording.
    sounding = ops.cast(mask[..., None], x.dtype)
    x = ops.sum(x * sounding, axis=1) / ops.maximum(ops.sum(sounding, axis=1), 1)
    for units in (256, 128):
        x = layers.BatchNormalization()(layers.Dense(units, activation="relu")(x))
        x = layers.Dropout(dropout[1])(x)
    return Model(features, softmax_output(x, n_classes), name="cnn_bilstm_attention")


def cnn(input_shape: Shape, n_classes: int, dropout: Rates = (0.3, 0.3, 0.4)) -> keras.Model:
    """Build three convolutions (64, 128, 256 filters) over frames and features as an image, and two dense layers.

    Input (n_frames, n_features) or with one channel; 2,603,144 trainable parameters for 8 emotions.
    """
    from keras import Model, layers

    features = input_layer("cnn", input_shape, (32, 32, 1) if input_shape[2:] == (1,) else (32, 32))
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
