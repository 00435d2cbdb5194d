"""The shapes of everything that the service answers, as `/docs` shows them and clients are made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import ser
from ser.service.errors import CODES, Refusal
from ser.timeline.segments import Segment, Timeline
from ser.types import EMOTIONS, REASONS, Prediction

Emotion = Annotated[str, Field(json_schema_extra={"enum": list(EMOTIONS)})]
Reason = Annotated[str, Field(json_schema_extra={"enum": list(REASONS)})]
Code = Annotated[str, Field(json_schema_extra={"enum": list(CODES)})]
Fraction = Field(ge=0, le=1)


# --- From the core's values to what goes out ---


def answer_dict(prediction: Prediction) -> dict[str, Any]:
    """`Answer` of a prediction."""
    told = prediction.to_dict()
    return {**told, "emotion": told["label"], "all_emotions": told["probabilities"], "filename": told["file"]}


def failed_dict(file: str | None, refusal: Refusal) -> dict[str, Any]:
    """`Failed` of a recording's name and why it was refused."""
    return {"file": file, "filename": file, "code": refusal.code, "error": refusal.message}


# --- Examples ---

SHARES = dict(zip(EMOTIONS, (0.04, 0.02, 0.75, 0.01, 0.05, 0.04, 0.02, 0.07), strict=True))
HEARD = Prediction(
    "happy", SHARES, (), 3.5, "voice", sex={"male": 0.03, "female": 0.97}, intensity=0.64, file="clip.wav"
)
SEGMENT = Segment(0.5, 9.75, "happy", SHARES)
TOLD = Timeline("talk.flac", 12.5, (SEGMENT,), EMOTIONS, "voice")
REFUSED = Refusal("audio", "notes.txt: this is text, not sound. Give one recording: WAV, FLAC, OGG, MP3 or M4A.")


def _example(shown: dict[str, Any]) -> dict[str, Any]:
    return {"examples": [shown]}


# --- Shapes ---


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Sex(_Shape, json_schema_extra=_example({"male": 0.03, "female": 0.97})):
    """How male and how female the voice sounds; the two sum to 1."""

    male: float = Fraction
    female: float = Fraction


class Answer(_Shape, json_schema_extra=_example(answer_dict(HEARD))):
    """What a recording sounds like to the model, how sure that is, and why it may be in doubt."""

    label: Emotion = Field(description="The likeliest emotion.")
    confidence: float = Field(ge=0, le=1, description="Probability of `label`.")
    probabilities: dict[str, float] = Field(description="Of every emotion, in a fixed order; they sum to 1.")
    uncertain: bool = Field(description="Whether there is any reason for doubt.")
    reasons: list[Reason] = Field(description="Why the answer may be in doubt.")
    sex: Sex | None = Field(description="How the speaker's sex sounds, from models that say it.")
    intensity: float | None = Field(ge=0, le=1, description="How strongly it is spoken, from models that say it.")
    duration_s: float = Field(ge=0, description="Seconds of sound.")
    model: str = Field(description="The model that answered.")
    file: str | None = Field(description="The recording's name as sent, without folders.")
    emotion: Emotion = Field(description="The same as `label`.")
    all_emotions: dict[str, float] = Field(description="The same as `probabilities`.")
    filename: str | None = Field(description="The same as `file`.")


class TimelineSegment(_Shape, json_schema_extra=_example(SEGMENT.to_dict())):
    """A stretch of speech that sounds the same throughout."""

    start_s: float = Field(ge=0, description="Seconds from the start of the recording.")
    end_s: float = Field(ge=0, description="Seconds from the start of the recording.")
    label: Emotion = Field(description="The likeliest emotion.")
    confidence: float = Field(ge=0, le=1, description="Probability of `label`.")
    probabilities: dict[str, float] = Field(description="Of every emotion, in a fixed order; they sum to 1.")
    uncertain: bool = Field(description="Whether there is any reason for doubt.")
    reasons: list[Reason] = Field(description="Why the label may be in doubt.")


class TimelineAnswer(_Shape, json_schema_extra=_example(TOLD.to_dict())):
    """How a recording sounds over time; between its segments nobody speaks."""

    file: str | None = Field(description="The recording's name as sent, without folders.")
    duration_s: float = Field(ge=0, description="Seconds of sound.")
    segments: list[TimelineSegment] = Field(description="In order of time.")
    share: dict[str, float] = Field(description="Of every emotion in the time spoken; they sum to 1, or all are 0.")
    model: str = Field(description="The model that answered.")
    cut_off: bool = Field(description="Whether the file is damaged, and only what stands before the damage was heard.")


class Problem(_Shape, json_schema_extra=_example(REFUSED.to_dict())):
    """A refusal."""

    code: Code = Field(description="For programs.")
    message: str = Field(description="For people: what was found, what is accepted, what to do.")


class Failed(_Shape, json_schema_extra=_example(failed_dict("notes.txt", REFUSED))):
    """A recording of a batch that could not be answered."""

    file: str | None = Field(description="The recording's name as sent, without folders.")
    filename: str | None = Field(description="The same as `file`.")
    code: Code = Field(description="For programs.")
    error: str = Field(description="For people: what was found, what is accepted, what to do.")


class Model(_Shape, json_schema_extra=_example({"name": "voice", "labels": EMOTIONS, "default": True, "uar": 0.66})):
    """A model that can be asked by its name."""

    name: str = Field(description="What `?model=` takes.")
    labels: list[Emotion] = Field(description="The emotions that it answers.")
    default: bool = Field(description="Whether it answers when no model is named.")
    uar: float | None = Field(description="Mean recall over emotions on speakers that its networks had not heard.")


class Health(_Shape, json_schema_extra=_example({"status": "ready", "version": ser.__version__, "model": "voice"})):
    """That the service runs."""

    status: Literal["live", "ready"] = Field(description="`live`: the process runs; `ready`: it can answer now.")
    version: str = Field(description="Of the program.")
    model: str | None = Field(description="The model that answers when none is named; null until it is loaded.")


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Entries of OpenAPI for refusals."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, meaning = CODES[code]
        entry = found.setdefault(status, {"model": Problem, "description": ""})
        entry["description"] += f"{' ' if entry['description'] else ''}`{code}`: {meaning}"
    return found
