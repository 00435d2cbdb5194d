"""Sources of a batch: folders, patterns, lists and stores give the same names, anything else is refused."""

from __future__ import annotations

import errno
import functools
import os
import sys
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ser.audio import files
from ser.audio.files import Listing
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
    monkeypatch.setattr(files.os, "scandir", lambda folder, scan=os.scandir: listed.append(folder) or scan(folder))
    assert set(names("*.wav")) == {"a.wav"} and len(listed) == 1


@pytest.fixture
def odd(calls) -> Path:
    """Add names that hold the characters of patterns."""
    for name in ("a[1].wav", "{x}.wav", "{a,b}.mp3", "[2024] b/a.wav", "[2024] b/{c}/d.wav", "2/no.wav"):
        (calls / name).parent.mkdir(parents=True, exist_ok=True)
        (calls / name).write_text(name)
    return calls


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a[1].wav", {"a[1].wav"}),
        ("{x}.wav", {"{x}.wav"}),
        ("{a,b}.mp3", {"{a,b}.mp3"}),
        ("[2024] b", {"[2024] b/a.wav", "[2024] b/{c}/d.wav"}),
        ("[2024] b/*.wav", {"[2024] b/a.wav"}),
        ("[2024] b/{c}/*.wav", {"[2024] b/{c}/d.wav"}),
        ("[2024] b/**/[ad].wav", {"[2024] b/a.wav", "[2024] b/{c}/d.wav"}),
        ("{x}*.wav", {"{x}.wav"}),
        ("[a{]*.wav", {"a.wav", "a[1].wav", "{x}.wav"}),
        ("*.{ogg,txt}", {"b é.ogg", "notes.txt"}),
        ("{b/c,a,gone}.{flac,wav}", {"b/c.flac", "a.wav"}),
        ("{b,2}/{*.fl{a,b}c,no.*}", {"b/c.flac", "2/no.wav"}),
        ("{b,2}", {"b/c.flac", "b/d/e.MP3", "2/no.wav"}),
        ("a[2].wav", set()),
    ],
)
def test_brackets_and_braces(source, wanted, odd):
    """What exists as it is written is meant; everything else is a pattern."""
    assert set(names(source)) == wanted
    assert set(names(f"{odd}/{source}")) == {f"{odd}/{name}" for name in wanted}
    assert set(names(f"file://{odd}/{source}")) == {f"file://{odd}/{name}" for name in wanted}


@pytest.mark.parametrize("address", ["", "file://"])
def test_what_a_folder_leaves_out_is_recorded(address, calls, monkeypatch):
    """The system's answer to the folder b/d is put in its mouth: it lets root list everything."""
    (calls / "app.ts").write_text("let a = 1;")
    (calls / "tv.ts").write_bytes(b"G\0\xff")

    def scandir(folder: str, scan=os.scandir):
        if str(folder).endswith("b/d"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    listing = Listing()
    found = set(names(f"{address}{calls}", listing=listing))
    assert found == {f"{address}{calls}/{name}" for name in (SOUNDS | {"tv.ts"}) - {"b/d/e.MP3"}}
    assert listing.passed_over == {".txt": 1, ".ts": 1}
    assert [row["error"] for row in listing.errors()] == [
        f"{address}{calls}/b/d: Permission denied. Check its name and rights."
    ]
    closed = f"{address}{calls}/b/d"
    with pytest.raises(ParameterError, match=r"b/d (cannot be listed \(Permission|.*: there is no such)"):
        list(names(closed))


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


@pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
def test_a_pipe_is_refused(calls):
    os.mkfifo(calls / "pipe")
    with pytest.raises(ParameterError, match=r"pipe: this is neither a file nor a folder\. Give a folder"):
        list(names("pipe"))


def test_a_store_whose_library_is_missing_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ParameterError, match=r"s3://bucket/calls cannot be opened: .*s3fs"):
        list(names("s3://bucket/calls"))


def test_a_name_that_is_no_utf8_becomes_text():
    assert as_text(os.fsdecode(b"odd\xff.wav")) == "odd\\xff.wav" and as_text("b é.ogg") == "b é.ogg"
