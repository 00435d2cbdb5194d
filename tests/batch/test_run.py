"""Batch runs: every file once, whatever is killed, and exactly the predictions of `predict`."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from golden.make import RATE, tone, voice
from typer.testing import CliRunner, Result

from ser.batch import adaptation
from ser.batch.checkpoint import FIRST_NAME, NAME, PART, checkpoint_folder
from ser.batch.run import Task, batch, predict_files
from ser.cli.main import app
from ser.extras import advice
from ser.inference.artifact import ARTIFACTS
from ser.inference.recognizer import load
from ser.tables import columns, flat, schema
from ser.types import ArtifactError, AudioError, ParameterError

ROOT = ARTIFACTS.parent
MODEL = "dense105"
MANY = 6 * PART + 7
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "400", "NO_COLOR": "1"}


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Path:
    """Make three recordings, one of them silent, one that is text, and a file that is skipped."""
    folder = tmp_path_factory.mktemp("calls")
    (folder / "b").mkdir()
    for name, sound in {"a.wav": voice(0.6), "b/c.flac": voice(0.8, 200.0), "still.wav": 0 * tone(0.5)}.items():
        sf.write(folder / name, sound, RATE)
    (folder / "bad.wav").write_text("no sound at all")
    (folder / "notes.txt").write_text("no recording")
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Make more than six parts of short clips, without speech that answers would be adapted to."""
    folder = tmp_path_factory.mktemp("many")
    sf.write(folder / "0000.wav", tone(0.6, 300.0), RATE)
    sf.write(folder / "0001.wav", tone(0.6), RATE)
    (folder / "0002.wav").write_text("no sound at all")
    for number in range(3, MANY):
        (folder / f"{number:04d}.wav").hardlink_to(folder / f"{number % 3:04d}.wav")
    return folder


@pytest.fixture(scope="module")
def undisturbed(many, tmp_path_factory) -> list[dict]:
    out = tmp_path_factory.mktemp("undisturbed") / "results.parquet"
    assert batch(str(many), out, MODEL, jobs=1)["files"] == MANY
    table = rows(out)
    assert [row["file"] for row in table] == [str(many / f"{number:04d}.wav") for number in range(MANY)]
    return table


def rows(out: Path) -> list[dict]:
    return pq.read_table(out).to_pylist()


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "ser", "batch", *map(str, words), "--model", MODEL]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["batch", *map(str, words), "--model", MODEL])


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Stop(Exception):
    """Ends a run from within."""


def unfinished(source: Path, out: Path, n_files: int = PART) -> None:
    def progress(done: int, total: int) -> None:
        if done >= n_files:
            raise Stop

    with pytest.raises(Stop):
        batch(str(source), out, MODEL, jobs=1, progress=progress)


# --- Answers ---


@pytest.mark.slow
def test_rows_are_the_predictions_of_predict(calls, tmp_path):
    out, recognizer = tmp_path / "r.parquet", load(MODEL)
    assert batch(str(calls), out, MODEL, jobs=2) == {
        **{"out": str(out), "model": MODEL, "files": 4, "earlier": 0, "answered": 3, "failed": 1, "silent": 1},
        **{"uncertain": 3, "labels": _labels(rows(out)), "passed_over": {".txt": 1}},
    }
    by_file = {row.pop("file"): row for row in rows(out)}
    assert sorted(by_file) == sorted(str(calls / name) for name in ("a.wav", "b/c.flac", "bad.wav", "still.wav"))
    with pytest.raises(AudioError) as raised:
        recognizer.predict(calls / "bad.wav")
    bad = by_file.pop(str(calls / "bad.wav"))
    assert bad.pop("error") == str(raised.value) and set(bad.values()) == {None}
    for file, row in by_file.items():
        answer = recognizer.predict(file).to_dict()
        assert {"file": file, **row} == {name: flat(answer).get(name) for name in columns(recognizer.labels)}
    assert pq.read_schema(out / "part-00000000.parquet").remove_metadata() == schema(columns(recognizer.labels))


def _labels(table: list[dict]) -> dict[str, int]:
    labels = [row["label"] for row in table if row["label"] and "silent" not in row["reasons"]]
    return {label: labels.count(label) for label in labels}


@pytest.mark.slow
def test_a_model_with_more_outputs_fills_more_columns(calls, tmp_path):
    batch(str(calls / "a.wav"), tmp_path / "r", "voice", jobs=1)
    (row,) = rows(tmp_path / "r")
    answer = load("voice").predict(calls / "a.wav").to_dict()
    assert {"male": row["sex_male"], "female": row["sex_female"]} == answer["sex"]
    assert {label: row[label] for label in answer["probabilities"]} == answer["probabilities"]
    assert row["intensity"] == answer["intensity"]


@pytest.mark.slow
def test_the_command_prints_counts_rate_and_time_left(calls, tmp_path):
    ran = run(calls, "--out", tmp_path / "r.parquet", "--format", "json", "--jobs", 1)
    assert ran.exit_code == 2 and json.loads(ran.stdout)["answered"] == 3
    assert "Written to" in ran.stderr and "4/4" in ran.stderr and "files/s" in ran.stderr
    assert "passed over: 1 .txt\n" in ran.stderr and json.loads(ran.stdout)["passed_over"] == {".txt": 1}
    ran = run(calls / "a.wav", "--out", tmp_path / "one", "--jobs", 1)
    assert ran.exit_code == 0 and "1 of 1 files" in ran.stdout and "dense105" in ran.stdout
    again = run(calls / "a.wav", "--out", tmp_path / "one", "--jobs", 1)
    assert (
        again.stdout == ran.stdout
        and "1 files had been predicted before and were left alone, 0 are new; --force" in again.stderr
    )


@pytest.mark.slow
def test_the_documented_examples_run(many, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SER_MODEL", MODEL)
    Path("calls").symlink_to(many)
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))))
    pattern = r"^(?:python -m )?ser ((?:batch|monitor) [^#\n]+)"
    examples = [shlex.split(line) for line in re.findall(pattern, text, re.MULTILINE)]
    local = [words for words in examples if "--dask" not in words]
    assert [words[0] for words in local] == ["batch", "batch", "monitor"]
    assert [CliRunner().invoke(app, words).exit_code for words in local[:2]] == [2, 2], "a third of the files is broken"
    assert len(rows(Path("calls.parquet"))) == len(rows(Path("waves.parquet"))) == MANY
    Path("calls.parquet").rename("then.parquet")
    Path("waves.parquet").rename("now.parquet")
    ran = CliRunner().invoke(app, local[2])
    assert ran.exit_code == 0 and ran.stdout.count("stable") == 3


@pytest.mark.slow
def test_files_in_a_store_have_the_same_predictions(calls, tmp_path):
    with zipfile.ZipFile(tmp_path / "calls.zip", "w") as archive:
        for path in sorted(calls.rglob("*.*")):
            archive.write(path, path.relative_to(calls))
    batch(str(calls), tmp_path / "local", MODEL, jobs=1)
    batch(f"simplecache::zip://::file://{tmp_path}/calls.zip", tmp_path / "zip", MODEL, jobs=2)
    batch(f"file://{calls}", tmp_path / "file", MODEL, jobs=1)
    local = [{**row, "file": None, "error": bool(row["error"])} for row in rows(tmp_path / "local")]
    for name in ("zip", "file"):
        assert [{**row, "file": None, "error": bool(row["error"])} for row in rows(tmp_path / name)] == local


@pytest.mark.slow
def test_each_channel_is_a_row(tmp_path):
    source, out = tmp_path / "calls", tmp_path / "r.parquet"
    source.mkdir()
    sf.write(source / "call.wav", np.stack([voice(0.8), voice(0.8, 200.0)], axis=1), RATE)
    sf.write(source / "one.wav", voice(0.6), RATE)
    ran = run(source, "--out", out, "--channels", "each", "--adapt", "none", "--jobs", 1)
    assert ran.exit_code == 0, ran.output
    call, one = (load(MODEL).predict(source / name, channels="each") for name in ("call.wav", "one.wav"))
    labels = load(MODEL).labels
    assert rows(out) == [{name: flat(answer.to_dict()).get(name) for name in columns(labels)} for answer in call + one]
    assert [row["channel"] for row in rows(out)] == ["left", "right", "mono"]
    ran = run(source, "--out", out, "--adapt", "none", "--jobs", 1)
    assert "holds a run of --channels each" in str(ran.exception)


@pytest.mark.slow
def test_a_list_may_name_missing_files(calls, tmp_path):
    (tmp_path / "list.txt").write_text(f"{calls}/a.wav\n{calls}/gone.wav\n{calls}/a.wav\nnone://x\n")
    counts = batch(str(tmp_path / "list.txt"), tmp_path / "r", MODEL, jobs=1)
    assert (counts["files"], counts["answered"], counts["failed"]) == (3, 1, 2)
    errors = [row["error"] for row in rows(tmp_path / "r") if row["error"]]
    assert "no such file" in errors[0] and "Protocol not known: none" in errors[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are text")
def test_a_name_that_is_no_utf8_becomes_text(calls, tmp_path):
    odd = os.fsencode(tmp_path) + b"/odd\xff.wav"
    Path(os.fsdecode(odd)).write_bytes((calls / "a.wav").read_bytes())
    assert batch(str(tmp_path), tmp_path / "r", MODEL, jobs=1)["answered"] == 1
    assert rows(tmp_path / "r")[0]["file"] == f"{tmp_path}/odd\\xff.wav"


# --- The folder of results, and later calls ---


@pytest.mark.slow
def test_the_folder_holds_nothing_but_parquet(calls, tmp_path):
    """Also during the run and after one that was stopped: Polars and DuckDB read whatever is in a folder."""
    out = tmp_path / "r.parquet"

    def progress(done: int, total: int) -> None:
        assert {path.suffix for path in out.rglob("*")} <= {".parquet"}

    batch(str(calls), out, MODEL, jobs=1, progress=progress)
    assert [path.name for path in out.iterdir()] == ["part-00000000.parquet"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.parquet", "r.parquet.checkpoint"]
    table = ds.dataset(out, format="parquet", exclude_invalid_files=False, ignore_prefixes=[]).to_table()
    assert table.num_rows == 4 and table.to_pylist() == rows(out)


@pytest.mark.slow
def test_a_later_call_predicts_what_has_come_since(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("calls").mkdir()
    sf.write("calls/b.wav", voice(0.6), RATE)
    assert batch("calls", "r", MODEL, jobs=1)["earlier"] == 0
    before = rows(Path("r"))
    sf.write("calls/a.wav", tone(0.6), RATE)
    Path("calls/c.txt").write_text("no recording")
    counts = batch(str(tmp_path / "calls"), "r", MODEL, jobs=1)  # the same source, named otherwise
    assert (counts["files"], counts["earlier"], counts["answered"], counts["passed_over"]) == (2, 1, 2, {".txt": 1})
    assert [row["file"] for row in rows(Path("r"))] == ["calls/b.wav", "calls/a.wav"] and rows(Path("r"))[:1] == before
    Path("calls/b.wav").unlink()
    assert (counts := batch("calls", "r", MODEL, jobs=1))["files"] == counts["earlier"] == 2
    assert batch("calls", "r", MODEL, jobs=1, force=True)["files"] == 1


@pytest.mark.slow
def test_an_interrupted_run_takes_what_has_come_since(many, undisturbed, tmp_path):
    copy = tmp_path / "many"
    copy.mkdir()
    for path in sorted(many.iterdir())[: 2 * PART]:
        (copy / path.name).hardlink_to(path)
    unfinished(copy, tmp_path / "r", PART)
    for number in range(5):
        (copy / f"00{number}.wav").hardlink_to(many / f"{number:04d}.wav")
    counts = batch(str(copy), tmp_path / "r", MODEL, jobs=1)
    assert (counts["files"], counts["earlier"]) == (2 * PART + 5, PART)
    table = [{**row, "file": Path(row["file"]).name, "error": bool(row["error"])} for row in rows(tmp_path / "r")]
    wanted = [{**row, "file": Path(row["file"]).name, "error": bool(row["error"])} for row in undisturbed]
    assert table[: 2 * PART] == wanted[: 2 * PART]
    assert [{**row, "file": ""} for row in table[2 * PART :]] == [{**row, "file": ""} for row in wanted[:5]]


@pytest.mark.slow
def test_a_folder_that_may_not_be_listed_is_a_row(calls, tmp_path, monkeypatch):
    """The system's answer is put in its mouth: it lets root list everything."""

    def scandir(folder: str, scan=os.scandir):
        if str(folder) == str(calls / "b"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scan(folder)

    with monkeypatch.context() as patch:
        patch.setattr("ser.audio.files.os.scandir", scandir)
        ran = run(calls, "--out", tmp_path / "r", "--format", "json", "--jobs", 1)
    assert ran.exit_code == 2 and json.loads(ran.stdout)["files"] == 4
    (row,) = [row for row in rows(tmp_path / "r") if row["file"] == str(calls / "b")]
    assert row.pop("error") == f"{calls / 'b'}: Permission denied. Check its name and rights."
    assert not any(value for key, value in row.items() if key != "file")
    counts = batch(str(calls), tmp_path / "r", MODEL, jobs=1)  # it may be listed now
    assert (counts["files"], counts["earlier"], counts["failed"]) == (4, 3, 1)
    assert {row["file"] for row in rows(tmp_path / "r")} == {str(path) for path in calls.rglob("*.[wf]*")}


@pytest.mark.slow
def test_results_that_were_moved_away_are_made_anew(calls, tmp_path):
    out = tmp_path / "r.parquet"
    batch(str(calls), out, MODEL, jobs=1)
    out.rename(tmp_path / "old.parquet")
    assert batch(str(calls / "a.wav"), out, MODEL, jobs=1)["files"] == 1, "and may be of another source"
    assert len(rows(tmp_path / "old.parquet")) == 4
    with pytest.raises(ParameterError, match="is not from a run of batch"):
        batch(str(calls), tmp_path / "old.parquet", MODEL, jobs=1)


@pytest.mark.slow
def test_a_run_of_the_first_version_is_resumed(many, undisturbed, tmp_path):
    """Its checkpoint stood among the results."""
    out = tmp_path / "r"
    unfinished(many, out, 2 * PART)
    folder = checkpoint_folder(out)
    with sqlite3.connect(folder / NAME) as new, sqlite3.connect(out / FIRST_NAME) as old:
        (settings,) = new.execute("SELECT settings FROM run").fetchone()
        old.execute("CREATE TABLE file (name BLOB PRIMARY KEY) WITHOUT ROWID")
        old.execute("CREATE TABLE run (settings TEXT)")
        old.executemany("INSERT INTO file VALUES (?)", new.execute("SELECT name FROM file"))
        stored = {key: value for key, value in json.loads(settings).items() if key != "given"}
        old.execute("INSERT INTO run VALUES (?)", (json.dumps({**stored, "files": MANY, "part": PART}),))
    new.close()
    old.close()
    shutil.rmtree(folder)
    assert batch(str(many), out, MODEL, jobs=1)["earlier"] == 2 * PART
    assert rows(out) == undisturbed and {path.suffix for path in out.iterdir()} == {".parquet"}


# --- Refusals ---


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("gone", "there is no such file or folder"),
        ("empty", r"empty holds no recordings\. Folders are searched by endings, \.wav, .*given by its own name"),
        ("text", r"text holds no recordings \(passed over: 1 \.txt\)"),
        ("*.aiff", "holds no recordings"),
        ("none://bucket", "Protocol not known"),
    ],
)
def test_a_source_without_recordings_leaves_nothing(source, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("no recording")
    with pytest.raises(ParameterError, match=match):
        batch(source, "r.parquet", MODEL, jobs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "text"]


def test_an_output_of_something_else_is_left_alone(calls, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    for name, match in (
        ("file", "is a file; results are a folder"),
        ("folder", "is not from a run of batch"),
        ("none/r", "there is no folder"),
        ("x" * 300, "cannot be written .File name too long"),
        ("x" * 250, "cannot be written .File name too long"),  # with the ending of the checkpoint
    ):
        with pytest.raises(ParameterError, match=match):
            batch(str(calls), tmp_path / name, MODEL, jobs=1, force=True)
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "mine").read_text() == "mine"
    with pytest.raises(ParameterError, match="0 processes: give 1 or more"):
        batch(str(calls), tmp_path / "r", MODEL, jobs=0)


@pytest.mark.slow
def test_results_belong_to_their_source_and_model(calls, many, tmp_path, monkeypatch):
    out = tmp_path / "r"
    unfinished(many, out)
    before = sorted(out.iterdir())
    with pytest.raises(ParameterError, match=r"holds a run of source '.*many.*'\. Choose .*--force to replace it"):
        batch(str(calls), out, MODEL, jobs=1)
    with pytest.raises(ParameterError, match="holds a run of model 'dense105'"):
        batch(str(many), out, "voice", jobs=1)
    with monkeypatch.context() as patch, pytest.raises(ParameterError, match="run of another version of the model"):
        patch.setattr("ser.batch.run.manifest_digest", lambda path: "0" * 64)
        batch(str(many), out, MODEL, jobs=1)
    (tmp_path / "empty").mkdir()
    for source in ("cals", "empty"):  # a wrong source deletes no results
        with pytest.raises(ParameterError, match=r"no such file or folder|holds no recordings"):
            batch(str(tmp_path / source), out, MODEL, jobs=1, force=True)
    assert sorted(out.iterdir()) == before
    assert batch(str(calls), out, MODEL, jobs=1, force=True)["files"] == 4
    assert len(rows(out)) == 4


def test_a_folder_that_cannot_be_written_is_refused(calls, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    (tmp_path / "r").mkdir()
    monkeypatch.setattr("ser.batch.checkpoint.sqlite3.connect", refuse)
    with pytest.raises(ParameterError, match=r"cannot be used \(unable to open database file\)\. Check its rights"):
        batch(str(calls), tmp_path / "r", MODEL, jobs=1)


@pytest.mark.slow
def test_two_runs_never_share_an_output(many, tmp_path):
    def progress(done: int, total: int) -> None:
        with pytest.raises(ParameterError, match="another run is at work"):
            batch(str(many), tmp_path / "r", MODEL, jobs=1)
        raise Stop

    with pytest.raises(Stop):
        batch(str(many), tmp_path / "r", MODEL, jobs=1, progress=progress)


def test_missing_libraries_are_named_with_their_extra(calls, tmp_path, monkeypatch):
    for library, extra, options in (("distributed", "dask", {"dask": "tcp://localhost:1"}), ("pyarrow", "batch", {})):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ParameterError, match=f"needs {library}, .*{re.escape(advice(extra))}"):
            batch(str(calls), tmp_path / "r", MODEL, **options)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert "batch needs tqdm, " in str(run(calls, "--out", tmp_path / "r").exception)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_with_another_version_of_the_model_is_refused(calls):
    with pytest.raises(ArtifactError, match="A worker has another 'dense105'"):
        predict_files([str(calls / "a.wav")], Task("/", MODEL, "0" * 64), {})


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that even root cannot write to")
def test_a_read_only_system_folder_is_refused(calls):
    with pytest.raises(ParameterError, match=r"/sys/r.parquet cannot be written \(.*\)\. Make room, or allow writing"):
        batch(str(calls), "/sys/r.parquet", MODEL, jobs=1)


@pytest.mark.service
@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of POSIX")
@pytest.mark.parametrize("n_files", [0, 5 * PART], ids=["list", "parts"])
def test_a_full_disk_is_reported_and_loses_nothing(n_files, many, undisturbed, tmp_path):
    """Wherever the disk is full first; a limit of the file size simulates it."""
    out = tmp_path / "r.parquet"
    if n_files:
        unfinished(many, out, n_files)
    limited = ["bash", "-c", 'ulimit -f 4 && exec "$@"', "-", *command(many, "--out", out, "--jobs", 1)]
    full = subprocess.run(limited, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert full.returncode == 2 and "Make room" in full.stderr and "Traceback" not in full.stderr
    assert ("(File too large)" in full.stderr) is (n_files > 0)
    assert not list(tmp_path.rglob("*.part")) and out.exists() is (n_files > 0)
    batch(str(many), out, MODEL, jobs=1)
    assert rows(out) == undisturbed


# --- Interrupted runs ---


@pytest.mark.slow
def test_a_stopped_run_resumes_without_repeating(many, undisturbed, tmp_path):
    out, seen = tmp_path / "r.parquet", []
    unfinished(many, out, 3 * PART)
    assert rows(out) == undisturbed[: 3 * PART], "can be read during the run"
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}
    counts = batch(str(many), out, MODEL, jobs=1, progress=lambda done, total: seen.append(done))
    assert seen[0] == counts["earlier"] == 3 * PART and seen[-1] == MANY
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert rows(out) == undisturbed


@pytest.mark.service
def test_a_killed_process_can_be_resumed(many, undisturbed, tmp_path):
    out = tmp_path / "r.parquet"
    words = command(many, "--out", out, "--jobs", 2)
    process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: any(out.glob("part-*")), "no part was written")
    workers = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and len(workers) >= 2
    wait_for(lambda: not any(map(alive, workers)), "workers outlived the run")
    before = len(list(out.glob("part-*")))
    assert 1 <= before < 7
    counts = batch(str(many), out, MODEL, jobs=1)
    assert counts["earlier"] in (before * PART, (before - 1) * PART + 7) and counts["files"] == MANY
    assert rows(out) == undisturbed
    assert all(path.name.startswith("part-") for path in out.iterdir()), "half a part was left"
    assert all(path.name.startswith((NAME, adaptation.NAME)) for path in checkpoint_folder(out).iterdir())


@pytest.mark.service
def test_crashed_workers_lose_no_file(many, undisturbed, tmp_path):
    killed = []

    def progress(done: int, total: int) -> None:
        if done and not killed:
            workers = [child for child in psutil.Process().children() if "LokyProcess" in " ".join(child.cmdline())]
            killed.extend(child.pid for child in workers)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    batch(str(many), tmp_path / "r", MODEL, jobs=2, progress=progress)
    assert len(killed) == 2 and rows(tmp_path / "r") == undisturbed


@pytest.fixture
def deadly(calls, tmp_path, monkeypatch) -> Path:
    """Make a list with a recording in a store that ends the process that opens it, as a bug of a decoder would."""
    (tmp_path / "deadly.py").write_text(
        "import os\nfrom fsspec import AbstractFileSystem\nclass Deadly(AbstractFileSystem):\n"
        "    protocol = 'deadly'\n    def _open(self, path, *args, **options): os._exit(9)\n"
    )
    (tmp_path / "deadly-1.dist-info").mkdir()
    (tmp_path / "deadly-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1\n")
    (tmp_path / "deadly-1.dist-info" / "entry_points.txt").write_text("[fsspec.specs]\ndeadly = deadly:Deadly\n")
    (tmp_path / "list.txt").write_text(f"{calls}/a.wav\ndeadly://x.wav\n{calls}/still.wav\n")
    monkeypatch.syspath_prepend(tmp_path)  # inherited by workers
    return tmp_path / "list.txt"


def check_one_died(out: Path, calls: Path) -> None:
    errors = {row["file"]: row["error"] for row in rows(out)}
    assert errors.pop("deadly://x.wav").startswith("deadly://x.wav: The program that decodes it died with it. Convert")
    assert errors == {f"{calls}/a.wav": None, f"{calls}/still.wav": None}


@pytest.mark.service
def test_a_file_that_kills_its_worker_is_a_row_too(deadly, calls, tmp_path):
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    words = command(deadly, "--out", tmp_path / "r", "--jobs", 2)
    assert subprocess.run(words, env=environment, check=False, capture_output=True).returncode == 2
    check_one_died(tmp_path / "r", calls)


@pytest.mark.service
def test_a_cluster_loses_a_worker_and_no_file(many, undisturbed, tmp_path):
    from distributed import LocalCluster

    killed = []
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:

        def progress(done: int, total: int) -> None:
            if done >= 2 * PART and not killed:
                killed.append(cluster.workers[0].process.pid)
                os.kill(killed[0], signal.SIGKILL)

        batch(str(many), tmp_path / "r", MODEL, dask=cluster.scheduler_address, progress=progress)
    assert killed and rows(tmp_path / "r") == undisturbed


@pytest.mark.service
def test_a_file_that_kills_workers_of_a_cluster_is_a_row_too(deadly, calls, tmp_path):
    import dask
    from distributed import LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
    ):
        batch(str(deadly), tmp_path / "r", MODEL, dask=cluster.scheduler_address)
    check_one_died(tmp_path / "r", calls)


@pytest.mark.service
def test_a_lost_cluster_is_reported(many, undisturbed, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:

        def progress(done: int, total: int) -> None:
            if done:
                cluster.close()

        with pytest.raises(ParameterError, match=r"The scheduler tcp://.* is gone\. Start it, and run the same"):
            batch(str(many), tmp_path / "r", MODEL, dask=cluster.scheduler_address, progress=progress)
    assert 0 < batch(str(many), tmp_path / "r", MODEL, jobs=1)["earlier"] < MANY
    assert rows(tmp_path / "r") == undisturbed


@pytest.mark.service
def test_a_cluster_that_cannot_work_is_refused(calls, tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr("ser.batch.executors.CONNECT_S", 1)
    with pytest.raises(ParameterError, match="No Dask scheduler answers at nonsense://x"):
        batch(str(calls), tmp_path / "r", MODEL, dask="nonsense://x")
    with pytest.raises(ParameterError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9"):
        batch(str(calls), tmp_path / "r", MODEL, dask="tcp://127.0.0.1:9")
    with (
        LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        pytest.raises(ParameterError, match="has no workers"),
    ):
        batch(str(calls), tmp_path / "r", MODEL, dask=cluster.scheduler_address)
    without = {"preload": "import sys\nsys.modules['ser'] = None\n"}
    with (
        LocalCluster(n_workers=1, dashboard_address=None, silence_logs=50, **without) as cluster,
        pytest.raises(ParameterError, match=r"a worker of tcp://.* cannot run voice-ser .*Install the same version"),
    ):
        batch(str(calls), tmp_path / "r", MODEL, dask=cluster.scheduler_address)
    assert list(tmp_path.iterdir()) == []
