"""Speech for the tests of transcripts: a voice, its words, and its chunks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soundfile as sf

from ser.audio.vad import RATE
from ser.inference.artifact import ARTIFACTS
from ser.transcript.chunks import Chunk, chunks

SHARP = ARTIFACTS.parent / "samples" / "sharp.flac"
SAID = "well, hello there"  # by the tiny model
VOICE = sf.read(SHARP, dtype="float32")[0]
SPOKEN = [sf.read(path, dtype="float32")[0] for path in sorted(SHARP.parent.glob("*.flac")) if path.stem != "music"]


def cut(sound: np.ndarray, longest_s: float, pause_s: float, block_s: float = 5.0) -> list[Chunk]:
    return list(chunks(in_blocks(sound, block_s), longest_s, pause_s))


def in_blocks(sound: np.ndarray, block_s: float) -> Iterator[np.ndarray]:
    length = round(block_s * RATE)
    yield from (sound[start : start + length] for start in range(0, len(sound), length))
