"""What SOURCE stands for: folders, patterns, lists and stores give the same names, and what is none is refused."""

from __future__ import annotations

import functools
import os
import sqlite3
import sys
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ser.batch import sources
from ser.batch.checkpoint import LONGEST_PART, NAME, PART, Ledger, part_size
from ser.batch.sources import names, opened, shown
from ser.types import ParameterError

SOUNDS = {"a.wav", "b/c.flac", "b/d/e.MP3", "b é.ogg"}
OTHERS = {"notes.txt", "b/d/none"}
HIDDEN = {".x.wav", "b/.hidden/y.wav", "__MACOSX/z.wav"}


@pytest.fixture
def calls(tmp_path, monkeypatch) -> Path:
    """The folder that the process stands in; a file holds its own name."""
    folder = tmp_path / "calls"
    for name in SOUNDS | OTHERS | HIDDEN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def archive(calls, tmp_path) -> Path:
    place = tmp_path / "calls.zip"
    with zipfile.ZipFile(place, "w") as file:
        for name in SOUNDS | OTHERS:
            file.write(calls / name, name)
    return place


def test_a_folder_is_walked_by_endings(calls):
    assert set(names(".")) == {f"./{name}" for name in SOUNDS}
    assert set(names("b/")) == {"b/c.flac", "b/d/e.MP3"}
    assert set(names(str(calls))) == {str(calls / name) for name in SOUNDS}
    assert set(names("calls", str(calls.parent))) == {f"calls/{name}" for name in SOUNDS}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_that_leads_back_up_ends(calls):
    (calls / "b" / "up").symlink_to(calls)
    assert set(names(".")) == {f"./{name}" for name in SOUNDS}


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("*.wav", {"a.wav"}),
        ("*", {"a.wav", "b é.ogg", "notes.txt"}),
        ("*/*", {"b/c.flac"}),
        ("b/*/*", {"b/d/e.MP3", "b/d/none"}),
        ("**/*.flac", {"b/c.flac"}),
        ("**/*", SOUNDS | OTHERS),
        ("b/**", {"b/c.flac", "b/d/e.MP3", "b/d/none"}),
        ("b/[!d].fla?", {"b/c.flac"}),
        ("nothing/*.wav", set()),
    ],
)
def test_a_pattern_gives_what_it_matches(pattern, wanted, calls):
    assert set(names(pattern)) == wanted
    assert set(names(f"{calls}/{pattern}")) == {f"{calls}/{name}" for name in wanted}


def test_a_pattern_looks_no_deeper_than_it_must(calls, monkeypatch):
    looked = []
    monkeypatch.setattr(sources.os, "scandir", lambda folder, scan=os.scandir: looked.append(folder) or scan(folder))
    assert set(names("*.wav")) == {"a.wav"} and len(looked) == 1


def test_a_recording_stands_for_itself_and_a_list_for_its_lines(calls):
    assert list(names("a.wav")) == ["a.wav"]
    (calls / "list.txt").write_text("a.wav\n\n b/c.flac\r\nzip://x::y.zip\na.wav", encoding="utf-8-sig")
    assert list(names("list.txt")) == ["a.wav", " b/c.flac", "zip://x::y.zip", "a.wav"]


@pytest.mark.parametrize("before", ["", "simplecache::"])
def test_an_archive_is_a_store(before, calls, archive):
    inside = f"::file://{archive}"
    found = sorted(names(f"{before}zip://{inside}"))
    assert found == sorted(f"{before}zip://{name}{inside}" for name in SOUNDS)
    assert set(names(f"{before}zip://b/*{inside}")) == {f"{before}zip://b/c.flac{inside}"}
    assert [opened(name, "").read().decode() for name in found] == sorted(SOUNDS)


def test_an_archive_is_opened_once(archive, monkeypatch):
    sources._archive.cache_clear()
    for name in names(f"zip://::{archive}"):
        opened(name, "")
    assert sources._archive.cache_info().misses == 1


def test_files_by_address(calls):
    found = sorted(names(f"file://{calls}"))
    assert found == sorted(f"file://{calls}/{name}" for name in SOUNDS)
    assert [opened(name, "").read().decode() for name in found] == sorted(SOUNDS)
    assert set(names(f"file://{calls}/**/*.flac")) == {f"file://{calls}/b/c.flac"}
    assert list(names(f"file://{calls}/a.wav")) == [f"file://{calls}/a.wav"]
    assert opened("a.wav", str(calls)) == str(calls / "a.wav")


@pytest.mark.service
def test_a_web_server_is_a_store(calls, tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=calls)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = sorted(names(f"{address}/b/"))
        assert found == [f"{address}/b/c.flac", f"{address}/b/d/e.MP3"]
        assert opened(found[0], "").read() == b"b/c.flac"
        with pytest.raises(ParameterError, match="no such file or folder in this store"):
            list(names(f"{address}/gone.wav"))
        server.shutdown()


def test_an_address_keeps_who_and_where():
    """Which the path in the store lacks."""
    assert sources._start("sftp://me@host/calls/*.wav", "/calls/*.wav") == "sftp://me@host"
    assert sources._start("s3://bucket/calls/", "bucket/calls") == "s3://"
    assert sources._start("https://host/a/", "https://host/a/") == ""
    assert sources._start("zip://", "") == "zip://"


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("gone", "there is no such file or folder"),
        ("notes.bin", "neither a recording"),
        ("long.txt", "no list of files: its lines are too long"),
        ("a**b", "cannot be listed"),
        ("none://bucket", "Protocol not known"),
        ("file:///gone/away", "no such file or folder in this store"),
        ("zip://::/gone.zip", "cannot be listed"),
    ],
)
def test_what_is_no_source_says_so(source, match, calls):
    (calls / "notes.bin").write_bytes(b"\xff\xfe\x00\xd8")
    (calls / "long.txt").write_text("x" * 5000)
    with pytest.raises(ParameterError, match=match):
        list(names(source))


def test_a_store_whose_library_is_missing_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ParameterError, match=r"s3://bucket/calls cannot be opened: .*s3fs"):
        list(names("s3://bucket/calls"))


def test_a_name_that_is_no_utf8_is_told_in_text():
    assert shown(os.fsdecode(b"odd\xff.wav")) == "odd\\xff.wav" and shown("b é.ogg") == "b é.ogg"


# --- The ledger ---


class Stop(Exception):
    """Ends a listing."""


def test_the_list_is_sorted_whole_and_without_repetition(tmp_path):
    wanted = sorted((f"{number}.wav" for number in range(2 * PART + 1)), key=os.fsencode)
    with Ledger(tmp_path / NAME) as ledger:
        assert ledger.settings is None and len(ledger) == 0
        ledger.fill(reversed([*wanted, *wanted]), {"source": "s"})
        assert ledger.sizes() == [PART, PART, 1] and len(ledger) == len(wanted)

        def broken():
            yield "x"
            raise Stop

        with pytest.raises(Stop):
            ledger.fill(broken(), {"source": "t"})
        with pytest.raises(ParameterError, match="t holds no recordings"):
            ledger.fill([], {"source": "t"})
    with Ledger(tmp_path / NAME) as ledger:
        assert ledger.settings == {"source": "s", "files": len(wanted), "part": PART}
        assert [name for _, files in ledger.parts() for name in files] == wanted


def test_parts_grow_with_the_list_up_to_a_bound():
    assert [part_size(files) for files in (1, 10_000, 500_000, 10**8)] == [PART, PART, 500, LONGEST_PART]


def test_a_ledger_is_locked_while_a_run_is_at_work(tmp_path):
    with Ledger(tmp_path / NAME), pytest.raises(ParameterError, match="another run is at work here"):
        Ledger(tmp_path / NAME)
    with Ledger(tmp_path / NAME) as ledger:
        assert ledger.settings is None


def test_a_database_of_something_else_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute("CREATE TABLE mine (it TEXT)")
    with pytest.raises(ParameterError, match="is a database of something else"):
        Ledger(tmp_path / NAME)
    (tmp_path / "text").write_text("this is no database, but long enough to be taken for one" * 9)
    with pytest.raises(ParameterError, match="is no ledger of a run"):
        Ledger(tmp_path / "text")
