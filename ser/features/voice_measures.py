"""Measures of a voice that people have words for, as pitch, tempo and brightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser.features.descriptors import HOP_LENGTH, NAMES, descriptors
from ser.features.spectral import SAMPLE_RATE

# In the order in which they are computed; a unit for each. Loudness itself is none: models hear a normalised level.
MEASURES = {
    "pitch": "semitones above 55 Hz",
    "pitch_movement": "semitones",
    "loudness_movement": "dB",
    "tempo": "syllables/s",
    "brightness": "dB",
    "voice_quality": "dB",
}
LEAST_VOICED = 8  # frames, 0.13 s; with fewer there is no voice to measure
SYLLABLE_DIP_DB = 2.0  # between two syllables [de Jong & Wempe 2009]
MEDIAN_OFFSET = 24.0  # that `median_pitch` is stored without
PITCH, MEDIAN, VOICED = (NAMES.index(name) for name in ("pitch_from_median", "median_pitch", "voiced"))
LEVEL, ALPHA, HARMONICITY = (NAMES.index(name) for name in ("level_db", "alpha_ratio_db", "harmonics_to_noise_db"))


@dataclass(frozen=True)
class VoiceMeasures:
    """What is measured of a voice: `values` (6,) in the order of `MEASURES`, and the tracks behind them, per frame.

    `deviation` is the pitch in semitones from the median (0 if unvoiced), `level_db` the level from the mean of what is
    voiced.
    """

    values: np.ndarray
    voiced: np.ndarray
    deviation: np.ndarray
    level_db: np.ndarray

    def __getitem__(self, measure: str) -> float:
        return float(self.values[[*MEASURES].index(measure)])

    @property
    def period(self) -> float:
        """Samples of the period at the median pitch."""
        return SAMPLE_RATE / (55.0 * 2 ** (self["pitch"] / 12))


def measure(samples: np.ndarray) -> VoiceMeasures | None:
    """Return the measures of samples at 16 kHz without silence at their ends; None if too little is voiced."""
    frames = descriptors(samples)
    voiced, level = frames[:, VOICED] > 0, frames[:, LEVEL]
    if voiced.sum() < LEAST_VOICED:
        return None
    low, high = np.percentile(frames[voiced, PITCH], (10, 90))
    syllables = max(1, sum(voiced[peak] for peak in _peaks(level)))
    values = (
        frames[0, MEDIAN] + MEDIAN_OFFSET,
        high - low,
        level[voiced].std(),
        syllables * SAMPLE_RATE / (len(level) * HOP_LENGTH),
        -frames[voiced, ALPHA].mean(),
        frames[voiced, HARMONICITY].mean(),
    )
    return VoiceMeasures(np.array(values, float), voiced, frames[:, PITCH], level - level[voiced].mean())


def _peaks(level: np.ndarray) -> list[int]:
    """Return the frames of the peaks of a level in dB, between which it dips by `SYLLABLE_DIP_DB` or more."""
    peaks: list[int] = []
    highest = lowest = 0
    rising = True
    for frame, value in enumerate(level):
        if rising and value > level[highest]:
            highest = frame
        elif rising and value < level[highest] - SYLLABLE_DIP_DB:
            peaks.append(highest)
            rising, lowest = False, frame
        elif not rising and value < level[lowest]:
            lowest = frame
        elif not rising and value > level[lowest] + SYLLABLE_DIP_DB:
            rising, highest = True, frame
    return [*peaks, highest] if rising else peaks
