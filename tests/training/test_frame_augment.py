"""Frames altered anew in every batch: what may change, and that padding never does."""

from __future__ import annotations

import numpy as np
import pytest

from ser.features.descriptors import N_FRAMES, NAMES
from ser.models.voice import N_MELS
from ser.training import frame_augment as frames
from ser.training.configs import CONFIGS
from ser.training.frame_augment import alter_frames

N = 20  # rows
CROP = CONFIGS["sequence"].crop_frames


def rows(heard: int = 60, n: int = N) -> np.ndarray:
    """Standardised frames of which the first `heard` hold sound; read-only, as those of a feature table must stay."""
    made = np.zeros((n, N_FRAMES, len(NAMES)), np.float32)
    made[:, :heard] = np.random.default_rng(heard).standard_normal((n, heard, len(NAMES)), np.float32)
    made.flags.writeable = False
    return made


def ramp(heard: int, n: int = N) -> np.ndarray:
    """Every feature counts the frames from 1, so that a frame tells where it was read."""
    counted = np.arange(1, N_FRAMES + 1, dtype=np.float32) * (np.arange(N_FRAMES) < heard)
    return np.tile(counted[None, :, None], (n, 1, len(NAMES)))


def altered(given: np.ndarray, seed: int = 0, n_frames: int = CROP, stretch: float = 0.25, warp: float = 0.1):
    return alter_frames(given, n_frames, stretch, warp, np.random.default_rng(seed))


def paced(given: np.ndarray, stretch: float, seed: int = 0) -> np.ndarray:
    return frames._paced(given, CROP, stretch, np.random.default_rng(seed))


@pytest.mark.parametrize("heard", [1, 2, 60, CROP, 150, N_FRAMES])
@pytest.mark.parametrize("n_frames", [50, CROP, N_FRAMES])
def test_altered_frames_are_finite_and_of_the_length_asked_for(heard, n_frames):
    found = altered(rows(heard), n_frames=n_frames)
    assert found.shape == (N, n_frames, len(NAMES)) and found.dtype == np.float32 and np.isfinite(found).all()
    assert np.abs(found).max() < 10


def test_the_generator_decides():
    given = rows()
    np.testing.assert_array_equal(altered(given, 3), altered(given, 3))
    assert not np.array_equal(altered(given, 3), altered(given, 4))
    first, again = (alter_frames(given, CROP, 0.25, 0.1, rng) for rng in [np.random.default_rng(3)] * 2)
    assert not np.array_equal(first, again)  # anew in every batch
    assert len({row.tobytes() for row in altered(np.tile(given[:1], (N, 1, 1)))}) == N  # and in every row


@pytest.mark.slow
def test_padding_stays_zero():
    for heard in (1, 20, 60):
        for seed in range(5):
            sound = altered(rows(heard), seed).any(axis=-1)
            first, last = sound.argmax(axis=1), CROP - 1 - sound[:, ::-1].argmax(axis=1)
            assert (np.where(sound.any(axis=1), last - first + 1, 0) <= heard * 1.25 + 1).all()
    assert not altered(rows(0)).any()


# --- Pace ---


@pytest.mark.parametrize("heard", [20, 60, CROP, 150, N_FRAMES])
def test_without_stretch_frames_stay_in_order_from_a_random_start(heard):
    read = paced(ramp(heard), 0.0)
    assert (read == read[..., :1]).all()  # all features of a frame stay together
    starts = set()
    for row in read[..., 0]:
        sound = row[row > 0]
        np.testing.assert_allclose(np.diff(sound), 1, atol=1e-4)
        assert min(heard, CROP) - 1 <= len(sound) <= heard and sound[0] >= 1 and sound[-1] <= heard
        starts.add((int((row > 0).argmax()), float(sound[0])))
    assert len(starts) > N / 2 or heard == CROP


def test_as_many_frames_as_asked_for_are_left_as_they_are():
    given = rows(CROP)
    np.testing.assert_allclose(paced(given, 0.0), given[:, :CROP], atol=1e-5)


@pytest.mark.slow
def test_stretch_changes_the_pace_within_its_limit():
    read = paced(ramp(N_FRAMES, 200), 0.25)[..., 0]
    pace = np.array([np.diff(row[row > 0]).mean() for row in read])
    assert (pace >= 1 / 1.25 - 1e-3).all() and (pace <= 1.25 + 1e-3).all() and np.ptp(pace) > 0.35
    assert 0.4 < np.mean(pace > 1) < 0.6  # faster as often as slower
    for row in read:
        np.testing.assert_allclose(np.diff(row[row > 0]), np.diff(row[row > 0]).mean(), atol=1e-3)


# --- Vocal tract, colour, gaps ---


def test_without_warp_the_bands_stay():
    mel = rows()[..., :N_MELS]
    np.testing.assert_array_equal(frames._warped(mel, 0.0, np.random.default_rng(0)), mel)


@pytest.mark.parametrize("band", [10, 32, 50])
def test_warp_moves_a_formant_in_proportion(band):
    mel = np.exp(-(((np.arange(N_MELS) - band) / 3.0) ** 2)).astype(np.float32) * np.ones((200, 5, 1), np.float32)
    peaks = frames._warped(mel, 0.12, np.random.default_rng(0)).argmax(axis=-1)
    assert (peaks == peaks[:, :1]).all()  # the same in every frame
    assert peaks.min() >= np.floor(band / 1.12) and peaks.max() <= np.ceil(band / 0.88)
    assert np.ptp(peaks) >= 0.15 * band


def test_colour_is_smooth_constant_over_time_and_another_for_every_row():
    colour = frames._colour(500, np.random.default_rng(0))
    assert colour.shape == (500, 1, N_MELS) and colour.dtype == np.float32
    assert colour[:, 0, 0].std() == pytest.approx(frames.COLOUR, rel=0.15) and abs(colour.mean()) < 0.02
    assert np.abs(np.diff(colour)).max() < 0.1 < np.abs(colour).max()


def test_gaps_are_few_and_short():
    kept = np.ones((200, CROP, len(NAMES)), np.float32)
    frames._mask(kept, np.random.default_rng(0))
    assert set(np.unique(kept)) == {0, 1}
    times = 1 - kept.any(axis=2).mean(axis=1)
    assert times.max() <= frames.MASKS * frames.MASKED_TIME and times.mean() > 0.05
    tracks = 1 - kept[..., N_MELS:].any(axis=1).mean()
    assert tracks == pytest.approx(frames.DROPPED, rel=0.15)
    bands = 1 - kept[..., :N_MELS].any(axis=1).mean(axis=1)
    assert frames.DROPPED < bands.mean() < frames.DROPPED + frames.MASKS * frames.MASKED_BANDS
