"""Preprocessing of waveforms: rumble, silence and level, noise reduction and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from ser.extras import needs
from ser.features.spectral import HOP_LENGTH, N_FFT, SAMPLE_RATE, frame_power
from ser.types import Waveform

TOP_DB = 30.0  # frames further below the loudest are silent
STEADY_S = 0.5  # in which the level of speech changes by more than that of noise
STEADY_DB = 5.0  # or less between the quietest and the loudest frame
FLOOR_DB = 6.0  # or less above the quietest frame of all: nothing is quieter than the noise behind it
NOISE_DB = 15.0  # or more below the level of the speech; what is nearer is not left out
NOISE_MARGIN_DB = 3.0  # above the noise a frame sounds
GATED_S = 0.35  # around digital silence, where the filter dies away, no frame tells how loud the noise is
LOWEST_HZ = 70.0  # of voices; what lies below is turned down
LIMIT = 64  # fractions of that frequency are turned down alike
STEEPNESS = 8  # of the high-pass: a Butterworth filter of order 4, forwards and backwards
MAINS_HZ = (40.0, 70.0)  # what is counted as energy near the mains; hum of 50 or 60 Hz lies within, also if it varies
UNCHANGED_HZ = 10 * LOWEST_HZ  # from here on its gain is 1 in float32
MOST_DECIMATED = 8  # samples, of which its transforms take one; processors transform that many at once
PADDING_S = 0.2  # of zeros, in which the filter's response to the ends dies away
FFT_STEP = 1024  # which divides the transform's length: powers of two are transformed faster than other small factors
LOUD_FRAMES = 8  # the level is that of the 8th loudest frame: a pop of 30 ms is in fewer
LEVEL = 0.2  # root mean square of that frame after normalisation; peaks of speech are then about 1
PAUSE_S = 0.4  # longer pauses are left out
KEPT_S = 0.1  # of a pause, on either side
# After a longer pause a new utterance begins, with windows of its own, if it and those before last that long.
UTTERANCE_PAUSE_S = 1.0
LEAST_UTTERANCE_S = 1.0
DIGITAL_SILENCE = 800  # equal samples, one after the other
LEAST_SOUND_S = 0.1  # shorter sounds between two pauses are clicks, unless there is nothing else
BLOCK_S = 0.01  # in which the duration of the sound is counted; frames are 13 times as long and blur its ends
LOUD_BLOCKS = 6  # a pop of 30 ms is in fewer
LEAST_POWER = 1e-9  # mean square of a block that sounds: -90 dB, the last bit of 16


class Prepared(NamedTuple):
    """The sound of a recording as features are computed of it, from sample `start` to `end` of the recording.

    `peak` is its largest absolute sample (full scale: 1) before the level is normalised. `n_sound` counts the samples
    from the first to the last that sounds, without long pauses: at most `samples`, whose ends are those of frames.
    `breaks` are the samples at which another utterance begins, but for the first. `mains_energy` is the sum of the
    squares of what the recording holds near 50 and 60 Hz, if that was computed.
    """

    samples: np.ndarray
    start: int
    end: int
    peak: float
    n_sound: int
    breaks: tuple[int, ...] = ()
    mains_energy: float = math.inf


def prepare_v1(samples: np.ndarray, sample_rate: int) -> Prepared:
    """Trim the silence at both ends and scale the samples to a peak of 1."""
    start, end = trim(samples)
    peak = float(np.abs(samples).max())
    return Prepared(normalise(samples[start:end]), start, end, peak, count_sound(samples, sample_rate))


def prepare(samples: np.ndarray, sample_rate: int) -> Prepared:
    """Turn down rumble, leave out silence or steady noise at both ends and in long pauses, and normalise the level.

    An offset, hum below the voice, a pop, a pause or a room before the first word hardly changes the features.
    """
    clean, mains_energy = _filtered(samples, sample_rate)
    loud, reference = _loud_frames(clean)
    n_sound, peak = count_sound(clean, sample_rate), max(float(clean.max()), -float(clean.min()))
    if not len(loud) or reference <= 0:
        return Prepared(clean, 0, len(clean), peak, n_sound, (), mains_energy)
    pauses = [_silence(samples, *pause) for pause in _long_pauses(_stretches(loud, sample_rate), sample_rate)]
    if not pauses:
        sound, start, end = _utterance(clean, loud, reference, sample_rate)
        return Prepared(sound, start, end, peak, min(n_sound, len(sound)), (), mains_energy)
    starts, ends = [0, *(end for _, end in pauses)], [*(start for start, _ in pauses), len(clean)]
    parts = [clean[start:end] for start, end in zip(starts, ends, strict=True)]
    utterances = [_utterance(part, *_loud_frames(part), sample_rate) for part in parts]
    breaks = np.cumsum([len(sound) for sound, _, _ in utterances])[:-1].tolist()
    sound = np.concatenate([sound for sound, _, _ in utterances])
    start, end = utterances[0][1], starts[-1] + utterances[-1][2]
    return Prepared(sound, start, end, peak, min(n_sound, len(sound)), tuple(breaks), mains_energy)


def _utterance(clean: np.ndarray, loud: np.ndarray, reference: float, sample_rate: int) -> tuple[np.ndarray, int, int]:
    """Return an utterance without pauses, at its own level, and its first sample and end."""
    spans = _spans(_stretches(loud, sample_rate), len(clean), sample_rate)
    sound = np.concatenate([clean[start:end] for start, end in spans])
    return sound * np.float32(LEVEL / np.sqrt(reference)), spans[0][0], spans[-1][1]


def _loud_frames(clean: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the frames that are neither silent nor steady noise, and the power of that which the level is taken of."""
    power = frame_power(clean)
    reference = _nth_loudest(power, LOUD_FRAMES)
    silent = max(reference * 10 ** (-TOP_DB / 10), _steady_noise(power, reference))
    return np.flatnonzero(power > silent), reference


def _steady_noise(power: np.ndarray, reference: float) -> float:
    """Return the power up to which frames are noise, as before somebody speaks; 0 if there is no steady noise.

    It is the level of the half seconds that are steady, far below the speech, and as quiet as the recording ever is.
    """
    n_frames = round(STEADY_S * SAMPLE_RATE / HOP_LENGTH)
    around = 2 * round(GATED_S * SAMPLE_RATE / HOP_LENGTH) + 1
    is_gated = np.convolve(power < LEAST_POWER, np.ones(around), "same")[: len(power)] > 0.5
    if len(power) < max(n_frames, around) or is_gated.all():
        return 0.0
    floor = power[~is_gated].min() * 10 ** (FLOOR_DB / 10)
    stretches = np.lib.stride_tricks.sliding_window_view(power, n_frames)
    quietest, loudest = stretches.min(axis=1), stretches.max(axis=1)
    is_noise = (loudest <= quietest * 10 ** (STEADY_DB / 10)) & (quietest <= floor)
    is_noise &= loudest <= reference * 10 ** (-NOISE_DB / 10)
    levels = stretches[is_noise].mean(axis=1)
    return float(np.median(levels)) * 10 ** (NOISE_MARGIN_DB / 10) if len(levels) else 0.0


def count_sound(samples: np.ndarray, sample_rate: int) -> int:
    """Return how many samples lie in blocks of 10 ms that sound, or between two of them.

    Blocks sound if they are at most 30 dB below the 6th loudest. Pauses longer than 0.4 s do not count.
    """
    length = round(BLOCK_S * sample_rate)
    blocks = samples[: len(samples) // length * length].reshape(-1, length)
    if not len(blocks):
        return 0
    power = np.einsum("ij,ij->i", blocks, blocks) / length
    loud = np.flatnonzero(power > max(_nth_loudest(power, LOUD_BLOCKS) * 10 ** (-TOP_DB / 10), LEAST_POWER))
    steps = np.diff(loud)
    is_pause = steps * BLOCK_S > PAUSE_S  # of which only the block before it counts
    return int(np.where(is_pause, 1, steps).sum() + min(1, len(loud))) * length


def _nth_loudest(power: np.ndarray, n: int) -> float:
    """Return the n-th largest value, the least if there are fewer."""
    n = min(n, len(power))
    return float(np.partition(power, -n)[-n])


def high_pass(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the samples without their mean, and with frequencies below 70 Hz turned down; zero-phase, float32."""
    return _filtered(samples, sample_rate)[0]


def _filtered(samples: np.ndarray, sample_rate: int) -> tuple[np.ndarray, float]:
    """Return the result of `high_pass`, and the `mains_energy` of the samples.

    What the filter takes away lies below `UNCHANGED_HZ`. So only that part of the spectrum is put together, from the
    transforms of every 8th sample (decimation in time), and its inverse is subtracted: twice as fast as the whole.
    `sample_rate` is at least 8 kHz.
    """
    n = FFT_STEP * next_fast_len(-(-(len(samples) + round(PADDING_S * sample_rate)) // FFT_STEP), real=True)
    centred = np.zeros(n, np.float32)
    np.subtract(samples, samples.mean(), out=centred[: len(samples)])
    decimation = min(MOST_DECIMATED, 2 ** int(math.log2(sample_rate / (2 * UNCHANGED_HZ))))
    turns = _turns(n, int(UNCHANGED_HZ * n / sample_rate) + 1, decimation)
    low = np.einsum("kd,kd->k", rfft(centred.reshape(-1, decimation), axis=0)[: len(turns)], turns)
    near_mains = low[int(MAINS_HZ[0] * n / sample_rate) : int(MAINS_HZ[1] * n / sample_rate) + 2]
    mains_energy = 2 * float(np.vdot(near_mains, near_mains).real) / n  # twice: as much has negative frequencies
    hz = np.arange(len(low), dtype=np.float32) * np.float32(sample_rate / n)
    low *= (1 - 1 / (1 + (LOWEST_HZ / np.maximum(hz, LOWEST_HZ / LIMIT)) ** STEEPNESS)) / decimation
    rumble = irfft(low[:, None] * turns.conj(), n // decimation, axis=0, overwrite_x=True).ravel()
    return np.subtract(centred, rumble, out=rumble)[: len(samples)], mains_energy


@lru_cache(maxsize=4)
def _turns(n: int, n_bins: int, n_delays: int) -> np.ndarray:
    """Return the phase of bins 0, 1, ... of n samples at delays of 0, 1, ... samples, (n_bins, n_delays), complex64."""
    each = np.exp(-2j * np.pi * np.arange(n_bins) / n)
    return np.vander(each, n_delays, increasing=True).astype(np.complex64)


def _stretches(loud: np.ndarray, sample_rate: int) -> list[np.ndarray]:
    """Return the loud frames between pauses, without clicks."""
    stretches = np.split(loud, np.flatnonzero(np.diff(loud) * HOP_LENGTH > PAUSE_S * sample_rate) + 1)
    # A frame is four hops long, so that a sound is in three more frames than it has hops.
    least = LEAST_SOUND_S * sample_rate / HOP_LENGTH + N_FFT // HOP_LENGTH - 1
    return [frames for frames in stretches if len(frames) > least] or stretches


def _long_pauses(stretches: list[np.ndarray], sample_rate: int) -> list[tuple[int, int]]:
    """Return first sample and end of the pauses between utterances of `LEAST_UTTERANCE_S` or more."""
    least, shortest = LEAST_UTTERANCE_S * sample_rate / HOP_LENGTH, UTTERANCE_PAUSE_S * sample_rate / HOP_LENGTH
    pauses, n_before, n_left = [], 0, sum(map(len, stretches))
    for frames, following in pairwise(stretches):
        n_before, n_left = n_before + len(frames), n_left - len(frames)
        if following[0] - frames[-1] > shortest and n_before >= least and n_left >= least:
            pauses.append((int(frames[-1]) * HOP_LENGTH, int(following[0]) * HOP_LENGTH))
            n_before = 0
    return pauses


def _silence(samples: np.ndarray, first: int, end: int) -> tuple[int, int]:
    """Return first sample and end of the last digital silence in a pause; its middle twice if there is none."""
    changes = np.array([-1, *np.flatnonzero(np.diff(samples[first:end])), end - first - 1])
    silent = np.flatnonzero(np.diff(changes) > DIGITAL_SILENCE)
    if not len(silent):
        return (first + end) // 2, (first + end) // 2
    return first + int(changes[silent[-1]]) + 1, first + int(changes[silent[-1] + 1]) + 1


def _spans(stretches: list[np.ndarray], n_samples: int, sample_rate: int) -> list[tuple[int, int]]:
    """Return first sample and end of every stretch of loud frames, with a little of the pauses between them."""
    kept = round(KEPT_S * sample_rate)
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


def windows(samples: np.ndarray, length: int, breaks: Sequence[int] = ()) -> list[np.ndarray]:
    """Split every utterance into windows of `length` with half overlap; the last one ends with the utterance.

    Utterances no longer than a window are returned as one unpadded window, since padding would distort statistics.
    """
    if breaks:
        return [window for utterance in np.split(samples, breaks) for window in windows(utterance, length)]
    if len(samples) <= length:
        return [samples]
    starts = [*range(0, len(samples) - length, length // 2), len(samples) - length]
    return [samples[start : start + length] for start in starts]
