"""Fits one network to one training side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.models.layers import FRAME_MULTIPLE
from ser.models.registry import build
from ser.models.voice import N_HEADS
from ser.training.augment import mask_frames, shift_frames
from ser.training.configs import Config
from ser.training.frame_augment import alter_frames
from ser.training.scaler import Scaler

if TYPE_CHECKING:
    import keras

SMOOTHING_EPOCHS = 5  # validation accuracies are averaged over so many epochs before the best is chosen
PLATEAU_EPOCHS = 5  # without a lower loss before the learning rate is halved
LEAST_RATE = 1e-6
LEAST_ROUNDED = 1000  # numbers in an array that is kept at half precision


@dataclass(frozen=True)
class Fitted:
    """A trained network with its scaler, its epochs, and its learning curves (one value an epoch; `minutes` so far).

    Where epochs are chosen on held-out rows, network and epochs are those of the highest smoothed accuracy there.
    """

    network: keras.Model
    scaler: Scaler
    history: dict[str, list[float]]
    epochs: int

    def log_probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Of raw features, shape (n, n_labels)."""
        return _log_probabilities(self.network, self.scaler(rows))

    def heads(self, rows: np.ndarray) -> np.ndarray:
        """Probability of a woman's voice and of strong intensity, shape (n, 2), where the network answers them."""
        return _outputs(self.network, self.scaler(rows))[:, -N_HEADS:]


def fit(
    config: Config,
    rows: np.ndarray,
    targets: np.ndarray,
    unaltered: np.ndarray,
    seed: int,
    epochs: int | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    on_epoch: Callable[[], None] = lambda: None,
    chances: np.ndarray | None = None,
) -> Fitted:
    """Train on raw feature rows and one-hot `targets` (n, n_labels); `unaltered` marks the rows the scaler sees.

    With `config.heads` the targets have two more columns, sex and intensity, with -1 for what is not known. `chances`
    (n,), which sum to 1, draw rows with replacement; without them every row is seen once an epoch. `epochs` stops the
    schedule of `config.epochs` early. `validation` is only watched, never learned from.
    """
    import keras

    keras.utils.set_random_seed(seed)
    scaler = Scaler.fitted(rows[unaltered])
    network = _compiled(config, rows, targets)
    scaled, rng = scaler(rows), np.random.default_rng(seed)
    watched = None if validation is None else (scaler(validation[0]), validation[1])
    history: dict[str, list[float]] = {}
    total = config.epochs if epochs is None else epochs
    best, started = Best(min(SMOOTHING_EPOCHS, total)), time.monotonic()
    for epoch in range(1, total + 1):
        values = [network.train_on_batch(*batch) for batch in _batches(config, scaled, targets, rng, chances)]
        _note(history, "", np.mean(values, axis=0))
        if watched:
            _note(history, "val_", _loss_and_accuracy(_log_probabilities(network, watched[0]), watched[1]))
        if watched and config.choose_epochs:
            best.see(epoch, history["val_accuracy"], network)
        history.setdefault("minutes", []).append((time.monotonic() - started) / 60)
        on_epoch()
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
    """What ended a fit: all its "epochs", "minutes", "patience", or the number "chosen" on inner speakers."""
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

    Accuracy, since the loss of an overconfident network rises long before its answers get worse, and confidence is
    calibrated afterwards.
    """

    first: int = SMOOTHING_EPOCHS  # a mean over fewer epochs may be high by luck
    accuracy: float = -1.0
    epochs: int = 0
    weights: list[np.ndarray] = field(default_factory=list)

    def see(self, epochs: int, accuracies: list[float], network: keras.Model) -> None:
        accuracy = float(np.mean(accuracies[-SMOOTHING_EPOCHS:]))
        if accuracy > self.accuracy and epochs >= self.first:
            self.accuracy, self.epochs, self.weights = accuracy, epochs, network.get_weights()

    def is_stale(self, epochs: int, patience: int) -> bool:
        """So many epochs have passed without a better one."""
        return bool(patience and self.epochs) and epochs - self.epochs >= patience


def _compiled(config: Config, rows: np.ndarray, targets: np.ndarray) -> keras.Model:
    """The untrained network with its loss and optimiser."""
    from keras import optimizers, regularizers

    n_labels = targets.shape[1] - N_HEADS * config.heads
    # Frames are cut shorter in training than they are when asked.
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
    """Loss and accuracy of a network that answers sex and intensity beside the emotions."""
    from keras import losses, metrics, ops

    def loss(targets: Any, answers: Any) -> Any:
        emotions = losses.categorical_crossentropy(targets[:, :-N_HEADS], answers[:, :-N_HEADS])
        wanted, found = targets[:, -N_HEADS:], ops.clip(answers[:, -N_HEADS:], 1e-6, 1 - 1e-6)
        missed = -(wanted * ops.log(found) + (1 - wanted) * ops.log(1 - found))
        known = ops.cast(wanted >= 0, "float32")
        return emotions + config.head_weight * ops.sum(known * missed, axis=-1)

    def accuracy(targets: Any, answers: Any) -> Any:
        return metrics.categorical_accuracy(targets[:, :-N_HEADS], answers[:, :-N_HEADS])

    return loss, accuracy


def rounded(weights: np.ndarray) -> np.ndarray:
    """Kernels at half precision; small arrays, such as normalisations, as they are."""
    return weights.astype(np.float16).astype(np.float32) if weights.size >= LEAST_ROUNDED else weights


def _learning_rate(config: Config, steps: int) -> Any:
    """A number, or the schedule of a training of so many steps an epoch."""
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
    """Halve the learning rate whenever five more epochs have passed since the lowest loss."""
    losses = history.get("val_loss", history["loss"])
    waited = len(losses) - 1 - int(np.argmin(losses))
    if waited and waited % PLATEAU_EPOCHS == 0:
        rate = float(network.optimizer.learning_rate) / 2
        network.optimizer.learning_rate = max(rate, LEAST_RATE)


def _batches(
    config: Config,
    rows: np.ndarray,
    targets: np.ndarray,
    rng: np.random.Generator,
    chances: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, ...]]:
    """One epoch of shuffled or drawn, altered batches with smoothed targets and perhaps weights; all of one size."""
    size = min(config.batch_size, len(rows))
    steps = config.steps or len(rows) // size
    n_labels = targets.shape[1] - N_HEADS * config.heads
    if chances is None:
        order = np.concatenate([rng.permutation(len(rows)) for _ in range(-(-steps * size // len(rows)))])
    else:
        order = rng.choice(len(rows), steps * size, p=chances)
    counts = targets[:, :n_labels].sum(axis=0)
    balance = len(targets) / np.maximum(counts, 1) / np.count_nonzero(counts)
    for start in range(0, steps * size, size):
        index = order[start : start + size]
        x, y = _altered(config, rows[index], rng), targets[index]
        if config.mixup:
            x, y = _mixed(config, x, y, n_labels, rng)
        emotions = y[:, :n_labels] * (1 - config.label_smoothing) + config.label_smoothing / n_labels
        weights = (targets[index, :n_labels] @ balance,) if config.class_weights else ()
        yield x, np.column_stack([emotions, y[:, n_labels:]]).astype(np.float32), *weights


def _mixed(
    config: Config, x: np.ndarray, y: np.ndarray, n_labels: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Every row with a share of another one [Zhang et al. 2018, mixup]; sex and intensity are the larger share's."""
    share, partner = np.float32(rng.beta(config.mixup, config.mixup)), rng.permutation(len(x))
    emotions = share * y[:, :n_labels] + (1 - share) * y[partner, :n_labels]
    heads = y[:, n_labels:] if share >= 0.5 else y[partner, n_labels:]
    return share * x + (1 - share) * x[partner], np.column_stack([emotions, heads])


def _altered(config: Config, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standardised rows with noise; those made of frames shifted in time, with a stretch of frames left out."""
    if config.crop_frames:
        rows = alter_frames(rows, config.crop_frames, config.stretch, config.warp, rng)
    if config.feature_noise:
        noise = config.feature_noise * rng.standard_normal(rows.shape, np.float32)
        rows = rows + (noise * rows.any(axis=-1, keepdims=True) if rows.ndim == 3 else noise)
    if config.shift_frames:
        rows = shift_frames(rows, config.shift_frames, rng)
    return mask_frames(rows, config.mask_frames, rng) if config.mask_frames else rows


def _log_probabilities(network: keras.Model, rows: np.ndarray) -> np.ndarray:
    """Of the emotions, for standardised rows."""
    n_labels = network.get_layer("logits").output.shape[-1]
    return np.log(np.maximum(_outputs(network, rows)[:, :n_labels], 1e-30))


def _outputs(network: keras.Model, rows: np.ndarray) -> np.ndarray:
    """The network is called directly: `predict` compiles anew for each of many networks."""
    from keras import ops

    if rows.ndim == 3 and network.input_shape[1] is None:
        rows = np.pad(rows, ((0, 0), (0, FRAME_MULTIPLE - 1), (0, 0)))  # as the exported graph does
    at_once = 1024 if rows.ndim == 2 else 128  # frames and images take a thousand times the memory
    parts = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
    return np.concatenate([ops.convert_to_numpy(network(part, training=False)) for part in parts])


def _loss_and_accuracy(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    targets = targets[:, : scores.shape[1]]
    hits = scores.argmax(axis=1) == targets.argmax(axis=1)
    return float(-(scores * targets).sum(axis=1).mean()), float(hits.mean())


def _note(history: dict[str, list[float]], prefix: str, values: Any) -> None:
    for name, value in zip(("loss", "accuracy"), values, strict=True):
        history.setdefault(prefix + name, []).append(float(value))
