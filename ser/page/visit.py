"""One visitor's recordings: what was heard, kept in the session only; the sound of the last ten at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import uuid4
from weakref import WeakKeyDictionary

import numpy as np

from ser.audio.loading import load_waveform
from ser.inference.recognizer import Analysis, Recognizer
from ser.types import LABEL_SETS, SILENT, Prediction, Timeline

Kind = Literal["file", "microphone", "sample", "live"]
MOST_SOUNDS = 10  # recordings whose sound is kept
MOST_SOUND_BYTES = 40 * 2**20  # of all of them together; five visitors who hold ten minutes each stay far below
MOST_NOTE = 200  # characters


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording of this visit: its numbers, and its sound as long as that is kept.

    A short one has an `analysis` by `model`, which any recogniser of that model answers; a long one a `timeline`.
    `peaks` (n,), 0 to 1, is the envelope of the waveform, `sound` a file of type `mime` that every browser plays.
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
    text: str | None = None  # what is said in a short one, None if it was not transcribed
    time: datetime = field(default_factory=lambda: datetime.now().astimezone())
    id: str = field(default_factory=lambda: uuid4().hex[:8])


class Visit:
    """The recordings of a visit in order, which of them is shown, and their answers.

    `uploads` are the ids of the files that were taken from Streamlit's widgets, which go on holding them after a
    recording is deleted. `kept` are the ids of the recordings whose answers are in the history.
    """

    def __init__(self) -> None:
        self.shown: str | None = None  # the id of a recording
        self.labels = "eight"  # a key of `LABEL_SETS`
        self.uploads: set[str] = set()
        self.kept: set[str] = set()
        self._recordings: dict[str, Recording] = {}
        # Weak, since the number of an object (its id) is used again once it is gone.
        self._answers: WeakKeyDictionary[Recognizer, dict[str, Prediction]] = WeakKeyDictionary()
        self._last: dict[str, Prediction] = {}  # answer of each recording

    def __len__(self) -> int:
        return len(self._recordings)

    def __iter__(self) -> Iterator[Recording]:
        return iter(self._recordings.values())

    def __getitem__(self, id: str) -> Recording:
        return self._recordings[id]

    def __contains__(self, id: object) -> bool:
        return id in self._recordings

    @property
    def current(self) -> Recording | None:
        """The recording that is shown, None if there is none."""
        return self._recordings.get(self.shown or "")

    @property
    def is_lost_on_reload(self) -> bool:
        """Whether a reload loses what cannot be had again with a click: samples can, and what the history keeps."""
        return any(self._is_lost(recording) for recording in self)

    def add(self, recording: Recording) -> None:
        """Add a recording and show it; the oldest sounds are dropped beyond the limits."""
        self._recordings[recording.id] = recording
        self.shown = recording.id
        self._drop_sounds()

    def replace(self, recording: Recording) -> None:
        """Put a changed recording in the place of the one with its id."""
        self._recordings[recording.id] = recording
        self._forget_answers(recording.id)
        self._drop_sounds()

    def show(self, id: str) -> None:
        """Show a recording of this visit; any other id, as of one that was deleted meanwhile, changes nothing."""
        if id in self:
            self.shown = id

    def note(self, id: str, note: str) -> None:
        """Keep a visitor's note on a recording of this visit, in one line."""
        if id in self:
            self._recordings[id] = replace(self._recordings[id], note=" ".join(note.split())[:MOST_NOTE])

    def delete(self, id: str) -> None:
        """Forget a recording, if it is one of this visit; if it was shown, its neighbour is."""
        if id not in self:
            return
        ids = list(self._recordings)
        at = ids.index(id)
        del self._recordings[id]
        self._forget_answers(id)
        self.kept.discard(id)
        if self.shown == id:
            self.shown = next(iter([*ids[at + 1 :], *reversed(ids[:at])]), None)

    def clear(self) -> None:
        """Forget everything but which uploads were taken: the widgets still hold them."""
        self._recordings.clear()
        self._answers.clear()
        self._last.clear()
        self.kept.clear()
        self.shown = None

    def hear_again(self, recognizer: Recognizer) -> None:
        """Analyse by another model what is short and still has its sound; the rest keeps its answers."""
        for recording in list(self):
            if recording.analysis is not None and recording.sound is not None and recording.model != recognizer.name:
                waveform = load_waveform(recording.sound, recognizer.sample_rate)
                analysis = replace(recognizer.analyse(waveform), file=recording.name)
                self.replace(replace(recording, analysis=analysis, model=recognizer.name))

    def answer(self, recording: Recording, recognizer: Recognizer) -> Prediction:
        """Return the answer to a short recording, computed once for each recogniser.

        One that another model has analysed, and whose sound is gone, keeps the answer that it had last.
        """
        if recording.analysis is None:
            raise ValueError(f"{recording.name} has a timeline in place of an answer.")
        if recording.model not in ("", recognizer.name) and recording.id in self._last:
            return self._last[recording.id]
        answers = self._answers.setdefault(recognizer, {})
        if recording.id not in answers:
            answers[recording.id] = recognizer.answer(recording.analysis)
        self._last[recording.id] = answers[recording.id]
        return answers[recording.id]

    def summary(self, recording: Recording, recognizer: Recognizer) -> Prediction:
        """Return the answer among the labels that were chosen; for a long recording its shares of the speech."""
        if recording.timeline is not None:
            return of_timeline(recording)
        return restricted(self.answer(recording, recognizer), self.labels)

    def _is_lost(self, recording: Recording) -> bool:
        return recording.id not in self.kept and (recording.kind != "sample" or bool(recording.note))

    def _forget_answers(self, id: str) -> None:
        for answers in (*self._answers.values(), self._last):
            answers.pop(id, None)

    def _drop_sounds(self) -> None:
        """Drop sounds beyond the limits, the oldest first; that of the newest recording stays."""
        n_sounds, n_bytes = 0, 0
        for recording in reversed(list(self)):
            if recording.sound is None:
                continue
            n_sounds, n_bytes = n_sounds + 1, n_bytes + len(recording.sound)
            if n_sounds > 1 and (n_sounds > MOST_SOUNDS or n_bytes > MOST_SOUND_BYTES):
                self._recordings[recording.id] = replace(recording, sound=None)


def restricted(prediction: Prediction, labels: str) -> Prediction:
    """Return an answer among a set of labels (a key of `LABEL_SETS`); probabilities are scaled to sum to 1.

    It is no surer than the answer among all: leaving labels out raises the shares of the others.
    """
    if labels == "eight":
        return prediction
    kept = {label: prediction.probabilities[label] for label in LABEL_SETS[labels] if label in prediction.probabilities}
    total = sum(kept.values())
    shares = {label: share / total for label, share in kept.items()}
    best = max(shares, key=shares.__getitem__)
    is_another = best != prediction.label and not {SILENT, "close_call"} & set(prediction.reasons)
    reasons = (*prediction.reasons, *(["close_call"] if is_another else []))
    return replace(prediction, label=best, probabilities=shares, reasons=reasons)


def of_timeline(recording: Recording) -> Prediction:
    """Return a long recording in the form of an answer: the most frequent label, with shares of the speech.

    It is a close call if less than half of the speech has a sure label, and silent without speech.
    """
    timeline = recording.timeline
    if timeline is None:
        raise ValueError(f"{recording.name} has no timeline.")
    speech_s = timeline.speech_s
    sure_s = sum(segment.duration_s for segment in timeline.segments if not segment.uncertain)
    shares = timeline.share if speech_s else dict.fromkeys(timeline.labels, 1 / len(timeline.labels))
    present = {SILENT: not speech_s, "close_call": speech_s > 0 and sure_s < speech_s / 2, "cut_off": timeline.cut_off}
    return Prediction(
        label=max(shares, key=shares.__getitem__),
        probabilities=shares,
        reasons=tuple(reason for reason, found in present.items() if found),
        duration_s=timeline.duration_s,
        model=timeline.model,
        used_s=(timeline.segments[0].start_s, timeline.segments[-1].end_s) if speech_s else (0.0, 0.0),
        sound_s=speech_s,
        file=recording.name,
        adapted=timeline.adapted,
        track=timeline.track,
    )
