"""Functionals: equal to NumPy, right for rising, fading and modulated sounds, and free of gain."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from golden.make import RATE, chords, noise, seconds, tone, voice

from ser.features.descriptors import HOP_LENGTH, NAMES, descriptors
from ser.features.functionals import (
    DESCRIPTOR_NAMES,
    FEATURE_NAMES,
    MODULATION_HZ,
    PITCH_NAMES,
    SLOPE_STATISTICS,
    STATISTICS,
    functionals,
)
from ser.features.preprocessing import normalise

BANDS = [f"{low}-{high}hz" for low, high in pairwise(MODULATION_HZ)]


def buzz(pitch_hz: np.ndarray | float, duration_s: float = 2.0) -> np.ndarray:
    """Fourteen harmonics of a pitch in Hz, steady or one for each sample, peak 1."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(pitch_hz, seconds(duration_s).shape)) / RATE
    return normalise(np.sum([np.sin(k * phase) / k for k in range(1, 15)], axis=0).astype(np.float32))


def gliding(start_hz: float, end_hz: float) -> np.ndarray:
    """Two seconds from one pitch to another, at a steady pace in semitones."""
    return buzz(np.geomspace(start_hz, end_hz, 2 * RATE))


def named(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, functionals(samples).tolist(), strict=True))


def smoothed(samples: np.ndarray, name: str) -> np.ndarray:
    """Return a descriptor smoothed as in the functionals: a mean over three frames, the ends mirrored."""
    values = descriptors(samples)[:, NAMES.index(name)].astype(np.float64)
    return np.convolve(np.pad(values, 1, mode="symmetric"), np.ones(3) / 3, "valid")


# --- Names and shapes ---


def test_names_are_unique_and_match_the_values():
    per_descriptor = len(STATISTICS) + len(SLOPE_STATISTICS) + 2
    assert len(FEATURE_NAMES) == len(set(FEATURE_NAMES)) > per_descriptor * len(DESCRIPTOR_NAMES)
    features = functionals(normalise(voice()))
    assert features.shape == (len(FEATURE_NAMES),) and features.dtype == np.float32


@pytest.mark.parametrize(
    "samples",
    [np.ones(1), np.zeros(1), np.zeros(RATE), np.ones(RATE), voice(0.1), noise(0.1), tone(3.5)],
    ids=["one sample", "one zero", "silence", "constant", "0.1 s of voice", "0.1 s of noise", "a whole window"],
)
def test_hard_sounds_are_finite_and_of_sane_size(samples):
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        features = functionals(samples.astype(np.float32))
    assert np.isfinite(features).all() and np.abs(features).max() < 1e4


# --- Statistics, each against NumPy ---


@pytest.mark.parametrize("name", ["level_db", "centroid_khz", "mfcc_1", "voicing"])
def test_statistics_are_those_of_numpy(name):
    samples = normalise(voice())
    features, values = named(samples), smoothed(samples, name)
    time = np.linspace(-0.5, 0.5, len(values))
    steps, third = np.diff(values), len(values) // 3
    low, middle, high = np.percentile(values, [1, 50, 99], method="nearest")
    for statistic, expected in {
        "mean": values.mean(),
        "std": values.std(),
        "skewness": np.mean((values - values.mean()) ** 3) / values.std() ** 3,
        "kurtosis": np.mean((values - values.mean()) ** 4) / values.std() ** 4,
        "p50": middle,
        "range": high - low,
        "slope": np.polyfit(time, values, 1)[0],
        "curve": np.polyfit(time, values, 2)[0],
        "above_50": np.mean(values > (low + high) / 2),
        "rising": np.mean(steps > 0),
        "argmax": values.argmax() / len(values),
        "argmin": values.argmin() / len(values),
        "first": values[:third].mean() - values.mean(),
        "last": values[-third:].mean() - values.mean(),
    }.items():
        # Single precision against double: a step of nearly zero may fall on either side of it.
        exact = {"abs": 0.02} if statistic in ("rising", "argmin") else {"rel": 2e-3, "abs": 2e-3}
        assert features[f"{name}_{statistic}"] == pytest.approx(expected, **exact), statistic


def test_neighbouring_mel_bands_are_taken_together():
    samples = normalise(voice())
    mel = descriptors(samples)[:, :2].mean(axis=1)
    assert named(samples)["mel_1-2_mean"] == pytest.approx(mel.mean(), abs=0.05)  # smoothing moves the ends only


def test_slopes_of_a_fading_tone():
    """20 dB a second: 0.32 dB a frame."""
    features = named((tone(2.0, 400.0, 1.0) * 10 ** (-seconds(2.0))).astype(np.float32))
    per_frame = -20 * HOP_LENGTH / RATE
    for statistic in ("p25", "p75"):
        assert features[f"level_db_slope_{statistic}"] == pytest.approx(per_frame, rel=0.05)
    assert features["level_db_slope_absolute"] == pytest.approx(-per_frame, rel=0.1)
    assert features["level_db_slope"] == pytest.approx(-40, rel=0.05)  # over the window
    assert features["level_db_first"] > 5 and features["level_db_last"] < -5 and features["level_db_rising"] < 0.1


def test_voiced_means_are_those_of_the_voiced_frames():
    """A loud buzz, then a softer noise."""
    sound = np.concatenate([buzz(150.0, 1.0), 0.1 * normalise(noise(1.0))])
    alone, features = named(buzz(150.0, 1.0)), named(sound)
    assert features["level_db_voiced_mean"] == pytest.approx(alone["level_db_mean"], abs=0.5)
    assert features["level_db_mean"] < features["level_db_voiced_mean"] - 3
    assert named(normalise(noise()))["level_db_voiced_mean"] == pytest.approx(
        named(normalise(noise()))["level_db_mean"]
    )


# --- Pitch ---


@pytest.mark.slow
def test_a_rising_pitch_has_a_positive_slope():
    up, down, level = named(gliding(120, 180)), named(gliding(180, 120)), named(buzz(150.0))
    octave = 12 * np.log2(180 / 120)
    assert up["pitch_slope"] == pytest.approx(octave, rel=0.05) and down["pitch_slope"] == pytest.approx(
        -octave, rel=0.05
    )
    assert up["pitch_first"] < 0 < up["pitch_last"] and down["pitch_last"] < 0 < down["pitch_first"]
    assert up["pitch_rising"] > 0.9 and down["pitch_rising"] < 0.1
    assert up["pitch_rise"] > 0 and up["pitch_fall"] == pytest.approx(0, abs=1e-3)
    assert abs(level["pitch_slope"]) < 0.1 and level["pitch_std"] < 0.1
    assert up["pitch_range_90"] == pytest.approx(0.9 * octave, rel=0.05)


@pytest.mark.parametrize("pitch_hz", [100, 200])
def test_mean_pitch_counts_semitones_from_two_octaves_above_55_hz(pitch_hz):
    assert named(buzz(pitch_hz))["pitch_mean"] == pytest.approx(12 * np.log2(pitch_hz / 220), abs=0.3)


def test_voiced_runs_and_gaps():
    pause = np.zeros(RATE // 2, np.float32)
    features = named(np.concatenate([buzz(150.0, 0.6), pause, buzz(150.0, 0.4), pause, buzz(150.0, 0.2)]))
    assert features["pitch_runs"] == pytest.approx(3 / 2.2, rel=0.02)  # a second
    # A frame of 64 ms overlaps the buzz before it begins.
    assert features["pitch_run"] == pytest.approx(0.4, abs=0.07) and features["pitch_run_max"] == pytest.approx(
        0.6, abs=0.07
    )
    assert features["pitch_gap"] == pytest.approx(0.5, abs=0.07)
    assert features["pitch_voiced"] == pytest.approx(1.2 / 2.2, abs=0.07)


def test_pitch_and_level_that_rise_together():
    louder = np.linspace(0.2, 1, 2 * RATE)
    together, apart = (named((gliding(*ends) * louder).astype(np.float32)) for ends in ((120, 180), (180, 120)))
    assert together["pitch_with_level"] > 0.9 and apart["pitch_with_level"] < -0.9


def test_without_voice_pitch_statistics_are_zero():
    features = named(normalise(noise()))
    assert [features[f"pitch_{name}"] for name in PITCH_NAMES] == [0.0] * len(PITCH_NAMES)


# --- Rhythm ---


@pytest.mark.parametrize(("rate_hz", "band"), [(2.2, "1.5-3hz"), (4, "3-5hz"), (6.5, "5-8hz"), (10, "8-12hz")])
def test_modulation_is_in_its_band(rate_hz, band):
    envelope = 1 + 0.5 * np.sin(2 * np.pi * rate_hz * seconds(3.0))
    features = named(normalise((tone(3.0, 400.0) * envelope).astype(np.float32)))
    assert max(BANDS, key=lambda name: features[f"level_{name}"]) == band


def test_length_is_a_feature():
    features = named(normalise(voice(2.0)))
    assert features["log_frames"] == pytest.approx(np.log(2 * RATE // HOP_LENGTH + 1))


# --- Gain ---


@pytest.mark.parametrize("gain", [10 ** (-12 / 20), 10 ** (12 / 20), 0.1])
@pytest.mark.parametrize("make", [voice, noise, chords], ids=["voice", "noise", "chords"])
def test_gain_changes_nothing(make, gain):
    """Up to rounding, since samples are normalised first."""
    plain = functionals(normalise(make()))
    louder = functionals(normalise((gain * make()).astype(np.float32)))
    assert (np.abs(louder - plain) / np.maximum(np.abs(plain), 1)).max() < 1e-4
