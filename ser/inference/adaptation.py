"""Adaptation to a source: the mean scores of a few of its recordings, kept as a profile, correct those of all others.

A source is what recordings have in common: microphone, room, line, language, or a speaker. No labels are needed. What a
model says of all recordings of a source alike says something of the source, and little of their moods: a share of it,
which grows with the number of recordings, is taken off.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ser.files import unwritable, write_atomically
from ser.types import SELF, Adaptation, ArtifactError, ParameterError

SCHEMA = "ser-profile/2"
MIN_CLIPS = 3  # that hold speech
PRIOR_CLIPS = 5.0  # n recordings count by n / (n + 5),
LARGEST_SHARE = 2 / 3  # but not more: a source's moods may be uneven, however many of its recordings are known
NAME_CHARACTERS = 100
MAX_BYTES = 100_000  # of a profile's file
LARGEST = 1e9  # number in a profile
KEYS = {"schema", "model", "version", "source", "clips", "created", "log_probabilities"}


def share_of(clips: int) -> float:
    """Return which share of a source's mean scores is taken off, for so many recordings of it."""
    return min(clips / (clips + PRIOR_CLIPS), LARGEST_SHARE)


class Scored(Protocol):
    """What is known of a channel of a recording: its scores, (n_labels,), and whether it holds speech."""

    @property
    def scores(self) -> np.ndarray: ...

    @property
    def is_speech(self) -> bool: ...


class SourceMean:
    """Running mean of the scores of a source's recordings, (n_labels,), each recording counted once."""

    def __init__(self, clips: int = 0, mean: np.ndarray | float = 0.0) -> None:
        """Start without recordings, or with `clips` of them whose mean is known."""
        self.clips, self.mean = clips, np.asarray(mean)

    def add(self, scores: np.ndarray) -> None:
        """Add a recording by its log-probabilities."""
        self.merge(SourceMean(1, scores))

    def add_speech(self, channels: Iterable[Scored]) -> None:
        """Add a recording by its analysed channels, of which those that hold speech count together once."""
        if scores := [channel.scores for channel in channels if channel.is_speech]:
            self.add(np.mean(scores, axis=0))

    def merge(self, other: SourceMean) -> None:
        """Add all recordings of another one."""
        if other.clips:
            self.clips += other.clips
            self.mean = self.mean + other.clips / self.clips * (other.mean - self.mean)

    def copy(self) -> SourceMean:
        """Return a second object, which later recordings do not change."""
        return SourceMean(self.clips, self.mean)

    @property
    def correction(self) -> np.ndarray:
        """What is added to the scores of every recording of the source, (n_labels,), sum 0."""
        return share_of(self.clips) * (self.mean.mean() - self.mean)

    def check_enough(self) -> None:
        """Raise `ParameterError` if too few recordings hold speech."""
        if self.clips < MIN_CLIPS:
            raise ParameterError(
                f"Adaptation needs at least {MIN_CLIPS} recordings that hold speech, found {self.clips}; ten do well."
            )


@dataclass(frozen=True)
class Profile:
    """What a model keeps of a source: the mean log-probability of each label over a number of `clips`.

    It holds no sound. It fits one `version` of one `model`, the SHA-256 of the model's manifest.
    """

    model: str
    version: str
    source: str
    clips: int
    created: str
    log_probabilities: dict[str, float]

    @classmethod
    def of(cls, mean: SourceMean, labels: tuple[str, ...], model: str, version: str, source: str) -> Profile:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        scores = dict(zip(labels, mean.mean.tolist(), strict=True))
        return cls(model, version, source, mean.clips, created, scores)

    @property
    def mean(self) -> SourceMean:
        return SourceMean(self.clips, np.array([*self.log_probabilities.values()]))

    @property
    def adaptation(self) -> Adaptation:
        return Adaptation(self.source, self.clips)

    def to_json(self) -> str:
        """Return the profile as JSON, its numbers exactly."""
        return json.dumps({"schema": SCHEMA, **asdict(self)})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the profile as a JSON file, beside the old one until it is whole; `ParameterError` if it cannot be."""
        try:
            write_atomically(Path(path), self.to_json())
        except OSError as error:
            raise unwritable(Path(path), error) from error


def check_source(name: str) -> str:
    """Return the name of a source; raise `ParameterError` unless it is 1 to 100 printable characters."""
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise ParameterError(f"A source's name is 1 to {NAME_CHARACTERS} printable characters, found {name!r:.120}.")
    return name


def check_given_source(name: str) -> str:
    """Return the name that somebody gives a source; raise `ParameterError` for "self", too, which has a meaning."""
    if name == SELF:
        raise ParameterError(f"{SELF!r} is the source of a recording that is adapted to itself. Choose another name.")
    return check_source(name)


def read_profile(path: str | os.PathLike[str]) -> Profile:
    """Return the profile of a file; raises `ArtifactError` if it cannot be read or holds no profile."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ArtifactError(
            f"The profile {path} cannot be read ({error.strerror or error}). Make one with `ser adapt FOLDER --out "
            "FILE`."
        ) from error
    return profile_of(content, str(path))


def profile_of(content: bytes, name: str) -> Profile:
    """Return the profile that the bytes of a file hold; raises `ArtifactError`, which names the file, for any other."""
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES // 1000} kB")
        return _checked(json.loads(content.decode("utf-8")))
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        reason = re.sub(r"\s+", " ", str(error))[:120]
        raise ArtifactError(
            f"{name} is not a profile ({reason}). Give the file that `ser adapt` wrote, whole and unchanged."
        ) from error


def _checked(stored: Any) -> Profile:
    """Return a profile of parsed JSON; raises `ValueError` or `TypeError` if its fields do not fit."""
    if not isinstance(stored, dict) or stored.get("schema") != SCHEMA or set(stored) != KEYS:
        raise ValueError(f"no {SCHEMA}")
    texts = [stored[key] for key in ("model", "version", "source", "created")]
    if not all(isinstance(text, str) and 0 < len(text) <= NAME_CHARACTERS and text.isprintable() for text in texts):
        raise ValueError("a name or date does not fit")
    clips = stored["clips"]
    if type(clips) is not int or not 1 <= clips <= LARGEST:
        raise ValueError("the number of clips does not fit")
    scores = stored["log_probabilities"]
    if not isinstance(scores, dict) or not all(type(v) in (int, float) and abs(v) <= LARGEST for v in scores.values()):
        raise ValueError("the log-probabilities do not fit")
    return Profile(stored["model"], stored["version"], stored["source"], clips, stored["created"], scores)
