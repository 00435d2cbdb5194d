"""Find recordings with equal samples under different names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile as sf

from ser.audio.loading import load_waveform
from ser.types import AudioError, Clip, ParameterError

Groups = list[tuple[int, ...]]


def find_duplicates(clips: Sequence[Clip], *, progress: bool = True) -> Groups:
    """Return sorted groups of indices into `clips` whose decoded, mixed-down samples are equal.

    Samples are compared, not the bytes of the files: a FLAC copy of a 16-bit WAV is a duplicate, as is a stereo copy
    with equal channels, or a file listed twice. Unreadable files are in no group. Raises `ParameterError` if a
    recording belongs to two speakers.
    """
    from joblib import Parallel, delayed
    from tqdm.auto import tqdm

    # Decoding and hashing release the interpreter's lock, so threads suffice.
    hashes = Parallel(n_jobs=2, prefer="threads", return_as="generator")(delayed(_hash)(clip.path) for clip in clips)
    by_hash = defaultdict(list)
    bar = tqdm(hashes, total=len(clips), desc="Looking for duplicates", unit="clip", disable=not progress)
    for index, digest in enumerate(bar):
        if digest is not None:
            by_hash[digest].append(index)
    groups = sorted(tuple(group) for group in by_hash.values() if len(group) > 1)
    for first, *others in ([clips[index] for index in group] for group in groups):
        for other in others:
            if other.speaker != first.speaker:
                raise ParameterError(
                    f"{first.path} (speaker {first.speaker}) and {other.path} (speaker {other.speaker}) hold the same "
                    "samples, so the speakers cannot be told apart. Remove one of the two or correct its speaker."
                )
    return groups


def _hash(path: str) -> bytes | None:
    """Hash a file's samples at its own rate, mixed down to mono float32; None if it cannot be decoded."""
    samples = np.empty(0, np.float32)
    try:
        with Path(path).open("rb") as file:  # a path that is no UTF-8 is refused by sf.read
            samples = sf.read(file, dtype="float32", always_2d=True)[0].mean(axis=1)
    except (OSError, sf.LibsndfileError):  # missing, or a format that only PyAV decodes
        with suppress(AudioError):
            samples = load_waveform(path).samples
    return hashlib.blake2b(samples.tobytes(), digest_size=16).digest() if len(samples) else None
