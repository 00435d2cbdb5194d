"""The core that every door uses: a recording in, a `Prediction` out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import numpy as np

from ser.audio.loading import Source, load_waveform, source_name
from ser.features.preprocessing import normalise, reduce_noise, trim
from ser.features.recipes import recipe
from ser.inference.artifact import Artifact, check_golden, find, open_graph, read_arrays, run_outputs, verify
from ser.inference.memory import keep_freed
from ser.inference.novelty import Novelty
from ser.metrics import softmax
from ser.timeline import timeline
from ser.types import (
    MIN_USED_S,
    REASONS,
    SILENT,
    Failure,
    ParameterError,
    Prediction,
    Progress,
    SerError,
    Timeline,
    Waveform,
)

SILENT_PEAK = 3e-4  # of full scale, -70 dB; the quietest of the training recordings peaks at 4.5e-3

PRIOR_CLIPS = 5  # right answers that labelled clips of a voice are weighed against
LEANING = 2.0  # log-probability that a label gains which is always missed


@dataclass(frozen=True)
class Heard:
    """What is left of a recording: where its sound lies, in samples, and the features of each recipe.

    `inputs` maps a recipe's name to rows (n_windows, *shape); it is empty for silence.
    """

    waveform: Waveform
    used: tuple[int, int]
    inputs: dict[str, np.ndarray]


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
            (branch.recipe, open_graph(artifact, file, branch.recipe), branch.weight)
            for branch, file in zip(artifact.branches, files, strict=True)
        ]
        if variant is None:
            check_golden(artifact, [session for _, session, _ in self._branches])
        self._temperature = (variant or artifact.manifest)["temperature"]
        self._reduce_noise = artifact.manifest.get("reduce_noise", False)
        entry = artifact.manifest.get("novelty")
        self._novelty = _novelty(artifact, entry) if entry else None
        self._own = _own_voice(artifact, variant)
        self._voice: np.ndarray | None = None
        self._bias = np.zeros(len(self.labels))

    @property
    def window_s(self) -> float:
        """Seconds that every network of the model takes in one piece."""
        return min(recipe(branch.recipe).window_s for branch in self.artifact.branches)

    @property
    def sure_from(self) -> float:
        """Probability from which on an answer counts as sure, 0 to 1."""
        return float(self.artifact.manifest["thresholds"]["confidence"])

    def __repr__(self) -> str:
        return f"Recognizer({self.name!r}: {', '.join(self.labels)})"

    def predict(self, source: Source | Waveform) -> Prediction:
        """What a recording sounds like: a path, its bytes, an open file, or a waveform at the model's sample rate.

        Any format that `ser.audio.loading` knows, up to 120 s. Raises `AudioError` for what is not sound.
        """
        heard = self.features(source)
        waveform, (start, end) = heard.waveform, heard.used
        if not heard.inputs:
            return self._silent(waveform, source)
        scores, heads = self._ask(heard)
        probabilities = softmax(scores / self._temperature)
        distance = self._distance(heard.inputs)
        found = {
            "clipped": waveform.clipped,
            "cut_off": waveform.cut_off,
            "too_short": end - start < MIN_USED_S * waveform.sample_rate,
            "close_call": probabilities.max() < self.sure_from,
            "unlike_training": distance is not None and distance > self.artifact.manifest["novelty"]["threshold"],
        }
        answer = self._answer(waveform, source, probabilities, found, (start, end), heads)
        return replace(answer, distance=distance)

    @overload
    def predict_many(
        self, sources: Iterable[Source | Waveform], *, on_error: Literal["raise"] = "raise"
    ) -> Iterator[Prediction]: ...

    @overload
    def predict_many(
        self, sources: Iterable[Source | Waveform], *, on_error: Literal["return"]
    ) -> Iterator[Prediction | Failure]: ...

    def predict_many(
        self, sources: Iterable[Source | Waveform], *, on_error: Literal["raise", "return"] = "raise"
    ) -> Iterator[Prediction | Failure]:
        """Answers to many recordings in their order; each is taken from `sources` and heard when it is asked for.

        One that is refused raises as in `predict`; the next call goes on with the one after it. With
        `on_error="return"` a `Failure` stands in its place. Raises `ParameterError` at once for any other `on_error`,
        and for a single recording.
        """
        if on_error not in ("raise", "return"):
            raise ParameterError(f"on_error is 'raise' or 'return', found {on_error!r}.")
        _check_several("predict_many", sources)
        return map(self.predict if on_error == "raise" else self._predict_or_fail, sources)

    def _predict_or_fail(self, source: Source | Waveform) -> Prediction | Failure:
        try:
            return self.predict(source)
        except SerError as error:
            return Failure(source_name(source), error)

    def timeline(self, source: Source, *, progress: Progress | None = None, jobs: int | None = None) -> Timeline:
        """How a recording of up to four hours sounds over time; see `ser.timeline.timeline`."""
        return timeline(source, self, progress=progress, jobs=jobs)

    def features(self, source: Source | Waveform) -> Heard:
        """The recording trimmed, level-normalised and turned into the features of every branch."""
        waveform = self._waveform(source)
        if np.abs(waveform.samples).max() < SILENT_PEAK:
            return Heard(waveform, (0, 0), {})
        if self._reduce_noise:
            waveform = reduce_noise(waveform)
        start, end = trim(waveform.samples)
        samples = normalise(waveform.samples[start:end])
        return Heard(waveform, (start, end), {name: recipe(name)(samples) for name in self._recipes()})

    def probabilities(self, heard: Heard) -> np.ndarray:
        """Of each label, for features of this model, shape (n_labels,); all alike for silence."""
        if not heard.inputs:
            return np.full(len(self.labels), 1 / len(self.labels))
        return softmax(self._ask(heard)[0] / self._temperature)

    def calibrated(self, clips: Sequence[Source | Waveform], labels: Sequence[str] | None = None) -> Recognizer:
        """A recogniser normalised to one voice, from a few recordings of that speaker in any mood.

        What the voice is like is heard without labels. With `labels`, one for each clip, the answers also lean by how
        far those clips were answered too low. This object stays as it is. Raises `ParameterError` for no clips, a
        single recording, unknown labels, or a model that was not trained for it.
        """
        _check_several("calibrated", clips)
        return self.calibrated_to([self.features(clip) for clip in clips], labels)

    def calibrated_to(self, heard: Sequence[Heard], labels: Sequence[str] | None = None) -> Recognizer:
        """As `calibrated`, from features that are there already."""
        if self._own is None:
            raise ParameterError(f"{self.name} cannot be calibrated to a voice; a model like 'voice' can.")
        sounding = [one for one in heard if one.inputs]
        if not sounding:
            raise ParameterError(
                "Calibration needs at least one recording of the voice that is not silent; five do well."
            )
        own = copy(self)
        name = self._own[0]
        own._voice = np.mean([one.inputs[name].mean(axis=0) for one in sounding], axis=0).astype(np.float32)
        own._bias = np.zeros(len(self.labels))  # that of a voice calibrated to before says nothing of this one
        if labels is not None:
            own._bias = own._leaning(heard, labels)
        return own

    def _leaning(self, heard: Sequence[Heard], labels: Sequence[str]) -> np.ndarray:
        """Log-probability to add to each label, so that labelled clips are answered right more often.

        The mean, over the clips, of what was wanted less what was answered; as if from `PRIOR_CLIPS` more clips that
        were right.
        """
        unknown = [label for label in labels if label not in self.labels]
        if unknown or len(labels) != len(heard):
            found = f"{unknown[0]!r}" if unknown else f"{len(labels)} labels for {len(heard)} clips"
            raise ParameterError(f"Expected one label a clip from {', '.join(self.labels)}; found {found}.")
        wanted = np.array([[label == one for one in self.labels] for label in labels], float)
        given = np.array([self.probabilities(one) for one in heard])
        return LEANING * (wanted - given).sum(axis=0) / (len(labels) + PRIOR_CLIPS)

    def _recipes(self) -> set[str]:
        entry = self.artifact.manifest.get("novelty")
        novelty = {_novelty_recipe(self.artifact, entry)} if entry else set()
        return {name for name, _, _ in self._branches} | ({self._own[0]} if self._own else set()) | novelty

    def _ask(self, heard: Heard) -> tuple[np.ndarray, np.ndarray | None]:
        """Weighted log-probabilities (n_labels,) and the mean of the heads (2,), if there are any."""
        outputs = [(weight, run_outputs(session, heard.inputs[name])) for name, session, weight in self._branches]
        asked = outputs
        if self._own is not None and self._voice is not None:
            own, session, weight = self._own
            asked = [one for one, (name, _, _) in zip(outputs, self._branches, strict=True) if name != own]
            asked = [*asked, (weight, run_outputs(session, heard.inputs[own] - self._voice))]
        scores = sum(weight * found[0].mean(axis=0) for weight, found in asked)
        # As sure with a known voice as without: the temperature was fitted for the branches alone.
        scores *= sum(weight for weight, _ in outputs) / sum(weight for weight, _ in asked)
        return np.asarray(scores, np.float64) + self._bias, self._heads(outputs)

    def _heads(self, outputs: list[tuple[float, list[np.ndarray]]]) -> np.ndarray | None:
        """Mean of the heads (2,) over the branches, if the model has them."""
        if "heads" not in self.artifact.manifest:
            return None
        weights, found = zip(*((weight, arrays[1].mean(axis=0)) for weight, arrays in outputs), strict=True)
        return np.average(found, axis=0, weights=weights)

    def _waveform(self, source: Source | Waveform) -> Waveform:
        if not isinstance(source, Waveform):
            return load_waveform(source, self.sample_rate)
        if source.sample_rate != self.sample_rate:
            raise ParameterError(f"{self.name} hears {self.sample_rate} Hz, the waveform has {source.sample_rate} Hz.")
        return source

    def _distance(self, inputs: dict[str, np.ndarray]) -> float | None:
        """From the training speech; None where the model does not know it."""
        if self._novelty is None:
            return None
        features = inputs[_novelty_recipe(self.artifact, self.artifact.manifest["novelty"])]
        return float(self._novelty.distance(features.mean(axis=0)))

    def _silent(self, waveform: Waveform, source: Source | Waveform) -> Prediction:
        """No sound, no evidence: every label is as likely as any other."""
        even = np.full(len(self.labels), 1 / len(self.labels))
        return self._answer(waveform, source, even, {SILENT: True, "cut_off": waveform.cut_off}, (0, 0))

    def _answer(
        self,
        waveform: Waveform,
        source: Source | Waveform,
        probabilities: np.ndarray,
        found: dict[str, bool],
        used: tuple[int, int],
        heads: np.ndarray | None = None,
    ) -> Prediction:
        female, strong = (None, None) if heads is None else (float(value) for value in heads)
        return Prediction(
            label=self.labels[int(probabilities.argmax())],
            probabilities=dict(zip(self.labels, probabilities.tolist(), strict=True)),
            reasons=tuple(reason for reason in REASONS if found.get(reason)),
            duration_s=waveform.duration_s,
            model=self.name,
            used_s=(used[0] / waveform.sample_rate, used[1] / waveform.sample_rate),
            sex=None if female is None else {"male": 1 - female, "female": female},
            intensity=strong,
            file=source_name(source),
        )


def _novelty(artifact: Artifact, entry: dict[str, Any]) -> Novelty:
    shape = recipe(_novelty_recipe(artifact, entry)).shape
    return Novelty(*read_arrays(artifact, entry["file"], mean=shape, whitening=(*shape, *shape)))


def _novelty_recipe(artifact: Artifact, entry: dict[str, Any]) -> str:
    return str(entry["recipe"]) if "recipe" in entry else artifact.branches[entry["branch"]].recipe


def _own_voice(artifact: Artifact, variant: dict[str, Any] | None) -> tuple[str, Any, float] | None:
    """Recipe, graph and weight of the network that a known voice puts in the place of that on the same features."""
    entry = artifact.manifest.get("own_voice")
    if entry is None or (variant is not None and "own_voice" not in variant):
        return None
    file = variant["own_voice"] if variant else entry["file"]
    return entry["recipe"], open_graph(artifact, file, entry["recipe"]), entry["weight"]


def _check_several(method: str, sources: Any) -> None:
    """Else the letters of a name, or the bytes of a file, would be taken for so many recordings."""
    if isinstance(sources, str | bytes | bytearray | memoryview | os.PathLike | Waveform) or hasattr(sources, "read"):
        found = type(sources).__name__
        raise ParameterError(f"{method} takes several recordings, found one {found}; put it into a list.")


def load(model: str | os.PathLike[str] | None = None) -> Recognizer:
    """A recogniser by name or folder; without one `SER_MODEL`, else the best on unseen speakers.

    The process keeps up to 32 MiB that answers free (`ser.inference.memory`). Raises `ArtifactError` for an unknown
    name, which lists the known ones, and for a damaged folder.
    """
    keep_freed()
    return Recognizer(verify(find(model)))
