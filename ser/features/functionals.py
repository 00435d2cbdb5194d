"""Functionals: statistics over time of a window's descriptors and their slopes, pitch and modulation, as in ComParE."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.fft import rfft
from scipy.ndimage import uniform_filter1d

from ser.features.descriptors import HOP_LENGTH, LEVEL, N_MELS, NAMES, descriptors
from ser.features.spectral import SAMPLE_RATE

RATE = SAMPLE_RATE / HOP_LENGTH  # frames per second
SMOOTHED = 3  # frames of the moving average
LEAST_VOICED = 5  # frames needed for pitch statistics
MODULATION_HZ = (0.3, 1.5, 3, 5, 8, 12, 20)
MODULATION_FFT = 512
N_GROUPS = 5  # bands of modulation
DESCRIPTOR_NAMES = (*(f"mel_{k}-{k + 1}" for k in range(1, N_MELS, 2)), *NAMES[N_MELS:-3])
STATISTICS = (
    *("mean", "std", "skewness", "kurtosis", "p1", "p25", "p50", "p75", "p99", "q1_to_q2", "q2_to_q3", "range"),
    *("slope", "curve", "above_25", "above_50", "above_75", "rising", "argmax", "argmin", "first", "last"),
)
SLOPE_STATISTICS = ("std", "skewness", "kurtosis", "p1", "p25", "p75", "p99", "absolute", "quartiles")
PITCH_NAMES = (
    *("mean", "std", "p5", "p20", "p50", "p80", "p95", "range_90", "range_60", "slope", "first", "last", "jumps"),
    *("rising", "rise", "fall", "skewness", "voiced", "run", "run_std", "run_max", "gap", "runs", "with_level"),
)
MODULATED = (*(f"mel_group_{k}" for k in range(1, N_GROUPS + 1)), "level", "centroid", "pitch", "voiced")
FEATURE_NAMES = (
    *(f"{name}_{statistic}" for statistic in STATISTICS for name in DESCRIPTOR_NAMES),
    *(f"{name}_slope_{statistic}" for statistic in SLOPE_STATISTICS for name in DESCRIPTOR_NAMES),
    *(f"{name}_voiced_{statistic}" for statistic in ("mean", "std") for name in DESCRIPTOR_NAMES),
    *(f"{name}_{low}-{high}hz" for low, high in itertools.pairwise(MODULATION_HZ) for name in MODULATED),
    *(f"pitch_{name}" for name in PITCH_NAMES),
    "log_frames",
)


def functionals(samples: np.ndarray) -> np.ndarray:
    """Return all functionals of a window, shape (len(FEATURE_NAMES),), finite float32."""
    raw = descriptors(samples)
    pairs = raw[:, :N_MELS].reshape(len(raw), -1, 2).mean(axis=2)
    values = uniform_filter1d(np.column_stack([pairs, raw[:, N_MELS:-3]]), SMOOTHED, axis=0)
    deviation, median, voiced = raw[:, -3], raw[0, -2], raw[:, -1] > 0
    spoken = values[voiced] if voiced.sum() >= LEAST_VOICED else values
    parts = (
        _statistics(values),
        _slope_statistics(_slopes(values)),
        np.concatenate([spoken.mean(axis=0), spoken.std(axis=0)]),
        _modulation(values, deviation, voiced),
        _pitch(deviation + median, voiced, raw[:, LEVEL]),
        [np.log(len(raw))],
    )
    return np.nan_to_num(np.concatenate(parts)).astype(np.float32)


def _statistics(values: np.ndarray) -> np.ndarray:
    """Return `STATISTICS` of every column, concatenated, shape (22 k,)."""
    n = len(values)
    mean, *moments = _moments(values)
    p1, p25, p50, p75, p99 = _percentiles(values, (1, 25, 50, 75, 99))
    width = p99 - p1 + 1e-6
    time = np.linspace(-0.5, 0.5, n, dtype=np.float32)
    bow = time**2 - np.mean(time**2)
    steps = np.diff(values, axis=0) if n > 1 else np.zeros_like(values)
    third = max(n // 3, 1)
    return np.concatenate(
        [
            *(mean, *moments, p1, p25, p50, p75, p99, p50 - p25, p75 - p50, width),
            time @ values / (time @ time + 1e-9),
            bow @ values / (bow @ bow + 1e-9),
            *((values > p1 + share * width).mean(axis=0) for share in (0.25, 0.5, 0.75)),
            (steps > 0).mean(axis=0),
            values.argmax(axis=0) / n,
            values.argmin(axis=0) / n,
            values[:third].mean(axis=0) - mean,
            values[-third:].mean(axis=0) - mean,
        ]
    )


def _slope_statistics(slopes: np.ndarray) -> np.ndarray:
    """Return `SLOPE_STATISTICS` of every column, concatenated, shape (9 k,)."""
    _, *moments = _moments(slopes)
    p1, p25, p75, p99 = _percentiles(slopes, (1, 25, 75, 99))
    return np.concatenate([*moments, p1, p25, p75, p99, np.abs(slopes).mean(axis=0), p75 - p25])


def _moments(values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return mean, standard deviation, skewness and kurtosis of every column."""
    mean, std = values.mean(axis=0), values.std(axis=0) + 1e-6
    standard = (values - mean) / std
    return mean, std, (standard**3).mean(axis=0), (standard**4).mean(axis=0)


def _percentiles(values: np.ndarray, percents: tuple[int, ...]) -> np.ndarray:
    """Return each percentile of every column by nearest rank, shape (n_percents, k)."""
    ranks = [round(percent / 100 * (len(values) - 1)) for percent in percents]
    return np.sort(values, axis=0)[ranks]


def _slopes(values: np.ndarray) -> np.ndarray:
    """Return the slope of a line fitted to five frames, per frame; the ends are edge-padded."""
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    return (padded[3:-1] - padded[1:-3] + 2 * (padded[4:] - padded[:-4])) / 10


def _modulation(values: np.ndarray, deviation: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Return the log modulation power (six bands, 0.3 to 20 Hz) of mel groups, level, centroid, pitch and voicing."""
    groups = np.array_split(np.arange(N_MELS // 2), N_GROUPS)
    centroid, level = (values[:, DESCRIPTOR_NAMES.index(name)] for name in ("centroid_khz", "level_db"))
    slow = np.column_stack(
        [*(values[:, group].mean(axis=1) for group in groups), level, centroid * 8, deviation, voiced * 10]
    )
    slow = (slow - slow.mean(axis=0)) * np.hanning(len(slow) + 2)[1:-1, None]
    power = np.abs(rfft(slow, MODULATION_FFT, axis=0)) ** 2 / len(slow)
    hz = np.linspace(0, RATE / 2, len(power))
    edges = np.searchsorted(hz, MODULATION_HZ)
    sums = [power[low:high].sum(axis=0) for low, high in itertools.pairwise(edges)]
    return np.log(np.concatenate(sums) + 1e-2)


def _pitch(pitch: np.ndarray, voiced: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return `PITCH_NAMES`: statistics of pitch (semitones) over voiced frames, and of the voiced runs."""
    semitones = pitch[voiced]
    if len(semitones) < LEAST_VOICED:
        return np.zeros(len(PITCH_NAMES))
    p5, p20, p50, p80, p95 = np.percentile(semitones, (5, 20, 50, 80, 95))
    steps = np.diff(semitones)
    time = np.flatnonzero(voiced) / len(voiced)
    time = time - time.mean()
    centred, third = semitones - semitones.mean(), max(len(semitones) // 3, 1)
    loud = level[voiced] - level[voiced].mean()
    bounds = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(int), [0]])))
    runs, gaps = np.diff(bounds)[::2] / RATE, np.diff(bounds)[1::2] / RATE
    norms = np.linalg.norm(centred) * np.linalg.norm(loud)
    return np.array(
        [
            *(semitones.mean(), semitones.std(), p5, p20, p50, p80, p95, p95 - p5, p80 - p20),
            time @ centred / (time @ time + 1e-9),
            semitones[:third].mean() - semitones.mean(),
            semitones[-third:].mean() - semitones.mean(),
            np.minimum(np.abs(steps), 2).mean(),
            (steps > 0).mean(),
            np.clip(steps, 0, 3).mean(),
            np.clip(steps, -3, 0).mean(),
            (centred**3).mean() / (semitones.std() + 1e-3) ** 3,
            voiced.mean(),
            *(runs.mean(), runs.std(), runs.max(), gaps.mean() if len(gaps) else 0, len(runs) / len(voiced) * RATE),
            centred @ loud / norms if norms > 0 else 0,
        ]
    )
