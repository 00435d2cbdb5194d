"""From clips to the rows that a network learns from: features of each recording and of its altered copies."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.audio.loading import load_waveform
from ser.features import descriptors, functionals, preprocessing, published, recipes, spectral, voice105
from ser.features.recipes import recipe
from ser.training import augment
from ser.types import AudioError, Clip, ParameterError

CACHE = "~/.cache/ser"  # unless SER_CACHE names another folder
CHUNK = 20  # clips a task
# Whose code decides what a cached feature is.
CODE = (augment, descriptors, functionals, preprocessing, published, recipes, spectral, voice105)
MAX_UNREADABLE = 0.05  # share of the clips; more is taken for a mistake


@dataclass(frozen=True)
class FeatureTable:
    """One row a window: `rows` (n, *shape) float32, the clip it was made of, and the copy's number (0: unaltered)."""

    rows: np.ndarray
    origin: np.ndarray
    copy: np.ndarray
    unreadable: tuple[str, ...] = ()

    def side(self, clips: Sequence[int], *, copies: bool) -> np.ndarray:
        """Row numbers of the given clips, with or without their altered copies."""
        chosen = np.isin(self.origin, np.asarray(clips, int))
        return np.flatnonzero(chosen if copies else chosen & (self.copy == 0))


def feature_table(
    clips: Sequence[Clip],
    recipe_name: str,
    copies: int = 0,
    seed: int = 0,
    progress: bool = True,
    *,
    augmentations: Mapping[str, float] | None = None,
    reduce_noise: bool = False,
) -> FeatureTable:
    """Features of every clip and of `copies` altered copies, on all cores, with a progress bar.

    `augmentations` gives the chance of each transform in a copy (None: `augment.CHANCES`); `reduce_noise` is for
    recordings and copies alike.

    Kept on disk by joblib in `SER_CACHE`, so that the second call reads what the first computed. Clips that cannot be
    decoded are named in `unreadable`; `ParameterError` where they are more than one in twenty.
    """
    from joblib import Memory, Parallel, delayed
    from tqdm.auto import tqdm

    recipe(recipe_name)
    folder = Path(os.environ.get("SER_CACHE", CACHE)).expanduser()
    cached = Memory(folder, verbose=0).cache(chunk_features, ignore=["paths"])
    chunks = [clips[start : start + CHUNK] for start in range(0, len(clips), CHUNK)]
    how = How(recipe_name, copies, seed, tuple((augmentations or {}).items()), reduce_noise)
    tasks = [delayed(cached)(*_task(chunk), how, code_digest()) for chunk in chunks]
    results = Parallel(n_jobs=-1, return_as="generator")(tasks)
    bar = tqdm(total=len(clips), desc=f"Features of {copies + 1} copies", unit="clip", disable=not progress)
    found: list[list[np.ndarray] | str] = []
    for chunk, result in zip(chunks, results, strict=True):
        found += result
        bar.update(len(chunk))
    bar.close()
    return _stacked(clips, found)


@dataclass(frozen=True)
class How:
    """What is made of each recording."""

    recipe: str
    copies: int
    seed: int
    augmentations: tuple[tuple[str, float], ...]
    reduce_noise: bool


def chunk_features(
    paths: list[str], stamps: list[tuple[str, int, int]], how: How, code: str
) -> list[list[np.ndarray] | str]:
    """For each path the features of its copies, or the sentence that says why it cannot be read.

    `stamps` (recording, size, time) and `code` stand for the sound and the program in the cache's key.
    """
    return [_clip_features(path, stamp[0], how) for path, stamp in zip(paths, stamps, strict=True)]


def _clip_features(path: str, recording: str, how: How) -> list[np.ndarray] | str:
    made = recipe(how.recipe)
    try:
        waveform = load_waveform(path, made.sample_rate)
    except AudioError as error:
        return str(error)
    seed = (how.seed, zlib.crc32(recording.encode()))
    generators = (np.random.default_rng([*seed, copy]) for copy in range(1, how.copies + 1))
    sounds = [waveform, *(augment.altered(waveform, rng, dict(how.augmentations)) for rng in generators)]
    return [made.of(preprocessing.reduce_noise(sound) if how.reduce_noise else sound) for sound in sounds]


def _task(clips: Sequence[Clip]) -> tuple[list[str], list[tuple[str, int, int]]]:
    """Paths, and what tells the recordings apart wherever they lie."""
    stats = [Path(clip.path).stat() for clip in clips]
    names = [f"{clip.speaker}/{Path(clip.path).name}" for clip in clips]
    return [clip.path for clip in clips], [
        (name, stat.st_size, stat.st_mtime_ns) for name, stat in zip(names, stats, strict=True)
    ]


def code_digest() -> str:
    """Digest of the code that makes features and copies: a change of either makes the cache miss."""
    files = (Path(str(module.__file__)) for module in CODE)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _stacked(clips: Sequence[Clip], found: list[list[np.ndarray] | str]) -> FeatureTable:
    unreadable = tuple(result for result in found if isinstance(result, str))
    if len(unreadable) > MAX_UNREADABLE * len(clips):
        raise ParameterError(
            f"{len(unreadable)} of {len(clips)} recordings cannot be read; the first: {unreadable[0]} "
            "Repair or remove them, and run again."
        )
    parts = [
        (rows, clip, copy)
        for clip, result in enumerate(found)
        if not isinstance(result, str)
        for copy, rows in enumerate(result)
    ]
    counts = [len(rows) for rows, _, _ in parts]
    return FeatureTable(
        np.concatenate([rows for rows, _, _ in parts]),
        np.repeat([clip for _, clip, _ in parts], counts),
        np.repeat([copy for _, _, copy in parts], counts),
        unreadable,
    )
