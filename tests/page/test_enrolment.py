"""Enrolment: usable recordings, and the calibrated model."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE

import ser
from ser.audio.loading import load_waveform
from ser.page.enrolment import FEWEST, MOST, enrol
from ser.types import ParameterError

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SPOKEN = sorted(path for path in SAMPLES.glob("*.flac") if path.stem != "music")
QUERY = SPOKEN[-1]


@pytest.fixture(scope="module")
def model() -> ser.Recognizer:
    return ser.load("voice")


def recording(samples: np.ndarray, name: str = "voice.wav") -> io.BytesIO:
    file = io.BytesIO()
    sf.write(file, samples, RATE, format="WAV")
    file.seek(0)
    file.name = name
    return file


def recordings(n: int) -> list[io.BytesIO]:
    """Return n different recordings: the samples in turn, quieter in every round."""
    sounds = [sf.read(path)[0] for path in SPOKEN]
    return [recording(sounds[i % len(sounds)] / (1 + i // len(sounds)), f"{i}.wav") for i in range(n)]


@pytest.mark.parametrize("n", [FEWEST, MOST])
def test_a_few_recordings_give_the_calibrated_model(model, n):
    enrolment = enrol(model, recordings(n))
    expected = model.calibrated([load_waveform(file) for file in recordings(n)])
    assert (enrolment.usable, enrolment.refused) == (n, ())
    assert enrolment.model.predict(QUERY) != model.predict(QUERY)
    assert enrolment.model.predict(QUERY) == expected.predict(QUERY)


@pytest.mark.parametrize("n", [0, FEWEST - 1, MOST + 1])
def test_too_few_and_too_many_give_none(model, n):
    enrolment = enrol(model, recordings(n))
    assert (enrolment.model, enrolment.usable, enrolment.refused) == (None, n, ())


def test_unusable_recordings_are_left_out(model):
    useless = [
        recording(np.zeros(RATE), "silent.wav"),
        recording(sf.read(QUERY)[0][8_000:13_600], "short.wav"),
        recording(sf.read(SAMPLES / "music.flac")[0], "music.wav"),
        io.BytesIO(b"only words, not a sound"),
    ]
    enrolment = enrol(model, [*recordings(FEWEST), *useless])
    assert enrolment.usable == FEWEST
    assert [sentence.split(":")[0] for sentence in enrolment.refused[:3]] == ["silent.wav", "short.wav", "music.wav"]
    assert "this is text, not sound" in enrolment.refused[3]
    expected = model.calibrated([load_waveform(file) for file in recordings(FEWEST)])
    assert enrolment.model.predict(QUERY) == expected.predict(QUERY)


def test_a_model_without_calibration_is_refused():
    with pytest.raises(ParameterError, match="dense105 cannot be calibrated"):
        enrol(ser.load("dense105"), recordings(FEWEST))
