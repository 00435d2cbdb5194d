"""Scores a model on a corpus by a protocol, with the recogniser that answers users."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ser.datasets.corpora import TABLE, CorpusClips, is_table, load_corpus
from ser.extras import needs
from ser.inference.artifact import Artifact, find, verify
from ser.inference.recognizer import Recognizer
from ser.training.adaptation import DRAWS, SPEAKER_CLIPS, Source, large_sources, source_scores, unseen_scores
from ser.training.calibration import Sure
from ser.training.configs import read_description
from ser.training.cross_validation import out_of_fold, scores
from ser.training.ensemble import fold_results, prepare_ensemble, train_networks
from ser.training.fit import import_keras
from ser.types import LABEL_SETS, AudioError, Clip, ParameterError, check_known

PROTOCOLS = {
    "folds": "unseen speakers: each is answered by a network that was trained without them",
    "random": "a random fifth of the clips, inflated by shared speakers",
    "all": "every clip of the corpus, by the shipped network",
}
JOBS = 2  # processes that train networks


@dataclass(frozen=True)
class Answered:
    """An answer to a clip; `scores` are the log-probabilities of the model's labels, if stored graphs gave it."""

    label: str
    probabilities: dict[str, float]
    is_sure: bool
    scores: np.ndarray | None = None


Answers = dict[int, Answered]  # by the clip's index


def evaluate(
    corpus: str,
    data: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    protocol: str = "folds",
    labels: str = "eight",
    *,
    adapt: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Score a model on the recordings of a corpus; returns a plain dictionary (fractions, unrounded).

    The graphs stored with the model are used if they cover the speakers of the corpus; else its configuration is
    trained on the corpus. Scored are the labels that corpus, model and label set share, with probabilities
    renormalised over them; other clips are counted under `excluded`. `adapt` adds the scores of answers adapted to so
    many unlabelled clips of the corpus (`adapted`; 20 seeded draws, whose clips are not scored), and to five of the
    speaker (`calibrated`; None if no speaker has more). Raises `ParameterError` for unknown names, for `adapt` if the
    corpus has no more clips or the protocol no stored graphs, and if an installed package lacks these.
    """
    check_known(protocol, PROTOCOLS, "protocol")
    check_known(labels, LABEL_SETS, "label set")
    artifact = verify(find(model))
    listing = _as_trained(artifact, load_corpus(corpus, os.fspath(data)))
    shared = _shared_labels(artifact, listing, labels)
    if adapt:
        _check_adaptable(artifact, listing, protocol, adapt)
    answers, errors = _answers(artifact, listing.clips, protocol, progress)
    seen = protocol == "all" and any(clip.speaker in _trained_speakers(artifact) for clip in listing.clips)
    return {
        "corpus": corpus,
        "model": artifact.name,
        "protocol": protocol,
        "note": PROTOCOLS[protocol],
        **_scores(listing.clips, answers, shared),
        **(_adapted_scores(listing.clips, answers, shared, artifact.labels, adapt, progress) if adapt else {}),
        "excluded": _excluded(listing.clips, listing.excluded, answers, shared),
        "errors": errors,
        "seen_in_training": seen,
    }


def score_unseen(
    recognizer: Recognizer, corpus: str, data: str | os.PathLike[str], progress: bool = True
) -> dict[str, Any]:
    """Score a recogniser on every clip of a corpus that it was not trained on.

    The scores are those of `evaluate`, and those with a few clips of the corpus and of each speaker: see
    `ser.training.adaptation.unseen_scores`.
    """
    listing, labels = load_corpus(corpus, os.fspath(data)), recognizer.artifact.labels
    shared = _shared_labels(recognizer.artifact, listing, "eight")
    answers, _ = _predict(recognizer, listing.clips, range(len(listing.clips)), progress)
    columns = [labels.index(label) for label in shared]
    scores = np.array([answer.scores for answer in answers.values()])[:, columns]
    clips = [listing.clips[index] for index in answers]
    return {**_scores(listing.clips, answers, shared), **unseen_scores(clips, shared, scores)}


def _shared_labels(artifact: Artifact, listing: CorpusClips, labels: str) -> list[str]:
    """Return the labels that model, corpus and label set share; raise `ParameterError` if there are fewer than two."""
    present = {clip.emotion for clip in listing.clips}
    shared = [label for label in LABEL_SETS[labels] if label in artifact.labels and label in present]
    if len(shared) < 2:
        raise ParameterError(
            f"{artifact.name} and {listing.corpus} share {shared or 'no label'} of the {labels} labels."
        )
    return shared


def _scores(clips: Sequence[Clip], answers: Answers, labels: list[str]) -> dict[str, Any]:
    scored = [index for index in sorted(answers) if clips[index].emotion in labels]
    if not scored:
        raise ParameterError(f"No clip of the corpus could be answered with one of {', '.join(labels)}.")
    truth = np.array([labels.index(clips[index].emotion) for index in scored])
    probabilities = np.array([[answers[index].probabilities[label] for label in labels] for index in scored])
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    speakers = [clips[index].speaker for index in scored]
    sure = [answers[index] for index in scored if answers[index].is_sure]
    right = [answer.label == clips[index].emotion for index in scored if (answer := answers[index]).is_sure]
    return {
        "labels": labels,
        **scores(truth, probabilities, speakers, labels),
        "sure": {"share": len(sure) / len(scored), "accuracy": float(np.mean(right)) if right else None},
    }


def _check_adaptable(artifact: Artifact, listing: CorpusClips, protocol: str, n_clips: int) -> None:
    """Raise `ParameterError`, before the long work, if answers adapted to so many clips cannot be scored."""
    if protocol != "all" and not stored_folds(artifact, listing.clips, protocol):
        raise ParameterError("--adapt needs the model's stored graphs for this protocol; choose --protocol all.")
    if len(listing.clips) <= n_clips:
        raise ParameterError(
            f"--adapt {n_clips} scores the clips that are not drawn: more than {n_clips} are needed, found "
            f"{len(listing.clips)}. Adapt to fewer."
        )


def _adapted_scores(
    clips: Sequence[Clip],
    answers: Answers,
    labels: list[str],
    model_labels: Sequence[str],
    n_clips: int,
    progress: bool,
) -> dict[str, Any]:
    """Return the scores of answers adapted to clips of the corpus, and to five of each speaker (None: too few)."""
    from tqdm.auto import tqdm

    known = sorted(answers)
    columns = [model_labels.index(label) for label in labels]
    scores = np.array([answers[index].scores for index in known])[:, columns]
    answered = [clips[index] for index in known]
    report: dict[str, Any] = {}
    sources: tuple[tuple[str, Source, int], ...] = (
        ("adapted", "corpus", n_clips),
        ("calibrated", "speaker", SPEAKER_CLIPS),
    )
    for key, by, n in sources:
        kept = large_sources(answered, n, by)
        part = [answered[position] for position in kept]
        if not kept:
            report[key] = None
            continue
        total = DRAWS * len({getattr(clip, by) for clip in part})
        with tqdm(total=total, desc=f"Adapting to the {by}", unit="draw", disable=not progress) as bar:
            report[key] = source_scores(part, labels, scores[kept], n, by=by, on_draw=bar.update)
    return report


def _excluded(clips: Sequence[Clip], unknown: dict[str, int], answers: Answers, labels: list[str]) -> dict[str, int]:
    """Count the clips that were not scored because of their label."""
    left_out = Counter(clips[index].emotion for index in answers if clips[index].emotion not in labels)
    return dict(sorted((left_out + Counter(unknown)).items()))


def _answers(
    artifact: Artifact, clips: Sequence[Clip], protocol: str, progress: bool
) -> tuple[Answers, list[dict[str, str]]]:
    if protocol == "all":
        return _predict(Recognizer(artifact), clips, range(len(clips)), progress)
    stored = stored_folds(artifact, clips, protocol)
    if not all(artifact.path(file).is_file() for fold, _ in stored for file in fold["files"]):
        raise ParameterError(
            f"{artifact.name}: the networks of its {protocol!r} protocol come with the repository, not with the "
            "installed package. Score it in a clone."
        )
    if not stored:
        return _train_and_answer(artifact, clips, protocol, progress), []
    answers: Answers = {}
    errors: list[dict[str, str]] = []
    for fold, tested in stored:
        fold_answers, fold_errors = _predict(Recognizer(artifact, fold), clips, tested, progress)
        answers |= fold_answers
        errors += fold_errors
    return answers, errors


def stored_folds(artifact: Artifact, clips: Sequence[Clip], protocol: str) -> list[tuple[dict[str, Any], list[int]]]:
    """Return the model's folds (or its random split) that test some of the clips, each with the indices of these.

    Empty if the folds leave clips untested, or the random split tests none.
    """
    if protocol == "random":
        folds = [artifact.manifest["random"]] if "random" in artifact.manifest else []
        keys = [f"{clip.speaker}/{Path(clip.path).stem}" for clip in clips]
    else:
        folds = artifact.manifest.get("folds", [])
        keys = [clip.speaker for clip in clips]
    tested = [(fold, [i for i, key in enumerate(keys) if key in set(fold["test"])]) for fold in folds]
    covered = sum(len(indices) for _, indices in tested)
    enough = covered == len(clips) if protocol == "folds" else covered > 0
    return [(fold, indices) for fold, indices in tested if indices] if enough else []


def _predict(
    recognizer: Recognizer, clips: Sequence[Clip], indices: Iterable[int], progress: bool
) -> tuple[Answers, list[dict[str, str]]]:
    from tqdm.auto import tqdm

    answers: Answers = {}
    errors = []
    for index in tqdm(list(indices), desc="Predicting", unit="clip", disable=not progress):
        try:
            analysis = recognizer.analyse(clips[index].path)
            answer = recognizer.answer(analysis)
            sure = "close_call" not in answer.reasons and "silent" not in answer.reasons
            answers[index] = Answered(answer.label, answer.probabilities, sure, analysis.scores)
        except AudioError as error:
            errors.append({"file": clips[index].path, "error": str(error)})
    return answers, errors


def _train_and_answer(artifact: Artifact, clips: Sequence[Clip], protocol: str, progress: bool) -> Answers:
    """Train networks on the corpus itself, by the model's configuration, and return their answers on the test sides.

    Clips whose label the configuration leaves out are neither trained on nor tested: their answers are empty.
    """
    with needs("train", f"{artifact.name}: training networks for the protocol {protocol!r}"):
        import_keras()
    ensemble, configs = read_description(artifact.manifest["training"]["config"])
    entry = artifact.manifest.get("encoder")
    encoder = artifact.path(entry["file"]) if entry else None
    known = LABEL_SETS[next(iter(configs.values())).labels]
    used = [clip for clip in clips if clip.emotion in known]
    with tempfile.TemporaryDirectory(prefix="ser-") as work:
        study = prepare_ensemble(used, ensemble, configs, Path(work), progress, encoder=encoder)
        folds = [study.hold_out(study.random_split())] if protocol == "random" else study.folds()
        train_networks(study, [], [split for split, _ in folds], JOBS, progress)
        results = fold_results(study, folds)
    index, probabilities = out_of_fold(results)
    thresholds = artifact.manifest["thresholds"]
    sure = Sure(thresholds["confidence"], thresholds.get("home"))
    sure_from = np.concatenate([sure.at_least(result.home) for result in results])
    positions = {clip: position for position, clip in enumerate(clips)}
    answers: Answers = {positions[clip]: Answered("", {}, False) for clip in set(clips) - set(used)}
    for clip, row, least in zip(index, probabilities, sure_from, strict=True):
        found = dict(zip(study.first.labels, row.tolist(), strict=True))
        label = max(found, key=found.__getitem__)
        answers[positions[study.clips[clip]]] = Answered(label, found, bool(found[label] >= least))
    return answers


def _as_trained(artifact: Artifact, listing: CorpusClips) -> CorpusClips:
    """Name a table as earlier versions did, if the model was trained then: all tables were the corpus `table`.

    Else its speakers would be new to the model, and a score on speakers that it was trained on would not be marked.
    """
    trained = artifact.manifest["training"]["corpora"]
    if TABLE not in trained or listing.corpus in trained or not is_table(listing.corpus):
        return listing
    speakers = (clip.speaker.partition("/")[2] for clip in listing.clips)
    clips = [
        replace(clip, corpus=TABLE, speaker=f"{TABLE}/{speaker}")
        for clip, speaker in zip(listing.clips, speakers, strict=True)
    ]
    return replace(listing, corpus=TABLE, clips=clips)


def _trained_speakers(artifact: Artifact) -> set[str]:
    corpora = artifact.manifest["training"].get("corpora", {})
    return {speaker for corpus in corpora.values() for speaker in corpus["speakers"]}
