"""Enrolment on the page: a model calibrated to a speaker from a few recordings."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from ser.audio.loading import load_waveform
from ser.inference.recognizer import Recognizer
from ser.page import wording
from ser.types import AudioError

FEWEST, MOST = 3, 10  # recordings


@dataclass(frozen=True)
class Enrolment:
    """The model calibrated to a speaker, None unless `FEWEST` to `MOST` recordings are usable; why others are not."""

    model: Recognizer | None
    usable: int
    refused: tuple[str, ...] = ()


def enrol(model: Recognizer, files: Sequence[io.BytesIO]) -> Enrolment:
    """Calibrate a model to the speaker of some named files; unusable files are left out, none is kept."""
    if len(files) > MOST:
        return Enrolment(None, len(files))
    waveforms, refused = [], []
    for file in files:
        try:
            waveform = load_waveform(file, model.sample_rate)
        except AudioError as error:
            refused.append(str(error))
            continue
        prediction = model.predict(waveform)
        if wording.is_unnamed(prediction):  # silence, music, too short: it does not describe a voice
            refused.append(f"{file.name}: {wording.doubts(prediction, 0)[0][0]}")
        else:
            waveforms.append(waveform)
    calibrated = model.calibrated(waveforms) if len(waveforms) >= FEWEST else None
    return Enrolment(calibrated, len(waveforms), tuple(refused))
