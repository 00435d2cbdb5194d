"""Scores a model on a corpus by a named protocol, through the same core that answers users."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ser.datasets.corpora import load_corpus
from ser.datasets.splits import Split, inner_split, random_split, speaker_folds
from ser.extras import needs
from ser.inference.artifact import Artifact, find, verify
from ser.inference.recognizer import Recognizer
from ser.training.configs import Config
from ser.training.cross_validation import FoldResult, Study, out_of_fold, prepare, run_fold, scores
from ser.training.ensemble import INNER_SHARE, Ensemble, Team, fold_results, team_folds, team_random, train_team
from ser.types import LABEL_SETS, AudioError, Clip, ParameterError

PROTOCOLS = {
    "folds": "unseen speakers: each is answered by a network that was trained without them",
    "random": "a random fifth of the clips, inflated by shared speakers",
    "all": "every clip of the corpus, by the shipped network",
}
JOBS = 2  # processes that train the networks of an ensemble
Answers = dict[int, dict[str, float]]  # clip index -> label -> probability


def evaluate(
    corpus: str,
    data: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    protocol: str = "folds",
    labels: str = "eight",
    *,
    progress: bool = True,
) -> dict[str, Any]:
    """Scores as a plain dictionary (fractions, unrounded), recomputed from the recordings.

    The graphs stored with the model are used where they cover the corpus' speakers; else its configuration is trained
    on the corpus. Scored are the labels that corpus, model and the label set share, with probabilities renormalised
    over them; other clips are counted under `excluded`. Raises `ParameterError` for unknown names, and
    where the stored graphs were left out of an installed package.
    """
    _check_name(protocol, PROTOCOLS, "protocol")
    _check_name(labels, LABEL_SETS, "label set")
    artifact = verify(find(model))
    listing = load_corpus(corpus, os.fspath(data))
    present = {clip.emotion for clip in listing.clips}
    shared = [label for label in LABEL_SETS[labels] if label in artifact.labels and label in present]
    if len(shared) < 2:
        raise ParameterError(f"{artifact.name} and {corpus} share {shared or 'no label'} of the {labels} labels.")
    answers, errors = _answers(artifact, listing.clips, protocol, progress)
    seen = protocol == "all" and any(clip.speaker in _trained_speakers(artifact) for clip in listing.clips)
    return {
        "corpus": corpus,
        "model": artifact.name,
        "protocol": protocol,
        "note": PROTOCOLS[protocol],
        **_scores(listing.clips, answers, shared),
        "excluded": _excluded(listing.clips, listing.excluded, answers, shared),
        "errors": errors,
        "seen_in_training": seen,
    }


def _scores(clips: Sequence[Clip], answers: Answers, labels: list[str]) -> dict[str, Any]:
    scored = [index for index in sorted(answers) if clips[index].emotion in labels]
    if not scored:
        raise ParameterError(f"No clip of the corpus could be answered with one of {', '.join(labels)}.")
    truth = np.array([labels.index(clips[index].emotion) for index in scored])
    probabilities = np.array([[answers[index][label] for label in labels] for index in scored])
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return scores(truth, probabilities, [clips[index].speaker for index in scored], labels)


def _excluded(clips: Sequence[Clip], outside: dict[str, int], answers: Answers, labels: list[str]) -> dict[str, int]:
    """Clips by label that were not scored because the label is not asked for."""
    left_out = Counter(clips[index].emotion for index in answers if clips[index].emotion not in labels)
    return dict(sorted((left_out + Counter(outside)).items()))


def _answers(
    artifact: Artifact, clips: Sequence[Clip], protocol: str, progress: bool
) -> tuple[Answers, list[dict[str, str]]]:
    if protocol == "all":
        return _ask(Recognizer(artifact), clips, range(len(clips)), progress)
    suited = _suited(artifact, clips, protocol)
    away = not all(artifact.path(file).is_file() for variant, _ in suited for file in variant["files"])
    if away:
        raise ParameterError(
            f"{artifact.name}: the networks of its {protocol!r} protocol come with the repository, not with the "
            "installed package. Score it in a clone."
        )
    if not suited:
        return _anew(artifact, clips, protocol, progress), []
    answers: Answers = {}
    errors: list[dict[str, str]] = []
    for variant, tested in suited:
        found, failed = _ask(Recognizer(artifact, variant), clips, tested, progress)
        answers |= found
        errors += failed
    return answers, errors


def _suited(artifact: Artifact, clips: Sequence[Clip], protocol: str) -> list[tuple[dict[str, Any], list[int]]]:
    """The model's networks that never heard some of the clips, each with those clips; empty where clips are left."""
    if protocol == "random":
        variants = [artifact.manifest["random"]] if "random" in artifact.manifest else []
        keys = [f"{clip.speaker}/{Path(clip.path).stem}" for clip in clips]
    else:
        variants = artifact.manifest.get("folds", [])
        keys = [clip.speaker for clip in clips]
    tested = [(variant, [i for i, key in enumerate(keys) if key in set(variant["test"])]) for variant in variants]
    covered = sum(len(indices) for _, indices in tested)
    enough = covered == len(clips) if protocol == "folds" else covered > 0
    return [(variant, indices) for variant, indices in tested if indices] if enough else []


def _ask(
    recognizer: Recognizer, clips: Sequence[Clip], indices: Iterable[int], progress: bool
) -> tuple[Answers, list[dict[str, str]]]:
    from tqdm.auto import tqdm

    answers: Answers = {}
    errors = []
    for index in tqdm(list(indices), desc="Listening", unit="clip", disable=not progress):
        try:
            answers[index] = recognizer.predict(clips[index].path).probabilities
        except AudioError as error:
            errors.append({"file": clips[index].path, "error": str(error)})
    return answers, errors


def _anew(artifact: Artifact, clips: Sequence[Clip], protocol: str, progress: bool) -> Answers:
    """Answers of networks trained here, on the corpus itself, by the model's configuration.

    Clips of labels that the configuration leaves out are neither learned from nor asked: their answers are empty.
    """
    with needs("train", f"{artifact.name}: training networks for the protocol {protocol!r}"):
        import keras  # noqa: F401
    config = artifact.manifest["training"]["config"]
    taught = [clip for clip in clips if clip.emotion in LABEL_SETS[config.get("labels", "eight")]]
    with tempfile.TemporaryDirectory(prefix="ser-") as work:
        train = _team if "branches" in config else _single
        study, results = train(taught, config, protocol, Path(work), progress)
        index, probabilities = out_of_fold(results)
    places = {clip: place for place, clip in enumerate(clips)}
    answers: Answers = {places[clip]: {} for clip in set(clips) - set(taught)}
    for clip, row in zip(index, probabilities, strict=True):
        answers[places[study.clips[clip]]] = dict(zip(study.labels, row.tolist(), strict=True))
    return answers


def _single(
    clips: Sequence[Clip], stored: dict[str, Any], protocol: str, work: Path, progress: bool
) -> tuple[Study, list[FoldResult]]:
    """A network a split, of the configuration that the manifest stores."""
    from tqdm.auto import tqdm

    config = Config.from_dict(stored)
    study = prepare(clips, config, work, progress)
    random = [random_split(study.clips, config.seeds[0], duplicates=study.duplicates)] if protocol == "random" else []
    splits = random or speaker_folds(study.clips)
    total = 2 * len(splits) * config.epochs
    with tqdm(total=total, desc=f"Training {len(splits)} folds", unit="epoch", disable=not progress) as bar:
        return study, [run_fold(study, split, config.seeds[0], bar.update) for split in splits]


def _team(
    clips: Sequence[Clip], stored: dict[str, Any], protocol: str, work: Path, progress: bool
) -> tuple[Study, list[FoldResult]]:
    """The networks of an ensemble a split, of the configurations that the manifest stores."""
    configs = {name: Config.from_dict(stored["configs"][name]) for name in stored["branches"]}
    studies = {name: prepare(clips, config, work / name, progress) for name, config in configs.items()}
    ensemble = Ensemble(stored["branches"], stored["own"], stored["own_weight"])
    own = studies[ensemble.own]
    team = Team(ensemble, studies, own, len(own.clips))
    splits = [_kept_apart(team, team_random(team))] if protocol == "random" else team_folds(team)
    # Under names for which no voice of one's own is trained: none is asked for here.
    splits = [(replace(split, name=f"unheard_{split.name}"), kept) for split, kept in splits]
    train_team(team, [split for split, _ in splits], JOBS, progress)
    return team.first, fold_results(team, splits)[0]


def _kept_apart(team: Team, split: Split) -> tuple[Split, tuple[int, ...]]:
    """A split without the training clips of a few speakers, and these clips, to fit the temperature on."""
    kept = inner_split(team.clips, split.train, share=INNER_SHARE).test
    return replace(split, train=tuple(sorted(set(split.train) - set(kept)))), kept


def _trained_speakers(artifact: Artifact) -> set[str]:
    corpora = artifact.manifest["training"].get("corpora", {})
    return {speaker for corpus in corpora.values() for speaker in corpus["speakers"]}


def _check_name(name: str, known: dict[str, Any], what: str) -> None:
    if name not in known:
        raise ParameterError(f"Unknown {what} {name!r}; known: {', '.join(known)}.")
