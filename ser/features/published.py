"""Recipes of four published systems, equal to librosa with the published arguments, else with its defaults."""

from __future__ import annotations

import numpy as np

from ser.features import spectral
from ser.features.spectral import HOP_LENGTH, SAMPLE_RATE

RATE = 22_050  # librosa's default; for the systems that state no rate or use another
N_MFCC = 40
N_MELS = 128
GRID = (11, 4, 1)  # 42 features and two zeros, as an image
N_FRAMES = 174
FRAMES_WINDOW_S = (N_FRAMES - 1) * HOP_LENGTH / RATE  # 4.02 s
ROLL_OFFS = (0.15, 0.5, 0.85)
MFCC_WINDOW_S = 3.0
MFCC_N_FFT = 1024
MFCC_FRAMES = int(MFCC_WINDOW_S * SAMPLE_RATE) // HOP_LENGTH + 1

MFCC_NAMES = tuple(f"mfcc_{k}" for k in range(1, N_MFCC + 1))
CHROMA_NAMES = tuple(f"chroma_{pitch}" for pitch in spectral.PITCHES)
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
    """Return the means over time of 40 MFCC, zero-crossing rate and RMS, then two zeros; shape (11, 4, 1)."""
    values = np.zeros(GRID, np.float32)
    rms = np.sqrt(spectral.frame_power(samples))
    means = [*_mfcc(spectral.stft_power(samples)).mean(axis=0), spectral.zero_crossing_rate(samples).mean(), rms.mean()]
    values.flat[: len(means)] = means
    return values


def static180(samples: np.ndarray) -> np.ndarray:
    """Return the means over time of 40 MFCC, 12 chroma and the power in 128 mel bands; shape (180,)."""
    power = spectral.stft_power(samples)
    mel = spectral.mel_power(power, N_MELS, RATE)
    spectra = (spectral.mfcc(spectral.power_to_db(mel), N_MFCC), spectral.chroma(power, RATE), mel)
    return np.concatenate([values.mean(axis=0) for values in spectra]).astype(np.float32)


def frames120(samples: np.ndarray) -> np.ndarray:
    """Return 60 features per frame and their deltas, zero-padded to shape (174, 120).

    40 MFCC; spectral centroid, bandwidth, three roll-offs and flatness; zero-crossing rate and RMS; 12 chroma.
    """
    power = spectral.stft_power(samples)
    level = (spectral.zero_crossing_rate(samples), np.sqrt(spectral.frame_power(samples)))
    values = np.column_stack([_mfcc(power), *_shape(power), *level, spectral.chroma(power, RATE)])
    frames = np.concatenate([values, spectral.delta(values)], axis=1)[:N_FRAMES]
    return np.pad(frames, ((0, N_FRAMES - len(frames)), (0, 0))).astype(np.float32)


def mfcc40(samples: np.ndarray) -> np.ndarray:
    """Return 40 MFCC per frame (64 ms every 32 ms) of three seconds, padded with silence; shape (94, 40)."""
    power = spectral.stft_power(np.pad(samples, (0, int(MFCC_WINDOW_S * SAMPLE_RATE) - len(samples))), MFCC_N_FFT)
    return _mfcc(power, SAMPLE_RATE).astype(np.float32)


def _mfcc(power: np.ndarray, sample_rate: int = RATE) -> np.ndarray:
    return spectral.mfcc(spectral.power_to_db(spectral.mel_power(power, N_MELS, sample_rate)), N_MFCC)


def _shape(power: np.ndarray) -> list[np.ndarray]:
    """Return the spectral shape of each frame, in the order of `SHAPE_NAMES`."""
    magnitude = np.sqrt(power)
    centroid = spectral.spectral_centroid(magnitude, RATE)
    rolloffs = (spectral.spectral_rolloff(magnitude, RATE, share) for share in ROLL_OFFS)
    bandwidth = spectral.spectral_bandwidth(magnitude, centroid, RATE)
    return [centroid, bandwidth, *rolloffs, spectral.spectral_flatness(power)]
