"""Trains a model from corpora: all networks of its folds and splits, and those that ship."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ser import metrics
from ser.datasets.corpora import CorpusClips, load_corpus
from ser.datasets.splits import Split, inner_split, speaker_folds
from ser.features.recipes import RECIPES
from ser.inference import artifact
from ser.training.calibration import calibrated_left_out, left_out_temperature
from ser.training.configs import ENSEMBLES, Config, describe, find_ensemble
from ser.training.cross_validation import FoldResult, tested
from ser.training.encoder import encoder_graph
from ser.training.ensemble import (
    EnsembleStudy,
    Fold,
    TrainedModel,
    fold_result,
    fold_results,
    prepare_ensemble,
    train_networks,
)
from ser.training.feature_table import cache_folder, code_digest, index_hash
from ser.training.release import write_artifact
from ser.types import LABEL_SETS, Clip, ParameterError

SCALING_STEPS = 2


def train(
    corpora: Sequence[tuple[str, str]],
    config_name: str = "dense105",
    name: str | None = None,
    *,
    labels: str | None = None,
    reduce_noise: bool = False,
    resume: bool = False,
    force: bool = False,
    jobs: int = 2,
    progress: bool = True,
    encoder: str | os.PathLike[str] | None = None,
) -> Path:
    """Train and score a model on (corpus name, folder) pairs, write `artifacts/<name>/` and return that folder.

    `config_name` is a configuration or an ensemble; the folds of an ensemble are those of the first corpus. `labels`, a
    key of `LABEL_SETS`, replaces the label set of a configuration, and `reduce_noise` adds noise reduction. Networks
    are trained in `jobs` processes of one thread each; `resume` continues from the finished ones of an interrupted run.
    `encoder` is the folder of a pre-trained encoder's checkpoint for a configuration that needs one, by default that of
    `SER_ENCODER`.
    Raises `ParameterError` for unknown names and unusable corpora, `ArtifactError` if the folder exists (see `force`).
    """
    ensemble, configs = find_ensemble(config_name)
    if config_name in ENSEMBLES and (labels or reduce_noise):
        raise ParameterError(f"--labels and --reduce-noise are for single networks; {config_name} is an ensemble.")
    configs = {branch: _changed(config, labels, reduce_noise) for branch, config in configs.items()}
    name = artifact.check_name(name or config_name)
    folder = artifact.new_folder(name)
    first = next(iter(configs.values()))
    listings = [_within(load_corpus(corpus, data), first.labels) for corpus, data in corpora]
    artifact.check_free(folder, force=force)
    clips = [clip for listing in listings for clip in listing.clips]
    n_scored = len(listings[0].clips) if ensemble.first_corpus else len(clips)
    check_clips(clips[:n_scored], first)
    description = describe(config_name, ensemble, configs)
    blocks = next((used for config in configs.values() if (used := RECIPES[config.recipe].blocks)), ())
    graph = encoder_graph(encoder, blocks, cache_folder()) if blocks else None
    work = work_folder(name, clips, description, resume)
    study = prepare_ensemble(clips, ensemble, configs, work, progress, n_scored=n_scored, encoder=graph)
    trained = _train(study, work, jobs, progress)
    write_artifact(folder, trained, listings, description, force=force, progress=progress)
    shutil.rmtree(work)
    return folder


def _changed(config: Config, labels: str | None, reduce_noise: bool) -> Config:
    return replace(config, labels=labels or config.labels, reduce_noise=reduce_noise or config.reduce_noise)


def _within(listing: CorpusClips, labels: str) -> CorpusClips:
    """Drop and count the clips whose label is not in the label set."""
    kept = [clip for clip in listing.clips if clip.emotion in LABEL_SETS[labels]]
    dropped = Counter(clip.emotion for clip in listing.clips if clip.emotion not in LABEL_SETS[labels])
    return replace(listing, clips=kept, excluded=dict(sorted((dropped + Counter(listing.excluded)).items())))


def check_clips(clips: Sequence[Clip], config: Config) -> None:
    """Raise `ParameterError`, before the long work, if no speaker-independent score is possible."""
    emotions = {clip.emotion for clip in clips}
    if len(emotions) < 2:
        raise ParameterError(
            f"Of the {config.labels} labels ({', '.join(LABEL_SETS[config.labels])}) the corpora hold "
            f"{', '.join(emotions) or 'none'}: at least two emotions are needed to learn. Add a corpus."
        )
    for split in speaker_folds(clips):
        inner_split(clips, split.train)


def work_folder(name: str, clips: Sequence[Clip], description: Mapping[str, Any], resume: bool) -> Path:
    """Return the folder that caches the fits of this training; it is emptied unless it is resumed."""
    digest = index_hash(clips, json.dumps(description, sort_keys=True) + code_digest())
    folder = cache_folder() / "work" / f"{name}-{digest[:16]}"
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    return folder


def _train(study: EnsembleStudy, work: Path, jobs: int, progress: bool) -> TrainedModel:
    folds, random, left_out = study.folds(), study.random_split(), study.left_out()
    started = time.monotonic()
    try:
        train_networks(study, [split for split, _ in folds], [random, *left_out], jobs, progress, final=True)
    finally:  # also if a worker dies
        minutes = _total_minutes(work / "minutes.json", (time.monotonic() - started) / 60)
    study = _equally_sure(study, folds, left_out)
    seeds = range(len(study.first.config.seeds))
    results = [fold_results(study, folds, seed_index) for seed_index in seeds]
    temperature = _fold_temperature(study, results[0])
    others = calibrated_left_out(study, [fold_result(study, split, temperature) for split in left_out])
    return TrainedModel(study, results, _random_result(study, random, temperature), others, minutes)


def _fold_temperature(study: EnsembleStudy, results: Sequence[FoldResult]) -> float:
    index, log_probabilities = tested(results)
    return metrics.temperature(log_probabilities, study.first.truth[index])


def _equally_sure(study: EnsembleStudy, folds: Sequence[Fold], left_out: Sequence[Split]) -> EnsembleStudy:
    """Scale the scores of recordings at home so that one temperature fits those of folds and of left-out corpora.

    No recording is wholly at home or away, so that one step comes near and a second one close.
    """
    for _ in range(SCALING_STEPS if study.ensemble.home and left_out else 0):
        away = left_out_temperature(study, [fold_result(study, split) for split in left_out])
        factor = away / _fold_temperature(study, [fold_result(study, split) for split, _ in folds])
        ensemble = replace(study.ensemble, home_scale=study.ensemble.home_scale * factor)
        study = replace(study, ensemble=ensemble)
    return study


def _random_result(study: EnsembleStudy, split: Split, temperature: float) -> FoldResult:
    """Return the answers on the random split, with a temperature of its own if that is fitted on inner speakers."""
    if study.ensemble.inner_fit:
        return fold_results(study, [(split, ())])[0]
    return fold_result(study, split, temperature)


def _total_minutes(path: Path, minutes: float) -> float:
    """Return and store the minutes of this run and of those that it resumes."""
    total = minutes + (json.loads(path.read_text()) if path.exists() else 0.0)
    path.write_text(json.dumps(total))
    return total
