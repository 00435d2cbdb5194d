"""Batch predictions: thousands of files to one table, on all cores or a cluster, resumable, in constant memory.

One worker answers a part of the files, which becomes one Parquet file; a part that has its file is done. Before that,
a sample of the files is analysed, to which the answers are adapted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, get_args

from ser.batch import adaptation
from ser.batch.adaptation import Adapt, sample, source_means, source_of
from ser.batch.checkpoint import NAME, Checkpoint
from ser.batch.executors import Call, Pool, WorkerDied, cluster, cores
from ser.batch.sources import as_text, is_address, names, openable
from ser.drift import tally
from ser.extras import needs
from ser.files import encodable, write_atomically
from ser.inference.adaptation import Profile, SourceMeans, profile_of, read_profile
from ser.inference.artifact import MODEL_VARIABLE, find, manifest_digest, reference, verify
from ser.inference.manifest import read_manifest
from ser.inference.memory import tune_malloc
from ser.inference.recognizer import PROFILE_VARIABLE, Recognizer
from ser.tables import ENDING, part_path, to_parquet
from ser.types import ArtifactError, ParameterError, SerError, check_known

CRASHED = "The program that decodes it died with it. Convert it to WAV, or leave it out."

# What a run must have in common with the one that it resumes, with what the runs of earlier versions had.
SETTINGS: dict[str, Any] = {"source": None, "model": None, "digest": None, "profile": "", "adapt": "none"}

Progress = Callable[[int, int], None]  # files done, of all
Sources = dict[str, SourceMeans]


class Task(NamedTuple):
    """What a worker must know: the folder that relative names start from, and the model with its manifest's SHA-256.

    `profile` is that of the source, as JSON, and `adapt` how answers are adapted to their source without one.
    """

    root: str
    model: str
    digest: str
    profile: str = ""
    adapt: Adapt = "none"


# --- Workers ---


def predict_files(files: list[str], task: Task, sources: Sources) -> list[dict[str, Any]]:
    """Return a row for every file, with its answer, adapted to its source if that is known, or its error."""
    plain = _recognizer(task)
    adapted = {source: plain.adapted_to(means, adaptation.source_name(source)) for source, means in sources.items()}
    return [_row(adapted.get(source_of(file, task.adapt), plain), file, task.root) for file in files]


def predict_part(number: int, files: list[str], task: Task, sources: Sources) -> tuple[int, bytes]:
    """Return the number of a part and its rows as Parquet, encoded here so that the main process only writes them."""
    return number, to_parquet(predict_files(files, task, sources), _recognizer(task).labels)


def _row(recognizer: Recognizer, file: str, root: str) -> dict[str, Any]:
    try:
        return {**recognizer.predict(openable(file, root)).to_dict(), "file": as_text(file)}
    except Exception as error:  # stores raise what they like, and no file may stop the others
        reason = f"{file} cannot be read ({type(error).__name__}: {error})."
        return _error_row(file, str(error) if isinstance(error, SerError) else reason)


def analyse_files(files: list[str], task: Task) -> SourceMeans:
    """Return the means of the files that hold speech."""
    recognizer, means = _recognizer(task), SourceMeans()
    for file in files:
        with suppress(Exception):  # becomes a row with an error later
            analysis = recognizer.analyse(openable(file, task.root))
            if analysis.is_speech:
                means.add(analysis.means)
    return means


def _error_row(file: str, message: str) -> dict[str, Any]:
    return {"file": as_text(file), "error": encodable(message)}


_loading = Lock()  # the threads of a Dask worker share one recogniser


def _recognizer(task: Task) -> Recognizer:
    with _loading:
        return _loaded(task.model, task.digest, task.profile)


@lru_cache(maxsize=1)
def _loaded(model: str, digest: str, profile: str) -> Recognizer:
    own_digest = manifest_digest(find(model))
    if own_digest != digest:
        raise ArtifactError(
            f"A worker has another {model!r} (manifest {own_digest[:12]}, expected {digest[:12]}). Install the same "
            "version of voice-ser and its models on all machines."
        )
    tune_malloc()
    recognizer = Recognizer(verify(find(model)))
    return recognizer.with_profile(profile_of(profile.encode(), "The profile")) if profile else recognizer


# --- The run ---


def batch(
    source: str,
    out: str | os.PathLike[str],
    model: str | None = None,
    *,
    jobs: int | None = None,
    dask: str | None = None,
    force: bool = False,
    adapt: Adapt = "source",
    profile: str | os.PathLike[str] | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Predict all recordings of `source` (see `ser.batch.sources.names`) into a folder of Parquet, sorted by name.

    A row is `Prediction.to_dict()` and `error`; files that cannot be answered become rows with an error. If it is
    interrupted, the same call resumes. `jobs` are processes (None: one a core; 1: this process itself); `dask` is the
    address of a scheduler whose workers are used instead. `force` replaces another run's results in `out`.

    Answers are adapted, without labels, to a sample of the source ("source") or of their own folder ("folder"), or not
    ("none", and if the model cannot adapt). A `profile`, by default that of `SER_PROFILE`, takes the place of that.

    Returns counts: files, earlier (answered by an earlier call), answered, failed, silent, uncertain, labels (without
    the silent ones). Raises `ParameterError` if there are no recordings, `out` is taken, belongs to another run or
    cannot be written, or no worker can be reached.
    """
    with needs("batch", "batch"):
        import fsspec  # noqa: F401
        import joblib  # noqa: F401
        import pyarrow  # noqa: F401
    check_known(adapt, get_args(Adapt), "--adapt")
    file = profile or os.environ.get(PROFILE_VARIABLE)
    given = read_profile(file) if file else None
    out, folder = Path(out), find(model or os.environ.get(MODEL_VARIABLE) or (given.model if given else None))
    manifest = read_manifest(folder)
    if given or "adaptation" not in manifest:
        adapt = "none"
    root, text = str(Path.cwd()), given.to_json() if given else ""
    task = Task(root, reference(folder), manifest_digest(folder), text, adapt)
    if given:
        _recognizer(task)  # refuses the profile of another model before the work
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
    others = [key for key in SETTINGS if stored and stored.get(key, SETTINGS[key]) != settings[key]]
    if stored and others and not force:
        run = " and ".join(_named(key, stored.get(key, SETTINGS[key])) for key in others if key != "digest")
        other = run or "another version of the model"
        raise ParameterError(f"{out} holds a run of {other}. Choose another --out, or --force to replace it.")
    if stored is None or force:
        with _writing(out):
            checkpoint.fill(names(source, task.root), settings, lambda: _drop_results(out))


def _named(key: str, value: str) -> str:
    """Name a setting of another run."""
    if key == "profile":
        return "another profile" if value else "no profile"
    return f"--adapt {value}" if key == "adapt" else f"{key} {value!r}"


def _drop_results(out: Path) -> None:
    for pattern in (f"*part-*{ENDING}*", adaptation.NAME):
        _delete(out, pattern)


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
    task = Task(**{name: settings[name] for name in Task._fields if name in settings})
    sources = _sources(checkpoint, out, task, pool)
    earlier = done = sum(size for number, size in enumerate(sizes) if part_path(out, number).exists())
    submitted: dict[int, list[str]] = {}

    def calls() -> Iterator[Call]:
        for number, files in checkpoint.parts():
            if not part_path(out, number).exists():
                submitted[number] = files
                yield predict_part, number, files, task, _of_part(sources, files, task)

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
                rows = _predict_alone(files, task, _of_part(sources, files, task), pool)
                write(number, to_parquet(rows, labels))
    return earlier


def _sources(checkpoint: Checkpoint, out: Path, task: Task, pool: Pool) -> Sources:
    """Return the means of the sources of a run: those that an interrupted run has stored, or new ones."""
    if task.adapt == "none":
        return {}
    path = out / adaptation.NAME
    if not path.exists():
        files = (file for _, part in checkpoint.parts() for file in part)
        means = source_means(sample(files, task.adapt), analyse_files, task, pool)
        name, version = read_manifest(find(task.model))["name"], task.digest
        profiles = {key: Profile.of(each, name, version, adaptation.source_name(key)) for key, each in means.items()}
        with _writing(out):
            adaptation.store(path, profiles.items())
    return adaptation.read(path)


def _of_part(sources: Sources, files: list[str], task: Task) -> Sources:
    """Return the sources of a part's files."""
    used = {source_of(file, task.adapt) for file in files}
    return {source: means for source, means in sources.items() if source in used}


def _predict_alone(files: list[str], task: Task, sources: Sources, pool: Pool) -> list[dict[str, Any]]:
    """Return rows of files that may have crashed a worker: tried together, then one by one, so that only one fails."""
    try:
        return list(next(pool([(predict_files, files, task, sources)])))
    except WorkerDied:
        if len(files) == 1:
            return [_error_row(files[0], f"{as_text(files[0])}: {CRASHED}")]
        return [row for file in files for row in _predict_alone([file], task, sources, pool)]
