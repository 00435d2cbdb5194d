"""Spectral features, equal to librosa's; spectrograms have shape (n_frames, n_fft / 2 + 1), up to half the rate."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.fft import rfft

SAMPLE_RATE = 16_000  # Hz, the default
N_FFT = 2048
HOP_LENGTH = 512
N_CHROMA = 12
PITCHES = ("c", "c_sharp", "d", "d_sharp", "e", "f", "f_sharp", "g", "g_sharp", "a", "a_sharp", "b")
ROLL_OFF = 0.85
MELS_AT_ONCE = 16  # mel bands per matrix product, which covers only their own bins
DELTA_WIDTH = 9
BINS_AT_ONCE = 32  # that are added together in the search for the roll-off
AMIN = 1e-10  # floor of a power before its logarithm
RANGE_DB = 80.0  # dynamic range below a spectrogram's loudest cell


def stft_power(samples: np.ndarray, n_fft: int = N_FFT, hop_length: int = HOP_LENGTH) -> np.ndarray:
    """Return the power spectrogram: periodic Hann window, centred frames, zero-padded at both ends."""
    # SciPy's is eight times as fast as NumPy's on float32.
    spectrum = rfft(centred_frames(samples, n_fft, hop_length) * hann(n_fft), overwrite_x=True)
    return spectrum.real**2 + spectrum.imag**2


def centred_frames(samples: np.ndarray, length: int, hop_length: int) -> np.ndarray:
    """Return the frames of samples zero-padded by half a frame, shape (n_samples // hop_length + 1, length)."""
    zeros = np.zeros(length // 2, samples.dtype)  # np.pad is slow
    padded = np.concatenate((zeros, samples, zeros))
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop_length]


def mel_power(power: np.ndarray, n_mels: int, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return the power in each mel band, shape (n_frames, n_mels)."""
    banks = _mel_banks(n_mels, sample_rate, power.shape[1])
    return np.concatenate([power[:, bins] @ bank for bins, bank in banks], axis=1)


def power_to_db(power: np.ndarray) -> np.ndarray:
    """Return 10 log10(power), floored at 1e-10 and at 80 dB below the loudest cell."""
    db = 10.0 * np.log10(np.maximum(power, AMIN))
    return np.maximum(db, db.max() - RANGE_DB)


def mfcc(mel_db: np.ndarray, n_mfcc: int) -> np.ndarray:
    """Return mel-frequency cepstral coefficients, shape (n_frames, n_mfcc): orthonormal DCT-II of mel bands in dB."""
    return mel_db @ _dct(mel_db.shape[1], n_mfcc)


def delta(values: np.ndarray) -> np.ndarray:
    """Return the local slope of each column, per frame; shape (n_frames, k) to the same.

    A line is fitted to 9 frames (Savitzky-Golay); the first and last four frames repeat the first and last full fit.
    Fewer than 9 frames use the largest odd width.
    """
    half = _half_width(len(values))
    taps = np.arange(-half, half + 1)
    weights = (taps / np.maximum(taps @ taps, 1)).astype(values.dtype)
    slopes = np.lib.stride_tricks.sliding_window_view(values, len(taps), axis=0) @ weights
    return np.pad(slopes, ((half, half), (0, 0)), mode="edge")


def delta_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over time of `delta`, shape (n_frames, k) to (k,), without computing the slopes."""
    half = _half_width(len(values))
    taps = np.arange(-half, half + 1)
    weight_of_fit = np.ones(len(values) - 2 * half)
    weight_of_fit[0] += half
    weight_of_fit[-1] += half
    weights = np.convolve(weight_of_fit, taps) / np.maximum(taps @ taps, 1) / len(values)
    return weights.astype(values.dtype) @ values


def spectral_centroid(magnitude: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return the spectral centroid of each frame in Hz, shape (n_frames,); 0 for silence."""
    total = magnitude.sum(axis=1)
    return (magnitude @ frequencies(sample_rate, magnitude.shape[1])) / np.where(total > 0, total, 1)


def spectral_bandwidth(magnitude: np.ndarray, centroid: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return the standard deviation of each frame's spectrum around its centroid in Hz, shape (n_frames,)."""
    total = magnitude.sum(axis=1)
    squares = np.square(frequencies(sample_rate, magnitude.shape[1]) - centroid[:, None])
    return np.sqrt(np.einsum("tf,tf->t", magnitude, squares) / np.where(total > 0, total, 1))


def spectral_rolloff(magnitude: np.ndarray, sample_rate: int = SAMPLE_RATE, share: float = ROLL_OFF) -> np.ndarray:
    """Return the frequency in Hz below which a share of each frame's magnitude lies, shape (n_frames,)."""
    n_frames, n_bins = magnitude.shape
    whole = n_bins // BINS_AT_ONCE * BINS_AT_ONCE
    # As a matrix product, which is ten times as fast as a sum over short rows.
    sums = magnitude[:, :whole].reshape(n_frames, -1, BINS_AT_ONCE) @ np.ones(BINS_AT_ONCE, magnitude.dtype)
    sums = np.concatenate((sums, magnitude[:, whole:].sum(axis=1, keepdims=True)), axis=1)
    ends = sums.cumsum(axis=1)
    level = share * ends[:, -1:]
    block = (ends >= level).argmax(axis=1)[:, None]
    columns = np.minimum(BINS_AT_ONCE * block + np.arange(BINS_AT_ONCE), n_bins - 1)
    rising = np.take_along_axis(magnitude, columns, axis=1).cumsum(axis=1)
    rising += np.take_along_axis(ends - sums, block, axis=1)
    bins = block[:, 0] * BINS_AT_ONCE + (rising >= level).argmax(axis=1)
    # Sums of blocks round differently, by about a quarter of eps times the root of the number of bins. Where that could
    # decide, bins are added one after the other.
    rounding = 2 * np.sqrt(n_bins) * np.finfo(magnitude.dtype).eps * level
    close = [(np.abs(values - level) <= rounding).any(axis=1) for values in (ends, rising)]
    unclear = np.flatnonzero(close[0] | close[1])
    exact = magnitude[unclear].cumsum(axis=1)
    bins[unclear] = (exact >= share * exact[:, -1:]).argmax(axis=1)
    return frequencies(sample_rate, n_bins)[bins]


def spectral_flatness(power: np.ndarray) -> np.ndarray:
    """Return geometric over arithmetic mean power of each frame, shape (n_frames,): 1 for noise, near 0 for tones."""
    floored = np.maximum(power, AMIN)
    return np.exp(np.log(floored).mean(axis=1)) / floored.mean(axis=1)


def zero_crossing_rate(samples: np.ndarray, threshold: float = 1e-10) -> np.ndarray:
    """Return the share of neighbouring samples with different signs per frame (2048, centred, edge-padded).

    Samples within `threshold` of zero count as zero, which is positive.
    """
    half = np.ones(N_FFT // 2, bool)
    negative = samples < -threshold
    negative = np.concatenate((half & negative[0], negative, half & negative[-1]))
    n_frames, parts = (len(negative) - N_FFT) // HOP_LENGTH + 1, N_FFT // HOP_LENGTH
    end = (n_frames + parts - 1) * HOP_LENGTH
    changes = np.append(negative[1:] != negative[:-1], False)[:end].reshape(-1, HOP_LENGTH)
    of_parts = changes.sum(axis=1, dtype=np.int16).astype(np.int32)
    crossings = _sums_of(of_parts, parts)
    return (crossings - changes[parts - 1 :, -1]) / np.float32(N_FFT)  # not that into the next frame


def frame_power(samples: np.ndarray) -> np.ndarray:
    """Return the mean square of frames of 2048 every 512 samples, centred, zero-padded; shape (n_frames,)."""
    squares = samples * samples
    parts = N_FFT // HOP_LENGTH
    n_frames = len(squares) // HOP_LENGTH + 1
    padded = np.zeros((n_frames + parts - 1) * HOP_LENGTH, squares.dtype)
    kept = squares[: len(padded) - N_FFT // 2]
    padded[N_FFT // 2 : N_FFT // 2 + len(kept)] = kept
    sums = padded.reshape(-1, HOP_LENGTH).sum(axis=1)
    return _sums_of(sums, parts) / N_FFT


def _sums_of(values: np.ndarray, n: int) -> np.ndarray:
    """Return the sum of every `n` neighbours."""
    end = len(values) - n + 1
    return sum((values[at : end + at] for at in range(1, n)), values[:end])


def chroma(power: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return the energy of the 12 pitch classes (C first, A at 440 Hz), largest 1; shape (n_frames, 12)."""
    raw = power @ _chroma_bank(sample_rate, power.shape[1])
    largest = raw.max(axis=1, keepdims=True)
    return raw / np.where(largest > np.finfo(raw.dtype).tiny, largest, 1)


def _half_width(n_frames: int) -> int:
    return min(DELTA_WIDTH, n_frames - 1 + n_frames % 2) // 2


@cache
def hann(n_fft: int) -> np.ndarray:
    """Return the periodic Hann window, shape (n_fft,)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)


@cache
def frequencies(sample_rate: int, n_bins: int) -> np.ndarray:
    """Return the frequency of each bin in Hz, shape (n_bins,)."""
    return np.linspace(0, sample_rate / 2, n_bins, dtype=np.float32)


@cache
def _dct(n_mels: int, n_mfcc: int) -> np.ndarray:
    """Return the orthonormal DCT-II matrix, shape (n_mels, n_mfcc)."""
    n = np.arange(n_mels)[:, None]
    basis = np.cos(np.pi / n_mels * (n + 0.5) * np.arange(n_mfcc)) * np.sqrt(2 / n_mels)
    basis[:, 0] /= np.sqrt(2)
    return basis.astype(np.float32)


@cache
def _mel_banks(n_mels: int, sample_rate: int, n_bins: int) -> list[tuple[slice, np.ndarray]]:
    """Return triangular filters of equal area on Slaney's mel scale, in groups with their non-zero bins only."""
    # Linear below 1 kHz (200/3 Hz per mel), logarithmic above (27 mels per 6.4). Groups are a quarter of the work.
    mels = np.linspace(0, 15 + 27 * np.log(sample_rate / 2 / 1000) / np.log(6.4), n_mels + 2)
    edges = np.where(mels >= 15, 1000 * 6.4 ** ((mels - 15) / 27), mels * 200 / 3)
    hz = np.linspace(0, sample_rate / 2, n_bins)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((hz - low) / (centre - low), (high - hz) / (high - centre))
    filters = (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)
    banks = []
    for bands in np.split(filters, range(MELS_AT_ONCE, n_mels, MELS_AT_ONCE), axis=1):
        reached = np.flatnonzero(bands.any(axis=1))
        bins = slice(int(reached[0]), int(reached[-1]) + 1)
        banks.append((bins, np.ascontiguousarray(bands[bins])))
    return banks


@cache
def _chroma_bank(sample_rate: int, n_bins: int) -> np.ndarray:
    """Return the weight of each bin in each pitch class, shape (n_bins, 12) [Ellis 2007, "Chroma feature analysis"]."""
    hz = np.linspace(0, sample_rate, 2 * (n_bins - 1), endpoint=False)[1:]
    octaves = np.log2(hz / (440.0 / 16))
    bins = N_CHROMA * np.concatenate([[octaves[0] - 1.5], octaves])
    widths = np.concatenate([np.maximum(np.diff(bins), 1.0), [1]])
    distance = bins - np.arange(N_CHROMA)[:, None]
    distance = np.remainder(distance + N_CHROMA / 2 + 10 * N_CHROMA, N_CHROMA) - N_CHROMA / 2
    bank = np.exp(-0.5 * (2 * distance / widths) ** 2)
    bank /= np.linalg.norm(bank, axis=0)
    bank *= np.exp(-0.5 * ((bins / N_CHROMA - 5) / 2) ** 2)  # two octaves around octave 5, counted from A0
    bank = np.roll(bank, -3, axis=0)  # from A to C as the first class
    return np.ascontiguousarray(bank[:, :n_bins].T, np.float32)
