"""Adaptation to a source: the mean features of a few of its recordings, kept as a profile, shift those of all others.

A source is what recordings have in common: microphone, room, line, language, or a speaker. No labels are needed. Each
feature is moved by the difference of the source's mean from that of the training recordings, shrunk by the number of
recordings.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ser.files import write_atomically
from ser.types import Adaptation, ArtifactError, ParameterError, rounded

SCHEMA = "ser-profile/1"
MIN_CLIPS = 3  # that hold speech
NAME_CHARACTERS = 100
MAX_BYTES = 1_000_000  # of a profile's file
KEYS = {"schema", "model", "version", "source", "clips", "created", "means"}


class SourceMeans:
    """Running mean of the features of a source's recordings, each recording counted once."""

    def __init__(self) -> None:
        self.clips = 0
        self._sums: dict[str, np.ndarray] = {}

    @classmethod
    def of(cls, clips: int, means: Mapping[str, np.ndarray]) -> SourceMeans:
        """Return the running mean of `clips` recordings whose means are known."""
        self = cls()
        self.clips, self._sums = clips, {recipe: clips * mean.astype(np.float64) for recipe, mean in means.items()}
        return self

    def add(self, means: Mapping[str, np.ndarray]) -> None:
        """Add a recording by the mean features over its windows, of every recipe."""
        self.clips += 1
        for recipe, mean in means.items():
            self._sums[recipe] = self._sums.get(recipe, 0.0) + mean.astype(np.float64)

    def merge(self, other: SourceMeans) -> None:
        """Add all recordings of another one."""
        self.clips += other.clips
        for recipe, total in other._sums.items():
            self._sums[recipe] = self._sums.get(recipe, 0.0) + total

    def copy(self) -> SourceMeans:
        """Return a second object, which later recordings do not change."""
        return SourceMeans.of(self.clips, self.means())

    def means(self) -> dict[str, np.ndarray]:
        """Return the mean of every recipe, float32; empty if there is no recording."""
        return {recipe: (total / self.clips).astype(np.float32) for recipe, total in self._sums.items()}

    def check_enough(self) -> None:
        """Raise `ParameterError` if too few recordings hold speech."""
        if self.clips < MIN_CLIPS:
            raise ParameterError(
                f"Adaptation needs at least {MIN_CLIPS} recordings that hold speech, found {self.clips}; ten do well."
            )


@dataclass(frozen=True)
class Profile:
    """What a model keeps of a source: the mean of its features over a number of `clips`, by recipe.

    It holds no sound. It fits one `version` of one `model`, the SHA-256 of the model's manifest.
    """

    model: str
    version: str
    source: str
    clips: int
    created: str
    means: dict[str, np.ndarray]

    @classmethod
    def of(cls, means: SourceMeans, model: str, version: str, source: str) -> Profile:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(model, version, source, means.clips, created, means.means())

    @property
    def adaptation(self) -> Adaptation:
        return Adaptation(self.source, self.clips)

    def to_json(self) -> str:
        """Return the profile as JSON; numbers have 9 significant digits, more than float32 holds."""
        means = {recipe: [rounded(value) for value in mean.tolist()] for recipe, mean in self.means.items()}
        return json.dumps({"schema": SCHEMA, **asdict(self), "means": means})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the profile as a JSON file, beside the old one until it is whole."""
        write_atomically(Path(path), self.to_json())


def check_source(name: str) -> str:
    """Return the name of a source; raise `ParameterError` unless it is 1 to 100 printable characters."""
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise ParameterError(f"A source's name is 1 to {NAME_CHARACTERS} printable characters, found {name!r:.120}.")
    return name


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
    if type(clips) is not int or clips < 1:
        raise ValueError("the number of clips does not fit")
    means = {recipe: _vector(values) for recipe, values in stored["means"].items()}
    return Profile(stored["model"], stored["version"], stored["source"], clips, stored["created"], means)


def _vector(values: Any) -> np.ndarray:
    if not isinstance(values, list) or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
        raise ValueError("the means are not finite numbers")
    vector = np.array(values, np.float32)
    if not np.isfinite(vector).all():
        raise ValueError("the means are too large")
    return vector


@dataclass(frozen=True)
class Reference:
    """What a model measures a source against: its training recordings' mean by recipe, and how much few clips count.

    A source's difference from `means` is multiplied by n / (n + `prior_clips`) for n clips.
    """

    means: dict[str, np.ndarray]
    prior_clips: float

    def shift(self, means: Mapping[str, np.ndarray], clips: int) -> dict[str, np.ndarray]:
        """Return what is subtracted from the features of each recipe, for the means of a source's clips."""
        share = np.float32(clips / (clips + self.prior_clips))
        return {recipe: share * (means[recipe] - reference) for recipe, reference in self.means.items()}

    def check_fits(self, profile: Profile) -> None:
        """Raise `ArtifactError` unless a profile has a mean of the right size for every recipe."""
        sizes = {recipe: mean.shape for recipe, mean in self.means.items()}
        if {recipe: mean.shape for recipe, mean in profile.means.items()} != sizes:
            raise ArtifactError(f"The profile of {profile.source!r} does not hold the features of {profile.model}.")
