"""The core that every door uses: a recording in, a `Prediction` out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ser.artifact import Artifact, check_golden, find, open_graph, read_arrays, run_graph, verify
from ser.audio import Source, load_waveform
from ser.features import normalise, recipe, trim
from ser.metrics import softmax
from ser.novelty import Novelty
from ser.types import MIN_USED_S, REASONS, ParameterError, Prediction, Waveform

SILENT_PEAK = 3e-4  # of full scale, -70 dB; the quietest of the training recordings peaks at 4.5e-3


class Recognizer:
    """A loaded model. It keeps no state after construction, so one object serves all threads."""

    def __init__(self, artifact: Artifact, variant: dict[str, Any] | None = None) -> None:
        """`variant` is an entry of the manifest that names other graphs: those of a fold, with their temperature."""
        self.artifact = artifact
        self.name = artifact.name
        self.labels = artifact.labels
        self.sample_rate = recipe(artifact.branches[0].recipe).sample_rate
        files = variant["files"] if variant else [branch.file for branch in artifact.branches]
        self._branches = [
            (recipe(branch.recipe), open_graph(artifact, file), branch.weight)
            for branch, file in zip(artifact.branches, files, strict=True)
        ]
        if variant is None:
            check_golden(artifact, [session for _, session, _ in self._branches])
        self._temperature = (variant or artifact.manifest)["temperature"]
        entry = artifact.manifest.get("novelty")
        self._novelty = _novelty(artifact, entry) if entry else None

    def __repr__(self) -> str:
        return f"Recognizer({self.name!r}: {', '.join(self.labels)})"

    def predict(self, source: Source | Waveform) -> Prediction:
        """What a recording sounds like: a path, its bytes, an open file, or a waveform at the model's sample rate.

        Any format that `ser.audio` knows, up to 120 s. Raises `AudioError` for what is not sound.
        """
        waveform = self._waveform(source)
        start, end = trim(waveform.samples)
        if np.abs(waveform.samples).max() < SILENT_PEAK:
            return self._silent(waveform, source)
        samples = normalise(waveform.samples[start:end])
        inputs = [transform(samples) for transform, _, _ in self._branches]
        scores = sum(
            weight * run_graph(session, features).mean(axis=0)
            for features, (_, session, weight) in zip(inputs, self._branches, strict=True)
        )
        probabilities = softmax(np.asarray(scores, np.float64) / self._temperature)
        found = {
            "clipped": waveform.clipped,
            "cut_off": waveform.cut_off,
            "too_short": end - start < MIN_USED_S * waveform.sample_rate,
            "close_call": probabilities.max() < self.artifact.manifest["thresholds"]["confidence"],
            "unlike_training": self._is_novel(inputs),
        }
        return self._answer(waveform, source, probabilities, found, (start, end))

    def _waveform(self, source: Source | Waveform) -> Waveform:
        if not isinstance(source, Waveform):
            return load_waveform(source, self.sample_rate)
        if source.sample_rate != self.sample_rate:
            raise ParameterError(f"{self.name} hears {self.sample_rate} Hz, the waveform has {source.sample_rate} Hz.")
        return source

    def _is_novel(self, inputs: list[np.ndarray]) -> bool:
        if self._novelty is None:
            return False
        entry = self.artifact.manifest["novelty"]
        return bool(self._novelty.distance(inputs[entry["branch"]].mean(axis=0)) > entry["threshold"])

    def _silent(self, waveform: Waveform, source: Source | Waveform) -> Prediction:
        """No sound, no evidence: every label is as likely as any other."""
        even = np.full(len(self.labels), 1 / len(self.labels))
        return self._answer(waveform, source, even, {"silent": True, "cut_off": waveform.cut_off}, (0, 0))

    def _answer(
        self,
        waveform: Waveform,
        source: Source | Waveform,
        probabilities: np.ndarray,
        found: dict[str, bool],
        used: tuple[int, int],
    ) -> Prediction:
        return Prediction(
            label=self.labels[int(probabilities.argmax())],
            probabilities=dict(zip(self.labels, probabilities.tolist(), strict=True)),
            reasons=tuple(reason for reason in REASONS if found.get(reason)),
            duration_s=waveform.duration_s,
            model=self.name,
            used_s=(used[0] / waveform.sample_rate, used[1] / waveform.sample_rate),
            file=source_name(source),
        )


def _novelty(artifact: Artifact, entry: dict[str, Any]) -> Novelty:
    (width,) = recipe(artifact.branches[entry["branch"]].recipe).shape
    return Novelty(*read_arrays(artifact, entry["file"], mean=(width,), whitening=(width, width)))


def source_name(source: Source | Waveform) -> str | None:
    """The name to show for a source: a path as given, an uploaded file's name, else None."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return Path(name).name if isinstance(name, str) else None


def load(model: str | os.PathLike[str] | None = None) -> Recognizer:
    """A recogniser by name or folder; without one `SER_MODEL`, else the best on unseen speakers.

    Raises `ArtifactError` for an unknown name, which lists the known ones, and for a damaged folder.
    """
    return Recognizer(verify(find(model)))
