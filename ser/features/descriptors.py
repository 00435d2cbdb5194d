"""Frame-level descriptors of a window at 16 kHz, peak 1, every 16 ms; floored 60 dB below the loudest cell.

The floor keeps out the rounding noise of quiet files.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.fft import irfft, rfft

from ser.features.spectral import SAMPLE_RATE, centred_frames, frequencies, hann, mel_power, mfcc, stft_power

HOP_LENGTH = 256
N_FFT = 512  # 32 ms: resolves formants, not harmonics
PITCH_FFT = 1024  # 64 ms: four periods at 60 Hz
CORRELATION_FFT = 1296  # holds frame and longest lag without wrap-around; a product of twos and threes
N_MELS = 64
N_FRAMES = 201  # per window
FRAMES_WINDOW_S = (N_FRAMES - 1) * HOP_LENGTH / SAMPLE_RATE  # 3.2 s
N_MFCC = 14
FLOOR_DB = 60.0
PITCH_HZ = (60.0, 500.0)
FINER = 2  # lags per sample
VOICED = 0.45  # least normalised autocorrelation at the pitch period of a voiced frame
VOICED_DB = 35.0  # below the loudest frame; quieter frames are unvoiced
SHORT_LAG = 0.02  # penalty per octave of lag, against sub-harmonics
REFERENCE_HZ = 55.0  # 0 semitones
MOST_SEMITONES = 12.0  # from the clip's median; beyond are octave errors
ROLL_OFFS = (0.25, 0.5, 0.75, 0.9)
ZERO_CROSSING_THRESHOLD = 0.003
LOUDNESS_POWER = 0.3  # of the power in a band [Zwicker's law, as in PLP]
AMIN = 1e-12

SHAPE_NAMES = (
    "loudness",
    "centroid_khz",
    "bandwidth_khz",
    "skewness",
    "kurtosis",
    *(f"rolloff_{share:.0%}_khz".replace("%", "") for share in ROLL_OFFS),
    "entropy",
    "flux",
    "level_db",
    "zero_crossing_rate",
    "alpha_ratio_db",
    "hammarberg_db",
    "slope_low",
    "slope_high",
    "sharpness",
    "voicing",
    "harmonics_to_noise_db",
)
PITCH_NAMES = ("pitch_from_median", "median_pitch", "voiced")
NAMES = (
    *(f"mel_{k}" for k in range(1, N_MELS + 1)),
    *(f"mfcc_{k}" for k in range(1, N_MFCC + 1)),
    *SHAPE_NAMES,
    *PITCH_NAMES,
)
LEVEL = NAMES.index("level_db")


def descriptors(samples: np.ndarray) -> np.ndarray:
    """Return the descriptors of a window, shape (n_frames, 101), float32; `NAMES` are the columns.

    Mel bands are in dB minus half of their own mean and half of the overall mean, which halves the channel's effect.
    """
    power = stft_power(samples, N_FFT, HOP_LENGTH)
    power = np.maximum(power, max(power.max() * 10 ** (-FLOOR_DB / 10), AMIN))
    mel = mel_power(power, N_MELS)
    mel_db = 10 * np.log10(np.maximum(mel, mel.max() * 10 ** (-FLOOR_DB / 10)))
    level = _level(samples)
    pitch, voicing = _pitch(samples)
    voiced = (voicing > VOICED) & (level > level.max() - VOICED_DB)
    centred = mel_db - (mel_db.mean(axis=0) + mel_db.mean()) / 2
    shape = _shape(power, mel, level, _zero_crossings(samples), voicing)
    return np.column_stack([centred, mfcc(mel_db, N_MFCC + 1)[:, 1:], shape, _melody(pitch, voiced)]).astype(np.float32)


def _melody(pitch: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Return `PITCH_NAMES`, shape (n_frames, 3): semitones from the median (0 if unvoiced), median - 24, voiced."""
    median = float(np.median(pitch[voiced] if voiced.any() else pitch))
    deviation = np.where(voiced, np.clip(pitch - median, -MOST_SEMITONES, MOST_SEMITONES), 0)
    return np.column_stack([deviation, np.full(len(pitch), median - 24), voiced])


def _shape(
    power: np.ndarray, mel: np.ndarray, level: np.ndarray, crossings: np.ndarray, voicing: np.ndarray
) -> np.ndarray:
    """Return the descriptors of `SHAPE_NAMES`, shape (n_frames, 20)."""
    hz = frequencies(SAMPLE_RATE, power.shape[1])
    loudness = (mel / mel.max()) ** LOUDNESS_POWER
    share = np.sqrt(power)
    share = share / share.sum(axis=1, keepdims=True)
    centroid = share @ hz
    distance = hz - centroid[:, None]
    square = share * distance**2
    spread = square.sum(axis=1)
    cumulated = np.cumsum(power, axis=1)
    voicing = np.clip(voicing, 1e-3, 0.9999)
    db = 10 * np.log10(power)
    low_db, high_db = (10 * np.log10(_band(power, *hz).sum(axis=1)) for hz in ((50, 1000), (1000, 5000)))
    return np.column_stack(
        [
            loudness.sum(axis=1),
            centroid / 1000,
            np.sqrt(spread) / 1000,
            (square * distance).sum(axis=1) / spread**1.5,
            (square * distance**2).sum(axis=1) / spread**2,
            *(hz[(cumulated >= part * cumulated[:, -1:]).argmax(axis=1)] / 1000 for part in ROLL_OFFS),
            -(share * np.log2(share)).sum(axis=1),
            np.sqrt(np.square(np.diff(loudness, axis=0, prepend=loudness[:1])).sum(axis=1)),
            level,
            crossings,
            low_db - high_db,
            _band(db, 0, 2000).max(axis=1) - _band(db, 2000, 5000).max(axis=1),
            _slope(db, 0, 500),
            _slope(db, 500, 1500),
            (loudness @ np.arange(N_MELS)) / loudness.sum(axis=1),
            voicing,
            10 * np.log10(voicing / (1 - voicing)),
        ]
    )


def _level(samples: np.ndarray) -> np.ndarray:
    """Return the mean power of each frame in dB, floored 60 dB below the loudest."""
    power = np.square(centred_frames(samples, N_FFT, HOP_LENGTH)).mean(axis=1)
    return 10 * np.log10(np.maximum(power, max(power.max() * 10 ** (-FLOOR_DB / 10), AMIN)))


def _zero_crossings(samples: np.ndarray) -> np.ndarray:
    negative = centred_frames(samples, N_FFT, HOP_LENGTH) < -ZERO_CROSSING_THRESHOLD
    return (negative[:, 1:] != negative[:, :-1]).mean(axis=1)


def _pitch(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pitch (semitones above 55 Hz) and voicing (0 to 1) per frame, by autocorrelation [Boersma 1993]."""
    shortest, longest = (int(FINER * SAMPLE_RATE / hz) for hz in reversed(PITCH_HZ))
    spectrum = rfft(centred_frames(samples, PITCH_FFT, HOP_LENGTH) * hann(PITCH_FFT), CORRELATION_FFT)
    correlation = _correlation(spectrum.real**2 + spectrum.imag**2)[:, : longest + 2]
    correlation = correlation / (correlation[:, :1] + 1e-9) / _window_correlation()[: longest + 2]
    lags = np.arange(shortest, longest)
    best = (correlation[:, shortest:longest] - SHORT_LAG * np.log2(lags / shortest)).argmax(axis=1) + shortest
    rows = np.arange(len(best))
    before, peak, after = (correlation[rows, best + step] for step in (-1, 0, 1))
    bend = before - 2 * peak + after
    refined = best + np.clip((before - after) / 2 / np.where(np.abs(bend) > 1e-9, bend, 1e-9), -0.5, 0.5)
    return 12 * np.log2(FINER * SAMPLE_RATE / refined / REFERENCE_HZ), np.clip(peak, 0, 0.9999)


def _correlation(power: np.ndarray) -> np.ndarray:
    """Return the autocorrelation at half-sample lags from the power spectrum; bright voices have peaks that sharp."""
    return FINER * irfft(power, FINER * CORRELATION_FFT)


def _band(spectrum: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Return the bins of a spectrum from `low_hz` to below `high_hz`."""
    low, high = (int(np.ceil(hz * N_FFT / SAMPLE_RATE)) for hz in (low_hz, high_hz))
    return spectrum[..., low:high]


def _slope(db: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Return the spectral slope between two frequencies in dB/kHz."""
    khz = _band(frequencies(SAMPLE_RATE, db.shape[1]), low_hz, high_hz) / 1000
    khz = khz - khz.mean()
    return _band(db, low_hz, high_hz) @ khz / (khz @ khz)


@cache
def _window_correlation() -> np.ndarray:
    """Return the autocorrelation of the pitch window, normalised to lag 0."""
    correlation = _correlation(np.abs(rfft(hann(PITCH_FFT), CORRELATION_FFT)) ** 2)[: FINER * PITCH_FFT]
    return (correlation / correlation[0]).astype(np.float32)


def voice_frames(samples: np.ndarray) -> np.ndarray:
    """Return the descriptors of one window, zero-padded to shape (201, 101), float32."""
    frames = descriptors(samples)[:N_FRAMES]
    return np.pad(frames, ((0, N_FRAMES - len(frames)), (0, 0)))
