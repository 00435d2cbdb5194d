"""Values that pass between packages, the vocabulary of labels, and the errors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import accumulate
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")

# The order of every list of labels.
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
EMOJI = dict(zip(EMOTIONS, "😐😌😄😢😠😨🤢😲", strict=True))
SHADES = ("#8A8F98", "#11A579", "#F2B701", "#3969AC", "#CF1C54", "#7F3C8D", "#7A9A01", "#E68310")
COLOURS = dict(zip(EMOTIONS, SHADES, strict=True))
# Where an emotion lies on the circumplex of affect: valence (-1 unpleasant, 1 pleasant) and arousal (-1 low, 1 high).
# Mean ratings of Russell and Mehrabian (1977), "Evidence for a three-factor theory of emotions"; `calm`, which they did
# not ask for, is read off figure 4 of Russell (1980), "A circumplex model of affect", whose other points agree with
# them; `neutral` is the middle of the scales. docs/models.md says how far this holds for voices.
PLACES = {
    "neutral": (0.0, 0.0),
    "calm": (0.56, -0.31),
    "happy": (0.81, 0.51),
    "sad": (-0.63, -0.27),
    "angry": (-0.51, 0.59),
    "fearful": (-0.64, 0.60),
    "disgust": (-0.60, 0.35),
    "surprised": (0.40, 0.67),
}
# Subsets of the vocabulary that a model can be scored on; those of published systems.
LABEL_SETS = {
    "eight": EMOTIONS,
    "seven": ("neutral", "calm", "happy", "angry", "fearful", "disgust", "surprised"),
    "six": ("neutral", "happy", "sad", "angry", "fearful", "surprised"),
    "four": ("happy", "sad", "angry", "fearful"),
}

MIN_USED_S = 0.5  # of trimmed sound; with less a prediction is "too_short"
# The labels that a person is told if one is not sure: those that together reach this probability, at most three.
TOP_SHARE = 0.8
TOP_LABELS = 3

SELF = "self"  # the source of a recording that is adapted to its own speech

# The notice of every interface; model cards and the page say more.
NOTICE = (
    "The estimate says how a voice sounds to a model trained on acted speech, not what a person feels. Do not use it "
    "to judge people. In the European Union, inferring emotions at work and in education is prohibited (AI Act, Art. "
    "5(1)(f))."
)
SILENT = "silent"  # all labels have the same probability
# Reasons for doubt, each with a sentence for users.
REASONS = {
    SILENT: "The recording holds no sound to judge.",
    "too_short": "There is less than half a second of sound, which is too little to judge.",
    "clipped": "The recording is too loud for its microphone: its loudest parts are cut off flat.",
    "close_call": "The likeliest emotion is not clear enough for such a recording.",
    "unlike_training": "This does not sound like the speech that the model learned from: it may be music, noise "
    "or a tone, or come over a very different line.",
    "cut_off": "The file is damaged or incomplete: only the part before the damage was heard.",
}
# Faults of a recording that answers bear, which therefore are no reasons for doubt, each with a sentence for users.
QUALITY = {
    "offset": "The recording has a constant offset, as from a faulty sound card or cable; this is taken out.",
    "hum": "There is mains hum, as from a cable or a power supply; most of it is taken out.",
}

# Properties of a voice that an answer can rest on, as they are said above and below a neutral voice.
PHRASES = {
    "pitch": {"higher": "high pitch", "lower": "low pitch"},
    "pitch_movement": {"higher": "lively melody", "lower": "flat melody"},
    "loudness_movement": {"higher": "changing loudness", "lower": "even loudness"},
    "tempo": {"higher": "quick, with few pauses", "lower": "slow, or with pauses"},
    "brightness": {"higher": "bright voice", "lower": "dark voice"},
    "voice_quality": {"higher": "clear voice", "lower": "breathy or rough voice"},
}

# Which channels of a recording are heard: their mean, one of them, or each by itself.
Channels = Literal["mix", "left", "right", "each"]
CHANNELS: tuple[Channels, ...] = ("mix", "left", "right", "each")

# Called during long work with the seconds done and in all (None if unknown); an exception from it stops the work.
Progress = Callable[[float, float | None], object]
# Called with every decoded block: float32 arrays of shape (n_samples,), one for each channel that is heard.
OnBlock = Callable[[list[np.ndarray]], object]


class SerError(Exception):
    """Base class of all errors: what is refused, as a sentence that can be shown to the user."""


class AudioError(SerError):
    """The source holds no sound that can be answered."""


class ParameterError(SerError):
    """A name or value does not exist or does not fit."""


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


def rounded(value: Any) -> Any:
    """Round a number, or the values of a dictionary, to 9 significant digits, more than float32 holds; None stays."""
    if isinstance(value, dict):
        return {name: rounded(number) for name, number in value.items()}
    return None if value is None else float(f"{value:.9g}")


@dataclass(frozen=True)
class Waveform:
    """Mono sound: `samples` float32, finite, shape (n_samples,), n_samples > 0, at `sample_rate` in Hz.

    `clipped` is true if the peaks of the source were cut off flat, `cut_off` if its file ends early. `channel` is the
    one that was taken, None for the mean of all; `track` the sound track of a file that has several, from 1. Checked
    once, in `ser.audio.loading`; later functions rely on it.
    """

    samples: np.ndarray
    sample_rate: int
    clipped: bool = False
    cut_off: bool = False
    channel: str | None = None
    track: int | None = None

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class Clip:
    """One labelled recording of a corpus, without its sound. `speaker` is unique across corpora (`ravdess/07`).

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
    """A word of a transcript, from `start_s` to `end_s`; `joined` if no space precedes it, as in Chinese."""

    word: str
    start_s: float
    end_s: float
    joined: bool = False

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2

    def to_dict(self) -> dict[str, Any]:
        return {"word": self.word, "start_s": rounded(self.start_s), "end_s": rounded(self.end_s)}


def text_of(words: Iterable[Word]) -> str:
    """Return words as running text."""
    return "".join(word.word if word.joined else f" {word.word}" for word in words).strip()


class Adaptation(NamedTuple):
    """What an answer is adapted to: a profile's source, or "self" for its own recording, and the clips behind it."""

    source: str
    clips: int

    def to_dict(self) -> dict[str, Any]:
        return self._asdict()


def top_labels(probabilities: Mapping[str, float]) -> tuple[str, ...]:
    """Return the labels in falling order that together reach 80 % of the probability, at most three."""
    falling = sorted(probabilities, key=probabilities.__getitem__, reverse=True)[:TOP_LABELS]
    before = accumulate((probabilities[label] for label in falling), initial=0.0)
    return tuple(label for label, reached in zip(falling, before, strict=False) if reached < TOP_SHARE)


class Mood(NamedTuple):
    """A point on the circumplex of affect, both numbers from -1 to 1; derived from the emotions, not measured."""

    valence: float
    arousal: float


def mood(probabilities: Mapping[str, float]) -> Mood:
    """Return the expected place of the emotions: the mean of `PLACES`, weighted by the probabilities."""
    valence, arousal = (
        sum(probability * PLACES[label][axis] for label, probability in probabilities.items()) for axis in (0, 1)
    )
    return Mood(valence, arousal)


class _Labelled:
    label: str
    probabilities: dict[str, float]
    reasons: tuple[str, ...]

    @property
    def confidence(self) -> float:
        """Probability of `label`, 0 to 1."""
        return self.probabilities[self.label]

    @property
    def uncertain(self) -> bool:
        return bool(self.reasons)

    @property
    def top(self) -> tuple[str, ...]:
        """The labels that together reach 80 % of the probability, in falling order, at most three; none if silent."""
        return () if SILENT in self.reasons else top_labels(self.probabilities)

    @property
    def mood(self) -> Mood | None:
        """Valence and arousal, derived from the probabilities; None if silent."""
        return None if SILENT in self.reasons else mood(self.probabilities)

    def _to_dict(self) -> dict[str, Any]:
        valence, arousal = self.mood or (None, None)
        return {
            "label": self.label,
            "confidence": rounded(self.confidence),
            "probabilities": rounded(self.probabilities),
            "uncertain": self.uncertain,
            "reasons": list(self.reasons),
            "top": list(self.top),
            "valence": rounded(valence),
            "arousal": rounded(arousal),
        }


@dataclass(frozen=True)
class Prediction(_Labelled):
    """The prediction for one recording: label, probabilities and reasons for doubt.

    `probabilities` maps every label of the model, in vocabulary order, to a fraction; they sum to 1. `uncertain` is
    true if the answer should not be trusted; `reasons` (keys of `REASONS`) says why. `used_s` is the trimmed part, its
    start and end in seconds, `sound_s` the seconds of sound in it, without long pauses. `distance` is that from the
    training speech (near 1 for it, see `ser.inference.novelty`), `sex` and `intensity` (0 to 1) how the voice sounds;
    None if the model does not give them. `adapted` says what the answer is adapted to, None if nothing. `channel` is
    the one that was heard, None for the mean of all; `track` the sound track of a file that has several, from 1.
    `quality` names faults of the recording (keys of `QUALITY`) that do not make the answer uncertain. `sure_from` is
    the probability from which on the label counts as clear.
    """

    label: str
    probabilities: dict[str, float]
    reasons: tuple[str, ...]
    duration_s: float
    model: str
    used_s: tuple[float, float] = (0.0, 0.0)
    sound_s: float = 0.0
    distance: float | None = None
    sex: dict[str, float] | None = None
    intensity: float | None = None
    file: str | None = None
    adapted: Adaptation | None = None
    channel: str | None = None
    track: int | None = None
    quality: tuple[str, ...] = ()
    sure_from: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, the same for all interfaces; numbers have 9 significant digits."""
        return {
            "file": self.file,
            **self._to_dict(),
            "sex": rounded(self.sex),
            "intensity": rounded(self.intensity),
            "duration_s": rounded(self.duration_s),
            "model": self.model,
            "adapted": self.adapted and self.adapted.to_dict(),
            "channel": self.channel,
            "track": self.track,
            "quality": list(self.quality),
            "used_s": [rounded(second) for second in self.used_s],
            "sound_s": rounded(self.sound_s),
            "sure_from": rounded(self.sure_from),
        }


@dataclass(frozen=True)
class Failure:
    """A recording that could not be answered; `error` says why."""

    file: str | None
    error: SerError

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, the same for all interfaces."""
        return {"file": self.file, "error": str(self.error)}


@dataclass(frozen=True)
class Segment(_Labelled):
    """A stretch of speech with one label, from `start_s` to `end_s`.

    `probabilities` are those of its windows, averaged as logarithms; `reasons` (keys of `REASONS`) says why the label
    should not be trusted. `words` are those said in it, None without a transcript (`ser.transcript`). `channel` is the
    one in which it was said, None in a mean of all.
    """

    start_s: float
    end_s: float
    label: str
    probabilities: dict[str, float]
    reasons: tuple[str, ...] = ()
    words: tuple[Word, ...] | None = None
    channel: str | None = None

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def text(self) -> str:
        """What was said in it; empty without a transcript."""
        return text_of(self.words or ())

    def to_dict(self) -> dict[str, Any]:
        words = {} if self.words is None else {"text": self.text, "words": [word.to_dict() for word in self.words]}
        times = {"start_s": rounded(self.start_s), "end_s": rounded(self.end_s)}
        return {**times, **self._to_dict(), "channel": self.channel, **words}


@dataclass(frozen=True)
class Timeline:
    """The segments of a recording in order of time; between those of a channel is no speech.

    `labels` are those of the model. `cut_off` is true if the file is damaged and only the part before the damage was
    decoded, which is `duration_s` long, `stopped` if the work was stopped there. `text` is what was said, None without
    a transcript (`ser.transcript`). `adapted` says what the answers are adapted to, None if nothing. `channels` are the
    channels that were heard apart, empty in a mean of all; `track` is the sound track of a file that has several, from
    1.
    """

    file: str | None
    duration_s: float
    segments: tuple[Segment, ...]
    labels: tuple[str, ...]
    model: str
    cut_off: bool = False
    text: str | None = None
    adapted: Adaptation | None = None
    channels: tuple[str, ...] = ()
    track: int | None = None
    stopped: bool = False

    def of_channel(self, channel: str) -> Timeline:
        """Return the timeline of one of `channels`."""
        segments = tuple(segment for segment in self.segments if segment.channel == channel)
        return replace(self, segments=segments, channels=(channel,))

    @property
    def speech_s(self) -> float:
        """Seconds of speech."""
        return sum(segment.duration_s for segment in self.segments)

    @property
    def share(self) -> dict[str, float]:
        """Share of each label in the speech, uncertain segments included; sums to 1, all 0 without speech."""
        spoken = dict.fromkeys(self.labels, 0.0)
        for segment in self.segments:
            spoken[segment.label] += segment.duration_s
        return {label: time_s / self.speech_s if self.segments else 0.0 for label, time_s in spoken.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, the same for all interfaces; numbers have 9 significant digits."""
        return {
            "file": self.file,
            "duration_s": rounded(self.duration_s),
            "segments": [segment.to_dict() for segment in self.segments],
            "share": rounded(self.share),
            "model": self.model,
            "cut_off": self.cut_off,
            "adapted": self.adapted and self.adapted.to_dict(),
            "track": self.track,
            **(
                {"channels": {name: rounded(self.of_channel(name).share) for name in self.channels}}
                if self.channels
                else {}
            ),
            **({"stopped": True} if self.stopped else {}),
            **({} if self.text is None else {"text": self.text}),
        }
