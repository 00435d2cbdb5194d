"""Recipes of published systems: names, shapes, synthetic sounds, and equality with librosa."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden.make import RATE, clips, noise, tone, voice

from ser.audio.loading import load_waveform
from ser.features.preprocessing import normalise, trim, windows
from ser.features.published import FRAME_NAMES, MFCC_NAMES, N_FRAMES
from ser.features.recipes import RECIPES
from ser.features.spectral import HOP_LENGTH

STATIC42, STATIC180, FRAMES120, MFCC40 = (
    RECIPES[name] for name in ("static42-v1", "static180-v1", "frames120-v1", "mfcc40-v1")
)
PUBLISHED = [STATIC42, STATIC180, FRAMES120, MFCC40]
NAMES = [recipe.name for recipe in PUBLISHED]
SOUNDING = {name: samples for name, samples in clips().items() if name != "silence"}


def column(name: str) -> int:
    return FRAMES120.feature_names.index(name)


# --- Names, shapes ---


@pytest.mark.parametrize(
    ("recipe", "rate", "count", "shape"),
    [
        (STATIC42, 22_050, 42, (11, 4, 1)),
        (STATIC180, 22_050, 180, (180,)),
        (FRAMES120, 22_050, 120, (174, 120)),
        (MFCC40, 16_000, 40, (94, 40)),
    ],
    ids=NAMES,
)
def test_as_published(recipe, rate, count, shape):
    assert (recipe.sample_rate, recipe.shape) == (rate, shape)
    assert len(recipe.feature_names) == len(set(recipe.feature_names)) == count


def test_the_120_names():
    shape = ["centroid_hz", "bandwidth_hz", "rolloff_15_hz", "rolloff_50_hz", "rolloff_85_hz", "flatness"]
    pitches = ["c", "c_sharp", "d", "d_sharp", "e", "f", "f_sharp", "g", "g_sharp", "a", "a_sharp", "b"]
    expected = [f"mfcc_{k}" for k in range(1, 41)] + shape + ["zero_crossing_rate", "rms"]
    expected += [f"chroma_{pitch}" for pitch in pitches]
    assert list(FRAME_NAMES) == expected and len(expected) == 60
    assert list(FRAMES120.feature_names) == expected + [f"{name}_delta" for name in expected]


def test_the_names_of_the_statistics():
    assert STATIC42.feature_names == (*MFCC_NAMES, "zero_crossing_rate", "rms")
    blocks = ["mfcc"] * 40 + ["chroma"] * 12 + ["mel"] * 128
    assert [name.split("_")[0] for name in STATIC180.feature_names] == blocks


# --- Synthetic sounds ---


def test_42_numbers_and_two_zeros():
    row = STATIC42.extract(voice()).ravel()
    assert row[:42].all() and not row[42:].any()


def test_statistics_are_not_padded():
    for recipe in (STATIC42, STATIC180):
        short = recipe(normalise(voice(1.0)))
        padded = recipe(np.pad(normalise(voice(1.0)), (0, 2 * recipe.sample_rate)))
        assert len(short) == len(padded) == 1 and np.abs(short - padded).max() > 1


@pytest.mark.slow
def test_frames_beyond_the_sound_are_zero():
    sound = voice(1.0)
    n_frames = len(sound) // HOP_LENGTH + 1
    frames = FRAMES120.extract(sound)
    assert frames[:n_frames].any(axis=1).all() and not frames[n_frames:].any()
    frames = FRAMES120(voice(6.0))
    assert len(frames) > 1 and frames.shape[1:] == (N_FRAMES, 120) and frames.any(axis=2).all()


def test_three_seconds_end_in_silence():
    frames = MFCC40.extract(voice(1.0))
    np.testing.assert_allclose(frames[-20:], np.tile(frames[-1], (20, 1)), atol=1e-3)  # silence is the same all over
    np.testing.assert_array_equal(frames, MFCC40.extract(np.pad(voice(1.0), (0, 32_000))))


def test_frames_of_a_tone():
    sound = tone(2.0, 1000.0)  # as 1378 Hz at the recipe's rate
    pitch_hz = 1000 * FRAMES120.sample_rate / 16_000
    inner = FRAMES120.extract(sound)[3:-3][:50]
    for name in ("centroid_hz", "rolloff_15_hz", "rolloff_50_hz", "rolloff_85_hz"):
        np.testing.assert_allclose(inner[:, column(name)], pitch_hz, atol=25)
    assert inner[:, column("bandwidth_hz")].max() < 60 and inner[:, column("flatness")].max() < 1e-3
    np.testing.assert_allclose(inner[:, column("rms")], 0.5 / np.sqrt(2), rtol=1e-3)
    np.testing.assert_allclose(inner[:, column("zero_crossing_rate")], 2 * 1000 / 16_000, atol=1e-3)


def test_deltas_are_slopes():
    louder = tone(2.0) * np.linspace(0, 1, 32_000, dtype=np.float32)
    frames = FRAMES120.extract(louder)[10:50]
    slopes = np.gradient(frames[:, column("rms")])
    np.testing.assert_allclose(frames[:, column("rms_delta")], slopes, rtol=0.1)


@pytest.mark.parametrize("recipe", PUBLISHED, ids=NAMES)
@pytest.mark.parametrize("n_samples", [1, 2, 511, 512, 513, 2047, 5000])
def test_any_length_gives_numbers(recipe, n_samples):
    row = recipe.extract(voice()[1000 : 1000 + n_samples])
    assert row.shape == recipe.shape and row.dtype == np.float32 and np.isfinite(row).all()


@pytest.mark.parametrize("recipe", PUBLISHED, ids=NAMES)
def test_silence_stays_finite(recipe):
    assert np.isfinite(recipe.extract(np.zeros(16_000, np.float32))).all()


# --- Equal to librosa ---


def librosa_frames(y: np.ndarray, sr: int = 22_050) -> dict[str, np.ndarray]:
    """Every block of frames by the direct call, shape (n_frames, k)."""
    import librosa

    feature = librosa.feature
    blocks = {
        "mfcc": feature.mfcc(y=y, sr=sr, n_mfcc=40),
        "centroid": feature.spectral_centroid(y=y, sr=sr),
        "bandwidth": feature.spectral_bandwidth(y=y, sr=sr),
        **{f"rolloff{share}": feature.spectral_rolloff(y=y, sr=sr, roll_percent=share) for share in (0.15, 0.5, 0.85)},
        "flatness": feature.spectral_flatness(y=y),
        "zero crossings": feature.zero_crossing_rate(y),
        "rms": feature.rms(y=y),
        "chroma": feature.chroma_stft(y=y, sr=sr, tuning=0),
    }
    n_frames = blocks["rms"].shape[1]
    width = min(9, n_frames - 1 + n_frames % 2)
    deltas = {f"{name} delta": feature.delta(block, width=width) for name, block in blocks.items()}
    return {name: block.T for name, block in {**blocks, **deltas}.items()}


def assert_equal(values: np.ndarray, expected: dict[str, np.ndarray], sound: str) -> None:
    """Blocks side by side on the last axis, within the contract's tolerances."""
    first = 0
    for name, block in expected.items():
        ours = values[..., first : first + block.shape[-1]]
        first += block.shape[-1]
        tolerance = 1e-3 if name.endswith("delta") else 1e-4
        assert np.abs(ours - block).max() <= tolerance * np.abs(block).max() + 1e-9, (name, sound)
    assert first == values.shape[-1]


def assert_as_librosa(window: np.ndarray, sound: str) -> None:
    import librosa

    frames = librosa_frames(window)
    mel = librosa.feature.melspectrogram(y=window, sr=22_050).mean(axis=1)
    means = {name: block.mean(axis=0) for name, block in frames.items()}
    expected = {name: means[name] for name in ("mfcc", "zero crossings", "rms")}
    assert_equal(STATIC42.extract(window).ravel()[:42], expected, sound)
    assert_equal(STATIC180.extract(window), {"mfcc": means["mfcc"], "chroma": means["chroma"], "mel": mel}, sound)
    assert_equal(FRAMES120.extract(window)[: len(frames["rms"])], frames, sound)
    fixed = librosa.util.fix_length(window, size=48_000)
    expected = {"mfcc": librosa.feature.mfcc(y=fixed, sr=16_000, n_mfcc=40, n_fft=1024, hop_length=512).T}
    assert_equal(MFCC40.extract(window[:48_000]), expected, sound)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:n_fft=", "ignore:Empty filters")
@pytest.mark.parametrize("name", SOUNDING)
def test_blocks_equal_librosa(name):
    start, end = trim(SOUNDING[name])
    sound = normalise(SOUNDING[name][start:end])[:48_000]
    # Faint noise, as in every recording: without it the bandwidth of a tone is rounding.
    assert_as_librosa(sound + noise(len(sound) / RATE, 1e-3), name)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.filterwarnings("ignore:Empty filters")
def test_blocks_equal_librosa_on_real_speech(ser_data):
    files = sorted(Path(ser_data, "ravdess").rglob("*.flac"))[::240] + sorted(Path(ser_data).rglob("*.ogg"))[::900]
    assert len(files) > 8
    for file in files:
        sound = load_waveform(file, 22_050).samples
        start, end = trim(sound)
        for window in windows(normalise(sound[start:end]), 77_175):
            assert_as_librosa(window, file.name)
