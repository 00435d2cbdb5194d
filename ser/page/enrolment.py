"""Enrolment on the page: a model calibrated to a speaker from a few recordings."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from ser.audio.loading import load_waveform
from ser.inference.recognizer import Recognizer
from ser.page import wording
from ser.types import AudioError, Waveform

FEWEST, MOST = 3, 10  # recordings


@dataclass(frozen=True)
class Enrolment:
    """The model calibrated to a speaker, the number of usable recordings, and why the others are refused.

    `model` is None if there are fewer than `FEWEST` usable recordings or more than `MOST`.
    """

    model: Recognizer | None
    usable: int
    refused: tuple[str, ...] = ()


def enrol(model: Recognizer, files: Sequence[io.BytesIO]) -> Enrolment:
    """Calibrate a model to the speaker of some named files; unusable files are left out, none is kept."""
    if len(files) > MOST:
        return Enrolment(None, len(files))
    checked = [_waveform_or_problem(model, file) for file in files]
    waveforms = [waveform for waveform in checked if isinstance(waveform, Waveform)]
    calibrated = model.calibrated(waveforms) if len(waveforms) >= FEWEST else None
    return Enrolment(calibrated, len(waveforms), tuple(problem for problem in checked if isinstance(problem, str)))


def _waveform_or_problem(model: Recognizer, file: io.BytesIO) -> Waveform | str:
    """Return the waveform of a recording, or why it does not describe a voice: silence, music, too short."""
    try:
        waveform = load_waveform(file, model.sample_rate)
    except AudioError as error:
        return str(error)
    prediction = model.predict(waveform)
    return f"{file.name}: {wording.doubts(prediction, 0)[0][0]}" if wording.is_unnamed(prediction) else waveform
