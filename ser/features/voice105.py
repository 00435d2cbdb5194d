"""The recipe `voice105-v1`: 105 statistics of one short-time Fourier transform."""

from __future__ import annotations

import numpy as np

from ser.features import spectral

WINDOW_S = 3.5
N_MFCC = 13
N_MELS_MFCC = 128
N_MELS = 48
FLOOR_DB = 60.0  # below a spectrogram's loudest cell; lower is the rounding noise of quiet 16-bit files
ZERO_CROSSING_THRESHOLD = 0.003  # of the peak; smaller samples count as zero


def voice105(samples: np.ndarray) -> np.ndarray:
    """Return the 105 features of one window, shape (105,), float32; `VOICE105_NAMES` names them.

    Cells 60 dB or more below the loudest are zero in centroid and roll-off, and floored at -60 dB elsewhere.
    """
    power = spectral.stft_power(samples)
    floor = power.max() * np.float32(10 ** (-FLOOR_DB / 10))
    magnitude = np.sqrt(power)
    magnitude *= power > floor
    power = np.maximum(power, floor)
    cepstrum = spectral.mfcc(spectral.power_to_db(spectral.mel_power(power, N_MELS_MFCC)), N_MFCC)
    series = (
        spectral.spectral_centroid(magnitude),
        spectral.spectral_rolloff(magnitude),
        spectral.zero_crossing_rate(samples, ZERO_CROSSING_THRESHOLD),
    )
    blocks = (
        cepstrum.mean(axis=0),
        cepstrum.std(axis=0),
        spectral.delta_mean(cepstrum),
        spectral.power_to_db(spectral.mel_power(power, N_MELS)).mean(axis=0),
        [statistic for values in series for statistic in (values.mean(), values.std())],
        spectral.chroma(power).mean(axis=0),
    )
    return np.concatenate(blocks).astype(np.float32)


VOICE105_NAMES = (
    *(f"mfcc_{kind}_{i:02d}" for kind in ("mean", "std", "delta") for i in range(1, N_MFCC + 1)),
    *(f"mel_db_{i:02d}" for i in range(1, N_MELS + 1)),
    *(f"{name}_{kind}" for name in ("centroid_hz", "rolloff_hz", "zero_crossing_rate") for kind in ("mean", "std")),
    *(f"chroma_{pitch}" for pitch in spectral.PITCHES),
)
