"""Batch predictions: thousands of files to one table, on all cores or a cluster, resumable, in constant memory.

One worker answers a part of the files, which becomes one Parquet file; a part that has its file is done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from ser.batch.checkpoint import NAME, Checkpoint
from ser.batch.executors import Call, Pool, WorkerDied, cluster, cores
from ser.batch.sources import as_text, is_address, names, openable
from ser.drift import tally
from ser.extras import needs
from ser.files import encodable, write_atomically
from ser.inference.artifact import find, manifest_digest, reference
from ser.inference.manifest import read_manifest
from ser.inference.memory import tune_malloc
from ser.inference.recognizer import Recognizer, load
from ser.tables import ENDING, part_path, to_parquet
from ser.types import ArtifactError, ParameterError, SerError

CRASHED = "The program that decodes it died with it. Convert it to WAV, or leave it out."

Progress = Callable[[int, int], None]  # files done, of all


class Task(NamedTuple):
    """What a worker must know: the folder that relative names start from, and the model with its manifest's SHA-256."""

    root: str
    model: str
    digest: str


# --- Workers ---


def predict_files(files: list[str], task: Task) -> list[dict[str, Any]]:
    """Return a row for every file, with its answer or its error."""
    recognizer = _recognizer(task)
    return [_row(recognizer, file, task.root) for file in files]


def predict_part(number: int, files: list[str], task: Task) -> tuple[int, bytes]:
    """Return the number of a part and its rows as Parquet, encoded here so that the main process only writes them."""
    return number, to_parquet(predict_files(files, task), _recognizer(task).labels)


def _row(recognizer: Recognizer, file: str, root: str) -> dict[str, Any]:
    try:
        return {**recognizer.predict(openable(file, root)).to_dict(), "file": as_text(file)}
    except Exception as error:  # stores raise what they like, and no file may stop the others
        reason = f"{file} cannot be read ({type(error).__name__}: {error})."
        return _error_row(file, str(error) if isinstance(error, SerError) else reason)


def _error_row(file: str, message: str) -> dict[str, Any]:
    return {"file": as_text(file), "error": encodable(message)}


_loading = Lock()  # the threads of a Dask worker share one recogniser


def _recognizer(task: Task) -> Recognizer:
    with _loading:
        return _loaded(task.model, task.digest)


@lru_cache(maxsize=1)
def _loaded(model: str, digest: str) -> Recognizer:
    own_digest = manifest_digest(find(model))
    if own_digest != digest:
        raise ArtifactError(
            f"A worker has another {model!r} (manifest {own_digest[:12]}, expected {digest[:12]}). Install the same "
            "version of voice-ser and its models on all machines."
        )
    tune_malloc()
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
    """Predict all recordings of `source` (see `ser.batch.sources.names`) into a folder of Parquet, sorted by name.

    A row is `Prediction.to_dict()` and `error`; files that cannot be answered become rows with an error. If it is
    interrupted, the same call resumes. `jobs` are processes (None: one a core; 1: this process itself); `dask` is the
    address of a scheduler whose workers are used instead. `force` replaces another run's results in `out`.

    Returns counts: files, earlier (answered by an earlier call), answered, failed, silent, uncertain, labels (without
    the silent ones). Raises `ParameterError` if there are no recordings, `out` is taken, belongs to another run or
    cannot be written, or no worker can be reached.
    """
    with needs("batch", "batch"):
        import fsspec  # noqa: F401
        import joblib  # noqa: F401
        import pyarrow  # noqa: F401
    out, folder = Path(out), find(model)
    task, manifest = Task(str(Path.cwd()), reference(folder), manifest_digest(folder)), read_manifest(folder)
    with cluster(dask) if dask else cores(jobs) as pool, _checkpoint(source, out, task, force=force) as checkpoint:
        earlier = _predict_all(checkpoint, out, manifest["labels"], pool, progress)
        files, counts = len(checkpoint), tally(out)
    return {
        "out": str(out),
        "model": manifest["name"],
        "files": files,
        "earlier": earlier,
        "answered": counts.answered,
        "failed": counts.failed,
        "silent": counts.silent,
        "uncertain": counts.uncertain,
        "labels": dict(counts.labels.most_common()),
    }


@contextmanager
def _checkpoint(source: str, out: Path, task: Task, *, force: bool) -> Iterator[Checkpoint]:
    """Provide the checkpoint of this run, new or resumed; a run that cannot start leaves nothing behind."""
    with _writing(out):
        _check_out(out)
        is_new = not out.exists()
        out.mkdir(exist_ok=True)
    with Checkpoint(out / NAME) as checkpoint:
        try:
            _start(checkpoint, source, out, task, force=force)
        except BaseException:
            checkpoint.close()
            if checkpoint.settings is None:
                _delete(out, f"{NAME}*")
                if is_new:
                    out.rmdir()
            raise
        yield checkpoint


def _check_out(out: Path) -> None:
    if not out.parent.is_dir():
        raise ParameterError(f"{out}: there is no folder {out.parent}. Make it, or choose another --out.")
    if out.exists() and not out.is_dir():
        raise ParameterError(f"{out} is a file; results are a folder. Choose another --out, or remove it.")
    if out.is_dir() and any(out.iterdir()) and not (out / NAME).is_file():
        raise ParameterError(f"{out} is not from a run of batch. Choose another --out, or remove it.")


def _start(checkpoint: Checkpoint, source: str, out: Path, task: Task, *, force: bool) -> None:
    settings = task._asdict() | {"source": source if is_address(source) else str(Path(task.root, source))}
    stored = checkpoint.settings
    others = [key for key in ("source", "model", "digest") if stored and stored[key] != settings[key]]
    if stored and others and not force:
        run = " and ".join(f"{key} {stored[key]!r}" for key in others if key != "digest")
        other = run or "another version of the model"
        raise ParameterError(f"{out} holds a run of {other}. Choose another --out, or --force to replace it.")
    if stored is None or force:
        with _writing(out):
            checkpoint.fill(names(source, task.root), settings, lambda: _delete(out, f"*part-*{ENDING}*"))


def _delete(out: Path, pattern: str) -> None:
    for path in out.glob(pattern):
        path.unlink()


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Raise `ParameterError` if the disk is full, the folder read-only, or a file too large."""
    try:
        yield
    except OSError as error:
        raise ParameterError(
            f"{out} cannot be written ({error.strerror or error}). Make room and run the same command to resume, or "
            "choose another --out."
        ) from error


def _predict_all(checkpoint: Checkpoint, out: Path, labels: Sequence[str], pool: Pool, progress: Progress) -> int:
    """Answer every part that has no file yet; return how many files had been answered before."""
    settings, sizes = checkpoint.settings or {}, checkpoint.sizes()
    task = Task(settings["root"], settings["model"], settings["digest"])
    earlier = done = sum(size for number, size in enumerate(sizes) if part_path(out, number).exists())
    submitted: dict[int, list[str]] = {}

    def calls() -> Iterator[Call]:
        for number, files in checkpoint.parts():
            if not part_path(out, number).exists():
                submitted[number] = files
                yield predict_part, number, files, task

    def write(number: int, content: bytes) -> None:
        nonlocal done
        with _writing(out):
            write_atomically(part_path(out, number), content, sync=True)
        submitted.pop(number, None)
        done += sizes[number]
        progress(done, len(checkpoint))

    progress(done, len(checkpoint))
    while done < len(checkpoint):
        try:
            for number, content in pool(calls()):
                write(number, content)
        except WorkerDied:  # the parts that the dead workers may have had are answered again, each alone
            for number, files in sorted(submitted.items()):
                write(number, to_parquet(_predict_alone(files, task, pool), labels))
    return earlier


def _predict_alone(files: list[str], task: Task, pool: Pool) -> list[dict[str, Any]]:
    """Return rows of files that may have crashed a worker: tried together, then one by one, so that only one fails."""
    try:
        return list(next(pool([(predict_files, files, task)])))
    except WorkerDied:
        if len(files) == 1:
            return [_error_row(files[0], f"{as_text(files[0])}: {CRASHED}")]
        return [row for file in files for row in _predict_alone([file], task, pool)]
