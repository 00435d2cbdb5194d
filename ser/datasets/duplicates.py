"""Find recordings with equal samples under different names, and raise if two speakers share one."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile as sf

from ser.audio.loading import load_waveform
from ser.types import AudioError, Clip, ParameterError

Groups = list[tuple[int, ...]]


def find_duplicates(clips: Sequence[Clip], *, n_jobs: int = 2, progress: bool = True) -> Groups:
    """Return sorted groups of indices into `clips` whose decoded, mixed-down samples are equal.

    Samples are compared, not the bytes of the files: a FLAC copy of a 16-bit WAV is a duplicate, as is a stereo copy
    with equal channels, or a file listed twice. Unreadable files are in no group.
    """
    from joblib import Parallel, delayed
    from tqdm.auto import tqdm

    # Decoding and hashing release the interpreter's lock, so threads suffice.
    hashes = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(sample_hash)(clip.path) for clip in clips
    )
    groups = defaultdict(list)
    bar = tqdm(hashes, total=len(clips), desc="Looking for duplicates", unit="clip", disable=not progress)
    for index, digest in enumerate(bar):
        if digest is not None:
            groups[digest].append(index)
    return sorted(tuple(group) for group in groups.values() if len(group) > 1)


def check_duplicates(clips: Sequence[Clip], groups: Iterable[Sequence[int]]) -> list[tuple[str, ...]]:
    """Return the paths of each group; raise `ParameterError` if a recording belongs to two speakers."""
    paths = []
    for group in groups:
        first = clips[group[0]]
        for other in (clips[index] for index in group[1:]):
            if other.speaker != first.speaker:
                raise ParameterError(
                    f"{first.path} (speaker {first.speaker}) and {other.path} (speaker {other.speaker}) hold the same "
                    "samples, so the speakers cannot be told apart. Remove one of the two or correct its speaker."
                )
        paths.append(tuple(clips[index].path for index in group))
    return paths


def sample_hash(path: str | Path) -> bytes | None:
    """Hash a file's samples at its own rate, mixed down to mono float32; None if it cannot be decoded."""
    samples = _samples(path)
    return None if samples is None or not len(samples) else hashlib.blake2b(samples.tobytes(), digest_size=16).digest()


def _samples(path: str | Path) -> np.ndarray | None:
    try:
        return sf.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    except sf.LibsndfileError:  # a format that only PyAV decodes
        with suppress(AudioError):
            return load_waveform(path).samples
    return None
