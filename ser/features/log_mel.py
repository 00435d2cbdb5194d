"""The log-mel spectrogram that Whisper's encoder takes [Radford et al. 2022, arXiv:2212.04356]."""

from __future__ import annotations

import numpy as np
from scipy.fft import rfft

from ser.features.spectral import hann, mel_power

N_FFT = 400  # 25 ms
HOP_LENGTH = 160  # 10 ms
N_MELS = 80
FLOOR = 1e-10  # of a power before its logarithm
RANGE = 8.0  # decades below the loudest cell


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrogram of samples at 16 kHz, shape (80, n_samples // 160), float32, about -1 to 1.

    Frames are centred and reflected at both ends; samples shorter than a frame are padded with zeros.
    """
    padded = np.pad(np.pad(samples, (0, max(0, N_FFT - len(samples)))), N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH][:-1]
    spectrum = rfft(frames * hann(N_FFT), overwrite_x=True)
    power = mel_power(spectrum.real**2 + spectrum.imag**2, N_MELS)
    decades = np.log10(np.maximum(power, FLOOR))
    scaled = (np.maximum(decades, decades.max() - RANGE) + 4) / 4
    return np.ascontiguousarray(scaled.T, np.float32)
