"""The recipes of four published systems, computed as librosa computes them with the published arguments.

What a system leaves unsaid is librosa's default. Each function maps the samples of one window, peak 1, to one array.
"""

from __future__ import annotations

import numpy as np

from ser.features.spectral import (
    HOP_LENGTH,
    PITCHES,
    chroma,
    delta,
    frame_power,
    mel_power,
    mfcc,
    power_to_db,
    spectral_bandwidth,
    spectral_centroid,
    spectral_flatness,
    spectral_rolloff,
    stft_power,
    zero_crossing_rate,
)

RATE = 22_050  # librosa's own; for the systems that name another or none
N_MFCC = 40
N_MELS = 128
STATIC_WINDOW_S = 3.5  # as our own: nothing is published, and statistics do not need a fixed length
GRID = (11, 4, 1)  # 42 numbers and two zeros, as an image
N_FRAMES = 174
FRAMES_WINDOW_S = (N_FRAMES - 1) * HOP_LENGTH / RATE  # 4.02 s
ROLL_OFFS = (0.15, 0.5, 0.85)
MFCC_RATE = 16_000
MFCC_WINDOW_S = 3.0
MFCC_N_FFT = 1024
MFCC_FRAMES = int(MFCC_WINDOW_S * MFCC_RATE) // HOP_LENGTH + 1

MFCC_NAMES = tuple(f"mfcc_{k}" for k in range(1, N_MFCC + 1))
CHROMA_NAMES = tuple(f"chroma_{pitch}" for pitch in PITCHES)
SHAPE_NAMES = (
    "centroid_hz",
    "bandwidth_hz",
    *(f"rolloff_{share:.0%}_hz".replace("%", "") for share in ROLL_OFFS),
    "flatness",
)
STATIC42_NAMES = (*MFCC_NAMES, "zero_crossing_rate", "rms")
STATIC180_NAMES = (*MFCC_NAMES, *CHROMA_NAMES, *(f"mel_power_{k}" for k in range(1, N_MELS + 1)))
FRAME_NAMES = (*MFCC_NAMES, *SHAPE_NAMES, "zero_crossing_rate", "rms", *CHROMA_NAMES)
FRAMES120_NAMES = (*FRAME_NAMES, *(f"{name}_delta" for name in FRAME_NAMES))


def static42(samples: np.ndarray) -> np.ndarray:
    """Means over time of 40 MFCC, zero crossing rate and root mean square, then two zeros; shape (11, 4, 1)."""
    values = np.zeros(GRID, np.float32)
    cepstrum = _mfcc(stft_power(samples))
    means = [*cepstrum.mean(axis=0), zero_crossing_rate(samples).mean(), _rms(samples).mean()]
    values.flat[: len(means)] = means
    return values


def static180(samples: np.ndarray) -> np.ndarray:
    """Means over time of 40 MFCC, 12 pitch classes and the power in 128 mel bands; shape (180,)."""
    power = stft_power(samples)
    mel = mel_power(power, N_MELS, RATE)
    tracks = (mfcc(power_to_db(mel), N_MFCC), chroma(power, RATE), mel)
    return np.concatenate([track.mean(axis=0) for track in tracks]).astype(np.float32)


def frames120(samples: np.ndarray) -> np.ndarray:
    """60 features a frame and their slopes over time, shape (174, 120); frames beyond the sound are zero.

    40 MFCC; centroid, bandwidth, three roll-offs and flatness of the spectrum; zero crossing rate and root mean
    square; 12 pitch classes.
    """
    power = stft_power(samples)
    values = np.column_stack(
        [_mfcc(power), *_shape_tracks(power), zero_crossing_rate(samples), _rms(samples), chroma(power, RATE)]
    )
    frames = np.concatenate([values, delta(values)], axis=1)[:N_FRAMES]
    return np.pad(frames, ((0, N_FRAMES - len(frames)), (0, 0))).astype(np.float32)


def mfcc40(samples: np.ndarray) -> np.ndarray:
    """40 MFCC a frame of 64 ms every 32 ms over three seconds, shape (94, 40); a shorter sound ends in silence."""
    power = stft_power(np.pad(samples, (0, int(MFCC_WINDOW_S * MFCC_RATE) - len(samples))), MFCC_N_FFT)
    return mfcc(power_to_db(mel_power(power, N_MELS, MFCC_RATE)), N_MFCC).astype(np.float32)


def _mfcc(power: np.ndarray) -> np.ndarray:
    return mfcc(power_to_db(mel_power(power, N_MELS, RATE)), N_MFCC)


def _shape_tracks(power: np.ndarray) -> list[np.ndarray]:
    """What describes the shape of each frame's spectrum, in the order of `SHAPE_NAMES`."""
    magnitude = np.sqrt(power)
    centroid = spectral_centroid(magnitude, RATE)
    bandwidth = spectral_bandwidth(magnitude, centroid, RATE)
    return [
        centroid,
        bandwidth,
        *(spectral_rolloff(magnitude, RATE, share) for share in ROLL_OFFS),
        spectral_flatness(power),
    ]


def _rms(samples: np.ndarray) -> np.ndarray:
    return np.sqrt(frame_power(samples))
