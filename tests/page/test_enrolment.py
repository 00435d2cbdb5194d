"""A visitor's own voice: what can be used of the recordings, and what comes of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE

import ser
from ser.audio.loading import load_waveform
from ser.page.enrolment import FEWEST, MOST, enrolled
from ser.types import ParameterError

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SPOKEN = sorted(path for path in SAMPLES.glob("*.flac") if path.stem != "music")
ASKED = SPOKEN[-1]


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
    """Different ones: a sample of speech after the other, and from the second round on turned down."""
    sounds = [sf.read(path)[0] for path in SPOKEN]
    return [recording(sounds[i % len(sounds)] / (1 + i // len(sounds)), f"{i}.wav") for i in range(n)]


@pytest.mark.parametrize("n", [FEWEST, MOST])
def test_a_few_recordings_give_the_calibrated_model(model, n):
    own = enrolled(model, recordings(n))
    expected = model.calibrated([load_waveform(file) for file in recordings(n)])
    assert (own.usable, own.refused) == (n, ())
    assert own.model.predict(ASKED) != model.predict(ASKED)
    assert own.model.predict(ASKED) == expected.predict(ASKED)


@pytest.mark.parametrize("n", [0, FEWEST - 1, MOST + 1])
def test_too_few_and_too_many_give_none(model, n):
    own = enrolled(model, recordings(n))
    assert (own.model, own.usable, own.refused) == (None, n, ())


def test_what_tells_nothing_of_a_voice_is_left_out(model):
    useless = [
        recording(np.zeros(RATE), "silent.wav"),
        recording(sf.read(ASKED)[0][8_000:13_600], "short.wav"),
        recording(sf.read(SAMPLES / "music.flac")[0], "music.wav"),
        io.BytesIO(b"only words, not a sound"),
    ]
    own = enrolled(model, [*recordings(FEWEST), *useless])
    assert own.usable == FEWEST
    assert [sentence.split(":")[0] for sentence in own.refused[:3]] == ["silent.wav", "short.wav", "music.wav"]
    assert "this is text, not sound" in own.refused[3]
    expected = model.calibrated([load_waveform(file) for file in recordings(FEWEST)])
    assert own.model.predict(ASKED) == expected.predict(ASKED)


def test_a_model_that_cannot_is_refused():
    with pytest.raises(ParameterError, match="dense105 cannot be calibrated"):
        enrolled(ser.load("dense105"), recordings(FEWEST))
