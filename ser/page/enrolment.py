"""A visitor's own voice: which recordings tell something of it, and the recogniser that is normalised to it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from ser.audio.loading import load_waveform
from ser.inference.recognizer import Recognizer
from ser.page import wording as words
from ser.types import AudioError, Waveform

FEWEST, MOST = 3, 10  # recordings


@dataclass(frozen=True)
class OwnVoice:
    """What a few recordings of one speaker gave.

    `model` is the recogniser normalised to that voice; None where there are fewer than `FEWEST` usable recordings or
    more than `MOST`. `refused` says of each of the others why it is left out.
    """

    model: Recognizer | None
    usable: int
    refused: tuple[str, ...] = ()


def enrolled(model: Recognizer, files: Sequence[io.BytesIO]) -> OwnVoice:
    """The voice in some named files, which are read and not kept. A file that cannot be used is left out."""
    if len(files) > MOST:
        return OwnVoice(None, len(files))
    heard = [_heard(model, file) for file in files]
    waveforms = [one for one in heard if isinstance(one, Waveform)]
    own = model.calibrated(waveforms) if len(waveforms) >= FEWEST else None
    return OwnVoice(own, len(waveforms), tuple(one for one in heard if isinstance(one, str)))


def _heard(model: Recognizer, file: io.BytesIO) -> Waveform | str:
    """The sound of a recording, or why it tells nothing of a voice: silence, music, too little."""
    try:
        waveform = load_waveform(file, model.sample_rate)
    except AudioError as error:
        return str(error)
    prediction = model.predict(waveform)
    return f"{file.name}: {words.doubts(prediction, 0)[0][0]}" if words.unnamed(prediction) else waveform
