"""The 105 features of one window: statistics over one short-time Fourier transform."""

from __future__ import annotations

import numpy as np

from ser.features.spectral import (
    PITCHES,
    chroma,
    delta_mean,
    mel_power,
    mfcc,
    power_to_db,
    spectral_centroid,
    spectral_rolloff,
    stft_power,
    zero_crossing_rate,
)

WINDOW_S = 3.5
N_MFCC = 13
N_MELS_MFCC = 128
N_MELS = 48
FLOOR_DB = 60.0  # below a spectrogram's loudest cell; deeper lies the rounding noise of quiet 16-bit files
ZERO_CROSSING_THRESHOLD = 0.003  # of the peak: smaller wiggles count as zero


def voice105(samples: np.ndarray) -> np.ndarray:
    """The 105 features of one window, shape (105,), float32; named by `RECIPES["voice105-v1"].feature_names`.

    What lies 60 dB or more below the loudest cell of the spectrogram is the rounding noise of quiet 16-bit files
    rather than voice: it counts for nothing in centroid and roll-off, and as 60 dB down elsewhere.
    """
    power = stft_power(samples)
    floor = power.max() * np.float32(10 ** (-FLOOR_DB / 10))
    magnitude = np.sqrt(power * (power > floor))
    power = np.maximum(power, floor)
    cepstrum = mfcc(power_to_db(mel_power(power, N_MELS_MFCC)), N_MFCC)
    tracks = (
        spectral_centroid(magnitude),
        spectral_rolloff(magnitude),
        zero_crossing_rate(samples, ZERO_CROSSING_THRESHOLD),
    )
    blocks = (
        cepstrum.mean(axis=0),
        cepstrum.std(axis=0),
        delta_mean(cepstrum),
        power_to_db(mel_power(power, N_MELS)).mean(axis=0),
        [statistic for track in tracks for statistic in (track.mean(), track.std())],
        chroma(power).mean(axis=0),
    )
    return np.concatenate(blocks).astype(np.float32)


def _names() -> tuple[str, ...]:
    numbered = [f"mfcc_{kind}_{i:02d}" for kind in ("mean", "std", "delta") for i in range(1, N_MFCC + 1)]
    mel = [f"mel_db_{i:02d}" for i in range(1, N_MELS + 1)]
    tracks = ("centroid_hz", "rolloff_hz", "zero_crossing_rate")
    spectral = [f"{track}_{statistic}" for track in tracks for statistic in ("mean", "std")]
    return (*numbered, *mel, *spectral, *(f"chroma_{pitch}" for pitch in PITCHES))


VOICE105_NAMES = _names()
