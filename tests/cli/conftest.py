"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile as sf
from command_line import WAV
from golden.make import RATE, voice

from ser.cli import output


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """A wide terminal without colours, and no model named by the environment."""
    monkeypatch.setenv("COLUMNS", "400")  # for programs; paths of temporary folders are long
    monkeypatch.setattr(output.out, "width", 400)  # read from COLUMNS at the import
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("SER_MODEL", raising=False)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two recordings, one of them in a folder below, a broken one and a text file."""
    (tmp_path / "below").mkdir()
    (tmp_path / "a.wav").write_bytes(WAV.getvalue())
    sf.write(tmp_path / "below" / "b.flac", voice(1.0, 220.0), RATE)
    (tmp_path / "broken.wav").write_bytes(b"only words")
    (tmp_path / "notes.txt").write_text("not a recording")
    return tmp_path
