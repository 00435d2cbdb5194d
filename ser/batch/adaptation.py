"""Adaptation of a run to its sources: mean scores of a sample of each source's files, kept beside the results.

A sample takes a constant time for each source, and lets every part be answered in one pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np

from ser.batch.executors import Pool, WorkerDied
from ser.files import write_atomically
from ser.inference.adaptation import MIN_CLIPS, NAME_CHARACTERS, Profile, SourceMean, profile_of
from ser.types import ArtifactError, ParameterError

Adapt = Literal["none", "folder", "source"]
SAMPLES = {"folder": 15, "source": 50}  # files of a source that are analysed; twice, so fewer cost less
PIECE = 10  # files that a worker analyses at a time
NAME = "sources.jsonl"
FIRST_NAME = "_sources.jsonl"  # of the first version, among the results
WHOLE = "source"  # name of the only source, if all files are of one

Analyse = Callable[[list[str], Any], SourceMean]  # files and the task of a run


def source_of(file: str, adapt: Adapt) -> str:
    """Return the source of a file: its folder, or one for all."""
    return str(PurePath(file).parent) if adapt == "folder" else WHOLE


def source_name(source: str) -> str:
    """Return what answers call a source: the name of the folder, without the folders above it."""
    name = "".join(character for character in PurePath(source).name if character.isprintable())
    return name[:NAME_CHARACTERS] or WHOLE


def sample(files: Iterable[str], adapt: Adapt, seed: int = 0) -> dict[str, list[str]]:
    """Return a random sample of the files of each source, by its folder; each file is as likely as any other."""
    rng, most = np.random.default_rng(seed), SAMPLES[adapt]
    samples: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for file in files:
        source = source_of(file, adapt)
        kept, counts[source] = samples.setdefault(source, []), counts.get(source, 0) + 1
        if len(kept) < most:
            kept.append(file)
        elif (place := int(rng.integers(counts[source]))) < most:
            kept[place] = file
    return samples


def source_means(samples: dict[str, list[str]], analyse: Analyse, task: Any, pool: Pool) -> dict[str, SourceMean]:
    """Return the means of every source of which enough files hold speech, analysed by the workers of a pool."""
    pieces = [
        (key, files[start : start + PIECE])
        for key, files in samples.items()
        if len(files) >= MIN_CLIPS
        for start in range(0, len(files), PIECE)
    ]
    means: dict[str, SourceMean] = {}
    for key, part in _analysed(pieces, analyse, task, pool):
        means.setdefault(key, SourceMean()).merge(part)
    return {key: total for key, total in means.items() if total.clips >= MIN_CLIPS}


def _analysed(
    pieces: Sequence[tuple[str, list[str]]], analyse: Analyse, task: Any, pool: Pool
) -> Iterator[tuple[str, SourceMean]]:
    """Yield (source, means) of every piece; a file that crashes a worker does not count."""
    left = dict(enumerate(pieces))
    try:
        calls = ((_numbered, number, analyse, files, task) for number, (_, files) in enumerate(pieces))
        for number, means in pool(calls):
            yield left.pop(number)[0], means
    except WorkerDied:
        for source, files in [*left.values()]:
            for file in files:
                with suppress(WorkerDied):
                    yield source, next(pool([(analyse, [file], task)]))


def _numbered(number: int, analyse: Analyse, files: list[str], task: Any) -> tuple[int, SourceMean]:
    return number, analyse(files, task)


# --- Kept in the checkpoint ---


def store(path: Path, profiles: Iterable[tuple[str, Profile | None]]) -> None:
    """Add the profile of every source, a line each; None if its sample held too little speech."""
    earlier = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    lines = (json.dumps([source, None if profile is None else profile.to_json()]) for source, profile in profiles)
    write_atomically(path, "\n".join([*earlier, *lines]), sync=True)


def read(path: Path) -> dict[str, SourceMean | None]:
    """Return the means of every source that `store` wrote, the last if there are several.

    Raises `ParameterError` if the file is damaged or of another version.
    """
    try:
        pairs = map(json.loads, path.read_text(encoding="utf-8").splitlines() if path.exists() else ())
        return {str(key): None if text is None else profile_of(text.encode(), path.name).mean for key, text in pairs}
    except (ValueError, TypeError, AttributeError, ArtifactError) as error:
        raise ParameterError(
            f"{path} is damaged, or of another version of ser. Choose another --out, or --force to predict all anew."
        ) from error


def forget_unknown(path: Path) -> None:
    """Remove the sources whose sample held too little speech, so that they are analysed again with newer files."""
    if None in read(path).values():
        lines = path.read_text(encoding="utf-8").splitlines()
        write_atomically(path, "\n".join(line for line in lines if json.loads(line)[1] is not None), sync=True)
