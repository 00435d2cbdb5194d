"""From sound to numbers: published recipes that turn a waveform into feature vectors.

A recipe's name carries its version and never changes its meaning. `voice105-v1`, ours, is made of statistics over
one short-time Fourier transform; the recipes of published systems stand in `ser.features.published`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ser.extras import needs
from ser.features import descriptors as tracks
from ser.features import functionals, published
from ser.features.spectral import (
    HOP_LENGTH,
    PITCHES,
    SAMPLE_RATE,
    chroma,
    delta_mean,
    frame_power,
    mel_power,
    mfcc,
    power_to_db,
    spectral_centroid,
    spectral_rolloff,
    stft_power,
    zero_crossing_rate,
)
from ser.types import ParameterError, Waveform

WINDOW_S = 3.5
N_FRAMES = 201
FRAMES_WINDOW_S = (N_FRAMES - 1) * tracks.HOP_LENGTH / SAMPLE_RATE  # 3.2 s
TOP_DB = 30.0  # sound more than this below the loudest frame counts as silence at both ends
N_MFCC = 13
N_MELS_MFCC = 128
N_MELS = 48
FLOOR_DB = 60.0  # below a spectrogram's loudest cell; deeper lies the rounding noise of quiet 16-bit files
ZERO_CROSSING_THRESHOLD = 0.003  # of the peak: smaller wiggles count as zero


@dataclass(frozen=True)
class Recipe:
    """How a waveform becomes the input of a network.

    `extract` maps the samples of one window, shape (n,), peak 1, to one array of `shape`: statistics with an axis
    for each number, or (n_frames, n_features). A frame that is all zero is padding beyond the end of the sound.
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
    power = frame_power(samples)
    loud = np.flatnonzero(power > power.max() * 10 ** (-top_db / 10))
    if not len(loud):
        return 0, len(samples)
    return int(loud[0]) * HOP_LENGTH, min(len(samples), (int(loud[-1]) + 1) * HOP_LENGTH)


def normalise(samples: np.ndarray) -> np.ndarray:
    """The samples scaled to a peak of 1.0; digital silence as it is."""
    peak = np.abs(samples).max()
    return samples / peak if peak > 0 else samples


def reduce_noise(waveform: Waveform) -> Waveform:
    """The waveform with steady noise turned down (noisereduce, spectral gating with its own defaults).

    Where the noise cannot be estimated, as in digital silence, the waveform as it is.
    """
    with needs("denoise", "a model that turns down noise"):
        from noisereduce import reduce_noise as gate

    with np.errstate(divide="ignore", invalid="ignore"):
        # In one piece: by chunks it would write the sound to a temporary file.
        samples = gate(y=waveform.samples, sr=waveform.sample_rate, chunk_size=None)
    return replace(waveform, samples=samples) if np.isfinite(samples).all() else waveform


def windows(samples: np.ndarray, length: int) -> list[np.ndarray]:
    """Windows of `length` samples with half overlap; the last one ends with the sound.

    Sound no longer than a window is one window of its own length: padding would spoil statistics.
    """
    if len(samples) <= length:
        return [samples]
    starts = [*range(0, len(samples) - length, length // 2), len(samples) - length]
    return [samples[start : start + length] for start in starts]


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


def _voice105_names() -> tuple[str, ...]:
    numbered = [f"mfcc_{kind}_{i:02d}" for kind in ("mean", "std", "delta") for i in range(1, N_MFCC + 1)]
    mel = [f"mel_db_{i:02d}" for i in range(1, N_MELS + 1)]
    tracks = ("centroid_hz", "rolloff_hz", "zero_crossing_rate")
    spectral = [f"{track}_{statistic}" for track in tracks for statistic in ("mean", "std")]
    return (*numbered, *mel, *spectral, *(f"chroma_{pitch}" for pitch in PITCHES))


def voice_frames(samples: np.ndarray) -> np.ndarray:
    """The tracks of one window every 16 ms, shape (201, 101), float32; frames of zeros beyond the end of the sound."""
    frames = np.zeros((N_FRAMES, len(tracks.NAMES)), np.float32)
    found = tracks.tracks(samples)[:N_FRAMES]
    frames[: len(found)] = found
    return frames


RECIPES = {
    made.name: made
    for made in (
        Recipe("voice105-v1", SAMPLE_RATE, WINDOW_S, _voice105_names(), (105,), voice105),
        Recipe(
            "static42-v1",
            published.RATE,
            published.STATIC_WINDOW_S,
            published.STATIC42_NAMES,
            published.GRID,
            published.static42,
        ),
        Recipe(
            "static180-v1",
            published.RATE,
            published.STATIC_WINDOW_S,
            published.STATIC180_NAMES,
            (180,),
            published.static180,
        ),
        Recipe(
            "frames120-v1",
            published.RATE,
            published.FRAMES_WINDOW_S,
            published.FRAMES120_NAMES,
            (published.N_FRAMES, 120),
            published.frames120,
        ),
        Recipe(
            "mfcc40-v1",
            published.MFCC_RATE,
            published.MFCC_WINDOW_S,
            published.MFCC_NAMES,
            (published.MFCC_FRAMES, 40),
            published.mfcc40,
        ),
        Recipe(
            "voice-frames-v1", SAMPLE_RATE, FRAMES_WINDOW_S, tracks.NAMES, (N_FRAMES, len(tracks.NAMES)), voice_frames
        ),
        Recipe(
            "functionals-v1",
            SAMPLE_RATE,
            WINDOW_S,
            functionals.FEATURE_NAMES,
            (len(functionals.FEATURE_NAMES),),
            functionals.functionals,
        ),
    )
}


def recipe(name: str) -> Recipe:
    """The recipe of that name; `ParameterError` lists the known ones."""
    if name not in RECIPES:
        raise ParameterError(f"Unknown recipe {name!r}; known: {', '.join(RECIPES)}.")
    return RECIPES[name]
