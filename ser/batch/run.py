"""Batch predictions: thousands of files to one table, on all cores or a cluster, resumable, in constant memory.

One worker answers a part of the files, which becomes one Parquet file; a part that has its file is done. Before that,
a sample of the files is analysed, to which the answers are adapted. The folder of results holds nothing but Parquet;
the checkpoint lies beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, get_args

from ser.audio.files import Listing, no_recordings
from ser.batch import adaptation
from ser.batch.adaptation import MIN_CLIPS, Adapt, sample, source_means, source_of
from ser.batch.checkpoint import FIRST_NAME, NAME, Checkpoint, checkpoint_folder
from ser.batch.executors import Call, Pool, WorkerDied, cluster, cores
from ser.batch.sources import as_text, is_address, names, openable
from ser.drift import tally
from ser.extras import needs
from ser.files import encodable, write_atomically
from ser.inference.adaptation import Profile, SourceMean, profile_of, read_profile
from ser.inference.artifact import MODEL_VARIABLE, find, manifest_digest, reference, verify
from ser.inference.manifest import read_manifest
from ser.inference.memory import tune_malloc
from ser.inference.recognizer import PROFILE_VARIABLE, Recognizer
from ser.tables import ENDING, part_path, to_parquet
from ser.types import CHANNELS, ArtifactError, Channels, ParameterError, SerError, check_known

UNLISTED = f"unlisted{ENDING}"  # beside the parts: an error for each folder that the last call could not list
CRASHED = "The program that decodes it died with it. Convert it to WAV, or leave it out."

# What a run must have in common with the one that it resumes, with what the runs of earlier versions had.
SETTINGS: dict[str, Any] = {
    **{"source": None, "model": None, "digest": None, "profile": "", "adapt": "none"},
    **{"channels": "mix", "track": None},
}

Progress = Callable[[int, int], None]  # files done, of all
Sources = dict[str, SourceMean]


class Task(NamedTuple):
    """What a worker must know: the folder that relative names start from, and the model with its manifest's SHA-256.

    `profile` is that of the source, as JSON, and `adapt` how answers are adapted to their source without one. Of every
    recording `channels` are heard, of the sound `track`.
    """

    root: str
    model: str
    digest: str
    profile: str = ""
    adapt: Adapt = "none"
    channels: Channels = "mix"
    track: int | None = None


# --- Workers ---


def predict_files(files: list[str], task: Task, sources: Sources) -> list[dict[str, Any]]:
    """Return the rows of every file: its answer, adapted to its source if that is known, or its error.

    There is one answer for each channel that is heard.
    """
    plain = _recognizer(task)
    adapted = {source: plain.adapted_to(means, adaptation.source_name(source)) for source, means in sources.items()}
    return [row for file in files for row in _rows(adapted.get(source_of(file, task.adapt), plain), file, task)]


def predict_part(number: int, files: list[str], task: Task, sources: Sources) -> tuple[int, bytes]:
    """Return the number of a part and its rows as Parquet, encoded here so that the main process only writes them."""
    return number, to_parquet(predict_files(files, task, sources), _recognizer(task).labels)


def _rows(recognizer: Recognizer, file: str, task: Task) -> list[dict[str, Any]]:
    try:
        source = openable(file, task.root)
        analyses = recognizer.analyse_channels(source, channels=task.channels, track=task.track)
        return [{**recognizer.answer(analysis).to_dict(), "file": as_text(file)} for analysis in analyses]
    except Exception as error:  # stores raise what they like, and no file may stop the others
        reason = f"{file} cannot be read ({type(error).__name__}: {error})."
        return [_error_row(file, str(error) if isinstance(error, SerError) else reason)]


def analyse_files(files: list[str], task: Task) -> SourceMean:
    """Return the mean of the files that hold speech."""
    recognizer, mean = _recognizer(task), SourceMean()
    for file in files:
        with suppress(Exception):  # becomes a row with an error later
            source = openable(file, task.root)
            mean.add_speech(recognizer.analyse_channels(source, channels=task.channels, track=task.track))
    return mean


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
    channels: Channels = "mix",
    track: int | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Predict all recordings of `source` (see `ser.batch.sources.names`) into a folder of Parquet, sorted by name.

    A row is `Prediction.to_dict()` and `error`; files that cannot be answered, and folders that cannot be listed, are
    rows with an error. After an interruption the same call resumes; later it adds the files that have come since, in
    parts of their own, and leaves alone those that have a row. `jobs` are processes (None: one a core; 1: this process
    itself); `dask` is the address of a scheduler whose workers are used instead. `force` replaces another run's results
    in `out`.

    Answers are adapted, without labels, to a sample of the source ("source") or of their own folder ("folder"), or not
    ("none"). A `profile`, by default that of `SER_PROFILE`, takes the place of that.
    `channels` and `track` are those of `Recognizer.predict`; with "each" a file has a row for every channel.

    Returns counts: files, earlier (answered by an earlier call), answered, failed, silent, uncertain, labels (without
    the silent ones), passed_over (other files in the folders, by their endings). Raises `ParameterError` if there are
    no recordings, `out` is taken, belongs to another run or cannot be written, or no worker can be reached.
    """
    with needs("batch", "batch"):
        import fsspec  # noqa: F401
        import joblib  # noqa: F401
        import pyarrow  # noqa: F401
    check_known(adapt, get_args(Adapt), "--adapt")
    check_known(channels, CHANNELS, "--channels")
    file = profile or os.environ.get(PROFILE_VARIABLE)
    given = read_profile(file) if file else None
    out, folder = Path(out), find(model or os.environ.get(MODEL_VARIABLE) or (given.model if given else None))
    manifest = read_manifest(folder)
    if given:
        adapt = "none"
    root, text = str(Path.cwd()), given.to_json() if given else ""
    task = Task(root, reference(folder), manifest_digest(folder), text, adapt, channels, track)
    if given:
        _recognizer(task)  # refuses the profile of another model before the work
    listing = Listing()
    with (
        cluster(dask) if dask else cores(jobs) as pool,
        _checkpoint(out, lambda checkpoint: _start(checkpoint, source, out, task, listing, force=force)) as checkpoint,
    ):
        _write_unlisted(out, listing, manifest["labels"])
        earlier = _predict_all(checkpoint, out, manifest["labels"], pool, progress)
        files, counts = len(checkpoint) + len(listing.unlisted), tally(out)
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
        "passed_over": dict(listing.passed_over.most_common()),
    }


@contextmanager
def _checkpoint(out: Path, start: Callable[[Checkpoint], None]) -> Iterator[Checkpoint]:
    """Provide the checkpoint of this run, new or resumed, after `start`.

    A run that cannot start leaves nothing behind.
    """
    folder = checkpoint_folder(out)
    with _writing(out):
        _check_out(out)
        is_new = not out.exists()
        out.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        _move_first(out, folder)
        if is_new:  # the results were moved or removed
            _drop_checkpoint(folder)
    with Checkpoint(folder / NAME) as checkpoint:
        try:
            _delete(folder, ".*.part")  # of a killed run
            start(checkpoint)
        except BaseException:
            checkpoint.close()
            if checkpoint.settings is None:
                _drop_checkpoint(folder)
                folder.rmdir()
                if is_new:
                    out.rmdir()
            raise
        yield checkpoint


def _move_first(out: Path, folder: Path) -> None:
    """Move the checkpoint of the first version, which lies among the results."""
    for old, new in ((adaptation.FIRST_NAME, adaptation.NAME), (FIRST_NAME, NAME)):
        for path in out.glob(f"{old}*"):  # SQLite may have a journal beside it
            path.replace(folder / path.name.replace(old, new))


def _drop_checkpoint(folder: Path) -> None:
    for pattern in (f"{NAME}*", adaptation.NAME):
        _delete(folder, pattern)


def _check_out(out: Path) -> None:
    if not out.parent.is_dir():
        raise ParameterError(f"{out}: there is no folder {out.parent}. Make it, or choose another --out.")
    if out.exists() and not out.is_dir():
        raise ParameterError(f"{out} is a file; results are a folder. Choose another --out, or remove it.")
    is_ours = (checkpoint_folder(out) / NAME).is_file() or (out / FIRST_NAME).is_file()
    if out.is_dir() and any(out.iterdir()) and not is_ours:
        raise ParameterError(f"{out} is not from a run of batch. Choose another --out, or remove it.")


def _start(checkpoint: Checkpoint, source: str, out: Path, task: Task, listing: Listing, *, force: bool) -> None:
    """List the source and put its files into the checkpoint."""
    place = source if is_address(source) else str(Path(task.root, source))
    settings = task._asdict() | {"source": place, "given": source}
    stored = checkpoint.settings
    others = [key for key in SETTINGS if stored and stored.get(key, SETTINGS[key]) != settings[key]]
    if stored and others and not force:
        run = " and ".join(_named(key, stored.get(key, SETTINGS[key])) for key in others if key != "digest")
        other = run or "another version of the model"
        raise ParameterError(f"{out} holds a run of {other}. Choose another --out, or --force to replace it.")

    def ready(files: int) -> None:
        if not files and not listing.unlisted:
            raise ParameterError(f"{source} {no_recordings(listing)}")
        _drop_results(out)

    with _writing(out):
        if stored is None or force:
            checkpoint.fill(names(source, task.root, listing), settings, ready)
        else:
            path = checkpoint_folder(out) / adaptation.NAME
            again = names(stored.get("given", source), stored["root"], listing)  # as it was given then
            checkpoint.extend(again, lambda: adaptation.forget_unknown(path))


def _named(key: str, value: str) -> str:
    """Name a setting of another run."""
    if key == "profile":
        return "another profile" if value else "no profile"
    return f"--{key} {value}" if key in ("adapt", "channels", "track") else f"{key} {value!r}"


def _drop_results(out: Path) -> None:
    for pattern in (f"*part-*{ENDING}*", UNLISTED):
        _delete(out, pattern)
    _delete(checkpoint_folder(out), adaptation.NAME)


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
            f"{out} cannot be written ({error.strerror or error}). Make room, or allow writing, and run the same "
            "command to resume; or choose another --out."
        ) from error


def _write_unlisted(out: Path, listing: Listing, labels: Sequence[str]) -> None:
    """Write a row with an error for every folder that this call could not list; those of an earlier call are gone."""
    rows = [_error_row(row["file"], row["error"]) for row in listing.errors()]
    with _writing(out):
        if rows:
            _write(out, UNLISTED, to_parquet(rows, labels))
        else:
            _delete(out, UNLISTED)


def _write(out: Path, name: str, content: bytes) -> None:
    """Write a file of results; the unfinished file stands in the checkpoint, where no reader meets it."""
    write_atomically(out / name, content, sync=True, folder=checkpoint_folder(out))


def _predict_all(checkpoint: Checkpoint, out: Path, labels: Sequence[str], pool: Pool, progress: Progress) -> int:
    """Answer every part that has no file yet; return how many files had been answered before."""
    settings, sizes = checkpoint.settings or {}, checkpoint.sizes()
    task = Task(**{name: settings[name] for name in Task._fields if name in settings})
    pending = [number for number in range(len(sizes)) if not part_path(out, number).exists()]
    sources = _sources(checkpoint, out, task, pool, pending)
    earlier = done = len(checkpoint) - sum(sizes[number] for number in pending)
    submitted: dict[int, list[str]] = {}

    def calls() -> Iterator[Call]:
        left = (number for number in pending if not part_path(out, number).exists())
        for number, files in checkpoint.parts(left):
            submitted[number] = files
            yield predict_part, number, files, task, _of_part(sources, files, task)

    def write(number: int, content: bytes) -> None:
        nonlocal done
        with _writing(out):
            _write(out, part_path(out, number).name, content)
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


def _sources(checkpoint: Checkpoint, out: Path, task: Task, pool: Pool, pending: Sequence[int]) -> Sources:
    """Return the means of the sources of a run: those that are stored, and new ones of sources that are not."""
    if task.adapt == "none":
        return {}
    path = checkpoint_folder(out) / adaptation.NAME
    stored = adaptation.read(path)
    used = {source_of(file, task.adapt) for _, part in checkpoint.parts(pending) for file in part}
    unknown = used - set(stored)
    if unknown:
        files = (file for _, part in checkpoint.parts() for file in part if source_of(file, task.adapt) in unknown)
        samples = {key: each for key, each in sample(files, task.adapt).items() if len(each) >= MIN_CLIPS}
        means = source_means(samples, analyse_files, task, pool)
        manifest = read_manifest(find(task.model))
        profiles = ((key, _profile(means.get(key), manifest, task.digest, key)) for key in samples)
        with _writing(out):
            adaptation.store(path, profiles)
        stored = adaptation.read(path)
    return {source: means for source, means in stored.items() if means is not None}


def _profile(mean: SourceMean | None, manifest: dict[str, Any], version: str, source: str) -> Profile | None:
    name, labels = manifest["name"], tuple(manifest["labels"])
    return None if mean is None else Profile.of(mean, labels, name, version, adaptation.source_name(source))


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
