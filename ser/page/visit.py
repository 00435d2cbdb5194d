"""One visitor's recordings: what was heard, kept in the session only; the sound of the last ten at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import uuid4

import numpy as np

from ser.audio.loading import load_waveform
from ser.inference.recognizer import Analysis, Recognizer
from ser.types import Prediction, Timeline

Kind = Literal["file", "microphone", "sample", "live"]
MOST_SOUNDS = 10  # recordings whose sound is kept
MOST_SOUND_BYTES = 40 * 2**20  # of all of them together; five visitors who hold ten minutes each stay far below


@dataclass(frozen=True)
class Recording:
    """A recording of this visit: its numbers, and its sound as long as that is kept.

    A short one has an `analysis` by `model`, which any recogniser of that model answers; a long one a `timeline`. `peaks`
    (n,), 0 to 1, is the envelope of the waveform, `sound` a file of type `mime` that every browser plays.
    """

    name: str
    kind: Kind
    duration_s: float
    peaks: np.ndarray
    analysis: Analysis | None = None
    model: str = ""
    timeline: Timeline | None = None
    sound: bytes | None = None
    mime: str = "audio/wav"
    note: str = ""
    time: datetime = field(default_factory=lambda: datetime.now().astimezone())
    id: str = field(default_factory=lambda: uuid4().hex[:8])


class Visit:
    """The recordings of a visit in order, which of them is shown, and their answers."""

    def __init__(self) -> None:
        self.shown: str | None = None  # the id of a recording
        self._recordings: dict[str, Recording] = {}
        self._answers: dict[tuple[str, int], Prediction] = {}  # by recording and recogniser

    def __len__(self) -> int:
        return len(self._recordings)

    def __iter__(self) -> Iterator[Recording]:
        return iter(self._recordings.values())

    def __getitem__(self, id: str) -> Recording:
        return self._recordings[id]

    def __contains__(self, id: str) -> bool:
        return id in self._recordings

    @property
    def current(self) -> Recording | None:
        """The recording that is shown, None if there is none."""
        return self._recordings.get(self.shown or "")

    def add(self, recording: Recording) -> None:
        """Add a recording and show it; the oldest sounds are dropped beyond the limits."""
        self._recordings[recording.id] = recording
        self.shown = recording.id
        self._drop_sounds()

    def replace(self, recording: Recording) -> None:
        """Put a changed recording in the place of the one with its id."""
        self._recordings[recording.id] = recording
        self._answers = {key: answer for key, answer in self._answers.items() if key[0] != recording.id}

    def note(self, id: str, note: str) -> None:
        """Keep a visitor's note on a recording."""
        self._recordings[id] = replace(self._recordings[id], note=note)

    def delete(self, id: str) -> None:
        """Forget a recording; if it was shown, the newest is."""
        self.replace(self._recordings[id])
        del self._recordings[id]
        if self.shown == id:
            self.shown = next(reversed(self._recordings), None)

    def clear(self) -> None:
        """Forget everything."""
        self.__init__()  # type: ignore[misc]

    def hear_again(self, recognizer: Recognizer) -> None:
        """Analyse by another model what is short and still has its sound; the rest keeps its answers."""
        for recording in list(self):
            if recording.analysis is not None and recording.sound is not None and recording.model != recognizer.name:
                waveform = load_waveform(recording.sound, recognizer.sample_rate)
                self.replace(replace(recording, analysis=recognizer.analyse(waveform), model=recognizer.name))

    def answer(self, recording: Recording, recognizer: Recognizer) -> Prediction:
        """Return the answer to a short recording, computed once for each recogniser."""
        if recording.analysis is None:
            raise ValueError(f"{recording.name} has a timeline in place of an answer.")
        key = recording.id, id(recognizer)
        if key not in self._answers:
            self._answers[key] = recognizer.answer(recording.analysis)
        return self._answers[key]

    def _drop_sounds(self) -> None:
        n_sounds, n_bytes = 0, 0
        for recording in reversed(list(self)):
            n_sounds, n_bytes = n_sounds + 1, n_bytes + len(recording.sound or b"")
            newest = recording.id == next(reversed(self._recordings))
            if recording.sound and not newest and (n_sounds > MOST_SOUNDS or n_bytes > MOST_SOUND_BYTES):
                self._recordings[recording.id] = replace(recording, sound=None)
