"""Scores on unseen speakers when their recordings come over a telephone, coded, in noise, or cut short."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ser import metrics
from ser.audio.loading import load_waveform
from ser.datasets.corpora import load_corpus
from ser.evaluation.distortions import DISTORTIONS
from ser.inference.artifact import Artifact, find, verify
from ser.inference.recognizer import Recognizer
from ser.types import Clip, ParameterError, Prediction

PLAIN = "as it is"
ALLOWED_LOSS = 0.05  # of UAR
HARD = {"white noise, 20 dB SNR", "excerpt of 1.5 s"}  # may lose more


def robustness(
    model: str | os.PathLike[str] | None,
    data: str | os.PathLike[str],
    corpus: str = "ravdess",
    *,
    every: int = 1,
    seed: int = 0,
    jobs: int = 2,
    progress: bool = True,
) -> dict[str, Any]:
    """A row of scores for every distortion, as a plain dictionary (fractions, unrounded).

    Every clip (`every`: or each n-th) is answered by the stored fold network that never heard its speaker; labels are
    those that model and corpus share. `jobs` processes of one thread each. A row's `holds` is null where it may lose
    as much as it does. Raises `ParameterError` where a speaker has no such network, `AudioError` for a damaged clip.
    """
    artifact = verify(find(model))
    clips = [clip for clip in load_corpus(corpus, os.fspath(data)).clips if clip.emotion in artifact.labels][::every]
    labels = [label for label in artifact.labels if any(clip.emotion == label for clip in clips)]
    answers = _answers(artifact, clips, seed, jobs, progress)
    return {
        "model": artifact.name,
        "corpus": corpus,
        "clips": len(clips),
        "speakers": len({clip.speaker for clip in clips}),
        "labels": labels,
        "seed": seed,
        "allowed_loss": ALLOWED_LOSS,
        "rows": _rows(clips, labels, answers),
    }


def unheard(artifact: Artifact, speakers: Sequence[str]) -> dict[str, str]:
    """For each speaker the name of the stored fold that never heard it."""
    folds = artifact.manifest.get("folds", [])
    found = {speaker: fold["name"] for fold in folds for speaker in fold["test"] if speaker in set(speakers)}
    missing = sorted(set(speakers) - set(found))
    if missing:
        raise ParameterError(
            f"{artifact.name} holds no fold network that never heard {', '.join(missing[:3])}"
            f"{' and others' if missing[3:] else ''}; ask for the corpus that the model was trained on."
        )
    return found


def _answers(
    artifact: Artifact, clips: Sequence[Clip], seed: int, jobs: int, progress: bool
) -> list[dict[str, Prediction]]:
    """What each clip sounds like under every distortion."""
    from joblib import Parallel, delayed, parallel_config
    from tqdm.auto import tqdm

    folds = unheard(artifact, [clip.speaker for clip in clips])
    tasks = [
        delayed(_clip_answers)(artifact.folder, folds[clip.speaker], clip.path, (seed, number))
        for number, clip in enumerate(clips)
    ]
    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        found = Parallel(return_as="generator")(tasks)
        bar = tqdm(found, total=len(clips), desc="Listening under each distortion", unit="clip", disable=not progress)
        return list(bar)


def _clip_answers(folder: Path, fold: str, path: str, seed: tuple[int, int]) -> dict[str, Prediction]:
    recognizer = _recognizer(folder, fold)
    waveform = load_waveform(path, recognizer.sample_rate)
    sources = {name: make(waveform, np.random.default_rng(seed)) for name, make in DISTORTIONS.items()}
    return {PLAIN: recognizer.predict(path)} | {name: recognizer.predict(data) for name, data in sources.items()}


@cache
def _recognizer(folder: Path, fold: str) -> Recognizer:
    """Kept by each process."""
    artifact = verify(folder)
    return Recognizer(artifact, next(variant for variant in artifact.manifest["folds"] if variant["name"] == fold))


def _rows(clips: Sequence[Clip], labels: list[str], answers: list[dict[str, Prediction]]) -> list[dict[str, Any]]:
    truth = np.array([labels.index(clip.emotion) for clip in clips])
    speakers = [clip.speaker for clip in clips]

    def matrices(name: str) -> np.ndarray:
        answer = np.array([_best(found[name].probabilities, labels) for found in answers])
        return metrics.speaker_matrices(truth, answer, speakers, len(labels))

    plain = matrices(PLAIN)
    uncertain = {name: float(np.mean([found[name].uncertain for found in answers])) for name in answers[0]}
    return [_row(name, plain, matrices(name), uncertain[name]) for name in (PLAIN, *DISTORTIONS)]


def _row(name: str, plain: np.ndarray, found: np.ndarray, uncertain: float) -> dict[str, Any]:
    """Scores from the confusion matrix of each speaker, without and with a distortion."""
    score = metrics.uar(found.sum(axis=0))
    lost = metrics.uar(plain.sum(axis=0)) - score
    return {
        "name": name,
        "uar": score,
        "uar_interval": metrics.bootstrap(found),
        "lost": lost,
        "lost_interval": metrics.gain_interval(found, plain),
        "uncertain": uncertain,
        "holds": None if name in {PLAIN, *HARD} else lost <= ALLOWED_LOSS,
    }


def _best(probabilities: dict[str, float], labels: list[str]) -> int:
    return int(np.argmax([probabilities[label] for label in labels]))
