"""Scores a model on unseen speakers under distortions: telephone, codecs, hum, pops, pauses, noise, short excerpts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ser import metrics
from ser.audio.loading import load_waveform
from ser.datasets.corpora import load_corpus
from ser.evaluation.distortions import DISTORTIONS
from ser.inference.artifact import Artifact, find, verify
from ser.inference.recognizer import Recognizer
from ser.training.parallel import in_parallel
from ser.types import Clip, ParameterError, Prediction

PLAIN = "as it is"
# Of UAR; no limit applies to the other distortions.
ALLOWED_LOSS = {
    "gain +12 dB": 0.03,
    "gain -12 dB": 0.03,
    "telephone band, 8 kHz": 0.03,
    "telephone band, mu-law": 0.03,
    "MP3, 64 kbit/s": 0.03,
    "Opus, 24 kbit/s": 0.03,
    "offset of 2 %": 0.03,
    "hum at -30 dB": 0.05,
    "a pop": 0.05,
    "a pause of 10 s": 0.05,
    "3 s of a room around": 0.05,
}


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
    """Score a model under every distortion; returns a plain dictionary (fractions, unrounded).

    Every clip (`every`: each n-th) is answered by the stored fold network that was not trained on its speaker, in
    `jobs` processes of one thread each. Labels are those that model and corpus share. A row's `allowed_loss` and
    `holds` are null if no limit applies to it. Raises `ParameterError` if a speaker has no such network, `AudioError`
    for a damaged clip.
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
        "rows": _rows(clips, labels, answers),
    }


def fold_of(artifact: Artifact, speakers: Sequence[str]) -> dict[str, str]:
    """Return for each speaker the name of the stored fold that was not trained on it."""
    folds = artifact.manifest.get("folds", [])
    names = {speaker: fold["name"] for fold in folds for speaker in fold["test"] if speaker in set(speakers)}
    missing = sorted(set(speakers) - set(names))
    if missing:
        raise ParameterError(
            f"{artifact.name} has no fold network that was not trained on {', '.join(missing[:3])}"
            f"{' and others' if missing[3:] else ''}; use the corpus that the model was trained on."
        )
    return names


def _answers(
    artifact: Artifact, clips: Sequence[Clip], seed: int, jobs: int, progress: bool
) -> list[dict[str, Prediction]]:
    """Return the predictions for each clip, by distortion."""
    from tqdm.auto import tqdm

    folds = fold_of(artifact, [clip.speaker for clip in clips])
    tasks = [
        partial(_clip_answers, artifact.folder, folds[clip.speaker], clip.path, (seed, number))
        for number, clip in enumerate(clips)
    ]
    answers = in_parallel(tasks, jobs, ordered=True)
    return [*tqdm(answers, total=len(clips), desc="Predicting with distortions", unit="clip", disable=not progress)]


def _clip_answers(folder: Path, fold: str, path: str, seed: tuple[int, int]) -> dict[str, Prediction]:
    recognizer = _recognizer(folder, fold)
    waveform = load_waveform(path, recognizer.sample_rate)
    sources = {name: make(waveform, np.random.default_rng(seed)) for name, make in DISTORTIONS.items()}
    return {PLAIN: recognizer.predict(path)} | {name: recognizer.predict(data) for name, data in sources.items()}


@cache
def _recognizer(folder: Path, fold: str) -> Recognizer:
    """Load a fold's recogniser once per process."""
    artifact = verify(folder)
    return Recognizer(artifact, next(entry for entry in artifact.manifest["folds"] if entry["name"] == fold))


def _rows(clips: Sequence[Clip], labels: list[str], answers: list[dict[str, Prediction]]) -> list[dict[str, Any]]:
    truth = np.array([labels.index(clip.emotion) for clip in clips])
    speakers = [clip.speaker for clip in clips]

    def matrices(name: str) -> np.ndarray:
        answer = np.array([_best(predictions[name].probabilities, labels) for predictions in answers])
        return metrics.speaker_matrices(truth, answer, speakers, len(labels))

    plain = matrices(PLAIN)
    uncertain = {name: float(np.mean([predictions[name].uncertain for predictions in answers])) for name in answers[0]}
    return [_row(name, plain, matrices(name), uncertain[name]) for name in (PLAIN, *DISTORTIONS)]


def _row(name: str, plain: np.ndarray, distorted: np.ndarray, uncertain: float) -> dict[str, Any]:
    """Score a distortion from the confusion matrix of each speaker without and with it."""
    score = metrics.uar(distorted.sum(axis=0))
    lost = metrics.uar(plain.sum(axis=0)) - score
    return {
        "name": name,
        "uar": score,
        "uar_interval": metrics.bootstrap(distorted),
        "lost": lost,
        "lost_interval": metrics.gain_interval(distorted, plain),
        "uncertain": uncertain,
        "allowed_loss": ALLOWED_LOSS.get(name),
        "holds": lost <= ALLOWED_LOSS[name] if name in ALLOWED_LOSS else None,
    }


def _best(probabilities: dict[str, float], labels: list[str]) -> int:
    return int(np.argmax([probabilities[label] for label in labels]))
