"""Sound files in folders: which endings count, and what a search leaves out."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from ser.audio import files
from ser.audio.files import SOUND_ENDINGS, TEXT_ENDINGS, Listing, by_ending, no_recordings, sound_files
from ser.audio.loading import load_waveform
from ser.types import AudioError

TRANSPORT = b"G\x40\x00\x10\x00\x00\xb0\x0d" + b"\xff" * 180  # a packet of MPEG-TS
TYPESCRIPT = 'export const greet = "Grüße 😀";\n' * 60


def tree(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0")


def test_recordings_are_sorted_and_the_others_counted(tmp_path):
    tree(tmp_path, "b/z.WAV", "b.mkv", "a/x.mp3", ".h.wav", "._a.mp3")
    tree(tmp_path, "notes.txt", "b/read.TXT", "b/scan.pdf", "b/Makefile")
    listing = Listing()
    found = [path.relative_to(tmp_path).as_posix() for path in sound_files(tmp_path, listing)]
    assert found == ["a/x.mp3", "b/z.WAV", "b.mkv"]
    assert listing.passed_over == {".txt": 2, ".pdf": 1, "": 1}
    assert by_ending(listing.passed_over) == "2 .txt, 1 .pdf, 1 without an ending"


def test_many_endings_are_shortened():
    counts = {f".{number:03d}": 2 for number in range(30)}
    assert by_ending(counts).endswith("2 .009, 40 of 20 other endings") and by_ending({}) == ""
    assert "holds no recordings. Folders are" in no_recordings(Listing())


@pytest.mark.parametrize("ending", sorted(TEXT_ENDINGS))
@pytest.mark.parametrize(
    ("content", "is_sound"),
    [
        (TRANSPORT * 20, True),
        (TYPESCRIPT.encode(), False),
        (TYPESCRIPT.encode()[:1023] + "ß".encode(), False),  # a character is cut by the end of what is read
        (b"", False),
    ],
    ids=["sound", "text", "cut text", "empty"],
)
def test_an_ending_that_text_shares_is_told_by_the_first_bytes(ending, content, is_sound, tmp_path):
    (tmp_path / f"a{ending}").write_bytes(content)
    listing = Listing()
    assert [path.name for path in sound_files(tmp_path, listing)] == [f"a{ending}"] * is_sound
    assert listing.passed_over == ({} if is_sound else {ending: 1})
    with pytest.raises(AudioError):  # given by its own name, it is tried
        load_waveform(tmp_path / f"a{ending}")


def test_text_keeps_another_ending(tmp_path):
    """A WAV that is text is an error for the user to see."""
    (tmp_path / "page.wav").write_text("<html>403 Forbidden</html>")
    assert [path.name for path in sound_files(tmp_path)] == ["page.wav"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
def test_pipes_are_not_waited_for(tmp_path):
    for name in ("a.mp3", "b.ts", "._b.mp3"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "c.ts").symlink_to(tmp_path / "gone")
    listing = Listing()
    assert [path.name for path in sound_files(tmp_path, listing)] == ["c.ts"]
    errors = [(Path(row["file"]).name, "not a regular file" in row["error"]) for row in listing.errors()]
    assert sorted(errors) == [("a.mp3", True), ("b.ts", True)]
    with pytest.raises(AudioError, match="no such file"):
        load_waveform(tmp_path / "c.ts")


def test_an_apple_double_file_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "._x.mp3").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    assert sound_files(tmp_path) == []
    with pytest.raises(AudioError, match=r"\._x\.mp3: not a known recording"):
        load_waveform(tmp_path / "._x.mp3")


@pytest.mark.parametrize("closed", ["", "below"])
def test_a_folder_that_may_not_be_listed_is_recorded(closed, tmp_path, monkeypatch):
    """The system's answer is put in its mouth: it lets root list everything."""
    tree(tmp_path, "a.wav", "below/b.wav")

    def scandir(folder: str, scan=os.scandir):
        if Path(folder) == tmp_path / closed:
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(files.os, "scandir", scandir)
    with pytest.raises(PermissionError):
        sound_files(tmp_path)
    listing = Listing()
    if closed:
        assert [path.name for path in sound_files(tmp_path, listing)] == ["a.wav"]
        (row,) = listing.errors()
        name = str(tmp_path / closed)
        assert row == {"file": name, "error": f"{name}: Permission denied. Check its name and rights."}
    else:
        with pytest.raises(PermissionError):
            sound_files(tmp_path, listing)


def test_the_endings_are_lower_case():
    assert {ending for ending in SOUND_ENDINGS if ending != ending.lower() or not ending.startswith(".")} == set()
    assert TEXT_ENDINGS < SOUND_ENDINGS
