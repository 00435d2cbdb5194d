"""The history: kept only on request, names without folders, deleted for good, and a sentence for bad databases."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pexpect
import pytest
import soundfile as sf
from golden.make import RATE, voice
from sqlalchemy import event
from sqlalchemy.engine import Engine
from typer.testing import CliRunner, Result

import ser
from ser.cli import main as cli
from ser.cli import output as printed
from ser.cli.history import _print_list
from ser.cli.main import app
from ser.extras import advice
from ser.history import Entry, History
from ser.inference.artifact import ARTIFACTS
from ser.types import EMOTIONS, ParameterError

ROOT = ARTIFACTS.parent
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the data folder is named in other ways")
TERMINAL = pytest.mark.skipif(sys.platform == "win32", reason="a terminal as Unix knows it")
ANSWER = {
    "file": "/home/ana/secret folder/clip.wav",
    "label": "happy",
    "confidence": 0.5,
    "probabilities": dict.fromkeys(EMOTIONS, 0.125),
    "uncertain": True,
    "reasons": ["close_call"],
    "sex": None,
    "intensity": None,
    "duration_s": 2.0,
    "model": "voice",
}


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """Set the history's address as a user sets it; the file does not exist yet."""
    monkeypatch.setenv("SER_DATABASE_URL", f"sqlite:///{tmp_path}/kept.sqlite")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(printed.out, "width", 400)
    return tmp_path / "kept.sqlite"


@pytest.fixture
def clip(tmp_path) -> Path:
    sf.write(tmp_path / "clip.wav", voice(1.0), RATE)
    return tmp_path / "clip.wav"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(monkeypatch, capsys, *words: object) -> str:
    """Return the one sentence on stderr of a program that ends with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["ser", *map(str, words)])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    said = capsys.readouterr()
    assert exit.value.code == 2 and said.err.startswith("ser: ") and said.err.count("\n") == 1
    return said.err


# --- The store ---


def test_kept_entries_are_returned(path):
    before = datetime.now(UTC)
    (kept,) = History().keep([ANSWER])
    assert kept.answer == {**ANSWER, "file": "clip.wav"} and before <= kept.time <= datetime.now(UTC)
    assert kept.time.utcoffset() == timedelta(0)
    assert History().find(kept.id) == kept == History().newest()[0]
    assert kept.to_dict()["time"].endswith("+00:00")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("/home/ana/a b.wav", "a b.wav"),
        ("C:\\Users\\ana\\b.wav", "b.wav"),
        ("-", "-"),
        (None, ""),
        ("ä😀.wav", "ä😀.wav"),
        (os.fsdecode(b"caf\xe9.wav"), "caf\\udce9.wav"),
    ],
    ids=ascii,
)
def test_only_the_name_of_a_file_is_kept(path, name, kept):
    (entry,) = History().keep([{**ANSWER, "file": name}])
    assert entry.answer["file"] == kept == History().newest()[0].answer["file"]
    assert b"ana" not in path.read_bytes()


def test_the_newest_first(path):
    history = History()
    history.keep({**ANSWER, "file": f"{number}.wav"} for number in range(5))
    assert [kept.answer["file"] for kept in history.newest(2)] == ["4.wav", "3.wav"]
    assert len(history.newest()) == history.count() == 5


def test_ids_are_never_used_twice(path):
    history = History()
    (first, second) = history.keep([ANSWER, ANSWER])
    history.delete([second.id])
    assert history.keep([ANSWER])[0].id > second.id > first.id


def test_deleted_answers_are_gone_from_the_file(path):
    history = History()
    kept = history.keep({**ANSWER, "file": f"telling-{number}.wav"} for number in range(3))
    assert b"telling-1" in path.read_bytes()
    assert history.delete([kept[1].id, kept[1].id]) == 1
    assert b"telling-1" not in path.read_bytes() and b"telling-0" in path.read_bytes()
    assert history.clear() == 2 and b"telling" not in path.read_bytes() and history.newest() == []


def test_an_unknown_number_deletes_nothing(path):
    history = History()
    (kept,) = history.keep([ANSWER])
    with pytest.raises(ParameterError, match=r"No prediction 98, 99 in the history"):
        history.delete([99, kept.id, 98])
    with pytest.raises(ParameterError, match=r"No prediction 99 in the history"):
        history.find(99)
    assert history.newest() == [kept]


def test_reading_creates_no_file(path):
    history = History()
    assert history.newest() == [] and history.count() == history.clear() == 0
    with pytest.raises(ParameterError, match="No prediction 1"):
        history.delete([1])
    assert not path.exists()


def test_all_or_none_are_kept(path):
    with pytest.raises(ParameterError, match="NOT NULL"):
        History().keep([ANSWER, {**ANSWER, "label": None}])
    assert History().newest() == []


@pytest.mark.slow
def test_many_keep_at_once(path):
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda _: History().keep([ANSWER])[0].id, range(24)))
    assert len(set(kept)) == 24 == len(History().newest())


@LINUX
def test_default_is_a_file_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("SER_DATABASE_URL", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    History().keep([ANSWER])
    assert [path.name for path in (tmp_path / "data" / "ser").iterdir()] == ["history.sqlite"]
    assert (tmp_path / "data" / "ser").stat().st_mode & 0o077 == 0


@LINUX
def test_a_user_without_a_home_needs_a_database(path, monkeypatch):
    """A container's user that is in no list of users."""
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert History().keep([ANSWER]) and path.exists()
    monkeypatch.delenv("SER_DATABASE_URL")
    with pytest.raises(ParameterError, match=r"this user has no home folder. Set HOME, or name another database"):
        History()


# --- Databases that cannot be used ---


def database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_file_that_is_no_database(path):
    path.write_text("a letter, not a database; " * 100)
    for use in (History().open, History().newest, History().clear, lambda: History().keep([ANSWER])):
        with pytest.raises(ParameterError, match=r"cannot be used: file is not a database.*SER_DATABASE_URL"):
            use()
    assert path.read_text().startswith("a letter")


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("CREATE TABLE bookmarks (url)", "it holds bookmarks"),
        ("CREATE TABLE ser_answers (id, time, answer)", "its table ser_answers has no confidence, file, label, model"),
    ],
)
def test_the_database_of_another_program_is_left_alone(path, statement, found):
    database(path, statement)
    before = path.read_bytes()
    for use in (History().open, History().newest, lambda: History().delete([1])):
        with pytest.raises(ParameterError, match=f"is no history of this program: {found}"):
            use()
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_locked_database(path):
    History().keep([ANSWER])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ParameterError, match=r"database is locked\. Another program is writing to it"):
            History().keep([ANSWER])
    assert len(History().newest()) == 1


def test_a_read_only_database(path):
    History().keep([ANSWER])
    reader = History(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert len(reader.newest()) == 1
    with pytest.raises(ParameterError, match=r"readonly database\. Make its file and folder writable"):
        reader.keep([ANSWER])
    with pytest.raises(ParameterError, match=r"readonly database\. Make its file and folder writable"):
        reader.open()  # before the work


def test_a_full_disk(path):
    """SQLite's limit on a file's pages raises the same error as a full disk."""
    History().keep([ANSWER])

    def fill(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count=4")

    event.listen(Engine, "connect", fill)
    try:
        with pytest.raises(ParameterError, match=r"database or disk is full\. Make room on its disk"):
            History().keep([ANSWER] * 200)
    finally:
        event.remove(Engine, "connect", fill)
    assert len(History().newest()) == 1


@LINUX
def test_a_folder_that_does_not_exist_or_cannot_be_made(tmp_path, monkeypatch):
    with pytest.raises(ParameterError, match=r"unable to open database file\. Make sure that its folder is there"):
        History(f"sqlite:///{tmp_path}/gone/kept.sqlite").keep([ANSWER])
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    monkeypatch.delenv("SER_DATABASE_URL", raising=False)
    with pytest.raises(ParameterError, match=r"The folder .* cannot be made: Not a directory"):
        History().keep([ANSWER])


def test_a_path_that_the_system_refuses(tmp_path):
    for use in (History.newest, History.open):
        with pytest.raises(ParameterError, match="cannot be used: File name too long"):
            use(History(f"sqlite:///{tmp_path}/{'x' * 300}"))


def test_a_damaged_entry(path):
    History().keep([ANSWER])
    database(path, "UPDATE ser_answers SET answer = 'no json'")
    with pytest.raises(ParameterError, match="cannot be used: Expecting value"):
        History().newest()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite://", "SER_DATABASE_URL names a database in memory, which keeps nothing. Name a file"),
        ("sqlite:///:memory:", "SER_DATABASE_URL names a database in memory, which keeps nothing. Name a file"),
        ("my database of hunter2", "SER_DATABASE_URL is no address of a database; one looks like sqlite:////"),
        ("nodb://ana:hunter2@host/kept", r"nodb://ana:\*\*\*@host/kept cannot be used: Can't load plugin"),
        ("mysql+aiomysql://ana:hunter2@host/kept", "needs the library aiomysql: pip install aiomysql"),
    ],
)
def test_addresses_that_are_refused_without_their_password(url, sentence):
    with pytest.raises(ParameterError, match=sentence) as caught:
        History(url)
    assert "hunter2" not in str(caught.value)


# --- On the command line ---


@pytest.mark.slow
def test_predict_keeps_only_when_asked(path, clip):
    assert run("predict", clip).exit_code == 0 and not path.exists()
    assert run("predict", clip, clip.parent / "gone.wav", "--keep").exit_code == 2
    (kept,) = History().newest()
    assert kept.answer == {**ser.load().predict(clip).to_dict(), "file": "clip.wav"}


def test_a_bad_database_stops_predict_before_the_work(path, clip, monkeypatch, capsys):
    path.write_text("a letter, not a database; " * 100)
    assert "file is not a database" in refused(monkeypatch, capsys, "predict", clip, "--keep")
    assert "file is not a database" in refused(monkeypatch, capsys, "history", "list")


@pytest.mark.slow
def test_list(path):
    History().keep([ANSWER, {**ANSWER, "file": "[red]other.wav", "label": "sad"}])
    expected = [kept.to_dict() for kept in History().newest()]
    assert json.loads(run("history", "list", "-f", "json").stdout) == expected
    assert [row["file"] for row in expected] == ["[red]other.wav", "clip.wav"]
    rows = list(csv.DictReader(io.StringIO(run("history", "list", "-f", "csv").stdout)))
    assert [(row["id"], row["file"], row["label"]) for row in rows] == [
        ("2", "[red]other.wav", "sad"),
        ("1", "clip.wav", "happy"),
    ]
    assert list(rows[0])[:2] == ["id", "time"] and float(rows[0]["angry"]) == 0.125
    heading, *lines = run("history", "list", "--most", "1").stdout.strip().splitlines()
    assert "kept (UTC)" in heading and len(lines) == 1
    assert all(word in lines[0] for word in ("[red]other.wav", "sad", "50%", "voice"))


@pytest.mark.parametrize("width", [40, 50, 69])
def test_a_narrow_list_keeps_numbers_and_times(width, monkeypatch, capsys):
    monkeypatch.setattr(printed.out, "width", width)
    answer = {**ANSWER, "file": "a long name of a recording.wav", "label": "surprised"}
    entry = Entry(
        time=datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC), answer=answer, file="", label="", confidence=1, model=""
    )
    entry.id = 123_456
    _print_list([entry])
    heading, line = capsys.readouterr().out.splitlines()
    assert line.startswith("123456 ") and (width < 50 or line.split()[1:3] == ["11-03", "04:05"])
    assert max(len(heading), len(line)) <= width


def test_list_of_nothing(path):
    empty = run("history", "list")
    assert empty.exit_code == 0 and empty.stdout == "" and "--keep adds" in empty.stderr
    assert json.loads(run("history", "list", "-f", "json").stdout) == []


@pytest.mark.slow
def test_show(path, monkeypatch, capsys):
    (kept,) = History().keep([ANSWER])
    assert json.loads(run("history", "show", kept.id, "-f", "json").stdout) == kept.to_dict()
    shown = run("history", "show", kept.id)
    assert shown.exit_code == 0 and all(label in shown.stdout for label in EMOTIONS)
    assert "close call" in shown.stdout + shown.stderr
    assert "No prediction 7" in refused(monkeypatch, capsys, "history", "show", "7")
    assert run("history", "show", "0").exit_code == run("history", "show", 10**30).exit_code == 2


@pytest.mark.slow
def test_delete(path, monkeypatch, capsys):
    History().keep([ANSWER] * 5)
    assert run("history", "delete", "1", "2").stdout == "Deleted 2 predictions.\n"
    assert json.loads(run("history", "delete", "3", "-f", "json").stdout) == {"deleted": 1}
    for words in ([], ["--all", "4"]):
        assert "by their numbers, or all of them" in refused(monkeypatch, capsys, "history", "delete", *words)
    assert len(History().newest()) == 2
    assert run("history", "delete", "--all", "--yes").stdout == "Deleted 2 predictions.\n"
    assert History().newest() == []


def test_delete_all_without_a_terminal_wants_yes(path, monkeypatch, capsys):
    History().keep([ANSWER])
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert "add --yes" in refused(monkeypatch, capsys, "history", "delete", "--all")
    assert len(History().newest()) == 1


@pytest.mark.slow
@TERMINAL
@pytest.mark.parametrize(("word", "left", "code"), [("n", 1, 1), ("y", 0, 0)])
def test_delete_all_asks_on_a_terminal(path, word, left, code):
    History().keep([ANSWER])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    asked = pexpect.spawn(sys.executable, ["-m", "ser", "history", "delete", "--all"], env=environment, timeout=30)
    asked.expect("Delete every prediction")
    asked.sendline(word)
    asked.expect(pexpect.EOF)
    asked.close()
    assert asked.exitstatus == code and len(History().newest()) == left


def test_without_the_extra(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "ser.history", raising=False)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)  # Python's own way to say that it is not there
    assert f"history needs sqlalchemy, which this installation lacks; {advice('history')}" in refused(
        monkeypatch, capsys, "history", "list"
    )
