"""Synthetic voices for the notebook and the tests: each "emotion" is a fixed pitch, pace and brightness.

Scores on them say nothing about real speech.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from ser.types import EMOTIONS, Waveform, lookup

SAMPLE_RATE = 16_000
COLUMNS = ("path", "emotion", "speaker", "sex")
SEXES = ("female", "male")
PITCHES_HZ = {"male": 115.0, "female": 205.0}
TRACTS = {"male": 1.0, "female": 1.15}  # scale of the formants
SPEAKER_SPREAD = 0.12  # standard deviation of the speakers' pitch and vocal tract, as a share
TAKE_SPREAD = 0.06  # the same from take to take
FORMANTS_HZ = ((620, 1200, 2600), (350, 1900, 2700), (420, 950, 2400))  # of three vowels, in turn
BANDWIDTH_HZ = 180.0
BREATH = 0.01  # noise over voice
DURATION_S = (1.2, 1.8)


@dataclass(frozen=True)
class Manner:
    """Prosody of an emotion: pitch relative to the speaker's, its range, syllables/s, spectral slope in dB/octave."""

    pitch: float
    swing: float
    syllables: float
    slope_db: float
    tremor: float = 0.0


MANNERS = {
    "neutral": Manner(1.0, 0.06, 4.0, -10),
    "calm": Manner(0.9, 0.04, 3.0, -13),
    "happy": Manner(1.3, 0.25, 5.0, -7),
    "sad": Manner(0.85, 0.05, 2.4, -14),
    "angry": Manner(1.35, 0.15, 5.5, -4),
    "fearful": Manner(1.6, 0.1, 6.0, -8, tremor=0.06),
    "disgust": Manner(0.8, 0.18, 2.8, -6),
    "surprised": Manner(1.5, 0.45, 4.2, -8),
}


def speak(emotion: str, pitch_hz: float, rng: np.random.Generator, tract: float = 1.0) -> Waveform:
    """Synthesise an utterance of 1.2 to 1.8 s at 16 kHz, peak 0.5: harmonics of a gliding pitch, filtered by vowels.

    `pitch_hz` is the speaker's mean pitch, `tract` scales the formants (above 1: a smaller speaker). The same
    generator state gives the same samples. Raises `ParameterError` if the emotion is unknown.
    """
    manner = lookup(emotion, MANNERS, "emotion")
    time_s = np.arange(round(rng.uniform(*DURATION_S) * SAMPLE_RATE)) / SAMPLE_RATE
    beat = manner.syllables * time_s + rng.uniform()
    glide = manner.swing * np.sin(np.pi * time_s / time_s[-1] + rng.uniform(-0.5, 0.5))
    contour_hz = pitch_hz * manner.pitch * (1 + glide + manner.tremor * np.sin(2 * np.pi * 9 * time_s))
    voice = _voiced(contour_hz, manner.slope_db, tract, beat)
    samples = voice / voice.std() + BREATH * rng.standard_normal(len(time_s))
    samples *= 0.15 + np.sin(np.pi * beat) ** 2
    return Waveform((0.5 * samples / np.abs(samples).max()).astype(np.float32), SAMPLE_RATE)


def _voiced(contour_hz: np.ndarray, slope_db: float, tract: float, beat: np.ndarray) -> np.ndarray:
    """Return the harmonics of a pitch contour, shape (n,); each syllable of `beat` has the next vowel."""
    phase = 2 * np.pi * np.cumsum(contour_hz) / SAMPLE_RATE
    vowels = np.array(FORMANTS_HZ)[beat.astype(int) % len(FORMANTS_HZ)].T * tract
    voice = np.zeros(len(contour_hz))
    for k in range(1, int(7000 / contour_hz.max()) + 1):
        resonance = sum(1 / (1 + ((k * contour_hz - formant) / BANDWIDTH_HZ) ** 2) for formant in vowels)
        voice += (0.02 + resonance) * 10 ** (slope_db * np.log2(k) / 20) * np.sin(k * phase)
    return voice


def write_corpus(folder: str | os.PathLike[str], n_speakers: int = 4, takes: int = 2, seed: int = 0) -> Path:
    """Write a `table` corpus (WAV files and a `table.tsv` with path, emotion, speaker, sex) and return its folder.

    Every speaker has `takes` recordings of every emotion; men and women alternate. Reproducible by `seed`.
    """
    root = Path(folder)
    rows = [row for number in range(1, n_speakers + 1) for row in _write_speaker(root, number, takes, seed)]
    with (root / "table.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([COLUMNS, *rows])
    return root


def _write_speaker(root: Path, number: int, takes: int, seed: int) -> Iterator[tuple[str, str, str, str]]:
    """Write all recordings of a speaker; yield their rows of the table."""
    import soundfile as sf

    speaker, sex = f"{number:02d}", SEXES[number % 2]
    deviation = np.random.default_rng([seed, number]).standard_normal(2).clip(-2, 2)
    pitch, tract = np.array([PITCHES_HZ[sex], TRACTS[sex]]) * (1 + SPEAKER_SPREAD * deviation)
    (root / speaker).mkdir(parents=True, exist_ok=True)
    for (index, emotion), take in product(enumerate(EMOTIONS), range(1, takes + 1)):
        rng = np.random.default_rng([seed, number, index, take])
        waveform = speak(emotion, pitch * (1 + TAKE_SPREAD * rng.standard_normal()), rng, tract)
        name = f"{speaker}/{emotion}_{take}.wav"
        sf.write(root / name, waveform.samples, SAMPLE_RATE, subtype="PCM_16")
        yield name, emotion, speaker, sex


def find_speech(fallback: str | os.PathLike[str]) -> tuple[str, str]:
    """Return corpus name and folder: RAVDESS if `SER_DATA` has it, else synthetic voices written to `fallback`."""
    data = os.environ.get("SER_DATA", "")
    if data and Path(data, "ravdess").is_dir():
        return "ravdess", data
    return "table", str(write_corpus(fallback))
