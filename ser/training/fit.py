"""Fits one network to the rows of a training side."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.models.graphs import LEAST_ROUNDED
from ser.models.layers import FRAME_MULTIPLE
from ser.models.registry import build
from ser.models.voice import N_HEADS
from ser.training.augment import mask_frames, shift_frames
from ser.training.configs import Config
from ser.training.frame_augment import alter_frames
from ser.types import ParameterError

if TYPE_CHECKING:
    import keras

SMOOTHING_EPOCHS = 5  # over which validation accuracy is averaged before the best epoch is chosen
PLATEAU_EPOCHS = 5  # without a lower loss, after which the learning rate is halved
LEAST_RATE = 1e-6
LEAST_PROBABILITY = 1e-30
PART_VALUES = 2**24  # that are scaled at a time
GROUPS = 4  # equal parts of a batch that is centred, each of one corpus


def import_keras() -> Any:
    """Import Keras without TensorFlow's notes: those of its start, and those on networks compiled one after another."""
    with silenced():
        keras = import_module("keras")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return keras


@contextmanager
def silenced() -> Iterator[None]:
    """Drop what is written to stderr: notes of C++ code, which no setting silences. Python's errors pass."""
    if sys.stderr is None:  # it was closed
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)


@dataclass(frozen=True)
class Scaler:
    """Mean and variance of each feature over unaltered training rows; a constant feature has variance 1.

    Rows (n_frames, n_features) are scaled by feature, over the frames of all rows; frames of zeros are padding, which
    does not count and stays zero. In rows of any other shape every value is a feature.
    """

    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def fitted(cls, rows: np.ndarray) -> Scaler:
        from sklearn.preprocessing import StandardScaler

        shape, fitted = rows.shape[-1:] if rows.ndim == 3 else rows.shape[1:], StandardScaler()
        for part in _parts(rows):
            flat = part[part.any(axis=-1)] if part.ndim == 3 else part.reshape(len(part), -1)
            fitted.partial_fit(flat.astype(np.float64))
        mean, variance = fitted.mean_.astype(np.float32), (fitted.scale_**2).astype(np.float32)
        return cls(mean.reshape(shape), variance.reshape(shape))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self.scale(rows.astype(np.float32))

    def scale(self, rows: np.ndarray) -> np.ndarray:
        """Scale rows in place, a part at a time, and return them: training rows take gigabytes."""
        deviation = np.sqrt(self.variance)
        for part in _parts(rows):
            sound = part.any(axis=-1, keepdims=True) if part.ndim == 3 else True
            np.subtract(part, self.mean, out=part)
            np.divide(part, deviation, out=part)
            np.multiply(part, sound, out=part)
        return rows


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield views of so many rows at a time that they take some megabytes."""
    step = max(1, PART_VALUES // max(rows[0].size, 1)) if len(rows) else 1
    return (rows[start : start + step] for start in range(0, len(rows), step))


@dataclass(frozen=True)
class Fitted:
    """A trained network with its scaler, epochs and learning curves (a value per epoch; `minutes` since the start).

    If epochs are chosen on held-out rows, network and epochs are those of the highest smoothed accuracy there.
    """

    network: keras.Model
    scaler: Scaler
    history: dict[str, list[float]]
    epochs: int

    def log_probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Return log-probabilities for raw features, shape (n, n_labels)."""
        return _log_probabilities(self.network, self.scaler(rows))

    def heads(self, rows: np.ndarray) -> np.ndarray:
        """Return the probabilities that the heads of a network tell, shape (n, n_heads)."""
        return _outputs(self.network, self.scaler(rows))[:, -N_HEADS:]


def fit(
    config: Config,
    rows: np.ndarray,
    targets: np.ndarray,
    unaltered: np.ndarray,
    seed: int,
    epochs: int | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    sample_weights: np.ndarray | None = None,
    corpora: np.ndarray | None = None,
) -> Fitted:
    """Train on raw feature rows and one-hot `targets` (n, n_labels); the scaler is fitted on the `unaltered` rows.

    `rows`, float32, are scaled in place, since a second copy may not fit into memory.

    With `config.heads` the targets have a column more for each head, -1 if unknown. `sample_weights` (n,) are the
    probabilities, sum 1, by which rows are drawn with replacement; without them an epoch is one pass over the rows.
    `corpora` (n,) are needed for centred batches.
    `epochs` stops the schedule of `config.epochs` early. `validation` is not trained on.
    """
    keras = import_keras()
    keras.utils.set_random_seed(seed)
    scaler = Scaler.fitted(rows[unaltered])
    network = _compiled(config, rows, targets)
    scaled, rng = scaler.scale(rows), np.random.default_rng(seed)
    draw = Draw(config, len(rows), sample_weights, corpora)
    watched = None if validation is None else (scaler(validation[0]), validation[1])
    history: dict[str, list[float]] = {}
    total = config.epochs if epochs is None else epochs
    best, started = Best(min(SMOOTHING_EPOCHS, total)), time.monotonic()
    for epoch in range(1, total + 1):
        values = [network.train_on_batch(*batch) for batch in _batches(config, scaled, targets, rng, draw)]
        _append(history, "", np.mean(values, axis=0))
        if watched:
            _append(history, "val_", _loss_and_accuracy(_log_probabilities(network, watched[0]), watched[1]))
        if watched and config.choose_epochs:
            best.see(epoch, history["val_accuracy"], network)
        history.setdefault("minutes", []).append((time.monotonic() - started) / 60)
        if _is_late(config, history) or best.is_stale(epoch, config.patience):
            break
        if config.schedule == "plateau":
            _follow_plateau(network, history)
    if best.weights:
        network.set_weights(best.weights)
    if config.round_weights:
        network.set_weights([rounded(weights) for weights in network.get_weights()])
    return Fitted(network, scaler, history, best.epochs or len(history["loss"]))


def ended(config: Config, history: dict[str, list[float]]) -> str:
    """Return what ended a fit: "epochs" (all), "minutes", "patience", or the number "chosen" on inner speakers."""
    if len(history["loss"]) >= config.epochs:
        return "epochs"
    if _is_late(config, history):
        return "minutes"
    return "patience" if "val_loss" in history else "chosen"


def _is_late(config: Config, history: dict[str, list[float]]) -> bool:
    return bool(config.minutes) and history["minutes"][-1] >= config.minutes


@dataclass
class Best:
    """The weights after the epoch with the highest validation accuracy, smoothed over the last epochs.

    Not the lowest loss: it rises as a network gets overconfident, long before the accuracy falls, and confidence is
    calibrated afterwards.
    """

    first: int = SMOOTHING_EPOCHS  # epoch; a mean over fewer values may be high by chance
    accuracy: float = -1.0
    epochs: int = 0
    weights: list[np.ndarray] = field(default_factory=list)

    def see(self, epochs: int, accuracies: list[float], network: keras.Model) -> None:
        accuracy = float(np.mean(accuracies[-SMOOTHING_EPOCHS:]))
        if accuracy > self.accuracy and epochs >= self.first:
            self.accuracy, self.epochs, self.weights = accuracy, epochs, network.get_weights()

    def is_stale(self, epochs: int, patience: int) -> bool:
        """Return whether `patience` epochs have passed without a better one."""
        return bool(patience and self.epochs) and epochs - self.epochs >= patience


def _compiled(config: Config, rows: np.ndarray, targets: np.ndarray) -> keras.Model:
    """Build the untrained network with its loss and optimiser."""
    from keras import optimizers, regularizers

    n_labels = targets.shape[1] - N_HEADS * config.heads
    # Rows of frames are shorter in training than in prediction.
    shape = (None, *rows.shape[2:]) if config.crop_frames else rows.shape[1:]
    network = build(config.architecture, shape, n_labels, **config.options)
    for weights in network.trainable_variables:
        if config.l2 and len(weights.shape) > 1:
            weights.regularizer = regularizers.L2(config.l2)
    steps = config.steps or max(len(rows) // config.batch_size, 1)
    optimizer = optimizers.AdamW(_learning_rate(config, steps), weight_decay=config.weight_decay)
    loss, accuracy = _loss_of_heads(config) if config.heads else ("categorical_crossentropy", "accuracy")
    network.compile(optimizer, loss, metrics=[accuracy], jit_compile=False)
    return network


def _loss_of_heads(config: Config) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return loss and accuracy of a network with heads; the last column of the targets tells if they are centred."""
    from keras import losses, metrics, ops

    def emotions(targets: Any, outputs: Any) -> Any:
        truth, probabilities = targets[:, : -N_HEADS - 1], outputs[:, :-N_HEADS]
        if not config.centred:
            return losses.categorical_crossentropy(truth, probabilities)
        scores = ops.log(ops.maximum(probabilities, LEAST_PROBABILITY))
        groups = ops.reshape(scores, (GROUPS, -1, truth.shape[1]))
        centred = ops.reshape(groups - ops.mean(groups, axis=1, keepdims=True), ops.shape(scores))
        return losses.categorical_crossentropy(truth, ops.where(targets[:, -1:] > 0, centred, scores), from_logits=True)

    def loss(targets: Any, outputs: Any) -> Any:
        truth, heads = targets[:, -N_HEADS - 1 : -1], ops.clip(outputs[:, -N_HEADS:], 1e-6, 1 - 1e-6)
        entropy = -(truth * ops.log(heads) + (1 - truth) * ops.log(1 - heads))
        known = ops.cast(truth >= 0, "float32")
        return emotions(targets, outputs) + config.head_weight * ops.sum(known * entropy, axis=-1)

    def accuracy(targets: Any, outputs: Any) -> Any:
        return metrics.categorical_accuracy(targets[:, : -N_HEADS - 1], outputs[:, :-N_HEADS])

    return loss, accuracy


def rounded(weights: np.ndarray) -> np.ndarray:
    """Round kernels to half precision; return small arrays, such as normalisations, unchanged."""
    return weights.astype(np.float16).astype(np.float32) if weights.size >= LEAST_ROUNDED else weights


def _learning_rate(config: Config, steps: int) -> Any:
    """Return a constant, or the schedule for `steps` batches per epoch."""
    from keras import optimizers

    if config.schedule != "one_cycle":
        return config.learning_rate
    warm_up = config.epochs * steps // 10
    return optimizers.schedules.CosineDecay(
        config.learning_rate / 25,
        config.epochs * steps - warm_up,
        warmup_target=config.learning_rate,
        warmup_steps=warm_up,
    )


def _follow_plateau(network: keras.Model, history: dict[str, list[float]]) -> None:
    """Halve the learning rate every five epochs since the lowest loss."""
    losses = history.get("val_loss", history["loss"])
    epochs = len(losses) - 1 - int(np.argmin(losses))
    if epochs and epochs % PLATEAU_EPOCHS == 0:
        rate = float(network.optimizer.learning_rate) / 2
        network.optimizer.learning_rate = max(rate, LEAST_RATE)


class Draw:
    """Draws the rows of the batches of an epoch, all batches of one size, and tells which of them are centred.

    A centred batch holds `GROUPS` equal parts, one after the other, each of one corpus. A corpus is drawn by the square
    root of its part of the other draws, so that small ones are heard.
    """

    def __init__(
        self, config: Config, n_rows: int, weights: np.ndarray | None = None, corpora: np.ndarray | None = None
    ) -> None:
        """Prepare draws by `weights` (n_rows,), sum 1, else passes over all rows."""
        self.n_rows, self.weights, self.centred = n_rows, weights, config.centred
        size = min(config.batch_size, n_rows)
        self.size = size // GROUPS * GROUPS if config.centred else size
        self.steps = config.steps or n_rows // size
        self._corpora: list[tuple[np.ndarray, np.ndarray]] = []  # rows of each, and their chances
        self._chances = np.empty(0)  # of each corpus
        if config.centred:
            if weights is None or corpora is None:
                raise ParameterError("Centred batches need the weight and the corpus of each row.")
            if not self.size:
                raise ParameterError(f"Centred batches are of {GROUPS} or more rows, found {size}.")
            members = [np.flatnonzero(corpora == name) for name in np.unique(corpora)]
            parts = np.array([weights[rows].sum() for rows in members])
            self._corpora = [(rows, weights[rows] / part) for rows, part in zip(members, parts, strict=True)]
            self._chances = np.sqrt(parts) / np.sqrt(parts).sum()

    def __call__(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, bool]]:
        """Yield (rows of a batch, whether it is centred)."""
        n = self.steps * self.size
        if self.weights is None:
            order = np.concatenate([rng.permutation(self.n_rows) for _ in range(-(-n // self.n_rows))])
        else:
            order = rng.choice(self.n_rows, n, p=self.weights)
        for start in range(0, n, self.size):
            is_centred = bool(self.centred) and rng.random() < self.centred
            yield self._of_corpora(rng) if is_centred else order[start : start + self.size], is_centred

    def _of_corpora(self, rng: np.random.Generator) -> np.ndarray:
        drawn = rng.choice(len(self._corpora), GROUPS, p=self._chances)
        parts = (self._corpora[corpus] for corpus in drawn)
        return np.concatenate([rng.choice(rows, self.size // GROUPS, p=chances) for rows, chances in parts])


def _batches(
    config: Config, rows: np.ndarray, targets: np.ndarray, rng: np.random.Generator, draw: Draw
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield one epoch of augmented batches (rows, smoothed targets, and weights if configured), all of one size."""
    n_labels = targets.shape[1] - N_HEADS * config.heads
    counts = targets[:, :n_labels].sum(axis=0)
    balance = len(targets) / np.maximum(counts, 1) / np.count_nonzero(counts)
    for index, is_centred in draw(rng):
        x, y = _altered(config, rows[index], rng), targets[index]
        if config.mixup:
            x, y = _mixed(config, x, y, n_labels, _partners(len(x), GROUPS if is_centred else 1, rng), rng)
        emotions = y[:, :n_labels] * (1 - config.label_smoothing) + config.label_smoothing / n_labels
        weights = (targets[index, :n_labels] @ balance,) if config.class_weights else ()
        last = [np.full(len(x), is_centred)] if config.heads else []
        yield x, np.column_stack([emotions, y[:, n_labels:], *last]).astype(np.float32), *weights


def _partners(n_rows: int, groups: int, rng: np.random.Generator) -> np.ndarray:
    """Return for each row another one of its group; groups are of equal size, one after the other."""
    each = n_rows // groups
    return np.concatenate([group * each + rng.permutation(each) for group in range(groups)])


def _mixed(
    config: Config, x: np.ndarray, y: np.ndarray, n_labels: int, partner: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each row with its partner [Zhang et al. 2018, mixup]; heads keep the targets of the larger share."""
    share = np.float32(rng.beta(config.mixup, config.mixup))
    emotions = share * y[:, :n_labels] + (1 - share) * y[partner, :n_labels]
    heads = y[:, n_labels:] if share >= 0.5 else y[partner, n_labels:]
    return share * x + (1 - share) * x[partner], np.column_stack([emotions, heads])


def _altered(config: Config, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Augment standardised rows: noise; rows of frames are also altered, shifted and masked."""
    if config.crop_frames:
        rows = alter_frames(rows, config.crop_frames, config.stretch, config.warp, rng)
    if config.feature_noise:
        noise = config.feature_noise * rng.standard_normal(rows.shape, np.float32)
        rows = rows + (noise * rows.any(axis=-1, keepdims=True) if rows.ndim == 3 else noise)
    if config.shift_frames:
        rows = shift_frames(rows, config.shift_frames, rng)
    return mask_frames(rows, config.mask_frames, rng) if config.mask_frames else rows


def _log_probabilities(network: keras.Model, rows: np.ndarray) -> np.ndarray:
    """Return the log-probabilities of the emotions for standardised rows."""
    n_labels = network.get_layer("logits").output.shape[-1]
    return np.log(np.maximum(_outputs(network, rows)[:, :n_labels], LEAST_PROBABILITY))


def _outputs(network: keras.Model, rows: np.ndarray) -> np.ndarray:
    """Call the network directly: `predict` would compile each of many networks anew."""
    from keras import ops

    if rows.ndim == 3 and network.input_shape[1] is None:
        rows = np.pad(rows, ((0, 0), (0, FRAME_MULTIPLE - 1), (0, 0)))  # as the exported graph does
    batch = 1024 if rows.ndim == 2 else 128  # frames and images need a thousand times the memory
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    return np.concatenate([ops.convert_to_numpy(network(part, training=False)) for part in parts])


def _loss_and_accuracy(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    targets = targets[:, : scores.shape[1]]
    hits = scores.argmax(axis=1) == targets.argmax(axis=1)
    return float(-(scores * targets).sum(axis=1).mean()), float(hits.mean())


def _append(history: dict[str, list[float]], prefix: str, values: Any) -> None:
    for name, value in zip(("loss", "accuracy"), values, strict=True):
        history.setdefault(prefix + name, []).append(float(value))
