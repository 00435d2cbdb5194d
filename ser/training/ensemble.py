"""Trains the branches of an ensemble on the same splits and combines their answers.

The networks of an ensemble use different features of the same clips. A single network is an ensemble of one branch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ser import metrics
from ser.datasets.duplicates import find_duplicates
from ser.datasets.splits import Split, corpus_splits, inner_split, random_split, shared_labels, speaker_folds
from ser.inference.mixture import mixed
from ser.training.adaptation import SPEAKER_CLIPS, large_sources, source_scores, unseen_scores
from ser.training.configs import Config, Ensemble
from ser.training.cross_validation import (
    FoldResult,
    TrainingSet,
    clip_heads,
    clip_log_probabilities,
    fit_final,
    fit_fold,
    fit_inner,
    prepare,
    tested,
)
from ser.training.fit import Fitted
from ser.training.parallel import in_parallel
from ser.types import Clip, ParameterError

Fold = tuple[Split, tuple[int, ...]]  # with the clips held out of its training side
Answers = tuple[np.ndarray, np.ndarray | None]  # log-probabilities (n, n_labels) and heads (n, n_heads)


@dataclass(frozen=True)
class EnsembleStudy:
    """The training sets of all branches, on the same clips; folds are made of the first `n_scored` clips."""

    ensemble: Ensemble
    branches: dict[str, TrainingSet]
    n_scored: int
    encoder: Path | None = None  # its graph, if a recipe needs one

    @property
    def first(self) -> TrainingSet:
        return next(iter(self.branches.values()))

    @property
    def clips(self) -> Sequence[Clip]:
        return self.first.clips

    @property
    def heads(self) -> bool:
        return all(data.config.heads for data in self.branches.values())

    def folds(self) -> list[Fold]:
        """Return folds over the speakers of the scored clips; all other clips train.

        Nothing is held out of several folds, since the temperature of each is fitted on the others.
        """
        others = range(self.n_scored, len(self.clips))
        splits = speaker_folds(self.clips[: self.n_scored])
        return [(replace(split, train=(*split.train, *others)), ()) for split in splits]

    def random_split(self) -> Split:
        """Return the random split of the scored clips, by the first seed; all others train."""
        together = [group for group in self.first.duplicates if max(group) < self.n_scored]
        split = random_split(self.clips[: self.n_scored], self.first.config.seeds[0], duplicates=together)
        return replace(split, train=(*split.train, *range(self.n_scored, len(self.clips))))

    def left_out(self) -> list[Split]:
        """Return a split for each corpus, to test on it and train on the others; none if there is only one."""
        several = self.ensemble.first_corpus and len({clip.corpus for clip in self.clips}) > 1
        return corpus_splits(self.clips) if several else []

    def hold_out(self, split: Split) -> Fold:
        """Return a split without the training clips of a few speakers, and these clips."""
        train, share = {clip for clip in split.train if clip < self.n_scored}, self.ensemble.held_share
        held = inner_split(self.clips[: self.n_scored], sorted(train), share=share).test if share else ()
        others = range(self.n_scored, len(self.clips))
        return replace(split, train=(*sorted(train - set(held)), *others)), held


@dataclass(frozen=True)
class TrainedModel:
    """The answers of all networks on their test sides; the networks themselves are in the study's work folder."""

    study: EnsembleStudy
    folds: list[list[FoldResult]]  # [seed][fold]
    random: FoldResult
    left_out: list[FoldResult]
    minutes: float

    def final(self, data: TrainingSet) -> Fitted:
        """Return the network that ships."""
        return fit_final(data, [fold.split for fold in self.folds[0]])


def prepare_ensemble(
    clips: Sequence[Clip],
    ensemble: Ensemble,
    configs: Mapping[str, Config],
    work: Path,
    progress: bool = True,
    *,
    n_scored: int | None = None,
    encoder: Path | None = None,
) -> EnsembleStudy:
    """Search for duplicates and extract the features of all branches. Duplicates of two speakers: `ParameterError`.

    `n_scored` is the number of clips of the first corpus, if only this one is scored; `encoder` the graph of the
    pre-trained encoder, if a recipe needs one. With one corpus no branch is for home alone.
    """
    duplicates = find_duplicates(clips, progress=progress)
    branches: dict[str, TrainingSet] = {}
    for name, config in configs.items():
        data = _same_rows(branches, config) or prepare(clips, config, work, progress, duplicates, encoder)
        branches[name] = _in_folder(replace(data, config=config, inner_fit=ensemble.inner_fit), work / name)
    kept = next(iter(branches.values())).clips
    scored = set(clips[:n_scored])
    if len({clip.corpus for clip in kept}) == 1:  # no other corpus tells what is like the first one
        ensemble = replace(ensemble, home=())
    return EnsembleStudy(ensemble, branches, sum(clip in scored for clip in kept), encoder)


def _same_rows(branches: Mapping[str, TrainingSet], config: Config) -> TrainingSet | None:
    """Return an earlier branch whose rows are made in the same way."""

    def rows(config: Config) -> tuple:
        return config.recipe, config.copies, config.augmentations, config.reduce_noise

    return next((data for data in branches.values() if rows(data.config) == rows(config)), None)


def _in_folder(data: TrainingSet, work: Path) -> TrainingSet:
    work.mkdir(parents=True, exist_ok=True)
    return replace(data, work=work)


# --- Training ---


def train_networks(
    study: EnsembleStudy,
    folds: Sequence[Split],
    others: Sequence[Split],
    jobs: int,
    progress: bool = True,
    *,
    final: bool = False,
) -> None:
    """Train all networks of the splits, in `jobs` processes of one thread each, and cache them in the work folder.

    Folds are trained with each seed, other splits with the first, and with `final` those that ship on all clips. Inner
    fits come first, since they choose the epochs of the others.
    """
    from tqdm.auto import tqdm

    in_folds = [(data, split) for split in folds for data in study.branches.values()]
    in_others = [(data, split) for split in others for data in study.branches.values()]
    phases = [
        [partial(_run, fit_inner, *each) for each in (*in_folds, *in_others) if study.ensemble.inner_fit],
        [partial(_run, fit_fold, data, split, seed) for data, split in in_folds for seed in data.config.seeds]
        + [partial(_run, fit_fold, data, split, data.config.seeds[0]) for data, split in in_others],
        [partial(_run, fit_final, data, folds) for data in study.branches.values() if final],
    ]
    total = sum(map(len, phases))
    with tqdm(total=total, desc=f"Training {total} networks", unit="network", disable=not progress) as bar:
        for tasks in phases:
            for _ in in_parallel(tasks, jobs):
                bar.update()


def _run(fit: Callable[..., Any], *arguments: Any) -> None:
    """Leave the network in the work folder: a worker need not send it back."""
    fit(*arguments)


def networks(study: EnsembleStudy, split: Split, seed_index: int = 0) -> dict[str, Fitted]:
    """Return the network of each branch; a branch with fewer seeds starts again with its first."""
    seeds = {name: data.config.seeds for name, data in study.branches.items()}
    return {
        name: fit_fold(data, split, seeds[name][seed_index % len(seeds[name])]) for name, data in study.branches.items()
    }


def fold_minutes(study: EnsembleStudy, split: Split) -> float:
    """Return the minutes of all fits of a fold, one after the other."""
    fits = [fit_fold(data, split, data.config.seeds[0]) for data in study.branches.values()]
    inner = [fit_inner(data, split)[0] for data in study.branches.values() if data.inner_fit]
    return sum(fitted.history["minutes"][-1] for fitted in (*inner, *fits))


# --- Answers ---


def answers(study: EnsembleStudy, fitted: Mapping[str, Fitted], clips: Sequence[int]) -> Answers:
    """Return the weighted answers of the networks of all branches for some clips: see `ser.inference.mixture`."""
    branches, ensemble = study.branches, study.ensemble
    scores = [clip_log_probabilities(branches[name], network, clips) for name, network in fitted.items()]
    heads = [clip_heads(branches[name], network, clips) for name, network in fitted.items()] if study.heads else []
    home = [name in ensemble.home for name in ensemble.branches]
    return mixed(scores, heads, list(ensemble.branches.values()), home, ensemble.home_scale)


def fold_result(study: EnsembleStudy, split: Split, temperature: float = 1.0, seed_index: int = 0) -> FoldResult:
    """Return the answers on the test side of a split; raise if they are not finite."""
    fitted = networks(study, split, seed_index)
    first = next(iter(fitted.values()))
    history = (fit_inner(study.first, split)[0] if study.ensemble.inner_fit else first).history
    log_probabilities, heads = answers(study, fitted, split.test)
    if not np.isfinite(log_probabilities).all():
        raise ParameterError(
            f"{' + '.join(study.branches)}, {split.name}: the probabilities are not finite, since training diverged. "
            "Train on more or longer recordings, or with another configuration."
        )
    return FoldResult(split, first, temperature, history, log_probabilities, heads)


def fold_results(study: EnsembleStudy, folds: Sequence[Fold], seed_index: int = 0) -> list[FoldResult]:
    """Return the answers on the test sides, each with a temperature that was not fitted on them."""
    results = [fold_result(study, split, seed_index=seed_index) for split, _ in folds]
    pairs = zip(results, folds, strict=True)
    return [replace(result, temperature=_temperature(study, result, results, held)) for result, (_, held) in pairs]


def _temperature(study: EnsembleStudy, fold: FoldResult, results: Sequence[FoldResult], held: tuple[int, ...]) -> float:
    """Fit the temperature of a fold on inner speakers, else on the other folds, else on held-out speakers."""
    calibration = [(other.log_probabilities, other.split.test) for other in results if other is not fold]
    if study.ensemble.inner_fit:
        inner = {name: fit_inner(data, fold.split) for name, data in study.branches.items()}
        clips = next(iter(inner.values()))[1]
        calibration = [(answers(study, {name: fitted for name, (fitted, _) in inner.items()}, clips)[0], clips)]
    elif not calibration:
        calibration = [(answers(study, networks(study, fold.split), held)[0], held)]
    truth = study.first.truth[[clip for _, clips in calibration for clip in clips]]
    return metrics.temperature(np.concatenate([log_probabilities for log_probabilities, _ in calibration]), truth)


# --- Scores ---


def calibrated_scores(study: EnsembleStudy, folds: Sequence[FoldResult]) -> dict[str, Any]:
    """Return UAR with and without five clips of each tested speaker; speakers with too few clips are left out."""
    index, scores = tested(folds)
    clips = [study.clips[clip] for clip in index]
    kept = large_sources(clips, SPEAKER_CLIPS, "speaker")
    if not kept:
        return {}
    part = [clips[position] for position in kept]
    return {"calibrated": source_scores(part, study.first.labels, scores[kept], SPEAKER_CLIPS)}


def adapted_left_out(study: EnsembleStudy, fold: FoldResult) -> dict[str, Any]:
    """Return UAR on a left-out corpus, with and without clips of it, and of each speaker: see `unseen_scores`."""
    labels = shared_labels(study.clips, fold.split)
    columns = [study.first.labels.index(label) for label in labels]
    clips = [study.clips[clip] for clip in fold.split.test]
    return unseen_scores(clips, labels, fold.log_probabilities[:, columns])


def head_scores(study: EnsembleStudy, results: Sequence[FoldResult]) -> dict[str, Any]:
    """Return the accuracy of sex and intensity on the test sides, and the area under the curve of intensity."""
    if not study.heads:
        return {}
    clips = [study.clips[clip] for fold in results for clip in fold.split.test]
    heads = np.concatenate([fold.heads for fold in results if fold.heads is not None])
    female = np.array([clip.sex == "female" for clip in clips])
    known = np.array([clip.sex is not None for clip in clips])
    graded = np.array([clip.intensity is not None and clip.emotion != "neutral" for clip in clips])
    strong = np.array([clip.intensity == "strong" for clip in clips])
    scores: dict[str, Any] = {}
    if known.any():
        accuracy = float(np.mean((heads[:, 0] >= 0.5) == female, where=known))
        scores["sex"] = {"accuracy": accuracy, "clips": int(known.sum())}
    if len(set(strong[graded])) > 1:
        from sklearn.metrics import roc_auc_score

        scores["intensity"] = {
            "accuracy": float(np.mean((heads[:, 1] >= 0.5) == strong, where=graded)),
            "auc": float(roc_auc_score(strong[graded], heads[graded, 1])),
            "clips": int(graded.sum()),
        }
    return scores
