"""Strong offsets and hum are named, at any level; speech, tones and noise have none."""

from __future__ import annotations

import numpy as np
import pytest
from golden.make import RATE, chords, noise, tone, voice

import ser
from ser.audio.quality import faults
from ser.features.preprocessing import prepare
from ser.page import wording
from ser.page.texts import TEXTS, Texts
from ser.types import QUALITY


def hum(seconds: float, hz: float = 50.0) -> np.ndarray:
    return tone(seconds, hz) + 0.5 * tone(seconds, 2 * hz) + 0.3 * tone(seconds, 3 * hz)


def with_hum(sound: np.ndarray, level_db: float, hz: float = 50.0) -> np.ndarray:
    added = hum(len(sound) / RATE, hz)[: len(sound)]
    return sound + 10 ** (level_db / 20) * np.abs(sound).max() * added / np.abs(added).max()


@pytest.mark.parametrize("hz", [50.0, 50.2, 60.0])
@pytest.mark.parametrize("level", [0.01, 0.5])
@pytest.mark.parametrize("seconds", [0.6, 3.0])
def test_hum(hz, level, seconds):
    sound = voice(seconds)
    assert faults(level * with_hum(sound, -20, hz), RATE) == ("hum",)
    assert faults(level * with_hum(sound, -40, hz), RATE) == ()


@pytest.mark.parametrize("offset", [-0.1, 0.02, 0.1])
def test_offset(offset):
    assert faults(0.5 * voice(2.0) + offset, RATE) == ("offset",)
    assert faults(0.05 * (0.5 * voice(2.0) + 5 * offset), RATE) == ("offset",)
    assert faults(with_hum(0.5 * voice(2.0), -15) + offset, RATE) == ("offset", "hum")
    assert faults(0.5 * voice(2.0) + 0.1 * offset, RATE) == ()


@pytest.mark.parametrize(
    "sound",
    [
        voice(2.0),
        noise(2.0),
        chords(),
        tone(2.0, 100.0),
        tone(2.0, 120.0),
        tone(2.0, 440.0),
        voice(0.1),
        np.zeros(RATE),
    ],
    ids=["voice", "noise", "chords", "100 Hz", "120 Hz", "440 Hz", "short", "silence"],
)
def test_no_fault(sound):
    assert faults(0.5 * np.asarray(sound), RATE) == ()


def test_faults_do_not_make_an_answer_uncertain():
    recognizer = ser.load("dense105")
    plain = recognizer.predict((0.5 * voice(3.0)).astype(np.float32), sample_rate=RATE)
    off = recognizer.predict((0.5 * voice(3.0) + 0.05).astype(np.float32), sample_rate=RATE)
    assert plain.quality == () and off.quality == ("offset",) and off.to_dict()["quality"] == ["offset"]
    assert off.reasons == plain.reasons and off.label == plain.label
    alone = recognizer.predict(np.full(RATE, 0.05, np.float32), sample_rate=RATE)
    assert alone.reasons == ("silent",) and alone.quality == ("offset",)
    said = [problem for problem, _ in wording.doubts(off, Texts("en"))]
    assert TEXTS["doubt.offset"][0] in said and QUALITY["offset"] in said
    assert ser.to_pandas(off)["quality"].tolist() == ["offset"]


def test_energy_near_the_mains_rules_out_hum_only_where_there_is_none():
    for sound in (voice(3.0), noise(2.0), chords(), voice(0.6)):
        for level_db in (-15, -25, -27, -29, -40):
            for hz in (49.7, 50.0, 60.2):
                mixed = (0.3 * with_hum(sound, level_db, hz)).astype(np.float32)
                energy = prepare(mixed, RATE).mains_energy
                assert faults(mixed, RATE, energy) == faults(mixed, RATE)
        assert faults(0.3 * sound, RATE, prepare((0.3 * sound).astype(np.float32), RATE).mains_energy) == ()
