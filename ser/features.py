"""From sound to numbers: published recipes that turn a waveform into feature vectors.

A recipe's name carries its version and never changes its meaning. `voice105-v1` is made of statistics over
one short-time Fourier transform; every block equals what librosa gives when it is called with the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.fft import rfft

from ser.types import ParameterError, Waveform

SAMPLE_RATE = 16_000
WINDOW_S = 3.5
TOP_DB = 30.0  # sound more than this below the loudest frame counts as silence at both ends
N_FFT = 2048
HOP_LENGTH = 512
N_MFCC = 13
N_MELS_MFCC = 128
N_MELS = 48
N_CHROMA = 12
ROLL_OFF = 0.85
MELS_AT_ONCE = 16  # mel bands that are multiplied together with their own bins only
DELTA_WIDTH = 9
FLOOR_DB = 60.0  # below a spectrogram's loudest cell; deeper lies the rounding noise of quiet 16-bit files
AMIN = 1e-10  # floor of a power before its logarithm
RANGE_DB = 80.0  # dynamic range kept below a spectrogram's loudest cell
ZERO_CROSSING_THRESHOLD = 0.003  # of the peak: smaller wiggles count as zero


@dataclass(frozen=True)
class Recipe:
    """How a waveform becomes the input of a network.

    `extract` maps the samples of one window, shape (n,), peak 1, to one array of `shape`.
    """

    name: str
    sample_rate: int
    window_s: float
    feature_names: tuple[str, ...]
    shape: tuple[int, ...]
    extract: Callable[[np.ndarray], np.ndarray]

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Features of every window of trimmed, level-normalised samples, shape (n_windows, *shape), float32."""
        return np.stack([self.extract(part) for part in windows(samples, round(self.window_s * self.sample_rate))])

    def of(self, waveform: Waveform) -> np.ndarray:
        """Features of a whole recording: trimmed, level-normalised, then window by window."""
        if waveform.sample_rate != self.sample_rate:
            raise ParameterError(f"{self.name} needs sound at {self.sample_rate} Hz, got {waveform.sample_rate} Hz.")
        start, end = trim(waveform.samples)
        return self(normalise(waveform.samples[start:end]))


def trim(samples: np.ndarray, top_db: float = TOP_DB) -> tuple[int, int]:
    """First sample and end (exclusive) of the sound, after silence at both ends is left out.

    Silence is what lies `top_db` or more below the loudest of the frames (2048 samples every 512, root mean square),
    so a change of gain changes nothing. Digital silence is returned whole.
    """
    power = _frame_sums(samples * samples) / N_FFT
    loud = np.flatnonzero(power > power.max() * 10 ** (-top_db / 10))
    if not len(loud):
        return 0, len(samples)
    return int(loud[0]) * HOP_LENGTH, min(len(samples), (int(loud[-1]) + 1) * HOP_LENGTH)


def normalise(samples: np.ndarray) -> np.ndarray:
    """The samples scaled to a peak of 1.0; digital silence as it is."""
    peak = np.abs(samples).max()
    return samples / peak if peak > 0 else samples


def windows(samples: np.ndarray, length: int) -> list[np.ndarray]:
    """Windows of `length` samples with half overlap; the last one ends with the sound.

    Sound no longer than a window is one window of its own length: padding would spoil the statistics.
    """
    if len(samples) <= length:
        return [samples]
    starts = [*range(0, len(samples) - length, length // 2), len(samples) - length]
    return [samples[start : start + length] for start in starts]


def stft_power(samples: np.ndarray) -> np.ndarray:
    """Power spectrogram, shape (n_frames, 1025): periodic Hann window, frames centred on multiples of the hop."""
    padded = np.pad(samples, N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    spectrum = rfft(frames * _hann(), overwrite_x=True)  # eight times as fast as NumPy's on float32
    return spectrum.real**2 + spectrum.imag**2


def mel_power(power: np.ndarray, n_mels: int) -> np.ndarray:
    """Power in each mel band, shape (n_frames, 1025) to (n_frames, n_mels)."""
    return np.concatenate([power[:, bins] @ bank for bins, bank in _mel_groups(n_mels)], axis=1)


def power_to_db(power: np.ndarray) -> np.ndarray:
    """10 log10(power), floored at 1e-10 and at 80 dB below the loudest cell."""
    db = 10.0 * np.log10(np.maximum(power, AMIN))
    return np.maximum(db, db.max() - RANGE_DB)


def mfcc(mel_db: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstral coefficients, shape (n_frames, 13): orthonormal DCT-II of the mel bands in dB."""
    return mel_db @ _dct()


def delta_mean(values: np.ndarray) -> np.ndarray:
    """Mean over time of the local slope of each column, per frame; shape (n_frames, k) to (k,).

    The slope is that of a line fitted to 9 frames (Savitzky-Golay); the first and last four frames take the slope
    of the first and last full fit. Fewer than 9 frames are fitted with the largest odd width there is.
    """
    half = (min(DELTA_WIDTH, len(values) - 1 + len(values) % 2)) // 2
    if half == 0:
        return np.zeros(values.shape[1], values.dtype)
    n_fits = len(values) - 2 * half
    taps = np.arange(-half, half + 1)
    weight_of_fit = np.ones(n_fits)
    weight_of_fit[0] += half
    weight_of_fit[-1] += half
    weights = np.convolve(weight_of_fit, taps) / (taps @ taps) / len(values)
    return weights.astype(values.dtype) @ values


def spectral_centroid(magnitude: np.ndarray) -> np.ndarray:
    """Centre of gravity of each frame's spectrum in Hz, shape (n_frames,); 0 for silence."""
    total = magnitude.sum(axis=1)
    return (magnitude @ _frequencies()) / np.where(total > 0, total, 1)


def spectral_rolloff(magnitude: np.ndarray) -> np.ndarray:
    """Lowest frequency in Hz that has 85 % of each frame's magnitude at or below it, shape (n_frames,)."""
    # Every bin in turn, as slow as it is: sums by blocks round otherwise, and a frame in a thousand moves by a bin.
    cumulated = np.cumsum(magnitude, axis=1)
    return _frequencies()[(cumulated >= ROLL_OFF * cumulated[:, -1:]).argmax(axis=1)]


def zero_crossing_rate(samples: np.ndarray) -> np.ndarray:
    """Share of neighbouring samples in each frame (2048, centred, edges repeated) that differ in sign."""
    padded = np.pad(samples, N_FFT // 2, mode="edge")
    negative = padded < -ZERO_CROSSING_THRESHOLD
    crossings = np.zeros(len(padded) + 1, np.int32)
    np.cumsum(negative[1:] != negative[:-1], out=crossings[2:])
    starts = np.arange(0, len(padded) - N_FFT + 1, HOP_LENGTH)
    return (crossings[starts + N_FFT] - crossings[starts + 1]) / np.float32(N_FFT)


def chroma(power: np.ndarray) -> np.ndarray:
    """Energy of the twelve pitch classes (C first, A at 440 Hz), each frame's largest 1; shape (n_frames, 12)."""
    raw = power @ _chroma_bank()
    largest = raw.max(axis=1, keepdims=True)
    return raw / np.where(largest > np.finfo(raw.dtype).tiny, largest, 1)


def voice105(samples: np.ndarray) -> np.ndarray:
    """The 105 features of one window, shape (105,), float32; named by `RECIPES["voice105-v1"].feature_names`.

    What lies 60 dB or more below the loudest cell of the spectrogram is the rounding noise of quiet 16-bit files
    rather than voice: it counts for nothing in centroid and roll-off, and as 60 dB down elsewhere.
    """
    power = stft_power(samples)
    floor = power.max() * np.float32(10 ** (-FLOOR_DB / 10))
    magnitude = np.sqrt(power * (power > floor))
    power = np.maximum(power, floor)
    cepstrum = mfcc(power_to_db(mel_power(power, N_MELS_MFCC)))
    tracks = (spectral_centroid(magnitude), spectral_rolloff(magnitude), zero_crossing_rate(samples))
    blocks = (
        cepstrum.mean(axis=0),
        cepstrum.std(axis=0),
        delta_mean(cepstrum),
        power_to_db(mel_power(power, N_MELS)).mean(axis=0),
        [statistic for track in tracks for statistic in (track.mean(), track.std())],
        chroma(power).mean(axis=0),
    )
    return np.concatenate(blocks).astype(np.float32)


def _voice105_names() -> tuple[str, ...]:
    numbered = [f"mfcc_{kind}_{i:02d}" for kind in ("mean", "std", "delta") for i in range(1, N_MFCC + 1)]
    mel = [f"mel_db_{i:02d}" for i in range(1, N_MELS + 1)]
    tracks = ("centroid_hz", "rolloff_hz", "zero_crossing_rate")
    spectral = [f"{track}_{statistic}" for track in tracks for statistic in ("mean", "std")]
    pitches = ("c", "c_sharp", "d", "d_sharp", "e", "f", "f_sharp", "g", "g_sharp", "a", "a_sharp", "b")
    return (*numbered, *mel, *spectral, *(f"chroma_{pitch}" for pitch in pitches))


def _frame_sums(values: np.ndarray) -> np.ndarray:
    """Sum of `values` over centred frames of 2048 every 512 samples, zeros beyond both ends; shape (n_frames,)."""
    parts = N_FFT // HOP_LENGTH
    n_frames = len(values) // HOP_LENGTH + 1
    padded = np.zeros((n_frames + parts - 1) * HOP_LENGTH, values.dtype)
    kept = values[: len(padded) - N_FFT // 2]
    padded[N_FFT // 2 : N_FFT // 2 + len(kept)] = kept
    sums = padded.reshape(-1, HOP_LENGTH).sum(axis=1)
    return np.lib.stride_tricks.sliding_window_view(sums, parts).sum(axis=1)


@cache
def _hann() -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


@cache
def _frequencies() -> np.ndarray:
    return np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, dtype=np.float32)


@cache
def _dct() -> np.ndarray:
    """Orthonormal DCT-II as a matrix, shape (128, 13)."""
    n = np.arange(N_MELS_MFCC)[:, None]
    basis = np.cos(np.pi / N_MELS_MFCC * (n + 0.5) * np.arange(N_MFCC)) * np.sqrt(2 / N_MELS_MFCC)
    basis[:, 0] /= np.sqrt(2)
    return basis.astype(np.float32)


@cache
def _mel_bank(n_mels: int) -> np.ndarray:
    """Triangles of equal area on Slaney's mel scale from 0 to 8 kHz, shape (1025, n_mels) [Slaney 1998]."""
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(SAMPLE_RATE / 2), n_mels + 2))
    frequencies = np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((frequencies - low) / (centre - low), (high - frequencies) / (high - centre))
    return (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)


@cache
def _mel_groups(n_mels: int) -> list[tuple[slice, np.ndarray]]:
    """The bank in groups of neighbouring bands, each with the only bins that reach it: a quarter of the work."""
    groups = []
    for first in range(0, n_mels, MELS_AT_ONCE):
        bands = _mel_bank(n_mels)[:, first : first + MELS_AT_ONCE]
        reached = np.flatnonzero(bands.any(axis=1))
        bins = slice(int(reached[0]), int(reached[-1]) + 1)
        groups.append((bins, np.ascontiguousarray(bands[bins])))
    return groups


def _hz_to_mel(hz: float) -> float:
    """Slaney's scale: linear below 1 kHz (200/3 Hz a mel), logarithmic above (27 mels for a factor 6.4)."""
    return 15 + 27 * np.log(hz / 1000) / np.log(6.4) if hz >= 1000 else hz * 3 / 200


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel >= 15, 1000 * 6.4 ** ((mel - 15) / 27), mel * 200 / 3)


@cache
def _chroma_bank() -> np.ndarray:
    """Weights of each bin in each pitch class, shape (1025, 12).

    A Gaussian bump around each pitch as wide as a bin, the bins weighted by a Gaussian of two octaves
    around A4's octave 5 (counted from A0 at 27.5 Hz), columns of unit length [Ellis 2007, "Chroma feature analysis"].
    """
    frequencies = np.linspace(0, SAMPLE_RATE, N_FFT, endpoint=False)[1:]
    octaves = np.log2(frequencies / (440.0 / 16))
    bins = N_CHROMA * np.concatenate([[octaves[0] - 1.5], octaves])
    widths = np.concatenate([np.maximum(np.diff(bins), 1.0), [1]])
    distance = bins - np.arange(N_CHROMA)[:, None]
    distance = np.remainder(distance + N_CHROMA / 2 + 10 * N_CHROMA, N_CHROMA) - N_CHROMA / 2
    bank = np.exp(-0.5 * (2 * distance / widths) ** 2)
    bank /= np.linalg.norm(bank, axis=0)
    bank *= np.exp(-0.5 * ((bins / N_CHROMA - 5) / 2) ** 2)
    bank = np.roll(bank, -3, axis=0)  # from A to C as the first class
    return np.ascontiguousarray(bank[:, : N_FFT // 2 + 1].T, np.float32)


RECIPES = {
    "voice105-v1": Recipe("voice105-v1", SAMPLE_RATE, WINDOW_S, _voice105_names(), (105,), voice105),
}


def recipe(name: str) -> Recipe:
    """The recipe of that name; `ParameterError` lists the known ones."""
    if name not in RECIPES:
        raise ParameterError(f"Unknown recipe {name!r}; known: {', '.join(RECIPES)}.")
    return RECIPES[name]
