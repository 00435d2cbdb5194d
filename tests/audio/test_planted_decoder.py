"""A decoder that raises what no decoder should: every interface refuses its recording with a sentence, and no other."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, voice
from service_client import new_client
from typer.testing import CliRunner

import ser
from ser.audio import decoders
from ser.audio.loading import load_waveform
from ser.batch.run import batch
from ser.cli.main import app
from ser.page import intake
from ser.page.visit import Visit
from ser.service.settings import Settings
from ser.types import AudioError

MODEL = "dense105"

pytestmark = pytest.mark.slow


class Planted:
    """Decode a second of silence, then fail."""

    format, sample_rate, channels, slack_s, damaged, track, n_tracks = "WAV", RATE, 1, 0.0, False, 1, 1

    def __init__(self, length_s: float | None = None) -> None:
        self.length_s = length_s

    def measured_s(self) -> float:
        raise ZeroDivisionError("unforeseen")

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        yield np.zeros((RATE, 1), np.float32)
        raise RuntimeError("unforeseen")

    def close(self) -> None:
        """Nothing is open."""


def fail_to_open() -> Planted:
    raise KeyError("unforeseen")


# How it is planted, and what is said.
WAYS: dict[str, tuple[Callable[[], Planted], str]] = {
    "decoding": (Planted, "bad.wav: this WAV cannot be decoded behind 1.0 s (RuntimeError). Export it again"),
    "measuring": (
        lambda: Planted(length_s=1e9),
        "bad.wav: this WAV cannot be decoded behind 0.0 s (ZeroDivisionError). Export it again",
    ),
    "opening": (fail_to_open, "bad.wav: this begins like WAV, but it is damaged or incomplete (0.0 s decoded)"),
}


@pytest.fixture(params=WAYS)
def sentence(request, tmp_path, monkeypatch) -> str:
    """Plant a decoder for bad.wav, beside good.wav in `tmp_path`; return what is said of it."""
    planted, said = WAYS[request.param]
    for name, seconds in (("bad.wav", 2.0), ("good.wav", 1.0)):
        sf.write(tmp_path / name, voice(seconds), RATE)
    real = decoders._open_one

    def open_one(file: Any, label: str, *how: Any) -> Any:
        return planted() if label == "bad.wav" else real(file, label, *how)

    monkeypatch.setattr(decoders, "_open_one", open_one)
    monkeypatch.setenv("SER_MODEL", MODEL)
    return said


def test_python(sentence, tmp_path):
    for function in (load_waveform, ser.load().predict, ser.load().timeline):
        with pytest.raises(AudioError) as raised:
            function(tmp_path / "bad.wav")
        assert str(raised.value).startswith(sentence)
        assert function(tmp_path / "good.wav").duration_s == 1.0


def test_command_line_and_batch(sentence, tmp_path):
    bad, good = json.loads(CliRunner().invoke(app, ["predict", str(tmp_path), "-f", "json"]).stdout)
    assert bad["error"].startswith(sentence) and "label" in good
    counts = batch(str(tmp_path), tmp_path / "out", jobs=1, adapt="none")
    assert (counts["answered"], counts["failed"]) == (1, 1)


def test_service(sentence, tmp_path):
    files = [("files", (name, (tmp_path / name).read_bytes())) for name in ("bad.wav", "good.wav")]
    with new_client(Settings()) as client:
        assert client.post("/predict", files={"file": files[0][1]}).status_code == 422
        bad, good = client.post("/batch", files=files).json()
    assert bad["code"] == "audio" and bad["error"].startswith(sentence) and good["label"]


def test_page(sentence, tmp_path):
    visit = Visit()
    files = [intake.named((tmp_path / name).read_bytes(), name) for name in ("bad.wav", "good.wav")]
    taken = intake.take(visit, ser.load(), files)
    (failure,) = taken.failures
    assert failure.file == "bad.wav" and str(failure.error).startswith(sentence)
    assert [recording.name for recording in taken.heard] == ["good.wav"] and len(visit) == 1
    with pytest.raises(AudioError) as raised:
        intake.is_long(io.BytesIO(files[0].getvalue()), "bad.wav")
    assert str(raised.value).startswith(sentence)
