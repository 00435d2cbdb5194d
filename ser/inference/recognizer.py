"""The recogniser that every interface asks: a recording in, a `Prediction` out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from ser.audio.loading import Source, checked_waveform, load_waveform, source_name, waveform_of_samples
from ser.features.preprocessing import reduce_noise
from ser.features.recipes import recipe, with_encoder
from ser.inference.artifact import (
    Artifact,
    check_golden,
    find,
    manifest_digest,
    open_encoder,
    open_graph,
    read_arrays,
    reference,
    run_outputs,
    verify,
)
from ser.inference.novelty import Novelty
from ser.metrics import softmax
from ser.timeline import timeline
from ser.types import (
    MIN_USED_S,
    REASONS,
    SILENT,
    ArtifactError,
    Failure,
    ParameterError,
    Prediction,
    Progress,
    SerError,
    Timeline,
    Waveform,
)

SILENT_PEAK = 3e-4  # of full scale, -70 dB; the quietest of the training recordings peaks at 4.5e-3

PRIOR_CLIPS = 5  # pseudo-clips without error that labelled clips of a speaker are weighed against
LABEL_BIAS = 2.0  # log-probability that is added to a label whose probability was 1 too low on average


@dataclass(frozen=True)
class Inputs:
    """A recording as the networks take it.

    `used` is the part between the silent ends, first sample and end, and `n_samples` what is left of it without long
    pauses. `rows` maps the name of a recipe to features of shape (n_windows, *recipe.shape); it is empty if the
    recording is silent.
    """

    waveform: Waveform
    used: tuple[int, int]
    n_samples: int
    rows: dict[str, np.ndarray]


class _Branch(NamedTuple):
    recipe: str
    session: Any
    weight: float


class Recognizer:
    """A loaded model. It keeps no state after construction, so threads can share it, and it can be pickled.

    Pickled are the model's name (or folder, if it has none), the fold and the calibration; where it is unpickled the
    same model must be installed, else `ArtifactError` is raised.
    """

    def __init__(self, artifact: Artifact, fold: dict[str, Any] | None = None) -> None:
        """Open the graphs of a verified artifact, or those of one `fold` of its manifest, with its temperature."""
        self.artifact = artifact
        self.name = artifact.name
        self.labels = artifact.labels
        first = recipe(artifact.branches[0].recipe)
        self.sample_rate, self._prepare = first.sample_rate, first.prepare
        self._fold = fold
        files = fold["files"] if fold else [branch.file for branch in artifact.branches]
        self._branches = [
            _Branch(branch.recipe, open_graph(artifact, file, branch.recipe), branch.weight)
            for branch, file in zip(artifact.branches, files, strict=True)
        ]
        if fold is None:
            check_golden(artifact, [branch.session for branch in self._branches])
        self._temperature = (fold or artifact.manifest)["temperature"]
        self._reduce_noise = artifact.manifest.get("reduce_noise", False)
        self._own_branch = _own_branch(artifact, fold)
        names = {branch.recipe for branch in (*self._branches, self._own_branch) if branch}
        self._novelty: tuple[str, Novelty] | None = None  # with the name of its recipe
        if entry := artifact.manifest.get("novelty"):
            name = entry["recipe"] if "recipe" in entry else artifact.branches[entry["branch"]].recipe
            shape = recipe(name).shape
            arrays = read_arrays(artifact, entry["file"], mean=shape, whitening=(*shape, *shape))
            self._novelty = name, Novelty(*arrays)
            names.add(name)
        encoder = open_encoder(artifact)
        self._recipes = [with_encoder(recipe(name), encoder) for name in sorted(names)]
        self._speaker: np.ndarray | None = None  # mean features of the speaker that it is calibrated to
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

    # --- Copies ---

    def __copy__(self) -> Recognizer:
        """Return a second object with the same graphs, which hold no state."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Recognizer:
        return copy(self)

    def __getstate__(self) -> dict[str, Any]:
        folder = self.artifact.folder
        options = {"fold": self._fold, "speaker": self._speaker, "bias": self._bias}
        return {"model": reference(folder), "digest": manifest_digest(folder), **options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        folder = find(state["model"])
        if manifest_digest(folder) != state["digest"]:
            raise ArtifactError(
                f"The model {state['model']!r} here is another version than that of the pickled recogniser. Install "
                "the same version of voice-ser and its models on all machines."
            )
        self.__init__(verify(folder), state["fold"])  # type: ignore[misc]
        self._speaker, self._bias = state["speaker"], state["bias"]

    # --- Answers ---

    def predict(self, source: Source | Waveform | np.ndarray, *, sample_rate: int | None = None) -> Prediction:
        """Return the prediction for one recording of up to 120 s.

        `source` is a path, the bytes of a file, an open binary file, a `Waveform`, or samples as a NumPy array with
        their `sample_rate` in Hz: any integer or float type, shape (n,), (channels, n) or (n, channels). Raises
        `AudioError` if it is not sound, `ParameterError` if it is none of these.
        """
        inputs = self.inputs(source, sample_rate=sample_rate)
        waveform, (start, end) = inputs.waveform, inputs.used
        scores, heads = self._run(inputs)
        probabilities = softmax(scores / self._temperature)
        distance = self._distance(inputs.rows)
        doubts = self._doubts(inputs, probabilities, distance)
        female, strong = (None, None) if heads is None else heads.tolist()
        return Prediction(
            label=self.labels[int(probabilities.argmax())],
            probabilities=dict(zip(self.labels, probabilities.tolist(), strict=True)),
            reasons=tuple(reason for reason in REASONS if doubts.get(reason)),
            duration_s=waveform.duration_s,
            model=self.name,
            used_s=(start / waveform.sample_rate, end / waveform.sample_rate),
            distance=distance,
            sex=None if female is None else {"male": 1 - female, "female": female},
            intensity=strong,
            file=source_name(source),
        )

    def _doubts(self, inputs: Inputs, probabilities: np.ndarray, distance: float | None) -> dict[str, bool]:
        waveform = inputs.waveform
        if not inputs.rows:
            return {SILENT: True, "cut_off": waveform.cut_off}
        return {
            "clipped": waveform.clipped,
            "cut_off": waveform.cut_off,
            "too_short": inputs.n_samples < MIN_USED_S * waveform.sample_rate,
            "close_call": probabilities.max() < self.sure_from,
            "unlike_training": distance is not None and distance > self.artifact.manifest["novelty"]["threshold"],
        }

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
        """Yield the prediction for each recording in order; one is taken from `sources` when it is asked for.

        If one is refused, `predict`'s error is raised and the next call goes on behind it; with `on_error="return"` a
        `Failure` is yielded instead. Raises `ParameterError` at once for any other `on_error` and for a single
        recording.
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
        """Return the timeline of a recording of up to four hours; see `ser.timeline.timeline`."""
        return timeline(source, self, progress=progress, jobs=jobs)

    # --- Steps ---

    def inputs(self, source: Source | Waveform | np.ndarray, *, sample_rate: int | None = None) -> Inputs:
        """Return the recording prepared (see `ser.features.preprocessing`) and its features for every branch."""
        waveform = self._waveform(source, sample_rate)
        if np.abs(waveform.samples).max() < SILENT_PEAK:
            return Inputs(waveform, (0, 0), 0, {})
        if self._reduce_noise:
            waveform = reduce_noise(waveform)
        prepared = self._prepare(waveform.samples, waveform.sample_rate)
        if prepared.peak < SILENT_PEAK:  # an offset, or rumble
            return Inputs(waveform, (0, 0), 0, {})
        rows = {each.name: each(prepared.samples) for each in self._recipes}
        return Inputs(waveform, (prepared.start, prepared.end), len(prepared.samples), rows)

    def probabilities(self, inputs: Inputs) -> np.ndarray:
        """Return the probability of each label for the inputs of this model, (n_labels,); all equal if silent."""
        return softmax(self._run(inputs)[0] / self._temperature)

    # --- Calibration to a speaker ---

    def calibrated(self, clips: Sequence[Source | Waveform], labels: Sequence[str] | None = None) -> Recognizer:
        """Return a recogniser that is calibrated to one speaker, from a few recordings in any mood.

        It needs no labels. With `labels`, one for each clip, labels whose probability was too low on these clips also
        gain. This object stays as it is. Raises `ParameterError` for no clips, a single recording, unknown labels, or a
        model that was not trained for it.
        """
        _check_several("calibrated", clips)
        return self.calibrated_to([self.inputs(clip) for clip in clips], labels)

    def calibrated_to(self, clips: Sequence[Inputs], labels: Sequence[str] | None = None) -> Recognizer:
        """Return a calibrated recogniser as `calibrated` does, from inputs."""
        if self._own_branch is None:
            raise ParameterError(f"{self.name} cannot be calibrated to a voice; a model like 'voice' can.")
        sounding = [clip for clip in clips if clip.rows]
        if not sounding:
            raise ParameterError(
                "Calibration needs at least one recording of the voice that is not silent; five do well."
            )
        twin, name = copy(self), self._own_branch.recipe
        twin._speaker = np.mean([clip.rows[name].mean(axis=0) for clip in sounding], axis=0).astype(np.float32)
        twin._bias = np.zeros(len(self.labels))  # not that of another speaker
        if labels is not None:
            twin._bias = twin._label_bias(clips, labels)
        return twin

    def _label_bias(self, clips: Sequence[Inputs], labels: Sequence[str]) -> np.ndarray:
        """Return the mean of (one-hot label - predicted probability), shrunk by `PRIOR_CLIPS` clips without error."""
        unknown = [label for label in labels if label not in self.labels]
        if unknown or len(labels) != len(clips):
            mistake = f"{unknown[0]!r}" if unknown else f"{len(labels)} labels for {len(clips)} clips"
            raise ParameterError(f"Expected one label a clip from {', '.join(self.labels)}; found {mistake}.")
        truth = np.array([[label == known for known in self.labels] for label in labels], float)
        predicted = np.array([self.probabilities(clip) for clip in clips])
        return LABEL_BIAS * (truth - predicted).sum(axis=0) / (len(labels) + PRIOR_CLIPS)

    # --- Networks ---

    def _run(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray | None]:
        """Return weighted log-probabilities (n_labels,), all 0 if silent, and the mean of the heads (2,), if any."""
        if not inputs.rows:
            return np.zeros(len(self.labels)), None
        outputs = {branch: run_outputs(branch.session, inputs.rows[branch.recipe]) for branch in self._branches}
        scored = outputs
        if self._own_branch is not None and self._speaker is not None:
            own = self._own_branch  # in place of the branch on the same features
            scored = {branch: arrays for branch, arrays in outputs.items() if branch.recipe != own.recipe}
            scored[own] = run_outputs(own.session, inputs.rows[own.recipe] - self._speaker)
        scores = sum(branch.weight * arrays[0].mean(axis=0) for branch, arrays in scored.items())
        # The temperature was fitted for the weights of the plain branches.
        scores *= sum(branch.weight for branch in outputs) / sum(branch.weight for branch in scored)
        heads = None
        if "heads" in self.artifact.manifest:
            means = [arrays[1].mean(axis=0) for arrays in outputs.values()]
            heads = np.average(means, axis=0, weights=[branch.weight for branch in outputs])
        return np.asarray(scores, np.float64) + self._bias, heads

    def _waveform(self, source: Any, sample_rate: int | None) -> Waveform:
        if isinstance(source, np.ndarray):
            return waveform_of_samples(source, sample_rate, self.sample_rate)
        if sample_rate is not None:
            raise ParameterError(f"sample_rate is for samples as a NumPy array; {type(source).__name__} has its own.")
        if not isinstance(source, Waveform):
            return load_waveform(source, self.sample_rate)
        if source.sample_rate != self.sample_rate:
            raise ParameterError(
                f"{self.name} takes a Waveform at {self.sample_rate} Hz, found one at {source.sample_rate} Hz. Give its"
                " samples with sample_rate=, which resamples them."
            )
        return checked_waveform(source)

    def _distance(self, rows: dict[str, np.ndarray]) -> float | None:
        """Return the distance from the training speech, None if the model stores none or for silence."""
        if self._novelty is None or not rows:
            return None
        name, novelty = self._novelty
        return float(novelty.distance(rows[name].mean(axis=0)))


def _own_branch(artifact: Artifact, fold: dict[str, Any] | None) -> _Branch | None:
    """Return the branch for a known speaker, if the model (or the fold) has one."""
    entry = artifact.manifest.get("own_voice")
    if entry is None or (fold is not None and "own_voice" not in fold):
        return None
    file = fold["own_voice"] if fold else entry["file"]
    return _Branch(entry["recipe"], open_graph(artifact, file, entry["recipe"]), entry["weight"])


def _check_several(method: str, sources: Any) -> None:
    """Reject a single recording: iterating over it would yield characters or numbers."""
    single = str | bytes | bytearray | memoryview | os.PathLike | Waveform | np.ndarray
    if isinstance(sources, single) or hasattr(sources, "read"):
        kind = type(sources).__name__
        raise ParameterError(f"{method} takes several recordings, found one {kind}; put it into a list.")


def load(model: str | os.PathLike[str] | None = None) -> Recognizer:
    """Return the recogniser of a model by name or folder, by default that of `SER_MODEL` or the best.

    The best is the one with the highest UAR on unseen speakers. Raises `ArtifactError` for an unknown name, which lists
    the known ones, and for a damaged folder.
    """
    return Recognizer(verify(find(model)))


@cache
def _default() -> Recognizer:
    return load()


def predict(source: Source | Waveform | np.ndarray, *, sample_rate: int | None = None) -> Prediction:
    """Return the default model's prediction for one recording; the model is loaded by the first call only.

    Arguments and errors are those of `Recognizer.predict`.
    """
    return _default().predict(source, sample_rate=sample_rate)
