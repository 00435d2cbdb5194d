"""Each distortion does what its name says, measured on what the recogniser's door hears of it."""

from __future__ import annotations

import numpy as np
import pytest
from golden.make import RATE, noise, tone, voice

from ser.audio.loading import load_waveform, open_recording
from ser.evaluation.distortions import DISTORTIONS
from ser.features.preprocessing import trim
from ser.types import Waveform

PAUSE = np.zeros(RATE // 2, np.float32)
RANDOM = (
    "a pop",
    "3 s of a room around",
    "telephone in a reverberant room",
    "white noise, 20 dB SNR",
    "excerpt of 1.5 s",
)
KEEP_LENGTH = [name for name in DISTORTIONS if not name.startswith(("excerpt", "a pause", "3 s"))]


def made(name: str, samples: np.ndarray, seed: int = 0) -> bytes:
    return DISTORTIONS[name](Waveform(samples, RATE), np.random.default_rng(seed))


def heard(name: str, samples: np.ndarray, seed: int = 0) -> np.ndarray:
    waveform = load_waveform(made(name, samples, seed), RATE)
    assert not waveform.cut_off and not waveform.clipped
    return waveform.samples


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def share_of_energy(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(power[(hz >= low_hz) & (hz <= high_hz)].sum() / power.sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTORTIONS)
def test_the_seed_decides_and_the_recording_stays_as_it_is(name):
    sound = voice(2.0)  # read-only
    assert made(name, sound, 1) == made(name, sound, 1)
    assert (made(name, sound, 1) != made(name, sound, 2)) == (name in RANDOM)


@pytest.mark.slow
@pytest.mark.parametrize("name", KEEP_LENGTH)
def test_the_length_stays(name):
    slack_s = 0.06 if name.startswith(("MP3", "Opus")) else 1e-4  # coders pad
    assert len(heard(name, voice(2.0))) / RATE == pytest.approx(2.0, abs=slack_s)


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTORTIONS)
def test_silence_and_a_loud_recording_are_taken(name):
    silence = heard(name, np.zeros(RATE, np.float32))
    assert np.abs(silence - silence.mean()).max() < 1e-3
    loud = heard(name, voice(1.0) / np.abs(voice(1.0)).max())
    assert np.isfinite(loud).all() and rms(loud) > 0.01


@pytest.mark.parametrize(("name", "factor"), [("gain +12 dB", 3.981), ("gain -12 dB", 0.2512)])
def test_gain_by_12_db(name, factor):
    sound = 0.1 * voice(1.0)
    np.testing.assert_allclose(heard(name, sound), factor * sound, atol=2 / 32768)


def test_gain_stops_where_it_would_clip():
    sound = voice(1.0)
    assert np.abs(heard("gain +12 dB", sound)).max() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(heard("gain +12 dB", sound) * np.abs(sound).max(), sound, atol=1e-4)


@pytest.mark.parametrize("name", ["telephone band, 8 kHz", "telephone band, mu-law"])
def test_telephone_keeps_its_band_and_nothing_else(name):
    white = noise(2.0)
    with open_recording(made(name, white)) as recording:
        assert (recording.sample_rate, recording.format) == (8_000, "WAV")
    assert share_of_energy(white, 300, 3400) < 0.4
    assert share_of_energy(heard(name, white), 280, 3600) > 0.98
    assert rms(heard(name, tone(pitch_hz=1000))) == pytest.approx(rms(tone()), rel=0.05)
    assert rms(heard(name, tone(pitch_hz=100))) < 0.05 * rms(tone())
    assert rms(heard(name, tone(pitch_hz=5000))) < 0.05 * rms(tone())


def test_mu_law_adds_the_noise_of_8_bits():
    plain, coarse = (heard(f"telephone band, {end}", voice(2.0)) for end in ("8 kHz", "mu-law"))
    assert 30 < 20 * np.log10(rms(plain) / rms(coarse - plain)) < 45  # dB


@pytest.mark.slow
@pytest.mark.parametrize(("name", "format", "bit_rate"), [("MP3", "MP3", 64_000), ("Opus", "OGG", 24_000)])
def test_coders_really_code(name, format, bit_rate):
    name = next(known for known in DISTORTIONS if known.startswith(name))
    data = made(name, voice(6.0))
    with open_recording(data) as recording:
        assert recording.format == format
    assert 8 * len(data) / 6 == pytest.approx(bit_rate, rel=0.15)
    decoded, sound = heard(name, voice(6.0)), voice(6.0)
    aligned = max(np.corrcoef(decoded[lag : lag + RATE], sound[:RATE])[0, 1] for lag in range(RATE // 10))
    assert 0.85 < aligned < 1 - 1e-9  # the same sound, with loss


def test_noise_is_white_and_20_db_under_the_speech():
    sound = np.concatenate([PAUSE, 0.2 * voice(2.0), PAUSE])
    added = heard("white noise, 20 dB SNR", sound) - sound
    start, end = trim(sound)
    assert 20 * np.log10(rms(sound[start:end]) / rms(added)) == pytest.approx(20, abs=0.2)
    assert rms(added[: len(PAUSE)]) == pytest.approx(rms(added), rel=0.05)  # in the pauses too
    assert share_of_energy(added, 0, 4000) == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_excerpt_is_a_piece_of_the_speech():
    sound = np.concatenate([PAUSE, voice(3.0), PAUSE])
    start, end = trim(sound)
    starts = set()
    for seed in range(8):
        piece = heard("excerpt of 1.5 s", sound, seed)
        assert len(piece) == 1.5 * RATE
        gaps = np.abs(np.lib.stride_tricks.sliding_window_view(sound, 64) - piece[:64]).max(axis=1)
        starts.add(int(gaps.argmin()))
        np.testing.assert_allclose(piece, sound[gaps.argmin() : gaps.argmin() + len(piece)], atol=1e-4)
    assert len(starts) > 4 and start <= min(starts) and max(starts) + 1.5 * RATE <= end


def test_excerpt_of_less_is_all_of_it():
    sound = np.concatenate([PAUSE, voice(1.0), PAUSE])
    start, end = trim(sound)
    np.testing.assert_allclose(heard("excerpt of 1.5 s", sound), sound[start:end], atol=1e-4)


def test_an_offset_moves_the_mean():
    assert (heard("offset of 2 %", 0.5 * voice(1.0)) - 0.5 * voice(1.0)).mean() == pytest.approx(0.02, abs=1e-4)


@pytest.mark.parametrize("level_db", [-30, -20])
def test_hum_is_low_and_as_loud_as_it_says(level_db):
    sound = 0.5 * voice(2.0)
    added = heard(f"hum at {level_db} dB", sound) - sound
    assert 20 * np.log10(np.abs(added).max() / np.abs(sound).max()) == pytest.approx(level_db, abs=0.2)
    assert share_of_energy(added, 45, 155) > 0.98


def test_a_pop_is_short_and_as_loud_as_the_peak():
    sound = 0.4 * voice(2.0)
    added = heard("a pop", sound) - sound
    assert np.count_nonzero(np.abs(added) > 1e-3) <= 0.03 * RATE
    assert added.max() == pytest.approx(np.abs(sound).max(), rel=0.01)


def test_a_pause_is_inserted_where_it_is_quiet():
    sound = np.concatenate([voice(1.0), np.zeros(RATE // 10, np.float32), voice(1.0)])
    paused = heard("a pause of 10 s", sound)
    assert len(paused) == len(sound) + 10 * RATE
    (silent,) = np.nonzero(np.convolve(np.abs(paused), np.ones(9 * RATE), "valid") < 1e-3)
    assert abs(silent.mean() + 4.5 * RATE - len(paused) / 2) < RATE / 10


def test_a_room_is_heard_before_and_after_25_db_under_the_speech():
    sound = np.concatenate([PAUSE, 0.2 * voice(2.0), PAUSE])
    in_room = heard("3 s of a room around", sound)
    added, (start, end) = in_room - np.pad(sound, 3 * RATE), trim(sound)
    assert len(in_room) == len(sound) + 6 * RATE
    for part in (added[: 3 * RATE], added[-3 * RATE :], added):
        assert 20 * np.log10(rms(sound[start:end]) / rms(part)) == pytest.approx(25, abs=1)
    octaves = [share_of_energy(added, hz, 2 * hz) for hz in (100, 400, 1600)]
    assert max(octaves) < 1.2 * min(octaves)  # pink: each octave is as loud


def test_8_bits_are_coarse():
    steps = heard("8 bits", voice(1.0)) * 128
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_an_echo_follows_in_the_telephone_band():
    sound = np.concatenate([np.zeros(RATE, np.float32), voice(1.0), np.zeros(RATE, np.float32)])
    wet, dry = (heard(name, sound)[2 * RATE :] for name in ("telephone in a reverberant room", "telephone band, 8 kHz"))
    assert rms(wet[: RATE // 5]) > 3 * rms(dry[RATE // 50 : RATE // 5])
    assert rms(wet[RATE // 2 :]) < 0.05 * rms(wet[: RATE // 5])
    assert share_of_energy(wet, 280, 3600) > 0.9
