"""Thousands of files to one table: every core or a whole cluster, killed and gone on with, in constant memory.

The list of files is taken once into a ledger and cut into parts. A part is heard by one worker and becomes one Parquet
file of the folder `out`, renamed into place; what has such a file is done, whatever happens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from ser.batch.checkpoint import NAME, Ledger
from ser.batch.executors import Call, Died, Pool, cluster, cores
from ser.batch.sources import is_address, names, opened, shown
from ser.drift import tally
from ser.extras import needs
from ser.inference.artifact import find, known, sha256
from ser.inference.manifest import MANIFEST, read_manifest
from ser.inference.recognizer import Recognizer, load
from ser.tables import ENDING, encoded, part_path, write_part
from ser.types import ArtifactError, ParameterError, SerError

CRASHED = "The program that decodes it died with it. Convert it to WAV, or leave it out."

Progress = Callable[[int, int], None]  # files done, of all


@dataclass(frozen=True)
class Task:
    """What the workers must know: where relative names count from, and the model with its manifest's SHA-256."""

    root: str
    model: str
    digest: str


# --- What a worker does ---


def hear(files: list[str], task: Task) -> list[dict[str, Any]]:
    """A row for every file, with its answer or its error."""
    recognizer = _recognizer(task.model, task.digest)
    return [_row(recognizer, file, task.root) for file in files]


def hear_part(number: int, files: list[str], task: Task) -> tuple[int, bytes]:
    """The number of a part and its rows as Parquet, so that next to nothing is left to do for the one who writes it."""
    return number, encoded(hear(files, task), _recognizer(task.model, task.digest).labels)


def _row(recognizer: Recognizer, file: str, root: str) -> dict[str, Any]:
    try:
        return {**recognizer.predict(opened(file, root)).to_dict(), "file": shown(file)}
    except SerError as error:
        return _failed(file, str(error))
    except Exception as error:  # stores raise what they like, and no file may stop the others
        return _failed(file, f"{file} cannot be read ({type(error).__name__}: {error}).")


def _failed(file: str, why: str) -> dict[str, Any]:
    return {"file": shown(file), "error": why.encode("utf-8", "backslashreplace").decode()}


_loading = Lock()  # the threads of a Dask worker share one recogniser


def _recognizer(model: str, digest: str) -> Recognizer:
    with _loading:
        return _loaded(model, digest)


@lru_cache(maxsize=1)
def _loaded(model: str, digest: str) -> Recognizer:
    found = sha256(find(model) / MANIFEST)
    if found != digest:
        raise ArtifactError(
            f"A worker has another {model!r} (manifest {found[:12]}, expected {digest[:12]}). Install the same "
            "version of voice-ser and its models on all machines."
        )
    return load(model)


# --- The run ---


def batch(
    source: str,
    out: str | os.PathLike[str],
    model: str | None = None,
    *,
    jobs: int | None = None,
    dask: str | None = None,
    force: bool = False,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Hear all recordings of `source` (see `ser.batch.sources.names`) into a folder of Parquet files, sorted by name.

    A row is `Prediction.to_dict()` and `error`; bad files become rows with an error. The same call after a kill goes
    on. `jobs` are processes (None: one a core; 1: this process itself); `dask` is the address of a scheduler whose
    workers are used instead. `force` drops another run's results in `out`.

    Returns counts: files, earlier (of them heard by an earlier call), answered, failed, silent,
    uncertain, labels (without the silent ones). Raises
    `ParameterError` where there is nothing to hear, `out` is taken, belongs to another run or cannot be written, or no
    worker can be reached.
    """
    with needs("batch", "batch"):
        import fsspec  # noqa: F401
        import joblib  # noqa: F401
        import pyarrow  # noqa: F401
    place, folder, root = Path(out), find(model), str(Path.cwd())
    name = folder.name if known().get(folder.name) == folder else str(folder.resolve())
    task = Task(root, name, sha256(folder / MANIFEST))
    manifest = read_manifest(folder)
    with cluster(dask) if dask else cores(jobs) as pool, _ledger(source, place, task, force=force) as ledger:
        earlier = _hear_all(ledger, place, manifest["labels"], pool, progress)
        files, found = len(ledger), tally(place)
    counts = {"files": files, "earlier": earlier, "answered": found.answered, "failed": found.failed}
    counts |= {"silent": found.silent}
    told = {**counts, "uncertain": found.uncertain, "labels": dict(found.labels.most_common())}
    return {"out": str(place), "model": manifest["name"], **told}


@contextmanager
def _ledger(source: str, place: Path, task: Task, *, force: bool) -> Iterator[Ledger]:
    """The ledger of this run, begun or gone on with; a run that cannot begin leaves nothing."""
    with _writing(place):
        _check_place(place)
        made = not place.exists()
        place.mkdir(exist_ok=True)
    with Ledger(place / NAME) as ledger:
        try:
            _begin(ledger, source, place, task, force=force)
        except BaseException:
            ledger.close()
            if ledger.settings is None:
                for path in place.glob(f"{NAME}*"):
                    path.unlink()
                if made:
                    place.rmdir()
            raise
        yield ledger


def _check_place(place: Path) -> None:
    if not place.parent.is_dir():
        raise ParameterError(f"{place}: there is no folder {place.parent}. Make it, or choose another --out.")
    if place.exists() and not place.is_dir():
        raise ParameterError(f"{place} is a file; results are a folder. Choose another --out, or remove it.")
    if place.is_dir() and any(place.iterdir()) and not (place / NAME).is_file():
        raise ParameterError(f"{place} is not from a run of batch. Choose another --out, or remove it.")


def _begin(ledger: Ledger, source: str, place: Path, task: Task, *, force: bool) -> None:
    wanted = asdict(task) | {"source": source if is_address(source) else str(Path(task.root, source))}
    held = ledger.settings
    others = [key for key in ("source", "model", "digest") if held and held[key] != wanted[key]]
    if held and others and not force:
        found = " and ".join(f"{key} {held[key]!r}" for key in others if key != "digest")
        raise ParameterError(
            f"{place} holds a run of {found or 'another version of the model'}. Choose another --out, or --force to "
            "begin anew."
        )
    if held is None or force:
        with _writing(place):
            ledger.fill(names(source, task.root), wanted, lambda: _drop_parts(place))


def _drop_parts(place: Path) -> None:
    for path in place.glob(f"*part-*{ENDING}*"):
        path.unlink()


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Say it where the disk is full, the folder read-only, or a file too large."""
    try:
        yield
    except OSError as error:
        raise ParameterError(
            f"{place} cannot be written ({error.strerror or error}). Make room or choose another --out; what is done "
            "is kept for the same command."
        ) from error


def _hear_all(ledger: Ledger, place: Path, labels: Sequence[str], pool: Pool, progress: Progress) -> int:
    """Every part that has no file yet; returns how many files had been heard before.

    Where workers die, the parts that they may have had are heard again, each alone.
    """
    settings, sizes = ledger.settings or {}, ledger.sizes()
    task = Task(settings["root"], settings["model"], settings["digest"])
    earlier = done = sum(size for number, size in enumerate(sizes) if part_path(place, number).exists())
    given: dict[int, list[str]] = {}

    def waiting() -> Iterator[Call]:
        for number, files in ledger.parts():
            if not part_path(place, number).exists():
                given[number] = files
                yield hear_part, number, files, task

    def keep(number: int, content: bytes) -> None:
        nonlocal done
        with _writing(place):
            write_part(place, number, content)
        given.pop(number, None)
        done += sizes[number]
        progress(done, len(ledger))

    progress(done, len(ledger))
    while done < len(ledger):
        try:
            for number, content in pool(waiting()):
                keep(number, content)
        except Died:
            for number, files in sorted(given.items()):
                keep(number, encoded(_alone(files, task, pool), labels))
    return earlier


def _alone(files: list[str], task: Task, pool: Pool) -> list[dict[str, Any]]:
    """Rows of files that a worker may have died of: first together, then one by one: a culprit costs one row."""
    try:
        return list(next(pool([(hear, files, task)])))
    except Died:
        if len(files) == 1:
            return [_failed(files[0], f"{shown(files[0])}: {CRASHED}")]
        return [row for file in files for row in _alone([file], task, pool)]
