"""Clipping is found behind coders, resampling and gain, in any blocks; tones, noise and pops are not clipped."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
import soundfile as sf
import soxr
from scipy.signal import lfilter

from ser.audio.clipping import ClipMeter
from ser.audio.loading import load_waveform

RATE = 16_000


def voice(seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    """Make vowels: pulses of a gliding pitch through two resonances, in syllables of uneven loudness; peak 1."""
    rng = np.random.default_rng(3)
    n = round(seconds * rate)
    time = np.arange(n) / rate
    cycles = np.cumsum(140 + 25 * np.sin(2 * np.pi * 0.7 * time)) / rate
    pulses = np.diff(np.floor(cycles), prepend=0.0)
    sound = pulses * (1 + 0.1 * rng.standard_normal(n))
    for hz, width in ((600, 90), (1400, 140)):
        pole = np.exp(-np.pi * width / rate)
        sound = lfilter([1], [1, -2 * pole * np.cos(2 * np.pi * hz / rate), pole**2], sound)
    loudness = 0.15 + np.interp(
        time, np.linspace(0, seconds, 5 * round(seconds) + 1), rng.random(5 * round(seconds) + 1)
    )
    sound = sound * loudness * np.abs(np.sin(2 * np.pi * 1.5 * time))
    return (sound / np.abs(sound).max()).astype(np.float32)


def cut(sound: np.ndarray, depth_db: float = 12.0) -> np.ndarray:
    return np.clip(sound * 10 ** (depth_db / 20), -1, 1).astype(np.float32)


def soft(sound: np.ndarray) -> np.ndarray:
    driven = sound * 4
    over = np.tanh((np.abs(driven) - 0.8) / 0.2)
    return np.where(np.abs(driven) < 0.8, driven, np.sign(driven) * (0.8 + 0.2 * over)).astype(np.float32)


def encode(samples: np.ndarray, rate: int = RATE, **options: object) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, **({"format": "WAV"} | options))
    return file.getvalue()


def aac(samples: np.ndarray, bit_rate: int = 64_000) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=bit_rate)
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for converted in av.AudioResampler("fltp", "mono", RATE, frame_size=1024).resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return file.getvalue()


CHANGES = {
    "WAV": encode,
    "8 bits": lambda samples: encode(samples, subtype="PCM_U8"),
    "MP3": lambda samples: encode(samples, format="MP3", bitrate_mode="CONSTANT", compression_level=0.9),
    "Vorbis": lambda samples: encode(samples, format="OGG", subtype="VORBIS", compression_level=0.6),
    "Opus": lambda samples: encode(samples, format="OGG", subtype="OPUS", compression_level=0.9),
    "AAC": aac,
    "resampled": lambda samples: encode(soxr.resample(samples, RATE, 44_100), 44_100),
    "resampled twice": lambda samples: encode(soxr.resample(soxr.resample(samples, RATE, 44_100), 44_100, RATE)),
    "quieter": lambda samples: encode(0.3 * samples),
    "much quieter": lambda samples: encode(0.01 * samples),
    "upside down": lambda samples: encode(-samples),
    "with an offset": lambda samples: encode(0.5 * samples + 0.05),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_clipping_survives(change):
    for overdriven in (cut(voice()), cut(voice(), 9), cut(voice(), 18), soft(voice())):
        assert load_waveform(CHANGES[change](0.9 * overdriven)).clipped


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_clipped_stays_so(change):
    assert not load_waveform(CHANGES[change](0.9 * voice())).clipped


def test_recorder_at_another_rate_that_clips():
    overdriven = cut(voice(rate=44_100))
    assert load_waveform(encode(overdriven, 44_100)).clipped
    assert load_waveform(encode(soxr.resample(overdriven, 44_100, RATE) * 0.9)).clipped
    assert load_waveform(encode(soxr.resample(overdriven, 44_100, 8000) * 0.9, 8000)).clipped


def test_one_clipped_channel_of_many_is_enough():
    plain = 0.5 * voice()
    assert load_waveform(encode(np.stack([plain, cut(voice()), plain], axis=1))).clipped
    assert not load_waveform(encode(np.stack([plain, 0.2 * plain, plain], axis=1))).clipped


TIME = np.arange(2 * RATE) / RATE
NOISE = np.random.default_rng(0).standard_normal(2 * RATE)
NOT_CLIPPED = {
    "silence": np.zeros(2 * RATE),
    "an offset": np.full(2 * RATE, 0.3),
    "hum": np.sin(2 * np.pi * 50 * TIME) + 0.5 * np.sin(2 * np.pi * 100 * TIME) + 0.3 * np.sin(2 * np.pi * 150 * TIME),
    "white noise": NOISE,
    "brown noise": lfilter([1], [1, -0.999], NOISE),
    "a chord": sum(np.sin(2 * np.pi * hz * TIME) for hz in (220, 277, 330)),
    "triangle": np.arcsin(np.sin(2 * np.pi * 150 * TIME)),
    "a swelling tone": np.sin(2 * np.pi * 200 * TIME) * (1 + 0.3 * np.sin(2 * np.pi * 3 * TIME)),
    **{f"{hz} Hz": np.sin(2 * np.pi * hz * TIME) for hz in (20, 35, 50, 60, 110, 440, 1000, 1310, 3000, 7000)},
}


@pytest.mark.parametrize("sound", NOT_CLIPPED)
@pytest.mark.parametrize("level", [0.003, 0.9])
def test_not_clipped(sound, level):
    samples = NOT_CLIPPED[sound]
    meter = ClipMeter(RATE)
    meter.add((level * samples / max(np.abs(samples).max(), 1e-9)).astype(np.float32)[:, None])
    assert not meter.clipped


@pytest.mark.parametrize("level", [0.5, 0.1, 0.03, 0.01])
@pytest.mark.parametrize("pop_s", [0.005, 0.03])
def test_a_pop_at_the_start_is_not_clipping(level, pop_s):
    pop = np.zeros(RATE // 10)
    n = round(pop_s * RATE)
    pop[200 : 200 + n] = np.sign(np.sin(np.arange(n) / 6))
    assert not load_waveform(encode(np.concatenate([pop, level * voice()]))).clipped
    assert level < 0.5 or load_waveform(encode(np.concatenate([pop, level * cut(voice())]))).clipped


def test_a_square_wave_is_clipped():
    assert load_waveform(encode(0.5 * np.sign(np.sin(2 * np.pi * 150 * TIME)))).clipped


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 96_000])
def test_blocks_do_not_matter(rate):
    sound = np.stack([cut(voice(rate=rate)), voice(rate=rate)], axis=1)
    whole = ClipMeter(rate)
    whole.add(sound)
    for sizes in ([1, 100, 3, 7000], [5000]):
        meter, at = ClipMeter(rate), 0
        while at < len(sound):
            for size in sizes:
                meter.add(sound[at : at + size])
                at += size
        assert meter.score == whole.score > 0


def test_memory_does_not_grow():
    meter = ClipMeter(RATE)
    for _ in range(20):
        meter.add(cut(voice(1.0))[:, None])
    held = sum(levels._counts.nbytes for levels in meter._channels) + sum(block.nbytes for block in meter._held)
    assert held < 350_000 and meter.clipped


def test_too_little_is_not_clipped():
    meter = ClipMeter(RATE)
    assert meter.score == 0.0
    meter.add(np.ones((10, 1), np.float32))
    assert meter.score == 0.0
