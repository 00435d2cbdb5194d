"""Intake of the page: uploads and recordings become `Recording`s of the visit; what cannot be heard is told."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import soundfile as sf

from ser.audio.envelope import envelope
from ser.audio.loading import MAX_TIMELINE_S, load_waveform, open_recording
from ser.inference.recognizer import Recognizer
from ser.page.visit import Kind, Recording, Visit
from ser.types import AudioError, Failure, Waveform

SHORT_S = 12.0  # up to here one answer, beyond it a timeline
MAX_UPLOAD_BYTES = 120 * 2**20


@dataclass
class Intake:
    """What came of some files: the recordings that were answered, the long files, and those that cannot be heard."""

    heard: list[Recording] = field(default_factory=list)
    long: list[Any] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def take(
    visit: Visit,
    recognizer: Recognizer,
    files: Sequence[Any],
    kind: Kind = "file",
    progress: Callable[[int, int, str], object] = lambda done, total, name: None,
) -> Intake:
    """Add the new ones of some named files to the visit, each as soon as it is answered.

    A file that was taken before is left out, one that cannot be heard leaves the others, a long one waits in `long`
    for its timeline. `progress` is called before each with the number done, that of all, and the name.
    """
    new = list(files) if kind == "sample" else new_files(visit, files)  # a sample that was deleted may come back
    intake = Intake()
    for n_done, file in enumerate(new):
        progress(n_done, len(new), file.name)
        try:
            if is_long(file, file.name):
                intake.long.append(file)
            else:
                intake.heard.append(listen(recognizer, file, file.name, kind))
                visit.add(intake.heard[-1])
        except AudioError as error:
            intake.failures.append(Failure(file.name, error))
    return intake


def new_files(visit: Visit, files: Iterable[Any]) -> list[Any]:
    """Return the files that the visit has not taken yet, and note them as taken."""
    new = []
    for file in files:
        id = upload_id(file)
        if id not in visit.uploads:
            visit.uploads.add(id)
            new.append(file)
    return new


def upload_id(file: Any) -> str:
    """Return Streamlit's id of an upload, else the hash of its content."""
    return getattr(file, "file_id", None) or hashlib.sha256(file.getbuffer()).hexdigest()


def listen(recognizer: Recognizer, data: bytes | io.BytesIO, name: str, kind: Kind) -> Recording:
    """Return the recording of a short file, analysed; raises `AudioError` if it cannot be heard."""
    waveform = load_waveform(named(data, name), recognizer.sample_rate)
    analysis = replace(recognizer.analyse(waveform), file=name)
    peaks, sound = envelope(waveform.samples), wav_of(waveform)
    return Recording(name, kind, waveform.duration_s, peaks, analysis=analysis, model=recognizer.name, sound=sound)


def is_long(data: bytes | io.BytesIO, name: str) -> bool:
    """Return whether a file is longer than `SHORT_S`: by its header, else by decoding until that is passed.

    Raises `AudioError` if it is not sound, or beyond the limits of a timeline.
    """
    source = named(data, name)
    with open_recording(source, max_s=MAX_TIMELINE_S, max_bytes=MAX_UPLOAD_BYTES) as recording:
        if recording.length_s is not None:
            return recording.length_s > SHORT_S
        n_samples = 0
        for block in recording.blocks(recording.sample_rate):
            n_samples += len(block)
            if n_samples > SHORT_S * recording.sample_rate:
                return True
    return False


def named(data: bytes | io.BytesIO, name: str) -> io.BytesIO:
    """Return bytes as a named file, so that errors can say which it is; a file that has the name stays as it is."""
    if getattr(data, "name", None) == name:
        return data  # type: ignore[return-value]
    file = io.BytesIO(data if isinstance(data, bytes) else data.getvalue())
    file.name = name
    return file


def wav_of(waveform: Waveform) -> bytes:
    """Return a waveform as the bytes of a 16-bit WAV file."""
    file = io.BytesIO()
    sf.write(file, waveform.samples, waveform.sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
