"""The recogniser that every interface asks: a recording in, a `Prediction` out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from ser.audio.loading import Source, channels_of_samples, checked_waveform, load_channels, source_name
from ser.audio.quality import faults
from ser.features.preprocessing import reduce_noise
from ser.features.recipes import recipe, with_encoder
from ser.inference.adaptation import MIN_CLIPS, Profile, SourceMean, check_given_source, check_source, read_profile
from ser.inference.artifact import (
    MODEL_VARIABLE,
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
from ser.inference.explain import Explanation, explain
from ser.inference.memory import keep_freed_memory
from ser.inference.mixture import is_home, mixed
from ser.inference.novelty import Novelty
from ser.metrics import softmax
from ser.timeline import timeline
from ser.types import (
    MIN_USED_S,
    REASONS,
    SELF,
    SILENT,
    Adaptation,
    ArtifactError,
    Channels,
    Failure,
    ParameterError,
    Prediction,
    Progress,
    SerError,
    Timeline,
    Waveform,
)

PROFILE_VARIABLE = "SER_PROFILE"
LOUDEST = 1e6  # of full scale; louder samples are turned down, since their squares would overflow
SHORT_S = 1.2  # of sound: statistics of less vary more, so that it is unlike the training only if it lies
SHORT_FACTOR = 1.4  # times as far from it
SPEAKER = "speaker"  # the source of a recogniser that is calibrated to one
SILENT_PEAK = 3e-4  # of full scale, -70 dB; the quietest of the training recordings peaks at 4.5e-3

PRIOR_CLIPS = 5  # pseudo-clips without error that labelled clips of a speaker are weighed against
LABEL_BIAS = 2.0  # log-probability that is added to a label whose probability was 1 too low on average


@dataclass(frozen=True)
class Inputs:
    """A recording as the networks take it.

    `used` is the part between the silent ends, first sample and end, and `n_sound` the samples of it that sound.
    `rows` maps the name of a recipe to features of shape (n_windows, *recipe.shape); it is empty if the
    recording is silent. `quality` names its faults (keys of `QUALITY`).
    """

    waveform: Waveform
    used: tuple[int, int]
    n_sound: int
    rows: dict[str, np.ndarray]
    quality: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """All that a model needs of a recording to answer it, adapted to any source: numbers, and no sound.

    `scores` (n_labels,) are the weighted log-probabilities of all branches, 0 if the recording is silent; `heads`
    (n_heads,) are the mean of the heads. `doubts` are the reasons for doubt that do not depend on the answer.
    """

    duration_s: float
    used_s: tuple[float, float]
    sound_s: float
    doubts: frozenset[str]
    distance: float | None
    scores: np.ndarray
    heads: np.ndarray | None
    file: str | None = None
    channel: str | None = None
    track: int | None = None
    quality: tuple[str, ...] = ()

    @property
    def is_speech(self) -> bool:
        """Whether it says something about its source: silence, music, noise and sound that is too short do not."""
        return not {SILENT, "unlike_training", "too_short"} & self.doubts


class _Branch(NamedTuple):
    recipe: str
    session: Any
    weight: float
    home: bool


class Recognizer:
    """A loaded model. It keeps no state after construction, so threads can share it, and it can be pickled.

    Pickled are the model's name (or folder, if it has none), the fold and the calibration; where it is unpickled the
    same model must be installed, else `ArtifactError` is raised.
    """

    def __init__(self, artifact: Artifact, fold: dict[str, Any] | None = None) -> None:
        """Open the graphs of a verified artifact, or those of one `fold` of its manifest, with its temperature."""
        keep_freed_memory()
        self.artifact = artifact
        self.name = artifact.name
        self.labels = artifact.labels
        first = recipe(artifact.branches[0].recipe)
        self.sample_rate, self._prepare = first.sample_rate, first.prepare
        self._fold = fold
        files = fold["files"] if fold else [branch.file for branch in artifact.branches]
        self._branches = [
            _Branch(branch.recipe, open_graph(artifact, file, branch.recipe), branch.weight, branch.home)
            for branch, file in zip(artifact.branches, files, strict=True)
        ]
        if fold is None:
            check_golden(artifact, [branch.session for branch in self._branches])
        self._temperature = (fold or artifact.manifest)["temperature"]
        self._reduce_noise = artifact.manifest.get("reduce_noise", False)
        names = {branch.recipe for branch in self._branches}
        self._novelty: tuple[str, Novelty] | None = None  # with the name of its recipe
        if entry := artifact.manifest.get("novelty"):
            name = entry["recipe"] if "recipe" in entry else artifact.branches[entry["branch"]].recipe
            shape = recipe(name).shape
            arrays = read_arrays(artifact, entry["file"], mean=shape, whitening=(*shape, *shape))
            self._novelty = name, Novelty(*arrays)
            names.add(name)
        encoder = open_encoder(artifact)
        self._recipes = [with_encoder(recipe(name), encoder) for name in sorted(names)]
        self._source: tuple[str, SourceMean] | None = None  # that it is adapted to, with its name
        self._correction = np.zeros(len(self.labels))  # of the source, added to the scores
        self._bias = np.zeros(len(self.labels))

    @property
    def window_s(self) -> float:
        """Seconds that every network of the model takes in one piece."""
        return min(recipe(branch.recipe).window_s for branch in self.artifact.branches)

    @property
    def adaptation(self) -> Adaptation | None:
        """What its answers are adapted to, None if nothing."""
        return self._source and Adaptation(self._source[0], self._source[1].clips)

    @property
    def profile(self) -> Profile:
        """The source that it is adapted to, as it can be saved; raises `ParameterError` if there is none."""
        if self._source is None:
            raise ParameterError(f"{self.name} is not adapted to a source. Call adapted(clips) first.")
        if self._bias.any():
            raise ParameterError("A profile holds no labels: calibrate without labels= to save one.")
        name, mean = self._source
        return Profile.of(mean, self.labels, self.name, manifest_digest(self.artifact.folder), name)

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
        options = {"fold": self._fold, "source": self._source, "bias": self._bias}
        return {"model": reference(folder), "digest": manifest_digest(folder), **options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        folder = find(state["model"])
        if manifest_digest(folder) != state["digest"]:
            raise ArtifactError(
                f"The model {state['model']!r} here is another version than that of the pickled recogniser. Install "
                "the same version of voice-ser and its models on all machines."
            )
        self.__init__(verify(folder), state["fold"])  # type: ignore[misc]
        if state["source"] is not None:
            self._adapt(*state["source"])
        self._bias = state["bias"]

    # --- Answers ---

    @overload
    def predict(
        self,
        source: Source | Waveform | np.ndarray,
        *,
        sample_rate: int | None = None,
        channels: Literal["mix", "left", "right"] = "mix",
        track: int | None = None,
    ) -> Prediction: ...

    @overload
    def predict(
        self,
        source: Source | Waveform | np.ndarray,
        *,
        sample_rate: int | None = None,
        channels: Literal["each"],
        track: int | None = None,
    ) -> list[Prediction]: ...

    def predict(
        self,
        source: Source | Waveform | np.ndarray,
        *,
        sample_rate: int | None = None,
        channels: Channels = "mix",
        track: int | None = None,
    ) -> Prediction | list[Prediction]:
        """Return the prediction for one recording of up to 120 s, or with `channels="each"` one for each channel.

        `source` is a path, the bytes of a file, an open binary file, a `Waveform`, or samples as a NumPy array with
        their `sample_rate` in Hz: any integer or float type, shape (n,), (channels, n) or (n, channels). `channels`
        takes the mean of all, one of them, or each by itself; `track` is the sound track of a file that has several,
        from 1. Raises `AudioError` if it is not sound, `ParameterError` if it is none of these.
        """
        analyses = self.analyse_channels(source, sample_rate=sample_rate, channels=channels, track=track)
        predictions = [self.answer(analysis) for analysis in analyses]
        return predictions if channels == "each" else predictions[0]

    def analyse(self, source: Source | Waveform | np.ndarray, *, sample_rate: int | None = None) -> Analysis:
        """Return what `answer` needs of a recording; arguments and errors are those of `predict`."""
        return self.analyse_channels(source, sample_rate=sample_rate)[0]

    def analyse_channels(
        self,
        source: Source | Waveform | np.ndarray,
        *,
        sample_rate: int | None = None,
        channels: Channels = "mix",
        track: int | None = None,
    ) -> list[Analysis]:
        """Return what `answer` needs, for each channel that `channels` names; arguments are those of `predict`."""
        waveforms = self._waveforms(source, sample_rate, channels, track)
        return [self._analysis(self._inputs(waveform), source_name(source)) for waveform in waveforms]

    def _analysis(self, inputs: Inputs, file: str | None) -> Analysis:
        waveform, (start, end) = inputs.waveform, inputs.used
        distance = self._distance(inputs.rows)
        scores, heads = self._outputs(inputs.rows)
        return Analysis(
            duration_s=waveform.duration_s,
            used_s=(start / waveform.sample_rate, end / waveform.sample_rate),
            sound_s=inputs.n_sound / waveform.sample_rate,
            doubts=frozenset(name for name, present in self._doubts(inputs, distance).items() if present),
            distance=distance,
            scores=scores,
            heads=heads,
            file=file,
            channel=waveform.channel,
            track=waveform.track,
            quality=inputs.quality,
        )

    def answer(self, analysis: Analysis) -> Prediction:
        """Return the prediction for an analysed recording, adapted to the source of this recogniser if it has one."""
        probabilities, sure_from = self.probabilities(analysis), self._sure_from(analysis)
        unsure = SILENT not in analysis.doubts and probabilities.max() < sure_from
        reasons = analysis.doubts | ({"close_call"} if unsure else set())
        female, strong = (None, None) if analysis.heads is None else analysis.heads[:2].tolist()
        return Prediction(
            label=self.labels[int(probabilities.argmax())],
            probabilities=dict(zip(self.labels, probabilities.tolist(), strict=True)),
            reasons=tuple(reason for reason in REASONS if reason in reasons),
            duration_s=analysis.duration_s,
            model=self.name,
            used_s=analysis.used_s,
            sound_s=analysis.sound_s,
            distance=analysis.distance,
            sex=None if female is None else {"male": 1 - female, "female": female},
            intensity=strong,
            file=analysis.file,
            adapted=self.adaptation,
            channel=analysis.channel,
            track=analysis.track,
            quality=analysis.quality,
            sure_from=sure_from,
        )

    def _sure_from(self, analysis: Analysis) -> float:
        thresholds = self.artifact.manifest["thresholds"]
        plain, adapted = ("home", "home_adapted") if self._is_home(analysis) else ("confidence", "adapted")
        return float(thresholds.get(adapted, thresholds[plain]) if self._source else thresholds[plain])

    def _is_home(self, analysis: Analysis) -> bool:
        """Return whether a recording is made like those of the first corpus, if answers about such are told apart."""
        if analysis.heads is None or "home" not in self.artifact.manifest["thresholds"]:
            return False
        return bool(is_home(analysis.heads))

    def _doubts(self, inputs: Inputs, distance: float | None) -> dict[str, bool]:
        waveform = inputs.waveform
        if not inputs.rows:
            return {SILENT: True, "cut_off": waveform.cut_off}
        sound_s = inputs.n_sound / waveform.sample_rate
        is_too_short, is_far = sound_s < MIN_USED_S, False
        if distance is not None and not is_too_short:  # so little tells no speech from music
            factor = SHORT_FACTOR if sound_s < SHORT_S else 1.0
            is_far = distance > factor * self.artifact.manifest["novelty"]["threshold"]
        return {
            "clipped": waveform.clipped,
            "cut_off": waveform.cut_off,
            "too_short": is_too_short,
            "unlike_training": is_far,
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
        return map(self.predict if on_error == "raise" else self._predict_or_fail, sources)  # type: ignore[arg-type]

    def _predict_or_fail(self, source: Source | Waveform) -> Prediction | Failure:
        try:
            return self.predict(source)
        except SerError as error:
            return Failure(source_name(source), error)

    def explain(
        self,
        source: Source | Waveform | np.ndarray,
        *,
        sample_rate: int | None = None,
        channels: Literal["mix", "left", "right"] = "mix",
        track: int | None = None,
        baseline: Iterable[Source | Waveform] = (),
        label: str | None = None,
    ) -> Explanation:
        """Return what the answer to a recording rests on: see `ser.inference.explain`.

        `baseline` are a few other recordings of the speaker, any mood, which the voice is compared with in place of
        the neutral voices of the training recordings; `label` is explained in place of the likeliest. Other arguments
        and errors are those of `predict`.
        """
        _check_several("explain's baseline", baseline)
        own = [self._waveforms(each, None, "mix", None)[0] for each in baseline]
        return explain(self, self._waveforms(source, sample_rate, channels, track)[0], own, label=label)

    def timeline(
        self,
        source: Source,
        *,
        progress: Progress | None = None,
        jobs: int | None = None,
        adapt: Literal["self", "none"] = "self",
        channels: Channels = "mix",
        track: int | None = None,
    ) -> Timeline:
        """Return the timeline of a recording of up to four hours; see `ser.timeline.timeline`."""
        return timeline(source, self, progress=progress, jobs=jobs, adapt=adapt, channels=channels, track=track)

    # --- Steps ---

    def inputs(self, source: Source | Waveform | np.ndarray, *, sample_rate: int | None = None) -> Inputs:
        """Return the recording prepared (see `ser.features.preprocessing`) and its features for every branch."""
        return self._inputs(self._waveforms(source, sample_rate, "mix", None)[0])

    def _inputs(self, waveform: Waveform) -> Inputs:
        peak = max(waveform.samples.max(), -waveform.samples.min())
        if peak < SILENT_PEAK:
            return Inputs(waveform, (0, 0), 0, {})
        if peak > LOUDEST:
            waveform = replace(waveform, samples=waveform.samples / peak)
        clean = reduce_noise(waveform) if self._reduce_noise else waveform
        prepared = self._prepare(clean.samples, clean.sample_rate)
        mains_energy = math.inf if self._reduce_noise else prepared.mains_energy
        quality = faults(waveform.samples, waveform.sample_rate, mains_energy)
        if prepared.peak < SILENT_PEAK:  # an offset, or rumble
            return Inputs(clean, (0, 0), 0, {}, quality)
        rows = {each.name: each(prepared.samples, prepared.breaks) for each in self._recipes}
        return Inputs(clean, (prepared.start, prepared.end), prepared.n_sound, rows, quality)

    def probabilities(self, analysis: Analysis) -> np.ndarray:
        """Return the probability of each label, (n_labels,); all equal if the recording is silent."""
        if SILENT in analysis.doubts:
            return softmax(analysis.scores)
        temperature = self._temperature
        if self._source is not None:
            temperature *= self.artifact.manifest.get("adaptation", {}).get("temperature_ratio", 1.0)
        return softmax((analysis.scores + self._correction + self._bias) / temperature)

    def probabilities_of(self, samples: np.ndarray) -> np.ndarray:
        """Return the probability of each label for samples at the model's rate, (n_labels,), without any doubts."""
        waveform = Waveform(samples, self.sample_rate)
        if self._reduce_noise:
            waveform = reduce_noise(waveform)
        prepared = self._prepare(waveform.samples, self.sample_rate)
        asked = {branch.recipe for branch in self._branches} if prepared.peak >= SILENT_PEAK else set()
        rows = {each.name: each(prepared.samples, prepared.breaks) for each in self._recipes if each.name in asked}
        inputs = Inputs(waveform, (prepared.start, prepared.end), prepared.n_sound, rows)
        return self.probabilities(self._analysis(inputs, None))

    # --- Adaptation ---

    def adapted(self, clips: Iterable[Source | Waveform], name: str | None = None) -> Recognizer:
        """Return a recogniser that is adapted to the source of some recordings: microphone, room, line, language.

        The clips need no labels; any speakers and moods do, ten are enough. Silence, music and noise among them do not
        count. `name` is what answers call the source. This object stays as it is. Raises `ParameterError` if fewer
        than three clips hold speech, and `predict`'s errors for a clip that is not sound.
        """
        _check_several("adapted", clips)
        source, mean = check_given_source("source" if name is None else name), SourceMean()
        for clip in clips:
            mean.add_speech([self.analyse(clip)])
        return self.adapted_to(mean, source)

    def adapted_to(self, mean: SourceMean, name: str) -> Recognizer:
        """Return a recogniser that is adapted as `adapted` does, from the mean scores of analysed recordings."""
        mean.check_enough()
        twin = copy(self)
        twin._adapt(check_source(name), mean)
        return twin

    def adapted_to_windows(self, windows: Iterable[Analysis], clips: int) -> Recognizer:
        """Return a recogniser adapted to a recording's own windows, as to `clips` clips; this one if too few speak."""
        mean = SourceMean()
        for window in windows:
            mean.add_speech([window])
        clips = min(clips, mean.clips)  # windows overlap
        return self.adapted_to(SourceMean(clips, mean.mean), SELF) if clips >= MIN_CLIPS else self

    def with_profile(self, profile: Profile) -> Recognizer:
        """Return a recogniser that is adapted by a stored profile; `ArtifactError` if it is of another model."""
        version = manifest_digest(self.artifact.folder)
        if (profile.model, profile.version) != (self.name, version):
            other = f"the model {profile.model}" if profile.model != self.name else f"another version of {self.name}"
            raise ArtifactError(
                f"The profile of {profile.source!r} is for {other}. Make a new one with `ser adapt FOLDER --out FILE`."
            )
        if tuple(profile.log_probabilities) != self.labels:
            raise ArtifactError(f"The profile of {profile.source!r} does not hold the labels of {self.name}.")
        twin = copy(self)
        twin._adapt(profile.source, profile.mean)
        return twin

    def calibrated(self, clips: Sequence[Source | Waveform], labels: Sequence[str] | None = None) -> Recognizer:
        """Return a recogniser that is calibrated to one speaker, from a few recordings in any mood.

        It needs no labels. With `labels`, one for each clip, labels whose probability was too low on these clips also
        gain. This object stays as it is. Raises `ParameterError` for no clips, a single recording, or unknown labels.
        """
        _check_several("calibrated", clips)
        return self.calibrated_to([self.analyse(clip) for clip in clips], labels)

    def calibrated_to(self, clips: Sequence[Analysis], labels: Sequence[str] | None = None) -> Recognizer:
        """Return a calibrated recogniser as `calibrated` does, from analysed recordings."""
        mean = SourceMean()
        for clip in clips:
            if SILENT not in clip.doubts:
                mean.add(clip.scores)
        if not mean.clips:
            raise ParameterError(
                "Calibration needs at least one recording of the voice that is not silent; five do well."
            )
        twin = copy(self)
        twin._adapt(SPEAKER, mean)
        if labels is not None:
            twin._bias = twin._label_bias(clips, labels)
        return twin

    def _adapt(self, name: str, mean: SourceMean) -> None:
        """Set the source; only for an object that is new."""
        self._source, self._correction = (name, mean), mean.correction
        self._bias = np.zeros(len(self.labels))  # not that of another speaker

    def _label_bias(self, clips: Sequence[Analysis], labels: Sequence[str]) -> np.ndarray:
        """Return the mean of (one-hot label - predicted probability), shrunk by `PRIOR_CLIPS` clips without error."""
        unknown = [label for label in labels if label not in self.labels]
        if unknown or len(labels) != len(clips):
            mistake = f"{unknown[0]!r}" if unknown else f"{len(labels)} labels for {len(clips)} clips"
            raise ParameterError(f"Expected one label a clip from {', '.join(self.labels)}; found {mistake}.")
        truth = np.array([[label == known for known in self.labels] for label in labels], float)
        predicted = np.array([self.probabilities(clip) for clip in clips])
        return LABEL_BIAS * (truth - predicted).sum(axis=0) / (len(labels) + PRIOR_CLIPS)

    # --- Networks ---

    def _outputs(self, rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return `scores` and `heads` of an `Analysis`.

        Both are means over windows. Without rows, for silence, scores are 0 and heads None.
        """
        if not rows:
            return np.zeros(len(self.labels)), None
        outputs = [run_outputs(branch.session, rows[branch.recipe]) for branch in self._branches]
        means = [[output.mean(axis=0, keepdims=True) for output in each] for each in outputs]
        heads = [each[1] for each in means] if "heads" in self.artifact.manifest else []
        weights, home = [branch.weight for branch in self._branches], [branch.home for branch in self._branches]
        home_scale = self.artifact.manifest.get("home_scale", 1.0)
        scores, mean = mixed([each[0] for each in means], heads, weights, home, home_scale)
        return scores[0], None if mean is None else mean[0]

    def _waveforms(self, source: Any, sample_rate: int | None, channels: Channels, track: int | None) -> list[Waveform]:
        if isinstance(source, np.ndarray):
            return channels_of_samples(source, sample_rate, self.sample_rate, channels=channels)
        if sample_rate is not None:
            raise ParameterError(f"sample_rate is for samples as a NumPy array; {type(source).__name__} has its own.")
        if not isinstance(source, Waveform):
            return load_channels(source, self.sample_rate, channels=channels, track=track)
        if source.sample_rate != self.sample_rate:
            raise ParameterError(
                f"{self.name} takes a Waveform at {self.sample_rate} Hz, found one at {source.sample_rate} Hz. Give its"
                " samples with sample_rate=, which resamples them."
            )
        return [checked_waveform(source)]

    def _distance(self, rows: dict[str, np.ndarray]) -> float | None:
        """Return the distance from the training speech, None if the model stores none or its features are missing."""
        if self._novelty is None or self._novelty[0] not in rows:
            return None
        name, novelty = self._novelty
        return float(novelty.distance(rows[name].mean(axis=0)))


def _check_several(method: str, sources: Any) -> None:
    """Reject a single recording: iterating over it would yield characters or numbers."""
    single = str | bytes | bytearray | memoryview | os.PathLike | Waveform | np.ndarray
    if isinstance(sources, single) or hasattr(sources, "read"):
        kind = type(sources).__name__
        raise ParameterError(f"{method} takes several recordings, found one {kind}; put it into a list.")


def load(model: str | os.PathLike[str] | None = None, profile: str | os.PathLike[str] | None = None) -> Recognizer:
    """Return the recogniser of a model by name or folder, by default that of `SER_MODEL` or the best.

    The best is the one with the highest UAR on unseen speakers. `profile` is a file that `ser adapt` or `Profile.save`
    wrote, by default that of `SER_PROFILE`; it also tells the model, unless one is given. Raises `ArtifactError` for an
    unknown name, which lists the known ones, for a damaged folder, and for a profile that is damaged or does not fit.
    """
    file = profile or os.environ.get(PROFILE_VARIABLE)
    if not file:
        return Recognizer(verify(find(model)))
    stored = read_profile(file)
    return Recognizer(verify(find(model or os.environ.get(MODEL_VARIABLE) or stored.model))).with_profile(stored)


@cache
def _default() -> Recognizer:
    return load()


def predict(source: Source | Waveform | np.ndarray, *, sample_rate: int | None = None) -> Prediction:
    """Return the default model's prediction for one recording; the model is loaded by the first call only.

    Arguments and errors are those of `Recognizer.predict`.
    """
    return _default().predict(source, sample_rate=sample_rate)
