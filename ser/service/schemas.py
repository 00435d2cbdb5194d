"""Schemas of the service's answers, as `/docs` shows them, with examples."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import ser
from ser.service.errors import CODES, ServiceError
from ser.timeline.segments import Segment, Timeline
from ser.types import EMOTIONS, QUALITY, REASONS, SELF, Adaptation, Prediction

Emotion = Annotated[str, Field(json_schema_extra={"enum": list(EMOTIONS)})]
Reason = Annotated[str, Field(json_schema_extra={"enum": list(REASONS)})]
Fault = Annotated[str, Field(json_schema_extra={"enum": list(QUALITY)})]
Code = Annotated[str, Field(json_schema_extra={"enum": list(CODES)})]
Channel = Annotated[
    str | None, Field(description="The channel: left, right, mono or a number; null for the mean of all.")
]
Track = Annotated[int | None, Field(description="The sound track, of a file with several, from 1; else null.")]
Mood = Annotated[float | None, Field(ge=-1, le=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
FileName = Annotated[str | None, Field(description="File name as sent, without folders.")]


# --- Answers as dictionaries ---


def answer_dict(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as `Answer`."""
    answer = prediction.to_dict()
    return {**answer, "emotion": answer["label"], "all_emotions": answer["probabilities"], "filename": answer["file"]}


def failed_dict(file: str | None, error: ServiceError) -> dict[str, Any]:
    """Return a recording's error as `Failed`."""
    return {"file": file, "filename": file, "code": error.code, "error": error.message}


# --- Examples ---

SHARES = dict(zip(EMOTIONS, (0.04, 0.02, 0.75, 0.01, 0.05, 0.04, 0.02, 0.07), strict=True))
CALLS = Adaptation("calls", 20)
PREDICTION = Prediction(
    "happy",
    SHARES,
    (),
    3.5,
    "voice",
    sex={"male": 0.03, "female": 0.97},
    intensity=0.64,
    file="clip.wav",
    adapted=CALLS,
    channel="left",
    track=1,
)
SEGMENT = Segment(0.5, 9.75, "happy", SHARES, channel="left")
TIMELINE = Timeline(
    "talk.flac", 12.5, (SEGMENT,), EMOTIONS, "voice", adapted=Adaptation(SELF, 12), channels=("left", "right"), track=1
)
ERROR = ServiceError("audio", "notes.txt: this is text, not sound. Give one recording: WAV, FLAC, OGG, MP3 or M4A.")


def _example(value: dict[str, Any]) -> dict[str, Any]:
    return {"examples": [value]}


# --- Schemas ---


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Sex(_Schema, json_schema_extra=_example({"male": 0.03, "female": 0.97})):
    """Probability that the speaker is male or female; the two sum to 1."""

    male: Fraction
    female: Fraction


class Adapted(_Schema, json_schema_extra=_example(CALLS.to_dict())):
    """What answers are adapted to."""

    source: str = Field(description="Name of the profile or source; `self`: the recording's own speech.")
    clips: int = Field(ge=1, description="Number of clips behind it.")


AdaptedTo = Annotated[Adapted | None, Field(description="What the answer is adapted to; null if nothing.")]


class _Labelled(_Schema):
    label: Emotion = Field(description="The most probable emotion.")
    confidence: Fraction = Field(description="Probability of `label`.")
    probabilities: dict[str, float] = Field(
        description="Probability of every emotion, in a fixed order; they sum to 1."
    )
    uncertain: bool = Field(description="Whether the answer should not be trusted; `reasons` says why.")
    reasons: list[Reason] = Field(description="Why the answer is uncertain; empty if it is not.")
    top: list[Emotion] = Field(
        description="The emotions that together reach 80 % of the probability, at most three, the most probable first."
    )

    valence: Mood = Field(
        description="How pleasant the emotion is: the mean place of the emotions on the circumplex of affect, weighted "
        "by their probabilities; null if silent."
    )
    arousal: Mood = Field(description="How excited the emotion is, derived in the same way; null if silent.")


class Answer(_Labelled, json_schema_extra=_example(answer_dict(PREDICTION))):
    """Prediction for one recording: its emotion, its probabilities, and whether to trust it."""

    quality: list[Fault] = Field(
        description="Faults of the recording that do not make the answer uncertain; empty if there are none."
    )
    sex: Sex | None = Field(description="Sex of the speaker; null if the model does not estimate it.")
    intensity: float | None = Field(
        ge=0, le=1, description="Strength of the emotion; null if the model does not estimate it."
    )
    duration_s: float = Field(ge=0, description="Duration of the sound in seconds.")
    used_s: tuple[float, float] = Field(description="Start and end of the part that was judged, in seconds.")
    sound_s: float = Field(ge=0, description="How long that part sounds, without steady noise and long pauses.")
    sure_from: float = Field(ge=0, description="Confidence from which on an answer about such a recording is sure.")
    model: str = Field(description="Name of the model.")
    adapted: AdaptedTo
    channel: Channel
    track: Track
    file: FileName
    emotion: Emotion = Field(description="The same as `label`.")
    all_emotions: dict[str, float] = Field(description="The same as `probabilities`.")
    filename: str | None = Field(description="The same as `file`.")


class TimelineSegment(_Labelled, json_schema_extra=_example(SEGMENT.to_dict())):
    """A segment of speech with one emotion."""

    start_s: float = Field(ge=0, description="Seconds from the start of the recording.")
    end_s: float = Field(ge=0, description="Seconds from the start of the recording.")
    channel: Channel


class TimelineAnswer(_Schema, json_schema_extra=_example(TIMELINE.to_dict())):
    """Emotions of a recording over time; between segments there is no speech."""

    file: FileName
    duration_s: float = Field(ge=0, description="Duration of the sound in seconds.")
    segments: list[TimelineSegment] = Field(description="Segments in order of time.")
    share: dict[str, float] = Field(description="Share of every emotion in the time spoken; they sum to 1, or are 0.")
    model: str = Field(description="Name of the model.")
    cut_off: bool = Field(description="Whether the file is damaged; then only the part before the damage is analysed.")
    adapted: AdaptedTo
    track: Track
    channels: dict[str, dict[str, float]] | None = Field(
        default=None, description="Share of every emotion in each channel, if channels are heard apart."
    )


class Problem(_Schema, json_schema_extra=_example(ERROR.to_dict())):
    """An error."""

    code: Code = Field(description="For programs.")
    message: str = Field(description="For people: what is wrong, what is accepted, what to do next.")


class Failed(_Schema, json_schema_extra=_example(failed_dict("notes.txt", ERROR))):
    """The error of one recording of a batch."""

    file: FileName
    filename: str | None = Field(description="The same as `file`.")
    code: Code = Field(description="For programs.")
    error: str = Field(description="For people: what is wrong, what is accepted, what to do next.")


class Model(_Schema, json_schema_extra=_example({"name": "voice", "labels": EMOTIONS, "default": True, "uar": 0.66})):
    """A model that `?model=` can name."""

    name: str = Field(description="Value for `?model=`.")
    labels: list[Emotion] = Field(description="Emotions that the model distinguishes.")
    default: bool = Field(description="Whether it is used if `?model=` is missing.")
    uar: float | None = Field(description="Unweighted average recall on held-out speakers; null if not measured.")


class Health(_Schema, json_schema_extra=_example({"status": "ready", "version": ser.__version__, "model": "voice"})):
    """State of the service."""

    status: Literal["live", "ready"] = Field(description="`live`: the process runs; `ready`: it accepts recordings.")
    version: str = Field(description="Version of ser.")
    model: str | None = Field(description="The default model; null until it is loaded.")


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's responses for errors, by status."""
    meanings: defaultdict[int | str, list[str]] = defaultdict(list)
    for code in codes:
        status, meaning = CODES[code]
        meanings[status].append(f"`{code}`: {meaning}")
    return {status: {"model": Problem, "description": " ".join(texts)} for status, texts in meanings.items()}
