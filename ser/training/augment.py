"""Augments training recordings: other voices, speeds, microphones, rooms and lines.

Every transform takes (samples, sample_rate, rng) and returns finite float32 samples; the generator is the only source
of randomness. Only training clips are augmented, after the split. Rows of frames can be augmented again in every epoch.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from ser.types import Waveform, lookup

STRETCH_RATES = (0.85, 1.18)
PITCH_SEMITONES = (-2.5, 2.5)
SPEED_RATES = (0.88, 1.14)
NOISE_SNR_DB = (8.0, 45.0)
NOISE_TILT_DB = (-6.0, 0.0)  # per octave: brown to white
GAIN_DB = (-12.0, 6.0)
SHIFT_S = 0.15
EQUALISER_DB = 7.0
EQUALISER_POINTS_HZ = (0, 125, 250, 500, 1000, 2000, 4000, 8000)
REVERB_S = (0.1, 0.7)  # reverberation time: decay by 60 dB
REVERB_LEVEL = (0.05, 0.8)
LOW_LIMIT_HZ = (20.0, 320.0)
HIGH_LIMIT_HZ = (3200.0, 7500.0)
BAND_SLOPE_DB = 60.0  # per octave outside the band
CALL_LOW_HZ = (150.0, 400.0)
CALL_HIGH_HZ = (3200.0, 4000.0)
CALL_LOW_SLOPE_DB = (18.0, 60.0)  # per octave below the band
CALL_HIGH_SLOPE_DB = 600.0  # per octave: nothing remains above half the sample rate of 8 kHz
CALL_RATE = 8_000  # Hz
LAWS = ("ULAW", "ALAW")  # of G.711
MAINS_HZ = (50.0, 60.0)
HARMONICS = 6  # of the mains
HUM_DB = (-40.0, -12.0)  # peak, from the recording's peak
CLIPPED_DB = (-14.0, -2.0)  # level at which peaks are cut off, from the recording's peak
POP_S = (0.003, 0.03)
POP_LEVEL = (0.5, 2.5)  # of the recording's peak
PAUSED_S = (0.3, 3.0)
CODECS = (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS"))
CODED_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)  # that all of them take
COMPRESSION = (0.6, 1.0)  # of libsndfile: 1 is the smallest file

Transform = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def time_stretch(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Change the speed at the same pitch (phase vocoder)."""
    from librosa.effects import time_stretch as stretch

    return stretch(samples, rate=rng.uniform(*STRETCH_RATES), n_fft=1024)


def pitch_shift(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Shift pitch and formants at the same speed: a smaller or larger speaker."""
    from librosa.effects import pitch_shift as shift

    return shift(samples, sr=sample_rate, n_steps=rng.uniform(*PITCH_SEMITONES), n_fft=1024, res_type="soxr_lq")


def speed(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Change speed and pitch together, by resampling."""
    import soxr

    return soxr.resample(samples, sample_rate * rng.uniform(*SPEED_RATES), sample_rate, quality="LQ")


def add_noise(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Add stationary noise, white to brown, 8 to 45 dB below the mean power."""
    tilt = rng.uniform(*NOISE_TILT_DB)
    white = rng.standard_normal(len(samples), np.float32)
    noise = _filtered(white, sample_rate, lambda hz: tilt * np.log2(np.maximum(hz, 50) / 50))
    scale = _rms(samples) / max(_rms(noise), 1e-12) * 10 ** (-rng.uniform(*NOISE_SNR_DB) / 20)
    return samples + scale * noise


def gain(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Change the level."""
    return samples * 10 ** (rng.uniform(*GAIN_DB) / 20)


def shift(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Shift in time by up to 0.15 s: one end is cut, the other filled with silence."""
    moved = np.zeros_like(samples)
    most = min(SHIFT_S * sample_rate, len(samples) / 2)
    n = int(rng.uniform(-most, most))
    moved[max(n, 0) : len(samples) + min(n, 0)] = samples[max(-n, 0) : len(samples) - max(n, 0)]
    return moved


def equalise(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Apply a smooth random frequency response within 7 dB, as another microphone does."""
    points = rng.uniform(-EQUALISER_DB, EQUALISER_DB, len(EQUALISER_POINTS_HZ))
    return _filtered(samples, sample_rate, lambda hz: np.interp(np.log1p(hz), np.log1p(EQUALISER_POINTS_HZ), points))


def reverberate(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Add reverberation: exponentially decaying noise under the direct sound."""
    from scipy.signal import fftconvolve

    n = int(rng.uniform(*REVERB_S) * sample_rate)
    tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail *= rng.uniform(*REVERB_LEVEL) / np.linalg.norm(tail)
    tail[0] += 1
    return fftconvolve(samples, tail)[: len(samples)]


def band_limit(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Attenuate frequencies outside a random band, which is at least that of a telephone."""
    low, high = rng.uniform(*LOW_LIMIT_HZ), rng.uniform(*HIGH_LIMIT_HZ)
    steep = BAND_SLOPE_DB
    return _filtered(
        samples,
        sample_rate,
        lambda hz: (
            -steep * (np.maximum(np.log2(low / np.maximum(hz, 1)), 0) + np.maximum(np.log2(hz / high + 1e-9), 0))
        ),
    )


def telephone(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Limit to a telephone band of about 300 to 3,400 Hz with a steep upper edge; half of them as G.711 codes it."""
    low, high = rng.uniform(*CALL_LOW_HZ), rng.uniform(*CALL_HIGH_HZ)
    slope = rng.uniform(*CALL_LOW_SLOPE_DB)
    limited = _filtered(
        samples,
        sample_rate,
        lambda hz: (
            -slope * np.maximum(np.log2(low / np.maximum(hz, 1)), 0)
            - CALL_HIGH_SLOPE_DB * np.maximum(np.log2(hz / high + 1e-9), 0)
        ),
    )
    return _companded(limited, sample_rate, LAWS[rng.integers(len(LAWS))]) if rng.random() < 0.5 else limited


def hum(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Add the hum of the mains with random harmonics."""
    seconds = np.arange(len(samples)) / sample_rate
    mains = rng.choice(MAINS_HZ) * np.arange(1, HARMONICS + 1)
    levels, phases = rng.uniform(size=(2, HARMONICS))
    waves = np.sin(2 * np.pi * (mains[:, None] * seconds + phases[:, None]))
    added = np.square(levels) @ waves
    return samples + added * (_peak(samples) / _peak(added) * 10 ** (rng.uniform(*HUM_DB) / 20))


def clip(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Cut the peaks off flat, as an overdriven input does."""
    limit = _peak(samples) * 10 ** (rng.uniform(*CLIPPED_DB) / 20)
    return np.clip(samples, -limit, limit)


def pop(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Add a decaying oscillation of 3 to 30 ms, at the start or anywhere, as a switch or a touch does."""
    n = min(round(rng.uniform(*POP_S) * sample_rate), len(samples))
    start = int(rng.integers(len(samples) - n + 1)) if rng.random() < 0.5 else 0
    time = np.arange(n) / max(n, 1)
    burst = np.exp(-5 * time) * np.sin(time * np.pi * rng.uniform(1, 20))
    altered = samples.copy()
    altered[start : start + n] += burst * _peak(samples) * rng.uniform(*POP_LEVEL)
    return altered


def pause(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Insert digital silence between the first and the last quarter."""
    at = int(rng.integers(len(samples) // 4, 3 * len(samples) // 4 + 1))
    return np.insert(samples, at, np.zeros(round(rng.uniform(*PAUSED_S) * sample_rate), samples.dtype))


def codec(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Encode and decode with MP3, Vorbis or Opus at a random quality."""
    import soundfile as sf
    import soxr

    container, subtype = CODECS[rng.integers(len(CODECS))]
    file, scale = io.BytesIO(), _peak(samples) / 0.9
    options = {"format": container, "subtype": subtype, "compression_level": float(rng.uniform(*COMPRESSION))}
    coded_rate = sample_rate if sample_rate in CODED_RATES else max(CODED_RATES)
    given = samples if coded_rate == sample_rate else soxr.resample(samples, sample_rate, coded_rate)
    sf.write(file, given / scale, coded_rate, **options)
    file.seek(0)
    decoded, rate = sf.read(file, dtype="float32")
    return (decoded if rate == sample_rate else soxr.resample(decoded, rate, sample_rate)) * scale


AUGMENTATIONS: dict[str, Transform] = {
    "time_stretch": time_stretch,
    "pitch_shift": pitch_shift,
    "speed": speed,
    "noise": add_noise,
    "gain": gain,
    "shift": shift,
    "equalise": equalise,
    "reverberate": reverberate,
    "band_limit": band_limit,
    "telephone": telephone,
    "clip": clip,
    "hum": hum,
    "codec": codec,
    "pop": pop,
    "pause": pause,
}
# Probability of each transform in a copy, in this order.
CHANCES = {
    "time_stretch": 0.5,
    "pitch_shift": 0.5,
    "speed": 0.3,
    "equalise": 0.4,
    "reverberate": 0.2,
    "shift": 0.5,
    "noise": 0.4,
    "gain": 0.5,
}


def apply(name: str, waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Apply one transform of `AUGMENTATIONS`."""
    samples = lookup(name, AUGMENTATIONS, "augmentation")(waveform.samples, waveform.sample_rate, rng)
    return Waveform(np.ascontiguousarray(samples, np.float32), waveform.sample_rate)


def altered(waveform: Waveform, rng: np.random.Generator, chances: dict[str, float] | None = None) -> Waveform:
    """Return a copy after each transform with its probability, at least one of them."""
    chances = chances or CHANCES
    names = list(chances)
    drawn = [name for name in names if rng.random() < chances[name]]
    for name in drawn or [names[rng.integers(len(names))]]:
        waveform = apply(name, waveform, rng)
    return waveform


def shift_frames(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Shift each row, shape (n, n_frames, n_features), in time by up to `most` frames; missing frames are zero."""
    moved = np.zeros_like(rows)
    for row, source, by in zip(moved, rows, rng.integers(-most, most + 1, len(rows)).tolist(), strict=True):
        row[max(by, 0) : len(row) + min(by, 0)] = source[max(-by, 0) : len(row) - max(by, 0)]
    return moved


def mask_frames(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Set a run of up to `most` frames to zero in each row, shape (n, n_frames, n_features)."""
    masked = rows.copy()
    for row, length in zip(masked, rng.integers(most + 1, size=len(rows)).tolist(), strict=True):
        first = rng.integers(len(row) - length + 1)
        row[first : first + length] = 0
    return masked


def _filtered(samples: np.ndarray, sample_rate: int, response_db: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply a zero-phase filter with the given response at each frequency in Hz."""
    from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

    n = next_fast_len(len(samples), real=True)
    response = 10 ** (response_db(rfftfreq(n, 1 / sample_rate)) / 20)
    return irfft(rfft(samples, n) * response.astype(np.float32), n)[: len(samples)]


def _companded(samples: np.ndarray, sample_rate: int, law: str) -> np.ndarray:
    """Code at 8 kHz in 8 bits by a law of G.711: the quieter the recording, the more noise it gets."""
    import soundfile as sf
    import soxr

    file, scale = io.BytesIO(), max(_peak(samples), 1.0)
    sf.write(file, soxr.resample(samples / scale, sample_rate, CALL_RATE), CALL_RATE, format="WAV", subtype=law)
    file.seek(0)
    decoded, _ = sf.read(file, dtype="float32")
    return soxr.resample(decoded, CALL_RATE, sample_rate) * scale


def _peak(samples: np.ndarray) -> float:
    return max(float(np.abs(samples).max()), 1e-12)


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
