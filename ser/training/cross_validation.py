"""Trains the network of each fold and scores it on speakers that it was not trained on."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ser import metrics
from ser.datasets.duplicates import find_duplicates
from ser.datasets.splits import DOUBLED, Split, check_split, inner_split, shared_labels
from ser.features.recipes import RECIPES
from ser.files import write_atomically
from ser.inference.mixture import is_home
from ser.training.configs import Config
from ser.training.feature_table import FeatureTable, feature_table
from ser.training.fit import Fitted, Scaler, ended, fit, import_keras
from ser.types import EMOTIONS, Clip

DONE = "done.json"  # written last, into the folder of a cached fit
MAX_LOADED = 32  # networks kept in memory: those of all folds of `voice`


@dataclass(frozen=True)
class TrainingSet:
    """Clips, their features and how to train on them; finished fits are cached in `work`, so that a run can resume.

    With `inner_fit` a first fit on inner speakers of a training side chooses the number of epochs.
    """

    clips: Sequence[Clip]
    config: Config
    table: FeatureTable
    duplicates: Sequence[Sequence[int]]
    work: Path
    inner_fit: bool = True

    @property
    def labels(self) -> tuple[str, ...]:
        present = {clip.emotion for clip in self.clips}
        return tuple(emotion for emotion in EMOTIONS if emotion in present)

    @property
    def truth(self) -> np.ndarray:
        """Index into `labels` of every clip."""
        index = {label: number for number, label in enumerate(self.labels)}
        return np.array([index[clip.emotion] for clip in self.clips])

    @property
    def speakers(self) -> np.ndarray:
        return np.array([clip.speaker for clip in self.clips])


@dataclass(frozen=True)
class FoldResult:
    """Log-probabilities of the test side of a split, (n_test, n_labels), and its heads (n_test, n_heads) if any.

    `fitted` is the network of the first branch; `history` holds its learning curves, those of the inner fit if any.
    """

    split: Split
    fitted: Fitted
    temperature: float
    history: dict[str, list[float]]
    log_probabilities: np.ndarray
    heads: np.ndarray | None = None

    @property
    def home(self) -> np.ndarray:
        """Which recordings sound like those of the first corpus (n_test,); none without heads."""
        return np.zeros(len(self.log_probabilities), bool) if self.heads is None else is_home(self.heads)


def prepare(
    clips: Sequence[Clip],
    config: Config,
    work: Path,
    progress: bool = True,
    duplicates: Sequence[Sequence[int]] | None = None,
    encoder: Path | None = None,
) -> TrainingSet:
    """Search for duplicates, unless given, and extract the features. Duplicates of two speakers: `ParameterError`.

    `encoder` is the graph for a recipe that needs one.
    """
    groups = find_duplicates(clips, progress=progress) if duplicates is None else duplicates
    table = feature_table(
        clips,
        config.recipe,
        config.copies,
        config.seeds[0],
        progress,
        augmentations=config.augmentations,
        reduce_noise=config.reduce_noise,
        encoder=encoder if RECIPES[config.recipe].encoder else None,
    )
    work.mkdir(parents=True, exist_ok=True)
    return _without_unreadable(TrainingSet(clips, config, table, groups, work))


def _without_unreadable(data: TrainingSet) -> TrainingSet:
    """Drop the few clips that cannot be read, with a warning that names them."""
    if not data.table.unreadable:
        return data
    warnings.warn(f"Left out: {' '.join(data.table.unreadable)}", stacklevel=3)
    kept = np.unique(data.table.origin)
    positions = {int(clip): position for position, clip in enumerate(kept)}
    table = replace(data.table, origin=np.searchsorted(kept, data.table.origin))
    groups = [[positions[clip] for clip in group if clip in positions] for group in data.duplicates]
    return replace(data, clips=[data.clips[clip] for clip in kept], table=table, duplicates=groups)


# --- Fits ---


def fit_inner(data: TrainingSet, split: Split) -> tuple[Fitted, tuple[int, ...]]:
    """Fit on the training side without its inner speakers, whose clips are returned, and choose epochs on them."""
    inner = inner_split(data.clips, split.train)

    def train() -> Fitted:
        check_no_leak(data, inner)
        rows, targets, unaltered, sample_weights, corpora = _training_rows(data, inner.train)
        inner_rows = data.table.side(inner.test, copies=False)
        validation = (data.table.rows[inner_rows], _one_hot(data, inner_rows))
        seed = data.config.seeds[0]
        return fit(data.config, rows, targets, unaltered, seed, None, validation, sample_weights, corpora)

    return cached_fit(data, f"{split.name}-inner", train), inner.test


def fit_fold(data: TrainingSet, split: Split, seed: int) -> Fitted:
    """Fit on the training side of a split; the inner fit is that of the first seed for all seeds."""

    def train() -> Fitted:
        check_no_leak(data, split)
        epochs = fit_inner(data, split)[0].epochs if data.inner_fit else data.config.epochs
        return train_on(data, split.train, seed, epochs)

    return cached_fit(data, f"{split.name}-seed{seed}", train)


def fit_final(data: TrainingSet, folds: Sequence[Split]) -> Fitted:
    """Fit on all clips, for as many epochs as the median fold: the network that ships."""
    seed = data.config.seeds[0]

    def train() -> Fitted:
        epochs = round(float(np.median([fit_fold(data, split, seed).epochs for split in folds])))
        return train_on(data, range(len(data.clips)), seed, epochs)

    return cached_fit(data, "final", train)


def train_on(data: TrainingSet, clips: Sequence[int], seed: int, epochs: int) -> Fitted:
    """Train a network on clips and their augmented copies for a fixed number of epochs."""
    rows, targets, unaltered, sample_weights, corpora = _training_rows(data, clips)
    return fit(data.config, rows, targets, unaltered, seed, epochs, None, sample_weights, corpora)


def check_no_leak(data: TrainingSet, split: Split) -> None:
    """Raise if a split leaks, augmented copies included. The doubled split, which demonstrates a leak, is exempt."""
    if split.name == DOUBLED:
        return
    train, test = (data.table.side(side, copies=side is split.train).tolist() for side in (split.train, split.test))
    rows = replace(split, train=tuple(train), test=tuple(test))
    origin = data.table.origin.tolist()
    check_split(data.clips, rows, by_speaker=not split.note, origin=origin, duplicates=data.duplicates)


def _training_rows(
    data: TrainingSet, clips: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """Return rows, targets, which rows the scaler is fitted on, their sample weights (None: equal), and corpora."""
    rows = data.table.side(clips, copies=True)
    targets = _one_hot(data, rows)
    if data.config.heads:
        targets = np.column_stack([targets, _head_targets(data)[data.table.origin[rows]]])
    sample_weights = _sample_weights(data, rows) if data.config.balance else None
    corpora = np.array([data.clips[clip].corpus for clip in data.table.origin[rows]])
    return data.table.rows[rows], targets, data.table.copy[rows] == 0, sample_weights, corpora


def _one_hot(data: TrainingSet, rows: np.ndarray) -> np.ndarray:
    return np.eye(len(data.labels), dtype=np.float32)[data.truth[data.table.origin[rows]]]


def _head_targets(data: TrainingSet) -> np.ndarray:
    """Return 1 for female, strong and the first corpus, 0 for the opposite, -1 for unknown; shape (n_clips, 3)."""
    female = [{"female": 1, "male": 0}.get(clip.sex or "", -1) for clip in data.clips]
    strong = [{"strong": 1, "normal": 0}.get(clip.intensity or "", -1) for clip in data.clips]
    # Neutral has no strong form: its "normal" says nothing about intensity.
    strong = [-1 if clip.emotion == "neutral" else value for clip, value in zip(data.clips, strong, strict=True)]
    home = [clip.corpus == data.clips[0].corpus for clip in data.clips]
    return np.column_stack([female, strong, home]).astype(np.float32)


def _sample_weights(data: TrainingSet, rows: np.ndarray) -> np.ndarray:
    """Return weights, sum 1, that balance the emotions of every speaker, and the clips and copies of each.

    Corpora are balanced as configured; the first one gets its configured share of all draws if there are others.
    """
    clips = [data.clips[origin] for origin in data.table.origin[rows]]
    keys = [(clip.corpus, clip.speaker, clip.emotion) for clip in clips]
    counts = Counter(keys)
    groups, power = Counter(corpus for corpus, *_ in counts), data.config.corpus_power - 1
    weights = np.array([groups[key[0]] ** power / counts[key] for key in keys])
    first, share = np.array([clip.corpus == data.clips[0].corpus for clip in clips]), data.config.home_share
    if share and first.any() and not first.all():
        weights *= np.where(first, share / weights[first].sum(), (1 - share) / weights[~first].sum())
    return weights / weights.sum()


# --- Cached fits ---


def cached_fit(data: TrainingSet, name: str, make: Callable[[], Fitted]) -> Fitted:
    """Return a fit from the work folder, after making and storing it if it is not there."""
    folder = data.work / name
    if not (folder / DONE).exists():
        _store(folder, make())
    return _load(folder, (folder / DONE).stat().st_mtime_ns)


def _store(folder: Path, fitted: Fitted) -> None:
    folder.mkdir(exist_ok=True)
    fitted.network.save(folder / "network.keras")
    np.savez(folder / "scaler.npz", mean=fitted.scaler.mean, variance=fitted.scaler.variance)
    write_atomically(folder / DONE, json.dumps({"history": fitted.history, "epochs": fitted.epochs}))


@lru_cache(MAX_LOADED)
def _load(folder: Path, finished_ns: int) -> Fitted:
    """Load a network once in a process; `finished_ns` tells it from an earlier one of the same folder."""
    keras = import_keras()
    done = json.loads((folder / DONE).read_text())
    with np.load(folder / "scaler.npz", allow_pickle=False) as stored:
        scaler = Scaler(stored["mean"], stored["variance"])
    # Uncompiled: it is not trained further, and Keras cannot load a loss that is a local function.
    network = keras.saving.load_model(folder / "network.keras", compile=False)
    return Fitted(network, scaler, done["history"], done["epochs"])


# --- Answers and scores ---


def clip_log_probabilities(data: TrainingSet, fitted: Fitted, clips: Sequence[int]) -> np.ndarray:
    """Return mean log-probabilities over the windows of each clip, in the given order, shape (n_clips, n_labels)."""
    rows = data.table.side(clips, copies=False)
    return _clip_means(data, fitted.log_probabilities(data.table.rows[rows]), rows, clips)


def clip_heads(data: TrainingSet, fitted: Fitted, clips: Sequence[int]) -> np.ndarray:
    """Return the mean heads over the windows of each clip, in the given order, shape (n_clips, n_heads)."""
    rows = data.table.side(clips, copies=False)
    return _clip_means(data, fitted.heads(data.table.rows[rows]), rows, clips)


def _clip_means(data: TrainingSet, values: np.ndarray, rows: np.ndarray, clips: Sequence[int]) -> np.ndarray:
    positions = {clip: position for position, clip in enumerate(clips)}
    position = np.array([positions[clip] for clip in data.table.origin[rows]])
    sums = np.zeros((len(clips), values.shape[1]))
    np.add.at(sums, position, values)
    return sums / np.maximum(np.bincount(position, minlength=len(clips)), 1)[:, None]


def tested(folds: Sequence[FoldResult]) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of all test clips and their log-probabilities."""
    index = np.array([clip for fold in folds for clip in fold.split.test])
    return index, np.concatenate([fold.log_probabilities for fold in folds])


def out_of_fold(folds: Sequence[FoldResult]) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of all test clips and their probabilities, calibrated by the temperature of the fold."""
    return tested(folds)[0], np.concatenate(
        [metrics.softmax(fold.log_probabilities / fold.temperature) for fold in folds]
    )


def left_out_scores(data: TrainingSet, fold: FoldResult) -> dict[str, Any]:
    """Score a corpus that the networks were not trained on, over the labels that it shares with the training side.

    Probabilities are renormalised over these; clips with other labels are counted under `excluded`.
    """
    index, probabilities = out_of_fold([fold])
    labels = shared_labels(data.clips, fold.split)
    columns = [data.labels.index(label) for label in labels]
    emotions = np.array([data.clips[clip].emotion for clip in index])
    kept = np.isin(emotions, labels)
    shared = probabilities[kept][:, columns]
    shared /= shared.sum(axis=1, keepdims=True)
    truth = np.searchsorted(columns, data.truth[index[kept]])  # columns ascend, as labels do everywhere
    return {
        "labels": list(labels),
        **scores(truth, shared, data.speakers[index[kept]], labels),
        "excluded": dict(sorted(Counter(emotions[~kept].tolist()).items())),
    }


def fold_scores(data: TrainingSet, folds: Sequence[FoldResult]) -> dict[str, Any]:
    """Return the pooled scores of the test clips of all folds, and the UAR of each speaker."""
    index, probabilities = out_of_fold(folds)
    truth, speakers, answer = data.truth[index], data.speakers[index], probabilities.argmax(axis=1)
    matrices = metrics.speaker_matrices(truth, answer, speakers, len(data.labels))
    by_speaker = dict(zip(sorted(set(speakers.tolist())), map(metrics.uar, matrices), strict=True))
    return {**scores(truth, probabilities, speakers, data.labels), "uar_by_speaker": by_speaker}


def scores(
    truth: np.ndarray, probabilities: np.ndarray, speakers: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    """Return the metrics of some answers, with the interval of UAR over speakers and the calibration error."""
    answer = probabilities.argmax(axis=1)
    return {
        "clips": len(truth),
        "speakers": len(set(speakers)),
        **metrics.report(truth, answer, labels),
        "top_two": metrics.top_accuracy(probabilities, truth),
        "uar_interval": metrics.speaker_interval(truth, answer, speakers, len(labels)),
        "calibration_error": metrics.calibration_error(probabilities.max(axis=1), answer == truth),
    }


def ended_by(config: Config, fold: FoldResult) -> str:
    """Return what set the number of epochs, "epochs", "minutes" or "patience", in the fit or in its inner fit."""
    reason = ended(config, fold.fitted.history)
    return ended(config, fold.history) if reason == "chosen" else reason
