"""Altered copies: one table of rules for every transform, and what each does to the sound."""

from __future__ import annotations

import numpy as np
import pytest
from golden.make import RATE, noise, tone, voice

from ser.training import augment
from ser.training.augment import AUGMENTATIONS, CHANCES, altered
from ser.types import ParameterError, Waveform

LIBROSA = {"time_stretch", "pitch_shift"}
EVERY = [pytest.param(name, marks=pytest.mark.slow if name in LIBROSA else ()) for name in AUGMENTATIONS]
LIGHT = {name: chance for name, chance in CHANCES.items() if name not in LIBROSA}
KEEP_LENGTH = set(AUGMENTATIONS) - {"time_stretch", "speed", "pause"}
LENGTHS_S = (0.05, 0.1, 0.3, 1.0)


def altered_by(name: str, sound: np.ndarray, seed: int, rate: int = RATE) -> np.ndarray:
    waveform = augment.apply(name, Waveform(sound, rate), np.random.default_rng(seed))
    assert waveform.sample_rate == rate
    return waveform.samples


def longer_s(name: str) -> float:
    """Return the seconds that a transform may add."""
    return augment.PAUSED_S[1] if name == "pause" else 0.0


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:n_fft=")
@pytest.mark.parametrize("duration_s", LENGTHS_S)
@pytest.mark.parametrize("name", EVERY)
def test_copy_is_finite_float32_of_a_sane_length(name, duration_s):
    sound = voice(duration_s)  # read-only: the recording itself must stay as it is
    for seed in range(10):
        copy = altered_by(name, sound, seed)
        assert copy.dtype == np.float32 and copy.ndim == 1 and copy.flags.c_contiguous
        assert np.isfinite(copy).all() and copy.any()
        if name in KEEP_LENGTH:
            assert len(copy) == len(sound)
        assert 0.8 * len(sound) <= len(copy) <= 1.25 * len(sound) + longer_s(name) * RATE


@pytest.mark.parametrize("name", EVERY)
def test_the_seed_decides(name):
    sound = voice(0.5)
    np.testing.assert_array_equal(altered_by(name, sound, 3), altered_by(name, sound, 3))
    assert not np.array_equal(altered_by(name, sound, 3), altered_by(name, sound, 4))
    assert not np.array_equal(altered_by(name, sound, 3), sound)


@pytest.mark.parametrize("name", EVERY)
def test_silence_stays_finite(name):
    copy = altered_by(name, np.zeros(8000, np.float32), 1)
    assert np.isfinite(copy).all() and np.abs(copy).max() < 1e-9


@pytest.mark.parametrize("name", EVERY)
def test_other_rates_are_taken(name):
    copy = altered_by(name, np.repeat(voice(0.5), 3), 1, 48_000)
    assert np.isfinite(copy).all() and 0.8 * 24_000 <= len(copy) <= 1.25 * 24_000 + longer_s(name) * 48_000


def test_gain_only_scales():
    ratios = []
    for seed in range(30):
        copy = altered_by("gain", voice(), seed)
        ratio = rms(copy) / rms(voice())
        np.testing.assert_allclose(copy, ratio * voice(), atol=1e-6)
        ratios.append(20 * np.log10(ratio))
    low, high = augment.GAIN_DB
    assert low - 0.01 <= min(ratios) < low + 3 and high - 3 < max(ratios) <= high + 0.01


@pytest.mark.slow
def test_noise_is_as_far_down_as_said():
    ratios = [20 * np.log10(rms(voice()) / rms(altered_by("noise", voice(), k) - voice())) for k in range(30)]
    low, high = augment.NOISE_SNR_DB
    assert low - 0.1 <= min(ratios) < low + 5 and high - 5 < max(ratios) <= high + 0.1


def test_shift_moves_and_fills_with_silence():
    moves = []
    for seed in range(30):
        copy = altered_by("shift", voice(), seed)
        later, earlier = (np.flatnonzero(copy)[[0, -1]] + [0, 1]).tolist()
        moved = later or earlier - len(copy)
        expected = voice()[max(-moved, 0) : len(copy) - max(moved, 0)]
        np.testing.assert_array_equal(copy[max(moved, 0) : len(copy) + min(moved, 0)], expected)
        moves.append(moved / RATE)
    assert -augment.SHIFT_S <= min(moves) < -0.1 and 0.1 < max(moves) <= augment.SHIFT_S


def pitch_hz(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**18))
    return float(spectrum.argmax() * RATE / 2**18)


@pytest.mark.slow
def test_speed_moves_pitch_and_length_together():
    for seed in range(10):
        copy = altered_by("speed", tone(1.0, 800.0), seed)
        assert pitch_hz(copy) / 800 == pytest.approx(RATE / len(copy), rel=2e-3)


@pytest.mark.slow
def test_stretch_keeps_the_pitch_and_pitch_shift_the_length():
    sound = tone(1.0, 800.0)
    for seed in range(5):
        assert pitch_hz(altered_by("time_stretch", sound, seed)) == pytest.approx(800, rel=0.01)
        shifted = pitch_hz(altered_by("pitch_shift", sound, seed))
        assert abs(12 * np.log2(shifted / 800)) <= augment.PITCH_SEMITONES[1] + 0.1
    assert len({len(altered_by("time_stretch", sound, seed)) for seed in range(5)}) == 5


def test_equaliser_stays_within_its_decibels():
    sound = noise(2.0)
    for seed in range(10):
        spectra = [np.abs(np.fft.rfft(x)) for x in (altered_by("equalise", sound, seed), sound)]
        response = 20 * np.log10(spectra[0][100:-100] / spectra[1][100:-100])
        assert np.abs(np.percentile(response, [1, 99])).max() <= augment.EQUALISER_DB + 0.2


@pytest.mark.slow
def test_telephone_keeps_the_band_of_a_call():
    for seed in range(10):
        tones = {hz: tone(pitch_hz=hz) for hz in (60, 1000, 3000, 5000)}
        kept = {hz: rms(altered_by("telephone", sound, seed)) / rms(sound) for hz, sound in tones.items()}
        assert kept[1000] > 0.99 and kept[3000] > 0.99
        assert kept[60] < 0.3 and kept[5000] < 1e-3


def test_room_leaves_a_tail():
    click = np.zeros(RATE, np.float32)
    click[1000] = 1
    copy = altered_by("reverberate", click, 1)
    assert not copy[:990].any() or np.abs(copy[:990]).max() < 1e-6
    assert rms(copy[1001:2000]) > 10 * rms(copy[-2000:])


@pytest.mark.parametrize("chances", [pytest.param(None, marks=pytest.mark.slow), LIGHT], ids=["all", "light"])
def test_altered_copies(chances):
    waveform = Waveform(voice(0.3), RATE)

    def copy(seed):
        return altered(waveform, np.random.default_rng(seed), chances).samples

    copies = [copy(seed) for seed in range(40)]
    for seed, samples in enumerate(copies):
        assert samples.dtype == np.float32 and np.isfinite(samples).all()
        assert not np.array_equal(samples, waveform.samples)  # at least one transform, each time
        np.testing.assert_array_equal(samples, copy(seed))
    assert len({samples.tobytes() for samples in copies}) == 40


def test_a_chance_of_0_never_and_of_1_always():
    waveform = Waveform(voice(0.3), RATE)
    for seed in range(20):
        copy = altered(waveform, np.random.default_rng(seed), {"gain": 1.0, "noise": 0.0}).samples
        np.testing.assert_allclose(copy, rms(copy) / rms(waveform.samples) * waveform.samples, atol=1e-6)


# --- Rows of frames ---


FRAMES = np.arange(1, 21, dtype=np.float32)[None, :, None] * np.ones((200, 1, 3), np.float32)  # row, frame, feature


def test_shifted_rows_lose_what_stands_over():
    before = FRAMES.copy()
    rows = augment.shift_frames(FRAMES, 4, np.random.default_rng(1))
    moves = set()
    for row in rows:
        heard = np.flatnonzero(row[:, 0])
        by = int(heard[0] - row[heard[0], 0] + 1)
        moves.add(by)
        expected = FRAMES[0, max(-by, 0) : 20 - max(by, 0)]
        np.testing.assert_array_equal(row[max(by, 0) : 20 + min(by, 0)], expected)
        assert len(heard) == 20 - abs(by)
    assert moves == set(range(-4, 5))
    np.testing.assert_array_equal(FRAMES, before)


def test_masked_rows_lose_one_stretch():
    before = FRAMES.copy()
    rows = augment.mask_frames(FRAMES, 5, np.random.default_rng(1))
    lengths = set()
    for row in rows:
        silent = np.flatnonzero(~row.any(axis=1))
        lengths.add(len(silent))
        assert len(silent) == 0 or np.ptp(silent) == len(silent) - 1
        heard = row.any(axis=1)
        np.testing.assert_array_equal(row[heard], FRAMES[0][heard])
    assert lengths == set(range(6))
    np.testing.assert_array_equal(FRAMES, before)


def test_every_chance_belongs_to_a_transform():
    assert CHANCES.keys() <= AUGMENTATIONS.keys()
    assert all(0 < chance <= 1 for chance in CHANCES.values())


def test_unknown_name_lists_the_known():
    with pytest.raises(ParameterError, match=r"'echo'.*time_stretch.*reverberate"):
        altered_by("echo", voice(0.3), 0)


# --- Mishaps ---


def test_hum_is_as_loud_as_said_and_low():
    sound = voice(1.0)
    for seed in range(10):
        added = altered_by("hum", sound, seed) - sound
        level_db = 20 * np.log10(np.abs(added).max() / np.abs(sound).max())
        assert augment.HUM_DB[0] - 0.5 <= level_db <= augment.HUM_DB[1] + 0.5
        spectrum = np.abs(np.fft.rfft(added))
        assert spectrum[: augment.HARMONICS * 60 + 10].sum() > 0.9 * spectrum.sum()


def test_clipping_cuts_the_peaks_off():
    sound = voice(1.0)
    copy = altered_by("clip", sound, 1)
    limit = np.abs(copy).max()
    assert limit < 0.9 * np.abs(sound).max() and np.mean(np.abs(copy) == limit) > 0.001
    np.testing.assert_array_equal(copy, np.clip(sound, -limit, limit))


def test_a_pop_is_short():
    sound = voice(1.0)
    changed = np.flatnonzero(altered_by("pop", sound, 2) != sound)
    assert 0 < np.ptp(changed) <= augment.POP_S[1] * RATE


def test_a_pause_is_inserted_and_the_sound_stays():
    sound = voice(1.0)
    copy = altered_by("pause", sound, 1)
    n_added = len(copy) - len(sound)
    assert augment.PAUSED_S[0] * RATE - 1 <= n_added <= augment.PAUSED_S[1] * RATE + 1
    start = int(np.flatnonzero(copy[: len(sound)] != sound)[0])
    assert not copy[start : start + n_added].any()
    np.testing.assert_array_equal(copy[start + n_added :], sound[start:])


def test_a_coded_copy_sounds_alike():
    sound = voice(1.0)
    for seed in range(6):
        copy = altered_by("codec", sound, seed)
        assert 0.5 < rms(copy) / rms(sound) < 1.5 and not np.array_equal(copy, sound)


@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_a_copy_is_coded_at_rates_that_no_codec_takes(rate):
    sound = np.repeat(voice(0.5), 2)
    for seed in range(6):
        assert abs(len(altered_by("codec", sound, seed, rate)) - len(sound)) <= 1
