"""The values that flow between the rooms, the vocabulary, and the errors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

# Vocabulary order is the order of every list of labels in the project.
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
EMOJI = dict(zip(EMOTIONS, "😐😌😄😢😠😨🤢😲", strict=True))
COLOURS = dict(
    zip(
        EMOTIONS,
        ("#8A8F98", "#11A579", "#F2B701", "#3969AC", "#CF1C54", "#7F3C8D", "#7A9A01", "#E68310"),
        strict=True,
    )
)
# Label sets that any model can be asked with: ours, and those of published systems.
LABEL_SETS = {
    "eight": EMOTIONS,
    "seven": ("neutral", "calm", "happy", "angry", "fearful", "disgust", "surprised"),
    "six": ("neutral", "happy", "sad", "angry", "fearful", "surprised"),
    "four": ("happy", "sad", "angry", "fearful"),
}

MIN_USED_S = 0.5  # of sound once silence at both ends is trimmed; less is too little to judge

# What an estimate is not, in one sentence for every door; the model cards and the page say more.
NOTICE = (
    "The estimate says how a voice sounds to a model trained on acted speech, not what a person feels. Do not use it "
    "to judge people. In the European Union, inferring emotions at work and in education is prohibited (AI Act, Art. "
    "5(1)(f))."
)
SILENT = "silent"  # the reason of an answer in which no emotion is likelier than another
# Why an answer may be in doubt, as one says it to a person.
REASONS = {
    SILENT: "The recording holds no sound to judge.",
    "too_short": "There is less than half a second of sound, which is too little to judge.",
    "clipped": "The recording is overdriven: its loudest parts are cut off flat.",
    "close_call": "No emotion fits clearly enough to count as sure.",
    "unlike_training": "This does not sound like the speech that the model learned from: it may be music, noise "
    "or a tone, or come over a very different line.",
    "cut_off": "The file is damaged or incomplete: only the part before the damage was heard.",
}


# Called during long work with the seconds done and their number, None where it is not known; what it raises stops it.
Progress = Callable[[float, float | None], object]


class SerError(Exception):
    """Anything that `ser` refuses, with a sentence that can be shown to the user."""


class AudioError(SerError):
    """The source holds no sound that can be answered."""


class ParameterError(SerError):
    """A name or value that was asked for does not exist or does not fit."""


class ArtifactError(SerError):
    """A model's folder is missing, damaged, or not what its manifest says."""


def lookup(name: str, registry: Mapping[str, T], what: str) -> T:
    """Return `registry[name]`; raise `ParameterError` as `check_known` does."""
    check_known(name, registry, what)
    return registry[name]


def check_known(name: str, known: Collection[str], what: str) -> None:
    """Raise `ParameterError` if `name` is not one of `known`: it lists them and suggests the closest."""
    if name not in known:
        close = get_close_matches(name[:80], known, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ParameterError(f"Unknown {what} {name[:80]!r}; known: {', '.join(known)}.{hint}")


@dataclass(frozen=True)
class Waveform:
    """Mono sound: float32, finite, never empty, shape (n_samples,), at `sample_rate` in Hz.

    `clipped` says that the source's peaks were cut off flat, `cut_off` that its container
    promised more sound than could be decoded. Checked once, in `ser.audio.loading`; every later function relies on it.
    """

    samples: np.ndarray
    sample_rate: int
    clipped: bool = False
    cut_off: bool = False

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class Clip:
    """One labelled recording, without its sound. `speaker` is unique across corpora (`ravdess/07`).

    `intensity` is "normal", "strong" or None; `sex` is "male", "female" or None.
    """

    path: str
    emotion: str
    speaker: str
    corpus: str
    sex: str | None = None
    intensity: str | None = None
    sentence: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class Word:
    """A word as it was heard, from `start_s` to `end_s`; `joined` where no space stands before it, as in Chinese."""

    word: str
    start_s: float
    end_s: float
    joined: bool = False

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2

    def to_dict(self) -> dict[str, Any]:
        return {"word": self.word, "start_s": self.start_s, "end_s": self.end_s}


def text_of(words: Iterable[Word]) -> str:
    """Words as one reads them."""
    return "".join(word.word if word.joined else f" {word.word}" for word in words).strip()


@dataclass(frozen=True)
class Prediction:
    """One answer: what the voice sounds like to the model, how sure it is, and why it may be in doubt.

    `probabilities` maps every label of the model, in vocabulary order, to a fraction; they sum to 1.
    `uncertain` holds when there is at least one reason in `reasons` (keys of `REASONS`).
    `used_s` is the part of the recording, in seconds, that is left once silence at both ends is trimmed; `distance`
    tells how far it is from the training speech (near 1 for that, `ser.inference.novelty`), from models that say it.
    """

    label: str
    probabilities: dict[str, float]
    reasons: tuple[str, ...]
    duration_s: float
    model: str
    used_s: tuple[float, float] = (0.0, 0.0)
    distance: float | None = None
    sex: dict[str, float] | None = None
    intensity: float | None = None
    file: str | None = field(default=None)

    @property
    def confidence(self) -> float:
        """Probability of `label`, 0 to 1."""
        return self.probabilities[self.label]

    @property
    def uncertain(self) -> bool:
        return bool(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """The one JSON form of all doors."""
        return {
            "file": self.file,
            "label": self.label,
            "confidence": self.confidence,
            "probabilities": dict(self.probabilities),
            "uncertain": self.uncertain,
            "reasons": list(self.reasons),
            "sex": self.sex,
            "intensity": self.intensity,
            "duration_s": self.duration_s,
            "model": self.model,
        }


@dataclass(frozen=True)
class Failure:
    """What stands in the place of a `Prediction` where a recording cannot be answered: `error` says why."""

    file: str | None
    error: SerError

    def to_dict(self) -> dict[str, Any]:
        """The one JSON form of all doors."""
        return {"file": self.file, "error": str(self.error)}


@dataclass(frozen=True)
class Segment:
    """A stretch of speech that sounds the same throughout, from `start_s` to `end_s`.

    `probabilities` are those of the windows over it, averaged as logarithms; `reasons` (keys of `REASONS`) say why
    the label may be in doubt. `words` are those said in it, None where nobody asked (`ser.transcript.transcript`).
    """

    start_s: float
    end_s: float
    label: str
    probabilities: dict[str, float]
    reasons: tuple[str, ...] = ()
    words: tuple[Word, ...] | None = None

    @property
    def confidence(self) -> float:
        """Probability of `label`, 0 to 1."""
        return self.probabilities[self.label]

    @property
    def uncertain(self) -> bool:
        return bool(self.reasons)

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def text(self) -> str:
        """What was said in it, as far as anybody asked."""
        return text_of(self.words or ())

    def to_dict(self) -> dict[str, Any]:
        told = {} if self.words is None else {"text": self.text, "words": [word.to_dict() for word in self.words]}
        return {
            "start_s": self.start_s,
            "end_s": self.end_s,
            "label": self.label,
            "confidence": self.confidence,
            "probabilities": dict(self.probabilities),
            "uncertain": self.uncertain,
            "reasons": list(self.reasons),
            **told,
        }


@dataclass(frozen=True)
class Timeline:
    """The segments of a recording in order of time; between them nobody speaks.

    `labels` are those of the model; `cut_off` says that the file is damaged and only its part before the damage was
    heard, which is `duration_s` long. `text` is what was said, None where nobody asked (`ser.transcript.transcript`).
    """

    file: str | None
    duration_s: float
    segments: tuple[Segment, ...]
    labels: tuple[str, ...]
    model: str
    cut_off: bool = False
    text: str | None = None

    @property
    def speech_s(self) -> float:
        """Seconds of speech."""
        return sum(segment.duration_s for segment in self.segments)

    @property
    def share(self) -> dict[str, float]:
        """Of each label in the time spoken, uncertain segments with theirs; sums to 1, or all 0 without speech."""
        spoken = dict.fromkeys(self.labels, 0.0)
        for segment in self.segments:
            spoken[segment.label] += segment.duration_s
        return {label: time_s / self.speech_s if self.segments else 0.0 for label, time_s in spoken.items()}

    def to_dict(self) -> dict[str, Any]:
        """The one JSON form of all doors."""
        return {
            "file": self.file,
            "duration_s": self.duration_s,
            "segments": [segment.to_dict() for segment in self.segments],
            "share": self.share,
            "model": self.model,
            "cut_off": self.cut_off,
            **({} if self.text is None else {"text": self.text}),
        }
