"""`voice105-v1` and its parts: right for synthetic sounds, equal to librosa, and unchanged."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from golden.make import GOLDEN, RATE, chords, clips, noise, tone, voice

from ser.audio.loading import load_waveform
from ser.datasets.corpora import load_corpus
from ser.evaluation.distortions import pink_noise
from ser.extras import advice
from ser.features import preprocessing, spectral
from ser.features.preprocessing import high_pass, normalise, prepare, reduce_noise, trim, windows
from ser.features.recipes import RECIPES, recipe, with_encoder
from ser.features.spectral import HOP_LENGTH, N_FFT
from ser.features.voice105 import FLOOR_DB, ZERO_CROSSING_THRESHOLD
from ser.types import ParameterError, Waveform

VOICE105 = RECIPES["voice105-v1"]
BLOCKS = {
    "mfcc mean": slice(0, 13),
    "mfcc std": slice(13, 26),
    "mfcc delta": slice(26, 39),
    "mel": slice(39, 87),
    "centroid": slice(87, 89),
    "roll-off": slice(89, 91),
    "zero crossings": slice(91, 93),
    "chroma": slice(93, 105),
}
DISPERSION = {
    "mfcc std",
    "mfcc delta",
}  # of a constant they are the rounding of the processor
SHORT = [1, 2, *range(3, 13)]  # frames


def named(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(VOICE105.feature_names, VOICE105.extract(samples).tolist(), strict=True))


def of_frames(n_frames: int) -> np.ndarray:
    """A voice that is `n_frames` frames long."""
    return voice(1.0)[2000 : 2000 + n_frames * HOP_LENGTH - 100]


# --- Names, order, recipe ---


def test_105_names_are_unique_and_in_the_published_order():
    names = VOICE105.feature_names
    assert len(names) == len(set(names)) == 105
    starts = ["mfcc_mean", "mfcc_std", "mfcc_delta", "mel_db", "centroid_hz", "rolloff_hz", "zero_crossing", "chroma"]
    for start, block in zip(starts, BLOCKS.values(), strict=True):
        assert all(name.startswith(start) for name in names[block])
        assert sum(name.startswith(start) for name in names) == block.stop - block.start
    pairs = [names[block] for block in list(BLOCKS.values())[4:7]]
    assert all(mean.endswith("_mean") and deviation.endswith("_std") for mean, deviation in pairs)
    assert names[93] == "chroma_c" and names[102] == "chroma_a"


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_gives_finite_float32_of_its_shape(name):
    made = with_encoder(recipe(name), lambda log_mel: np.resize(log_mel.mean(axis=1), recipe(name).shape))
    assert made.name == name and len(made.feature_names) == len(set(made.feature_names))
    for sound in clips().values():
        rows = made.of(Waveform(sound, made.sample_rate))
        assert rows.dtype == np.float32 and rows.shape[1:] == made.shape
        assert np.isfinite(rows).all()


def test_unknown_recipe_lists_the_known():
    with pytest.raises(ParameterError, match=r"'voice9'.*voice105-v1"):
        recipe("voice9")


def test_a_waveform_at_another_rate_is_refused():
    with pytest.raises(ParameterError, match="16000 Hz, got 48000 Hz"):
        VOICE105.of(Waveform(tone(), 48_000))


# --- Synthetic truth ---


@pytest.mark.parametrize("pitch_hz", [500.0, 1000.0, 3000.0, 6000.0])
def test_centroid_and_rolloff_of_a_tone_lie_at_its_frequency(pitch_hz):
    sound = tone(2.0, pitch_hz)
    inner = np.sqrt(spectral.stft_power(sound))[3:-3]  # frames at the ends hold the click of an abrupt start
    np.testing.assert_allclose(spectral.spectral_centroid(inner), pitch_hz, rtol=5e-3)
    np.testing.assert_allclose(spectral.spectral_rolloff(inner), pitch_hz, atol=2 * RATE / N_FFT)
    np.testing.assert_allclose(spectral.zero_crossing_rate(sound)[3:-3], 2 * pitch_hz / RATE, atol=1.01 / N_FFT)
    assert named(sound)["centroid_hz_mean"] == pytest.approx(pitch_hz, rel=0.25)


@pytest.mark.parametrize("n_bins", [5, 32, 33, 1025])
def test_rolloff_is_the_bin_at_which_the_running_sum_reaches_the_share(rng, n_bins):
    magnitude = np.abs(rng.normal(size=(2000, n_bins))).astype(np.float32) ** 8
    magnitude[0] = 0
    running = magnitude.cumsum(axis=1)
    bins = (running >= 0.85 * running[:, -1:]).argmax(axis=1)
    np.testing.assert_array_equal(spectral.spectral_rolloff(magnitude), spectral.frequencies(RATE, n_bins)[bins])


def test_the_loudest_mel_band_rises_with_the_pitch():
    loudest = [int(np.argmax(VOICE105.extract(tone(1.0, hz))[BLOCKS["mel"]])) for hz in (200, 500, 1000, 2000, 4000)]
    assert loudest == sorted(set(loudest))


@pytest.mark.parametrize(("pitch_hz", "name"), [(440.0, "chroma_a"), (261.63, "chroma_c"), (369.99, "chroma_f_sharp")])
def test_chroma_of_a_tone_is_its_pitch_class(pitch_hz, name):
    values = {key: value for key, value in named(tone(2.0, pitch_hz)).items() if key.startswith("chroma")}
    assert max(values, key=values.__getitem__) == name and values[name] > 0.9


def test_silence_has_no_energy_and_no_nan():
    values = named(np.zeros(RATE, np.float32))
    assert np.isfinite(list(values.values())).all()
    assert spectral.stft_power(np.zeros(RATE, np.float32)).sum() == 0
    silent = [value for name, value in values.items() if name.startswith(("centroid", "rolloff", "zero", "chroma"))]
    assert silent == [0.0] * 18
    mel = [value for name, value in values.items() if name.startswith("mel")]
    assert mel == pytest.approx([-100.0] * 48)  # the floor of a power


def test_noise_crosses_zero_more_than_a_voice_and_a_tone():
    rates = [named(sound)["zero_crossing_rate_mean"] for sound in (noise(), voice(), tone(1.0, 100.0))]
    assert rates == sorted(rates, reverse=True) and rates[0] > 3 * rates[1]
    assert rates[0] == pytest.approx(0.5, abs=0.04)


def test_delta_is_the_slope():
    ramp = np.outer(np.arange(40), [1.0, -2.0, 0.0]).astype(np.float32)
    np.testing.assert_allclose(spectral.delta_mean(ramp), [1, -2, 0], atol=1e-5)
    assert spectral.delta_mean(ramp[:1]).tolist() == spectral.delta_mean(ramp[:2]).tolist() == [0, 0, 0]


@pytest.mark.parametrize("n_frames", [1, 2, 3, 5, 8, 9, 10, 40])
def test_delta_mean_is_the_mean_of_delta(n_frames, rng):
    values = rng.standard_normal((n_frames, 5)).astype(np.float32)
    slopes = spectral.delta(values)
    assert slopes.shape == values.shape
    np.testing.assert_allclose(spectral.delta_mean(values), slopes.mean(axis=0), atol=1e-6)


# --- Gain, trimming, windows ---


@pytest.mark.parametrize("sound", [voice(2.0), 0.02 * voice(1.0), noise(), chords()], ids=list("abcd"))
@pytest.mark.parametrize("gain_db", [-12.0, 12.0])
def test_gain_changes_nothing(sound, gain_db):
    plain = VOICE105.of(Waveform(sound, RATE))[0]
    turned = VOICE105.of(Waveform(sound * np.float32(10 ** (gain_db / 20)), RATE))[0]
    for name, block in BLOCKS.items():
        difference = np.abs(turned[block] - plain[block]).max()
        assert difference <= 1e-4 * np.abs(plain[block]).max(), name


def test_trim_leaves_out_silence_at_both_ends_only():
    pause = np.zeros(RATE, np.float32)
    sound = np.concatenate([pause, voice(0.5), pause, voice(0.5), pause])
    start, end = trim(sound)
    assert RATE - N_FFT < start <= RATE + 2000 and 3 * RATE - 2000 <= end < 3 * RATE + N_FFT
    assert trim(pause) == (0, RATE)


def test_trim_keeps_30_db():
    loud = tone(1.0, 500.0, 0.9)
    for level_db, kept in ((-28, True), (-32, False)):
        start, _ = trim(np.concatenate([loud * np.float32(10 ** (level_db / 20)), loud]))
        assert (start <= HOP_LENGTH) is kept  # the first frame is half empty


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 48_000])
@pytest.mark.parametrize("n_samples", [1, 700, 56_000])
def test_the_high_pass_is_a_butterworth_filter_forwards_and_backwards(rate, n_samples):
    samples = (0.1 + 0.3 * np.random.default_rng(0).standard_normal(n_samples)).astype(np.float32)
    centred = samples.astype(float) - samples.mean(dtype=float)
    n = 2 * (n_samples + rate)
    hz = np.maximum(np.fft.rfftfreq(n, 1 / rate), 70 / 64)
    expected = np.fft.irfft(np.fft.rfft(centred, n) / (1 + (70 / hz) ** 8), n)[:n_samples]
    np.testing.assert_allclose(high_pass(samples, rate), expected, atol=1e-6)


STEADY = {"white": noise(12.0, 1.0), "pink": pink_noise(12 * RATE, RATE, np.random.default_rng(1))}


@pytest.mark.parametrize("color", STEADY)
@pytest.mark.parametrize("level_db", [-40, -28, -20, -16])
@pytest.mark.parametrize("opens_s", [0, 1])  # of digital silence while a microphone opens
def test_steady_noise_before_after_and_between_is_left_out(color, level_db, opens_s):
    said, pause = voice(1.5), np.zeros(3 * RATE, np.float32)
    sound = np.concatenate([pause, said, pause, said, pause])
    hiss = STEADY[color][: len(sound)]
    sound += np.sqrt(np.square(said).mean()) * 10 ** (level_db / 20) * hiss / np.sqrt(np.square(hiss).mean())
    sound[: opens_s * RATE] = 0
    prepared = prepare(sound, RATE)
    assert 3 * RATE - 2 * N_FFT < prepared.start <= 3 * RATE + N_FFT
    assert 9 * RATE - N_FFT < prepared.end <= 9 * RATE + 2 * N_FFT
    assert len(prepared.breaks) == 1
    assert 3 * RATE - 2 * N_FFT < prepared.n_sound <= len(prepared.samples) < 3 * RATE + 6 * N_FFT


@pytest.mark.parametrize("level_db", [-12, -18])
def test_a_quiet_speaker_after_a_loud_one_is_heard(level_db):
    """A vowel is as steady as noise, but something is quieter."""
    vowel, gap = tone(1.0, 500.0, 0.3), np.zeros(round(1.2 * RATE), np.float32)
    said = np.concatenate([voice(0.5), vowel, voice(0.5)])
    quiet = said * np.float32(10 ** (level_db / 20))
    assert len(prepare(np.concatenate([said, gap, quiet]), RATE).samples) > 1.9 * len(said)


def test_a_word_in_steady_noise_is_too_short():
    word = voice(1.0)[RATE // 3 : 2 * RATE // 3]
    sound = noise(4.0, 0.03 * float(np.sqrt(np.square(word).mean())))
    assert prepare(sound, RATE).n_sound == 4 * RATE
    sound = np.concatenate([sound[:RATE], word, sound[RATE:]])
    assert RATE // 4 < prepare(sound, RATE).n_sound < RATE // 2


@pytest.mark.parametrize("level_db", [-3, 0])
def test_noise_that_is_about_as_loud_as_the_voice_stays(level_db):
    hiss = noise(3.0, 1.0) * np.sqrt(np.square(voice(1.5)).mean()) * 10 ** (level_db / 20)
    assert len(prepare(np.concatenate([hiss, voice(1.5), hiss]).astype(np.float32), RATE).samples) > 7 * RATE
    assert len(prepare(hiss.astype(np.float32), RATE).samples) > 2.8 * RATE


def test_a_sound_that_fades_is_no_noise():
    fading = np.concatenate([voice(1.0), noise(1.0, 1.0) * np.logspace(-0.5, -1.4, RATE)]).astype(np.float32)
    assert len(prepare(fading, RATE).samples) > 1.9 * RATE


@pytest.mark.parametrize("corpus", ["ravdess", "emodb", "nemo"])
def test_speech_of_a_studio_is_prepared_as_if_there_were_no_steady_noise(ser_data, monkeypatch, corpus):
    waveforms = [load_waveform(clip.path, RATE) for clip in load_corpus(corpus, str(ser_data)).clips[::10]]
    found = [prepare(each.samples, RATE).samples for each in waveforms]
    monkeypatch.setattr(preprocessing, "_steady_noise", lambda power, reference: 0.0)
    plain = [prepare(each.samples, RATE).samples for each in waveforms]
    same = [np.array_equal(*pair) for pair in zip(found, plain, strict=True)]
    assert np.mean(same) >= 0.97 and len(same) > 40


def test_normalise_brings_the_peak_to_one():
    assert np.abs(normalise(0.01 * voice())).max() == pytest.approx(1.0)
    assert not normalise(np.zeros(5, np.float32)).any()


@pytest.mark.slow
def test_noise_is_reduced_and_the_voice_kept():
    quiet = np.zeros(RATE, np.float32)
    sound = np.concatenate([quiet, voice(2.0), quiet])
    noisy = Waveform(sound + noise(4.0, 0.02), RATE, clipped=True)
    cleaned = reduce_noise(noisy)
    assert cleaned.samples.dtype == np.float32 and len(cleaned.samples) == len(sound) and cleaned.clipped
    before, after = (np.abs(samples[: RATE // 2]).mean() for samples in (noisy.samples, cleaned.samples))
    assert after < 0.5 * before
    assert np.corrcoef(cleaned.samples[RATE:-RATE], voice(2.0))[0, 1] > 0.9


@pytest.mark.slow
def test_noise_reduction_leaves_digital_silence_and_files_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))  # a sound written there would fail
    silence = Waveform(np.zeros(RATE, np.float32), RATE)
    assert not reduce_noise(silence).samples.any()
    assert np.isfinite(reduce_noise(Waveform(np.tile(voice(2.0), 20), RATE)).samples).all()


def test_noise_reduction_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "noisereduce", None)
    with pytest.raises(ParameterError, match=f"needs noisereduce, .* {re.escape(advice('denoise'))}"):
        reduce_noise(Waveform(voice(1.0), RATE))


@pytest.mark.parametrize("length", [1, 99, 100, 101, 150, 151, 200, 249, 1000])
def test_windows_overlap_by_half_and_cover_everything(length):
    sound = np.arange(length, dtype=np.float32)
    parts = windows(sound, 100)
    assert set(np.concatenate(parts)) == set(sound)
    assert parts[-1][-1] == length - 1
    if length <= 100:
        assert len(parts) == 1 and len(parts[0]) == length
    else:
        starts = [int(part[0]) for part in parts]
        assert {len(part) for part in parts} == {100}
        assert starts[:-1] == list(range(0, starts[-2] + 1, 50)) and 0 < starts[-1] - starts[-2] <= 50


def test_short_sound_is_not_padded_to_a_window():
    short = VOICE105.of(Waveform(voice(1.0), RATE))
    padded = VOICE105(np.pad(normalise(voice(1.0)), (0, round(2.5 * RATE))))
    assert short.shape == (1, 105)
    assert np.abs(short - padded).max() > 1  # statistics over the silence would be other ones


@pytest.mark.parametrize("n_samples", [1, 2, 7, 511, 512, 513, 2047])
def test_any_length_gives_numbers(n_samples):
    rows = VOICE105.of(Waveform(voice()[1000 : 1000 + n_samples], RATE))
    assert rows.shape == (1, 105) and np.isfinite(rows).all()


# --- Golden values ---


def test_golden_values():
    stored = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert stored["recipe"] == VOICE105.name and tuple(stored["names"]) == VOICE105.feature_names
    sounds = clips()
    assert stored["windows"].keys() == sounds.keys()
    for clip, expected in stored["windows"].items():
        values, wanted = VOICE105.of(Waveform(sounds[clip], RATE)), np.array(expected)
        assert values.shape == wanted.shape == (len(expected), 105), clip
        for name, block in BLOCKS.items():
            made_of = BLOCKS["mfcc mean"] if name in DISPERSION else block
            tolerance = 1e-4 * np.abs(wanted[:, made_of]).max() + 1e-6
            assert np.abs(values[:, block] - wanted[:, block]).max() <= tolerance, (clip, name)


# --- Equal to librosa ---


def librosa_blocks(y: np.ndarray) -> dict[str, np.ndarray]:
    """Return every block by direct calls of librosa, with the spectrum floored at -60 dB."""
    import librosa

    magnitude = np.abs(librosa.stft(y, n_fft=N_FFT, hop_length=HOP_LENGTH))
    floor = magnitude.max() * 10 ** (-FLOOR_DB / 20)
    power = np.maximum(magnitude, floor) ** 2
    magnitude[magnitude <= floor] = 0
    cepstral_mel = librosa.feature.melspectrogram(S=power, sr=RATE, n_mels=128)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(cepstral_mel), n_mfcc=13)
    width = min(9, mfcc.shape[1] - 1 + mfcc.shape[1] % 2)  # librosa's default if there are enough frames
    delta = librosa.feature.delta(mfcc, width=width).mean(axis=1) if width >= 3 else np.zeros(13)
    mel = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=RATE, n_mels=48))
    series = {
        "centroid": librosa.feature.spectral_centroid(S=magnitude, sr=RATE),
        "roll-off": librosa.feature.spectral_rolloff(S=magnitude, sr=RATE, roll_percent=0.85),
        "zero crossings": librosa.feature.zero_crossing_rate(
            y, frame_length=N_FFT, hop_length=HOP_LENGTH, threshold=ZERO_CROSSING_THRESHOLD
        ),
    }
    return {
        "mfcc mean": mfcc.mean(axis=1),
        "mfcc std": mfcc.std(axis=1),
        "mfcc delta": delta,
        "mel": mel.mean(axis=1),
        **{name: np.array([frames.mean(), frames.std()]) for name, frames in series.items()},
        "chroma": librosa.feature.chroma_stft(S=power, sr=RATE, tuning=0).mean(axis=1),
    }


def assert_as_librosa(window: np.ndarray) -> None:
    values, expected = VOICE105.extract(window), librosa_blocks(window)
    for name, block in BLOCKS.items():
        difference = np.abs(values[block] - expected[name]).max()
        tolerance = 1e-3 if name == "mfcc delta" else 1e-4
        assert difference <= tolerance * np.abs(expected[name]).max(), (name, len(window))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:n_fft=")
@pytest.mark.parametrize("clip", [name for name in clips() if name != "silence"])
def test_blocks_equal_librosa(clip):
    start, end = trim(clips()[clip])
    for window in windows(normalise(clips()[clip][start:end]), round(3.5 * RATE)):
        assert_as_librosa(window)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:n_fft=")
@pytest.mark.parametrize("n_frames", SHORT)
def test_blocks_equal_librosa_in_short_windows(n_frames):
    window = normalise(of_frames(n_frames))
    assert len(spectral.stft_power(window)) == n_frames
    assert_as_librosa(window)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.filterwarnings("ignore:n_fft=")
def test_blocks_and_trim_equal_librosa_on_real_speech(ser_data):
    import librosa

    files = sorted(Path(ser_data, "ravdess").rglob("*.flac"))[::97] + sorted(Path(ser_data).rglob("*.ogg"))[::307]
    assert len(files) > 20
    for file in files:
        sound = load_waveform(file).samples
        start, end = trim(sound)
        assert (start, end) == tuple(librosa.effects.trim(sound, top_db=30)[1]), file.name
        speech = normalise(sound[start:end])
        for window in windows(speech, round(3.5 * RATE)):
            assert_as_librosa(window)
        for n_frames in SHORT[2:]:
            assert_as_librosa(normalise(speech[4000 : 4000 + n_frames * HOP_LENGTH - 1]))


@pytest.mark.slow
@pytest.mark.parametrize("clip", [name for name in clips() if name != "silence"])
def test_trim_equals_librosa(clip):
    import librosa

    pause = np.zeros(5000, np.float32)
    for sound in (clips()[clip], np.concatenate([pause, clips()[clip], pause])):
        assert trim(sound) == tuple(librosa.effects.trim(sound, top_db=30)[1])
