"""Sources of a batch: folders, patterns, lists and stores give the same names, anything else is refused."""

from __future__ import annotations

import functools
import os
import sys
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ser.batch import sources
from ser.batch.sources import as_text, names, openable
from ser.types import ParameterError

SOUNDS = {"a.wav", "b/c.flac", "b/d/e.MP3", "b é.ogg"}
OTHERS = {"notes.txt", "b/d/none"}
HIDDEN = {".x.wav", "b/.hidden/y.wav", "__MACOSX/z.wav"}


@pytest.fixture
def calls(tmp_path, monkeypatch) -> Path:
    """Make recordings and other files in the current folder; a file holds its own name."""
    folder = tmp_path / "calls"
    for name in SOUNDS | OTHERS | HIDDEN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def archive(calls, tmp_path) -> Path:
    path = tmp_path / "calls.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in SOUNDS | OTHERS:
            file.write(calls / name, name)
    return path


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


def test_a_pattern_lists_only_the_folders_that_it_needs(calls, monkeypatch):
    listed = []
    monkeypatch.setattr(sources.os, "scandir", lambda folder, scan=os.scandir: listed.append(folder) or scan(folder))
    assert set(names("*.wav")) == {"a.wav"} and len(listed) == 1


def test_a_recording_gives_itself_and_a_list_its_lines(calls):
    assert list(names("a.wav")) == ["a.wav"]
    (calls / "list.txt").write_text("a.wav\n\n b/c.flac\r\nzip://x::y.zip\na.wav", encoding="utf-8-sig")
    assert list(names("list.txt")) == ["a.wav", " b/c.flac", "zip://x::y.zip", "a.wav"]


@pytest.mark.parametrize("before", ["", "simplecache::"])
def test_an_archive_is_a_store(before, calls, archive):
    inside = f"::file://{archive}"
    addresses = sorted(names(f"{before}zip://{inside}"))
    assert addresses == sorted(f"{before}zip://{name}{inside}" for name in SOUNDS)
    assert set(names(f"{before}zip://b/*{inside}")) == {f"{before}zip://b/c.flac{inside}"}
    assert [openable(name, "").read().decode() for name in addresses] == sorted(SOUNDS)


def test_an_archive_is_opened_once(archive, monkeypatch):
    sources._archive.cache_clear()
    for name in names(f"zip://::{archive}"):
        openable(name, "")
    assert sources._archive.cache_info().misses == 1


def test_files_by_address(calls):
    addresses = sorted(names(f"file://{calls}"))
    assert addresses == sorted(f"file://{calls}/{name}" for name in SOUNDS)
    assert [openable(name, "").read().decode() for name in addresses] == sorted(SOUNDS)
    assert set(names(f"file://{calls}/**/*.flac")) == {f"file://{calls}/b/c.flac"}
    assert list(names(f"file://{calls}/a.wav")) == [f"file://{calls}/a.wav"]
    assert openable("a.wav", str(calls)) == str(calls / "a.wav")


@pytest.mark.service
def test_a_web_server_is_a_store(calls, tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=calls)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        addresses = sorted(names(f"{address}/b/"))
        assert addresses == [f"{address}/b/c.flac", f"{address}/b/d/e.MP3"]
        assert openable(addresses[0], "").read() == b"b/c.flac"
        with pytest.raises(ParameterError, match="no such file or folder in this store"):
            list(names(f"{address}/gone.wav"))
        server.shutdown()


def test_an_address_keeps_protocol_user_and_host():
    """The path in the store lacks them."""
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
def test_other_sources_are_refused(source, match, calls):
    (calls / "notes.bin").write_bytes(b"\xff\xfe\x00\xd8")
    (calls / "long.txt").write_text("x" * 5000)
    with pytest.raises(ParameterError, match=match):
        list(names(source))


def test_a_store_whose_library_is_missing_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ParameterError, match=r"s3://bucket/calls cannot be opened: .*s3fs"):
        list(names("s3://bucket/calls"))


def test_a_name_that_is_no_utf8_becomes_text():
    assert as_text(os.fsdecode(b"odd\xff.wav")) == "odd\\xff.wav" and as_text("b é.ogg") == "b é.ogg"
