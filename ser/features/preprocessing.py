"""Preprocessing of waveforms: rumble, silence and level, noise reduction and windows."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from ser.extras import needs
from ser.features.spectral import HOP_LENGTH, N_FFT, frame_power
from ser.types import Waveform

TOP_DB = 30.0  # frames further below the loudest are silent
LOWEST_HZ = 70.0  # of voices; what lies below is turned down
LIMIT = 64  # fractions of that frequency are turned down alike
STEEPNESS = 8  # of the high-pass: a Butterworth filter of order 4, forwards and backwards
PADDING_S = 0.2  # of zeros, in which the filter's response to the ends dies away
LOUD_FRAMES = 8  # the level is that of the 8th loudest frame: a pop of 30 ms is in fewer
LEVEL = 0.2  # root mean square of that frame after normalisation; peaks of speech are then about 1
PAUSE_S = 0.4  # longer pauses are left out
KEPT_S = 0.1  # of a pause, on either side
LEAST_SOUND_S = 0.1  # shorter sounds between two pauses are clicks, unless there is nothing else


class Prepared(NamedTuple):
    """The sound of a recording as features are computed of it, from sample `start` to `end` of the recording.

    `peak` is its largest absolute sample (full scale: 1) before the level is normalised.
    """

    samples: np.ndarray
    start: int
    end: int
    peak: float


def prepare_v1(samples: np.ndarray, sample_rate: int) -> Prepared:
    """Trim the silence at both ends and scale the samples to a peak of 1."""
    start, end = trim(samples)
    return Prepared(normalise(samples[start:end]), start, end, float(np.abs(samples).max()))


def prepare(samples: np.ndarray, sample_rate: int) -> Prepared:
    """Turn down rumble, leave out silence at both ends and long pauses, and normalise the level of the speech.

    An offset, hum below the voice, a pop or a pause therefore hardly changes the features.
    """
    clean = high_pass(samples, sample_rate)
    power = frame_power(clean)
    n_loud = min(LOUD_FRAMES, len(power))
    reference = float(np.partition(power, -n_loud)[-n_loud])
    loud = np.flatnonzero(power > reference * 10 ** (-TOP_DB / 10))
    peak = float(np.abs(clean).max())
    if not len(loud) or reference <= 0:
        return Prepared(clean, 0, len(clean), peak)
    spans = _spans(loud, len(clean), sample_rate)
    sound = np.concatenate([clean[start:end] for start, end in spans])
    return Prepared(sound * np.float32(LEVEL / np.sqrt(reference)), spans[0][0], spans[-1][1], peak)


def high_pass(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the samples without their mean, and with frequencies below 70 Hz turned down; zero-phase, float32."""
    n = next_fast_len(len(samples) + round(PADDING_S * sample_rate), real=True)
    spectrum = rfft(samples - samples.mean(), n)
    hz = np.arange(len(spectrum), dtype=np.float32) * np.float32(sample_rate / n)
    spectrum /= 1 + (LOWEST_HZ / np.maximum(hz, LOWEST_HZ / LIMIT)) ** STEEPNESS
    return irfft(spectrum, n, overwrite_x=True)[: len(samples)]


def _spans(loud: np.ndarray, n_samples: int, sample_rate: int) -> list[tuple[int, int]]:
    """Return first sample and end of every stretch of loud frames, with a little of the pauses between them."""
    pause, kept = PAUSE_S * sample_rate, round(KEPT_S * sample_rate)
    stretches = np.split(loud, np.flatnonzero(np.diff(loud) * HOP_LENGTH > pause) + 1)
    # A frame is four hops long, so that a sound is in three more frames than it has hops.
    least = LEAST_SOUND_S * sample_rate / HOP_LENGTH + N_FFT // HOP_LENGTH - 1
    stretches = [frames for frames in stretches if len(frames) > least] or stretches
    spans = [
        (max(0, int(frames[0]) * HOP_LENGTH - kept), min(n_samples, (int(frames[-1]) + 1) * HOP_LENGTH + kept))
        for frames in stretches
    ]
    first, last = int(stretches[0][0]) * HOP_LENGTH, (int(stretches[-1][-1]) + 1) * HOP_LENGTH
    spans[0] = first, spans[0][1]
    spans[-1] = spans[-1][0], min(n_samples, last)
    return spans


def trim(samples: np.ndarray) -> tuple[int, int]:
    """Return the first sample and the end (exclusive) of a waveform without the silence at both ends.

    Silent frames (2048 samples every 512) have an RMS at least 30 dB below the loudest, so gain has no effect.
    Digital silence is not trimmed.
    """
    power = frame_power(samples)
    loud = np.flatnonzero(power > power.max() * 10 ** (-TOP_DB / 10))
    if not len(loud):
        return 0, len(samples)
    return int(loud[0]) * HOP_LENGTH, min(len(samples), (int(loud[-1]) + 1) * HOP_LENGTH)


def normalise(samples: np.ndarray) -> np.ndarray:
    """Scale the samples to a peak of 1.0; digital silence is returned unchanged."""
    peak = np.abs(samples).max()
    return samples / peak if peak > 0 else samples


def reduce_noise(waveform: Waveform) -> Waveform:
    """Reduce stationary noise by spectral gating (noisereduce with its defaults).

    If the noise cannot be estimated, as in digital silence, the waveform is returned unchanged.
    """
    with needs("denoise", "a model with noise reduction"):
        from noisereduce import reduce_noise as gate

    with np.errstate(divide="ignore", invalid="ignore"):
        # In chunks it would write the samples to a temporary file.
        samples = gate(y=waveform.samples, sr=waveform.sample_rate, chunk_size=None)
    return replace(waveform, samples=samples) if np.isfinite(samples).all() else waveform


def windows(samples: np.ndarray, length: int) -> list[np.ndarray]:
    """Split samples into windows of `length` with half overlap; the last one ends with the samples.

    Samples no longer than a window are returned as one unpadded window, since padding would distort statistics.
    """
    if len(samples) <= length:
        return [samples]
    starts = [*range(0, len(samples) - length, length // 2), len(samples) - length]
    return [samples[start : start + length] for start in starts]
