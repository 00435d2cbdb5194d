"""Fits one network to one training side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.types import ParameterError

if TYPE_CHECKING:
    import keras

SMOOTHING_EPOCHS = 5  # validation accuracies are averaged over so many epochs before the best is chosen


@dataclass(frozen=True)
class Config:
    """How a network is trained. Everything that changes its weights stands here or is the seed."""

    recipe: str = "voice105-v1"
    architecture: str = "dense"
    options: dict[str, Any] = field(default_factory=dict)
    copies: int = 4  # altered copies of each training clip
    epochs: int = 30  # at most; the number is chosen on inner speakers
    batch_size: int = 256
    learning_rate: float = 3e-3  # highest; warmed up for a tenth of the epochs, then down a cosine
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    mixup: float = 0.0  # both parameters of the beta distribution of the mixing weight; 0: none
    feature_noise: float = 0.5  # standard deviation added to standardised features
    seeds: tuple[int, ...] = (0, 1, 2)  # the first one ships; the score that decides is the mean of all

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """What `to_dict` gave, as it comes back from a manifest."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(**{**known, "seeds": tuple(values["seeds"])})


CONFIGS = {
    "dense105": Config(options={"dropout": (0.5, 0.5, 0.4, 0.2)}),
    "smoke": Config(copies=1, epochs=2, batch_size=32, seeds=(0,)),
}


def find_config(name: str) -> Config:
    """The configuration of that name; `ParameterError` lists the known ones."""
    if name not in CONFIGS:
        raise ParameterError(f"Unknown configuration {name!r}; known: {', '.join(CONFIGS)}.")
    return CONFIGS[name]


@dataclass(frozen=True)
class Scaler:
    """Mean and variance of each feature over unaltered training rows; a constant feature has variance 1."""

    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def fitted(cls, rows: np.ndarray) -> Scaler:
        from sklearn.preprocessing import StandardScaler

        fitted = StandardScaler().fit(rows.astype(np.float64))
        return cls(fitted.mean_.astype(np.float32), (fitted.scale_**2).astype(np.float32))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return (rows - self.mean) / np.sqrt(self.variance)


@dataclass(frozen=True)
class Fitted:
    """A trained network with its scaler, its epochs, and its learning curves (one value an epoch).

    Where held-out rows were watched, network and epochs are those of the highest smoothed validation accuracy.
    """

    network: keras.Model
    scaler: Scaler
    history: dict[str, list[float]]
    epochs: int

    def log_probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Of raw features, shape (n, n_labels)."""
        return _log_probabilities(self.network, self.scaler(rows))


def fit(
    config: Config,
    rows: np.ndarray,
    targets: np.ndarray,
    unaltered: np.ndarray,
    seed: int,
    epochs: int | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    on_epoch: Callable[[], None] = lambda: None,
) -> Fitted:
    """Train on raw feature rows and one-hot `targets` (n, n_labels); `unaltered` marks the rows the scaler sees.

    `epochs` stops the schedule of `config.epochs` early. `validation` is only watched, never learned from.
    """
    import keras

    from ser.models import build

    keras.utils.set_random_seed(seed)
    scaler = Scaler.fitted(rows[unaltered])
    network = build(config.architecture, rows.shape[1:], targets.shape[1], **config.options)
    steps = max(len(rows) // config.batch_size, 1)
    network.compile(_optimizer(config, steps), "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    scaled, rng = scaler(rows), np.random.default_rng(seed)
    watched = None if validation is None else (scaler(validation[0]), validation[1])
    history: dict[str, list[float]] = {}
    total = config.epochs if epochs is None else epochs
    best = Best(min(SMOOTHING_EPOCHS, total))
    for epoch in range(total):
        network.reset_metrics()
        for batch in _batches(config, scaled, targets, rng):
            values = network.train_on_batch(*batch)  # running means since the reset
        _note(history, "", values)
        if watched:
            _note(history, "val_", _loss_and_accuracy(_log_probabilities(network, watched[0]), watched[1]))
            best.see(epoch + 1, history["val_accuracy"], network)
        on_epoch()
    if best.weights:
        network.set_weights(best.weights)
    return Fitted(network, scaler, history, best.epochs or len(history["loss"]))


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


def _optimizer(config: Config, steps: int) -> keras.optimizers.Optimizer:
    from keras import optimizers

    warm_up = config.epochs * steps // 10
    schedule = optimizers.schedules.CosineDecay(
        config.learning_rate / 25,
        config.epochs * steps - warm_up,
        warmup_target=config.learning_rate,
        warmup_steps=warm_up,
    )
    return optimizers.AdamW(schedule, weight_decay=config.weight_decay)


def _batches(
    config: Config, rows: np.ndarray, targets: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch of shuffled, noisy, mixed batches with smoothed targets; all of one size."""
    size = min(config.batch_size, len(rows))
    order = rng.permutation(len(rows))
    smooth = config.label_smoothing
    for start in range(0, len(rows) - size + 1, size):
        index = order[start : start + size]
        x, y = rows[index], targets[index] * (1 - smooth) + smooth / targets.shape[1]
        x = x + config.feature_noise * rng.standard_normal(x.shape, np.float32)
        if config.mixup:
            share, partner = np.float32(rng.beta(config.mixup, config.mixup)), rng.permutation(size)
            x, y = share * x + (1 - share) * x[partner], share * y + (1 - share) * y[partner]
        yield x, y.astype(np.float32)


def _log_probabilities(network: keras.Model, rows: np.ndarray) -> np.ndarray:
    """Of standardised rows. The network is called directly: `predict` compiles anew for each of many networks."""
    from keras import ops

    parts = [rows[start : start + 1024] for start in range(0, len(rows), 1024)]
    probabilities = np.concatenate([ops.convert_to_numpy(network(part, training=False)) for part in parts])
    return np.log(np.maximum(probabilities, 1e-30))


def _loss_and_accuracy(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    hits = scores.argmax(axis=1) == targets.argmax(axis=1)
    return float(-(scores * targets).sum(axis=1).mean()), float(hits.mean())


def _note(history: dict[str, list[float]], prefix: str, values: Any) -> None:
    for name, value in zip(("loss", "accuracy"), values, strict=True):
        history.setdefault(prefix + name, []).append(float(value))
