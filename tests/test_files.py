"""Files are written completely or not at all, and refused before the work if they cannot be written."""

from __future__ import annotations

import pytest

from ser.files import check_writable, encodable, write_atomically
from ser.types import ParameterError


@pytest.mark.parametrize("sync", [False, True])
def test_content_replaces_the_old_one(tmp_path, sync):
    path = tmp_path / "table.csv"
    for content in ("first ä", b"second"):
        write_atomically(path, content, sync=sync)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(tmp_path.iterdir()) == [path]


def test_the_unfinished_file_may_stand_elsewhere(tmp_path):
    (tmp_path / "other").mkdir()
    write_atomically(tmp_path / "a", "text", folder=tmp_path / "other")
    assert (tmp_path / "a").read_text() == "text" and list((tmp_path / "other").iterdir()) == []
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "a", "text", folder=tmp_path / "gone")


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("x" * 255)
    write_atomically(path, "text")
    assert path.read_text() == "text"


@pytest.mark.parametrize("failing", ["write", "rename"])
def test_a_failure_leaves_the_old_content_alone(tmp_path, failing):
    path = tmp_path / "table.csv"
    if failing == "rename":
        path.mkdir()
    else:
        path.write_text("old")
    with pytest.raises((OSError, UnicodeEncodeError)):
        write_atomically(path, "new" if failing == "rename" else "\udce9")
    assert list(tmp_path.iterdir()) == [path]
    assert failing == "rename" or path.read_text() == "old"


def test_a_name_that_is_no_utf8_can_be_encoded():
    assert encodable("bad\udcff ä😀.wav") == r"bad\udcff ä😀.wav"


def test_check_writable(tmp_path):
    recording, taken = tmp_path / "a.wav", tmp_path / "a.srt"
    recording.touch()
    taken.touch()
    check_writable(tmp_path / "new.srt", force=False, source=str(recording))
    check_writable(taken, force=True, source=str(recording))
    for path, force, message in [
        (recording, True, "is the recording itself, which is never replaced"),
        (taken, False, "exists already; choose another --out, or --force"),
        (tmp_path, True, "exists already"),
        (tmp_path / "no" / "a.srt", False, "there is no folder"),
        (tmp_path / ("x" * 300), False, "cannot be written .File name too long"),
    ]:
        with pytest.raises(ParameterError, match=message):
            check_writable(path, force=force, source=str(recording))
    assert taken.read_bytes() == b"" and sorted(tmp_path.iterdir()) == [taken, recording]
