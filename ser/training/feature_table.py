"""Extracts the features of recordings and of their augmented copies as training rows."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from ser.audio.loading import load_waveform
from ser.features import descriptors, functionals, log_mel, preprocessing, published, recipes, spectral, voice105
from ser.features.recipes import Recipe
from ser.files import encodable
from ser.inference.artifact import sha256
from ser.training import augment
from ser.training.encoder import bound_recipe, encoder_graph
from ser.training.parallel import in_parallel
from ser.types import AudioError, Clip, ParameterError, Waveform, check_known

CACHE = "~/.cache/ser"  # unless SER_CACHE is set
CHUNK = 5  # clips per task and per step of the progress bar
# Modules whose code determines a cached feature.
CODE = (augment, descriptors, functionals, log_mel, preprocessing, published, recipes, spectral, voice105)
MAX_UNREADABLE = 0.05  # fraction of the clips; more is an error


@dataclass(frozen=True)
class FeatureTable:
    """A row per window: features `rows` (n, *shape) float32, index of its clip, number of the copy (0: unaltered)."""

    rows: np.ndarray
    origin: np.ndarray
    copy: np.ndarray
    unreadable: tuple[str, ...] = ()

    def side(self, clips: Sequence[int], *, copies: bool) -> np.ndarray:
        """Return the row numbers of clips, with or without their augmented copies."""
        mask = np.isin(self.origin, np.asarray(clips, int))
        return np.flatnonzero(mask if copies else mask & (self.copy == 0))


def feature_table(
    clips: Sequence[Clip],
    recipe_name: str,
    copies: int = 0,
    seed: int = 0,
    progress: bool = True,
    *,
    augmentations: Mapping[str, float] | None = None,
    reduce_noise: bool = False,
    encoder: Path | None = None,
) -> FeatureTable:
    """Extract features of every clip and of `copies` augmented copies, on all cores, with a progress bar.

    `augmentations` maps names to probabilities (None: `augment.CHANCES`); `reduce_noise` applies to recordings and
    copies. `encoder` is the graph for a recipe that needs one, by default built from the checkpoint of `SER_ENCODER`.
    Results are cached in `SER_CACHE`. Clips that cannot be decoded are named in `unreadable`; raises `ParameterError`
    if they are more than 5 %.
    """
    from joblib import Memory
    from tqdm.auto import tqdm

    check_known(recipe_name, recipes.RECIPES, "recipe")
    folder = cache_folder()
    cached = Memory(folder, verbose=0).cache(chunk_features, ignore=["paths", "encoder"])
    blocks = recipes.RECIPES[recipe_name].blocks
    if blocks and encoder is None:
        encoder = encoder_graph(None, blocks, folder)
    digest = sha256(encoder) if encoder else ""
    chunks = list(_chunks(clips))
    extraction = Extraction(recipe_name, copies, seed, tuple((augmentations or {}).items()), reduce_noise, digest)
    code = code_digest()
    results: list[list[np.ndarray] | str] = []
    with tqdm(total=len(clips), desc="Extracting features", unit="clip", disable=not progress) as bar:
        tasks = (partial(cached, *_task(chunk), extraction, code, str(encoder)) for chunk in chunks)
        for chunk in in_parallel(tasks, -1, ordered=True):
            results += chunk
            bar.update(len(chunk))
    return _stacked(clips, results)


def _chunks(clips: Sequence[Clip]) -> Iterator[Sequence[Clip]]:
    """Yield clips in chunks of one corpus, so that they are the same whatever corpora stand beside it."""
    for _, group in groupby(clips, key=lambda clip: clip.corpus):
        while chunk := list(islice(group, CHUNK)):
            yield chunk


def cache_folder() -> Path:
    """Return the folder of everything that is cached."""
    try:
        return Path(os.environ.get("SER_CACHE", CACHE)).expanduser()
    except RuntimeError as error:
        message = "The cache has no place: this user has no home folder. Set SER_CACHE to a folder, or HOME."
        raise ParameterError(message) from error


@dataclass(frozen=True)
class Extraction:
    """What is extracted from each recording; `encoder` is the SHA-256 of the encoder's graph, empty without one."""

    recipe: str
    copies: int
    seed: int
    augmentations: tuple[tuple[str, float], ...]
    reduce_noise: bool
    encoder: str


def chunk_features(
    paths: list[str], stamps: list[tuple[str, int, int]], extraction: Extraction, code: str, encoder: str
) -> list[list[np.ndarray] | str]:
    """Return for each path the features of its copies, or the error message if it cannot be read.

    `stamps` (recording, size, time) and `code` stand for the file and the program in the cache's key, as the digest in
    `extraction` does for the graph `encoder`.
    """
    features = bound_recipe(extraction.recipe, encoder)
    return [_clip_features(path, stamp[0], extraction, features) for path, stamp in zip(paths, stamps, strict=True)]


def _clip_features(path: str, recording: str, extraction: Extraction, features: Recipe) -> list[np.ndarray] | str:
    try:
        waveform = load_waveform(path, features.sample_rate)
    except AudioError as error:
        return str(error)
    seed = (extraction.seed, zlib.crc32(encodable(recording).encode()))
    generators = (np.random.default_rng([*seed, copy]) for copy in range(1, extraction.copies + 1))
    copies = (augment.altered(waveform, rng, dict(extraction.augmentations)) for rng in generators)
    waveforms: Iterable[Waveform] = (waveform, *copies)
    if extraction.reduce_noise:
        waveforms = map(preprocessing.reduce_noise, waveforms)
    return [features.of(waveform) for waveform in waveforms]


def _task(clips: Sequence[Clip]) -> tuple[list[str], list[tuple[str, int, int]]]:
    """Return the paths, and a stamp (recording, size, time) of each that does not depend on the folder."""
    stats = [Path(clip.path).stat() for clip in clips]
    names = [f"{clip.speaker}/{Path(clip.path).name}" for clip in clips]
    return [clip.path for clip in clips], [
        (name, stat.st_size, stat.st_mtime_ns) for name, stat in zip(names, stats, strict=True)
    ]


def code_digest() -> str:
    """Return the digest of the code that makes features and copies, which is part of the cache's key."""
    files = (Path(str(module.__file__)) for module in CODE)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _stacked(clips: Sequence[Clip], results: list[list[np.ndarray] | str]) -> FeatureTable:
    unreadable = tuple(result for result in results if isinstance(result, str))
    if len(unreadable) > MAX_UNREADABLE * len(clips):
        raise ParameterError(
            f"{len(unreadable)} of {len(clips)} recordings cannot be read; the first: {unreadable[0]} "
            "Repair or remove them, and run again."
        )
    parts = [
        (rows, clip, copy)
        for clip, copies in enumerate(results)
        if not isinstance(copies, str)
        for copy, rows in enumerate(copies)
    ]
    counts = [len(rows) for rows, _, _ in parts]
    return FeatureTable(
        np.concatenate([rows for rows, _, _ in parts]),
        np.repeat([clip for _, clip, _ in parts], counts),
        np.repeat([copy for _, _, copy in parts], counts),
        unreadable,
    )


def index_hash(clips: Sequence[Clip], more: str = "") -> str:
    """Return the SHA-256 over speaker, file name and emotion of every clip."""
    lines = [f"{clip.speaker}\t{Path(clip.path).stem}\t{clip.emotion}" for clip in clips]
    return hashlib.sha256(encodable("\n".join([*lines, more])).encode()).hexdigest()
