"""A decoder that raises what no decoder should: every interface refuses its recording with a sentence, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, voice
from service_client import new_client
from typer.testing import CliRunner

import ser
from ser.audio import loading
from ser.audio.loading import load_waveform
from ser.batch.run import batch
from ser.cli.main import app
from ser.service.settings import Settings
from ser.types import AudioError

MODEL = "dense105"
SENTENCE = r"bad\.wav: this WAV cannot be decoded behind 1\.0 s \(RuntimeError\)\. Export it again"

pytestmark = pytest.mark.slow


class Planted:
    """Decode a second of silence, then fail."""

    format, sample_rate, channels, slack_s, damaged, track, n_tracks, length_s = "WAV", RATE, 1, 0.0, False, 1, 1, None

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        yield np.zeros((RATE, 1), np.float32)
        raise RuntimeError("unforeseen")

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("bad.wav", "good.wav"):
        sf.write(tmp_path / name, voice(1.0), RATE)
    real = loading.open_decoder
    monkeypatch.setattr(
        loading, "open_decoder", lambda file, label, *how: Planted() if label == "bad.wav" else real(file, label, *how)
    )
    monkeypatch.setenv("SER_MODEL", MODEL)
    return tmp_path


def test_python(folder):
    for function in (load_waveform, ser.load().predict, ser.load().timeline):
        with pytest.raises(AudioError, match=SENTENCE):
            function(folder / "bad.wav")
        assert function(folder / "good.wav").duration_s == 1.0


def test_command_line_and_batch(folder):
    bad, good = json.loads(CliRunner().invoke(app, ["predict", str(folder), "-f", "json"]).stdout)
    assert bad["error"].startswith("bad.wav: this WAV cannot be decoded behind 1.0 s") and "label" in good
    counts = batch(str(folder), folder / "out", jobs=1, adapt="none")
    assert (counts["answered"], counts["failed"]) == (1, 1)


def test_service(folder):
    files = [("files", (name, (folder / name).read_bytes())) for name in ("bad.wav", "good.wav")]
    with new_client(Settings()) as client:
        assert client.post("/predict", files={"file": files[0][1]}).status_code == 422
        bad, good = client.post("/batch", files=files).json()
    assert bad["code"] == "audio" and good["label"]
