"""Cross-validation: what a configuration reaches on speakers that it has never heard."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ser import metrics
from ser.datasets.duplicates import check_duplicates, find_duplicates
from ser.datasets.splits import DOUBLED, Split, check_split, inner_split, shared_labels
from ser.files import write_atomically
from ser.training.configs import Config
from ser.training.feature_table import FeatureTable, feature_table
from ser.training.fit import Fitted, Scaler, fit
from ser.types import EMOTIONS, Clip

OnEpoch = Callable[[], None]


@dataclass(frozen=True)
class Study:
    """Clips, their features and how to train on them. `work` keeps finished fits, so that a killed run goes on."""

    clips: Sequence[Clip]
    config: Config
    table: FeatureTable
    duplicates: Sequence[Sequence[int]]
    work: Path

    @property
    def labels(self) -> tuple[str, ...]:
        present = {clip.emotion for clip in self.clips}
        return tuple(emotion for emotion in EMOTIONS if emotion in present)

    @property
    def truth(self) -> np.ndarray:
        """Index into `labels` of every clip."""
        return np.array([self.labels.index(clip.emotion) for clip in self.clips])

    @property
    def speakers(self) -> np.ndarray:
        return np.array([clip.speaker for clip in self.clips])


@dataclass(frozen=True)
class FoldResult:
    """A network that never heard the test side of `split`, and its log-probabilities there, (n_test, n_labels)."""

    split: Split
    fitted: Fitted
    temperature: float
    inner_history: dict[str, list[float]]
    log_probabilities: np.ndarray


def prepare(clips: Sequence[Clip], config: Config, work: Path, progress: bool = True) -> Study:
    """Look for duplicates and extract the features. Raises `ParameterError` where duplicates span speakers."""
    groups = find_duplicates(clips, progress=progress)
    check_duplicates(clips, groups)
    table = feature_table(
        clips,
        config.recipe,
        config.copies,
        config.seeds[0],
        progress,
        augmentations=config.augmentations,
        reduce_noise=config.reduce_noise,
    )
    work.mkdir(parents=True, exist_ok=True)
    return _heard(Study(clips, config, table, groups, work))


def _heard(study: Study) -> Study:
    """The study without the few clips that cannot be read, which are named in a warning."""
    if not study.table.unreadable:
        return study
    warnings.warn(f"Left out: {' '.join(study.table.unreadable)}", stacklevel=3)
    heard = np.unique(study.table.origin)
    places = {int(clip): place for place, clip in enumerate(heard)}
    table = replace(study.table, origin=np.searchsorted(heard, study.table.origin))
    groups = [[places[clip] for clip in group if clip in places] for group in study.duplicates]
    return replace(study, clips=[study.clips[clip] for clip in heard], table=table, duplicates=groups)


def run_fold(study: Study, split: Split, seed: int, on_epoch: OnEpoch = lambda: None) -> FoldResult:
    """Choose epochs and temperature on inner speakers of the training side, train on all of it, answer the test side.

    The inner fit is made once, with the first seed, whichever seed trains the rest.
    """
    guard(study, split)
    inner = inner_split(study.clips, split.train)
    chosen = stage(study, f"{split.name}-inner", lambda: _watched(study, inner, on_epoch))
    calibration = clip_log_probabilities(study, chosen, inner.test)
    temperature = metrics.temperature(calibration, study.truth[list(inner.test)])
    fitted = stage(
        study, f"{split.name}-seed{seed}", lambda: train_on(study, split.train, seed, chosen.epochs, on_epoch)
    )
    answers = clip_log_probabilities(study, fitted, split.test)
    return FoldResult(split, fitted, temperature, chosen.history, answers)


def out_of_fold(folds: Sequence[FoldResult]) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the tested clips and their calibrated probabilities, each from the fold that never heard them."""
    index = np.array([clip for fold in folds for clip in fold.split.test])
    return index, np.concatenate([metrics.softmax(fold.log_probabilities / fold.temperature) for fold in folds])


def left_out_scores(study: Study, fold: FoldResult) -> dict[str, Any]:
    """Scores on a corpus that the network never heard, over the labels that it shares with the training side.

    Probabilities are renormalised over those; clips with other labels are counted under `excluded`.
    """
    index, probabilities = out_of_fold([fold])
    labels = shared_labels(study.clips, fold.split)
    columns = [study.labels.index(label) for label in labels]
    emotions = np.array([study.clips[clip].emotion for clip in index])
    kept = np.isin(emotions, labels)
    shared = probabilities[kept][:, columns]
    shared /= shared.sum(axis=1, keepdims=True)
    truth = np.searchsorted(columns, study.truth[index[kept]])  # the columns ascend, as labels do everywhere
    return {
        **scores(truth, shared, study.speakers[index[kept]], labels),
        "excluded": dict(sorted(Counter(emotions[~kept].tolist()).items())),
    }


def scores(
    truth: np.ndarray, probabilities: np.ndarray, speakers: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    """The report on answers, with the interval of the UAR over speakers and the calibration error."""
    answer = probabilities.argmax(axis=1)
    return {
        "clips": len(truth),
        "speakers": len(set(speakers)),
        "labels": list(labels),
        **metrics.report(truth, answer, labels),
        "uar_interval": metrics.speaker_interval(truth, answer, speakers, len(labels)),
        "calibration_error": metrics.calibration_error(probabilities.max(axis=1), answer == truth),
    }


def guard(study: Study, split: Split) -> None:
    """Stop a split that leaks, rows and altered copies included; but for the one that is there to show a leak."""
    if split.name == DOUBLED:
        return
    rows = Split(
        split.name,
        tuple(study.table.side(split.train, copies=True).tolist()),
        tuple(study.table.side(split.test, copies=False).tolist()),
        split.note,
    )
    check_split(
        study.clips, rows, by_speaker=not split.note, origin=study.table.origin.tolist(), duplicates=study.duplicates
    )


def train_on(study: Study, clips: Sequence[int], seed: int, epochs: int, on_epoch: OnEpoch = lambda: None) -> Fitted:
    """A network trained on the given clips and their altered copies for a fixed number of epochs."""
    rows, targets, unaltered, chances = _training_rows(study, clips)
    return fit(study.config, rows, targets, unaltered, seed, epochs, on_epoch=on_epoch, chances=chances)


def clip_log_probabilities(study: Study, fitted: Fitted, clips: Sequence[int]) -> np.ndarray:
    """Mean log-probabilities over the windows of each clip, in the order given, shape (n_clips, n_labels)."""
    rows = study.table.side(clips, copies=False)
    return _clip_means(study, fitted.log_probabilities(study.table.rows[rows]), rows, clips)


def clip_heads(study: Study, fitted: Fitted, clips: Sequence[int]) -> np.ndarray:
    """Mean probability over the windows of each clip of a woman's voice and of strong intensity, (n_clips, 2)."""
    rows = study.table.side(clips, copies=False)
    return _clip_means(study, fitted.heads(study.table.rows[rows]), rows, clips)


def _clip_means(study: Study, values: np.ndarray, rows: np.ndarray, clips: Sequence[int]) -> np.ndarray:
    places = {clip: place for place, clip in enumerate(clips)}
    place = np.array([places[clip] for clip in study.table.origin[rows]])
    sums = np.zeros((len(clips), values.shape[1]))
    np.add.at(sums, place, values)
    return sums / np.maximum(np.bincount(place, minlength=len(clips)), 1)[:, None]


def _watched(study: Study, inner: Split, on_epoch: OnEpoch) -> Fitted:
    guard(study, inner)
    rows, targets, unaltered, chances = _training_rows(study, inner.train)
    held_out = study.table.side(inner.test, copies=False)
    validation = (study.table.rows[held_out], _one_hot(study, held_out))
    return fit(study.config, rows, targets, unaltered, study.config.seeds[0], None, validation, on_epoch, chances)


def _training_rows(study: Study, clips: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Rows, targets, which rows are unaltered, and the chance of each to be drawn (None: all are seen as often)."""
    rows = study.table.side(clips, copies=True)
    targets = _one_hot(study, rows)
    if study.config.heads:
        targets = np.column_stack([targets, _head_targets(study)[study.table.origin[rows]]])
    chances = _balanced(study, rows) if study.config.balance else None
    return study.table.rows[rows], targets, study.table.copy[rows] == 0, chances


def _one_hot(study: Study, rows: np.ndarray) -> np.ndarray:
    return np.eye(len(study.labels), dtype=np.float32)[study.truth[study.table.origin[rows]]]


def _head_targets(study: Study) -> np.ndarray:
    """1 for a woman and for strong intensity, 0 for a man and normal intensity, -1 where unknown; (n_clips, 2)."""
    women = [{"female": 1, "male": 0}.get(clip.sex or "", -1) for clip in study.clips]
    strong = [{"strong": 1, "normal": 0}.get(clip.intensity or "", -1) for clip in study.clips]
    # Neutral has no strong form: its "normal" says nothing about intensity.
    strong = [-1 if clip.emotion == "neutral" else value for clip, value in zip(study.clips, strong, strict=True)]
    return np.column_stack([women, strong]).astype(np.float32)


def _balanced(study: Study, rows: np.ndarray) -> np.ndarray:
    """Chances by which every emotion of every speaker is drawn as often, and every clip and copy within.

    The first corpus of the study gets its configured share of all draws, if others stand beside it.
    """
    clips = [study.clips[origin] for origin in study.table.origin[rows]]
    keys = [(clip.speaker, clip.emotion) for clip in clips]
    counts = Counter(keys)
    chances = np.array([1 / counts[key] for key in keys])
    home, share = np.array([clip.corpus == study.clips[0].corpus for clip in clips]), study.config.home_share
    if share and home.any() and not home.all():
        chances *= np.where(home, share / chances[home].sum(), (1 - share) / chances[~home].sum())
    return chances / chances.sum()


def stage(study: Study, name: str, make: Callable[[], Fitted]) -> Fitted:
    """What `make` gives, kept in the study's work folder and read from there the next time."""
    folder = study.work / name
    if not (folder / "done.json").exists():
        _keep(folder, make())
    return _kept(folder)


def _keep(folder: Path, fitted: Fitted) -> None:
    folder.mkdir(exist_ok=True)
    fitted.network.save(folder / "network.keras")
    np.savez(folder / "scaler.npz", mean=fitted.scaler.mean, variance=fitted.scaler.variance)
    write_atomically(folder / "done.json", json.dumps({"history": fitted.history, "epochs": fitted.epochs}))


def _kept(folder: Path) -> Fitted:
    import keras

    done = json.loads((folder / "done.json").read_text())
    with np.load(folder / "scaler.npz", allow_pickle=False) as stored:
        scaler = Scaler(stored["mean"], stored["variance"])
    # Uncompiled: it learns no more, and Keras does not find a loss that is a function of ours.
    network = keras.saving.load_model(folder / "network.keras", compile=False)
    return Fitted(network, scaler, done["history"], done["epochs"])
