"""The shapes of everything that the service answers, as `/docs` shows them and clients are made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ser.refusals import CODES
from ser.types import EMOTIONS, REASONS, Prediction

Emotion = Annotated[str, Field(json_schema_extra={"enum": list(EMOTIONS)})]
Reason = Annotated[str, Field(json_schema_extra={"enum": list(REASONS)})]
Code = Annotated[str, Field(json_schema_extra={"enum": list(CODES)})]
Fraction = Field(ge=0, le=1)


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Sex(_Shape):
    """How male and how female the voice sounds; the two sum to 1."""

    male: float = Fraction
    female: float = Fraction


class Judged(_Shape):
    """What a recording sounds like to the model, how sure it is, and why it may be in doubt."""

    label: Emotion = Field(description="The likeliest emotion.")
    confidence: float = Field(ge=0, le=1, description="Probability of `label`.")
    probabilities: dict[str, float] = Field(description="Of every emotion, in a fixed order; they sum to 1.")
    uncertain: bool = Field(description="Whether there is any reason for doubt.")
    reasons: list[Reason] = Field(description="Why the answer may be in doubt.")
    sex: Sex | None = Field(description="How the speaker's sex sounds, from models that say it.")
    intensity: float | None = Field(ge=0, le=1, description="How strongly it is spoken, from models that say it.")
    duration_s: float = Field(ge=0, description="Seconds of sound.")
    model: str = Field(description="The model that answered.")


class Answer(Judged):
    """The answer to one recording."""

    file: str | None = Field(description="The recording's name as sent, without folders.")
    emotion: Emotion = Field(description="The same as `label`.")
    all_emotions: dict[str, float] = Field(description="The same as `probabilities`.")
    filename: str | None = Field(description="The same as `file`.")


class Problem(_Shape):
    """A refusal."""

    code: Code = Field(description="For programs.")
    message: str = Field(description="For people: what was found, what is accepted, what to do.")


class Failed(_Shape):
    """A recording of a batch that could not be answered."""

    file: str | None
    filename: str | None
    code: Code
    error: str


class Model(_Shape):
    """A model that can be asked by its name."""

    name: str
    labels: list[Emotion]
    default: bool = Field(description="Whether it answers when no model is named.")
    uar: float | None = Field(description="Mean recall over emotions on speakers that its networks had not heard.")


class Health(_Shape):
    """That the service runs."""

    status: Literal["live", "ready"]
    version: str
    model: str | None = Field(description="The model that answers when none is named; null until it is loaded.")


def answer_dict(prediction: Prediction) -> dict[str, Any]:
    """`Answer` of a prediction."""
    told = prediction.to_dict()
    return {**told, "emotion": told["label"], "all_emotions": told["probabilities"], "filename": told["file"]}


def failed_dict(file: str | None, code: str, error: str) -> dict[str, Any]:
    """`Failed` of a recording's name and its refusal."""
    return {"file": file, "filename": file, "code": code, "error": error}


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Entries of OpenAPI for refusals."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, meaning = CODES[code]
        entry = found.setdefault(status, {"model": Problem, "description": ""})
        entry["description"] += f"{' ' if entry['description'] else ''}`{code}`: {meaning}"
    return found
