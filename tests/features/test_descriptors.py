"""Descriptors: right for synthetic sounds with known pitch, level and spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from golden.make import RATE, chords, noise, seconds, tone, voice

from ser.features.descriptors import (
    FLOOR_DB,
    HOP_LENGTH,
    LEVEL,
    N_FFT,
    N_MELS,
    N_MFCC,
    NAMES,
    PITCH_NAMES,
    SHAPE_NAMES,
    VOICED,
    VOICED_DB,
    descriptors,
)
from ser.features.preprocessing import normalise
from ser.features.spectral import mel_power, stft_power

REFERENCE_HZ = 55.0  # 0 semitones; the descriptor is two octaves lower
TOLERANCE = 0.3  # semitones


def buzz(pitch_hz: float, duration_s: float = 1.0) -> np.ndarray:
    """Fourteen harmonics of a steady pitch, peak 1."""
    phase = 2 * np.pi * pitch_hz * seconds(duration_s)
    return normalise(np.sum([np.sin(k * phase) / k for k in range(1, 15)], axis=0).astype(np.float32))


def named(samples: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, descriptors(samples).T, strict=True))


def within(values: np.ndarray) -> np.ndarray:
    """Drop the frames that reach beyond the ends of the samples."""
    return values[3:-3]


# --- Names and shapes ---


def test_names_are_unique_and_in_blocks():
    assert len(set(NAMES)) == len(NAMES) == N_MELS + N_MFCC + len(SHAPE_NAMES) + len(PITCH_NAMES) == 101
    assert NAMES[0] == "mel_1" and NAMES[N_MELS] == "mfcc_1" and NAMES[-3:] == PITCH_NAMES
    assert NAMES[LEVEL] == "level_db"


@pytest.mark.parametrize("length", [1, 255, 256, 257, RATE, 56_000])
def test_a_frame_every_16_ms(length):
    values = descriptors(tone(4.0)[:length])
    assert values.shape == (length // HOP_LENGTH + 1, len(NAMES)) and values.dtype == np.float32


@pytest.mark.parametrize(
    "samples",
    [np.ones(1), np.zeros(1), np.zeros(RATE), np.ones(RATE), voice(0.1), noise(0.1)],
    ids=["one sample", "one zero", "silence", "constant", "0.1 s of voice", "0.1 s of noise"],
)
def test_hard_sounds_are_finite(samples):
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        assert np.isfinite(descriptors(samples.astype(np.float32))).all()


# --- Pitch and voicing ---


@pytest.mark.parametrize("pitch_hz", [70, 100, 140, 200, 300])
def test_pitch_of_a_buzz(pitch_hz):
    values = named(buzz(pitch_hz))
    assert values["voiced"].all() and within(values["voicing"]).min() > 0.9
    semitones = 12 * np.log2(pitch_hz / REFERENCE_HZ)
    assert np.ptp(values["median_pitch"]) == 0
    assert values["median_pitch"][0] + 24 == pytest.approx(semitones, abs=TOLERANCE)
    assert np.abs(within(values["pitch_from_median"])).max() < TOLERANCE


def test_pitch_bends_around_its_median():
    """The pitch varies by a tenth, 1.7 times a second."""
    values = named(normalise(voice(2.0, 140.0)))
    time = np.arange(len(values["voiced"])) * HOP_LENGTH / RATE
    bend = 12 * np.log2(1 + 0.1 * np.sin(2 * np.pi * 1.7 * time))
    voiced = values["voiced"] > 0
    expected = bend - np.median(bend[voiced])
    assert voiced.mean() > 0.5 and not values["pitch_from_median"][~voiced].any()
    assert np.median(np.abs(values["pitch_from_median"] - expected)[voiced]) < TOLERANCE


def test_white_noise_is_unvoiced():
    values = named(normalise(noise(2.0)))
    assert not values["voiced"].any() and values["voicing"].max() < VOICED
    assert not values["pitch_from_median"].any()
    assert values["harmonics_to_noise_db"].max() < 0 < within(named(buzz(150.0))["harmonics_to_noise_db"]).min()


def test_quiet_frames_are_unvoiced():
    quiet = 10 ** (-(VOICED_DB + 5) / 20)
    values = named(np.concatenate([buzz(150.0), quiet * buzz(150.0)]).astype(np.float32))
    half = len(values["voiced"]) // 2
    assert values["voiced"][: half - 2].all() and not values["voiced"][half + 2 :].any()


# --- Level ---


def test_level_follows_amplitude():
    envelope = (1 + 0.8 * np.sin(2 * np.pi * 2 * seconds(2.0))) / 1.8
    values = named((tone(2.0, 400.0, 1.0) * envelope).astype(np.float32))["level_db"]
    expected = 20 * np.log10(envelope[::HOP_LENGTH][: len(values)] / np.sqrt(2))
    assert np.abs(within(values[: len(expected)] - expected)).max() < 0.5


def test_level_spans_60_db():
    values = named(np.concatenate([tone(0.5, 400.0, 1.0), np.zeros(RATE // 2, np.float32)]))["level_db"]
    assert np.ptp(values) == pytest.approx(FLOOR_DB, abs=1e-3)


def test_a_louder_second_half_is_louder():
    values = named(np.concatenate([0.25 * buzz(150.0), buzz(150.0)]))
    half = len(values["loudness"]) // 2
    for name in ("loudness", "level_db"):
        assert values[name][half + 2 :].min() > values[name][: half - 2].max()
    assert abs(int(values["flux"].argmax()) - half) <= 1


# --- The spectrum ---


@pytest.mark.parametrize("pitch_hz", [500, 1000, 2000, 4000, 6000])
def test_a_tone_has_its_power_at_its_frequency(pitch_hz):
    values = named(tone(1.0, pitch_hz, 1.0))
    for name in ("rolloff_25_khz", "rolloff_50_khz", "rolloff_75_khz"):
        assert within(values[name]) == pytest.approx(pitch_hz / 1000, abs=RATE / N_FFT / 1000)
    assert np.median(values["zero_crossing_rate"]) == pytest.approx(2 * pitch_hz / RATE, rel=0.1)


def test_centroid_follows_a_tone():
    """The floor of -60 dB in every bin biases it towards the middle of the spectrum, where it is exact."""
    centroids = [np.median(named(tone(1.0, hz, 1.0))["centroid_khz"]) for hz in (500, 1000, 2000, 4000, 6000)]
    assert centroids == sorted(centroids) and centroids[3] == pytest.approx(4, abs=0.01)
    assert all(abs(centroid - khz) < 0.5 for centroid, khz in zip(centroids, (0.5, 1, 2, 4, 6), strict=True))
    assert np.median(named(normalise(noise(2.0)))["centroid_khz"]) == pytest.approx(4, abs=0.2)


def test_noise_is_wide_and_a_tone_is_narrow():
    wide, narrow = named(normalise(noise())), named(tone(1.0, 4000.0, 1.0))
    for name in ("bandwidth_khz", "entropy"):
        assert within(wide[name]).min() > within(narrow[name]).max()
    assert within(wide["entropy"]).mean() == pytest.approx(np.log2(N_FFT / 2 + 1), abs=0.5)  # nearly even


def test_band_ratios_separate_low_and_high_tones():
    low, high = named(tone(1.0, 300.0, 1.0)), named(tone(1.0, 3000.0, 1.0))
    for name in ("alpha_ratio_db", "hammarberg_db"):
        assert within(low[name]).min() > 20 and within(high[name]).max() < -20
    assert within(low["sharpness"]).max() < within(high["sharpness"]).min()
    assert np.abs(np.median(named(normalise(noise(2.0)))["slope_high"])) < 10


def test_half_of_the_channel_is_removed():
    samples = normalise(voice())
    power = stft_power(samples, N_FFT, HOP_LENGTH)
    mel = mel_power(np.maximum(power, power.max() * 1e-6), N_MELS)
    mel_db = 10 * np.log10(np.maximum(mel, mel.max() * 1e-6))
    channel = mel_db.mean(axis=0) - mel_db.mean()
    values = descriptors(samples)[:, :N_MELS]
    np.testing.assert_allclose(values.mean(axis=0), channel / 2, atol=1e-3)
    np.testing.assert_allclose(values - values.mean(axis=0), mel_db - mel_db.mean(axis=0), atol=1e-3)


# --- Gain ---


@pytest.mark.parametrize("gain", [10 ** (-12 / 20), 10 ** (12 / 20), 0.1])
@pytest.mark.parametrize("make", [voice, noise, chords], ids=["voice", "noise", "chords"])
def test_gain_changes_nothing(make, gain):
    """Up to rounding, since samples are normalised first."""
    plain = descriptors(normalise(make()))
    louder = descriptors(normalise((gain * make()).astype(np.float32)))
    largest = np.maximum(np.abs(plain).max(axis=0), 1)
    assert (np.abs(louder - plain) / largest).max() < 1e-4


def test_mel_and_mfcc_do_not_depend_on_gain():
    plain, quiet = descriptors(voice()), descriptors(0.3 * voice())
    np.testing.assert_allclose(quiet[:, : N_MELS + N_MFCC], plain[:, : N_MELS + N_MFCC], atol=1e-3)
    assert (plain - quiet)[:, LEVEL] == pytest.approx(-20 * np.log10(0.3), abs=1e-3)
