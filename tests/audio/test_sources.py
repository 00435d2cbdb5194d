"""Sources of recordings: pipes of every kind, read to their end and no further than the limit."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.make import voice
from service_client import wav

from ser.audio import sources
from ser.audio.loading import load_waveform, open_recording
from ser.audio.sources import reopenable
from ser.types import AudioError

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="pipes with names in folders")
CLIP = wav(voice(5.0))  # more than a pipe of the system holds at once
SAMPLES = load_waveform(CLIP).samples


@contextmanager
def writing(write: Callable[[], object]) -> Iterator[None]:
    """Write in a thread; a reader that leaves early is no error."""

    def guarded() -> None:
        with suppress(BrokenPipeError):
            write()

    thread = threading.Thread(target=guarded)
    thread.start()
    yield
    thread.join(10)
    assert not thread.is_alive()


@contextmanager
def raw_pipe() -> Iterator[Any]:
    read, write = os.pipe()
    sink = os.fdopen(write, "wb")
    with os.fdopen(read, "rb", buffering=0) as source, writing(lambda: (sink.write(CLIP), sink.close())):
        yield source


@contextmanager
def raw_socket() -> Iterator[Any]:
    ours, theirs = socket.socketpair()
    with (
        ours,
        ours.makefile("rb", buffering=0) as source,
        writing(lambda: (theirs.sendall(CLIP), theirs.close())),
    ):
        yield source


@contextmanager
def program_output() -> Iterator[Any]:
    command = [sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process,
        writing(lambda: (process.stdin.write(CLIP), process.stdin.close())),
    ):
        yield process.stdout


@pytest.mark.slow
@pytest.mark.parametrize("opened", [raw_pipe, raw_socket, program_output])
def test_an_unbuffered_pipe_is_read_to_its_end(opened):
    with opened() as source:
        np.testing.assert_array_equal(load_waveform(source).samples, SAMPLES)


class Stream:
    """A stream that returns what it was given, one piece a call; `None`: nothing yet."""

    def __init__(self, *pieces: bytes | Exception | None) -> None:
        self.pieces, self.n_bytes = list(pieces), 0

    def read(self, n_bytes: int) -> bytes | None:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        self.n_bytes += len(piece or b"")
        return piece


def test_one_call_may_return_any_number_of_bytes():
    pieces = [CLIP[at : at + 1001] for at in range(0, len(CLIP), 1001)]
    np.testing.assert_array_equal(load_waveform(Stream(*pieces)).samples, SAMPLES)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([None], "The recording: its pipe is non-blocking and has nothing to read yet. Make it blocking"),
        ([CLIP[:9000], None], "non-blocking"),
        ([CLIP[:9000], ConnectionResetError(104, "Connection reset by peer")], "cannot be read .Connection reset by p"),
        ([CLIP[:9000], TimeoutError("timed out")], "cannot be read .timed out"),
        ([], "the file is empty"),
    ],
)
def test_a_pipe_that_cannot_be_read_to_its_end_is_refused(pieces, message):
    with pytest.raises(AudioError, match=message):
        load_waveform(Stream(*pieces))


@UNIX
def test_a_pipe_without_data_that_does_not_block_is_refused():
    read, write = os.pipe()
    os.set_blocking(read, False)
    with (
        os.fdopen(read, "rb", buffering=0) as source,
        os.fdopen(write, "wb"),
        pytest.raises(AudioError, match=r"os\.set_blocking"),
    ):
        load_waveform(source)


def test_a_pipe_is_read_no_further_than_the_limit():
    stream = Stream(*[bytes(sources.PIECE_BYTES)] * 1000)
    with pytest.raises(AudioError, match="larger than 25 MB"):
        load_waveform(stream)
    assert stream.n_bytes <= 26 * 2**20


def test_a_long_recording_from_a_pipe_is_held_up_to_a_limit_of_its_own(monkeypatch):
    monkeypatch.setattr(sources, "MAX_PIPE_BYTES", 2**20)
    stream = Stream(*[bytes(sources.PIECE_BYTES)] * 1000)
    with pytest.raises(AudioError, match=r"more than 1 MB came through a pipe.* Store it in a file"):
        open_recording(stream, max_bytes=4 * 2**30)
    assert stream.n_bytes <= 2**20 + 2 * sources.PIECE_BYTES


# --- Pipes with a name ---


@pytest.fixture
def named(tmp_path) -> Path:
    """A named pipe."""
    os.mkfifo(tmp_path / "clip.wav")
    return tmp_path / "clip.wav"


@UNIX
@pytest.mark.slow
def test_a_named_pipe_is_read_to_its_end(named):
    for source in (named, str(named)):
        with writing(lambda: named.write_bytes(CLIP)):
            np.testing.assert_array_equal(load_waveform(source).samples, SAMPLES)


@UNIX
@pytest.mark.slow
def test_a_named_pipe_without_a_writer_is_refused_soon(named, monkeypatch):
    monkeypatch.setattr(sources, "WRITER_S", 0.1)
    began = time.monotonic()
    with pytest.raises(AudioError, match=r"^clip\.wav: nothing was written into this pipe within 0\.1 s\. Start the "):
        load_waveform(named)
    assert time.monotonic() - began < 2


@UNIX
@pytest.mark.slow
def test_a_writer_that_has_opened_a_named_pipe_may_take_its_time(named, monkeypatch):
    monkeypatch.setattr(sources, "WRITER_S", 0.3)

    def slowly() -> None:
        with named.open("wb", buffering=0) as sink:
            for piece in (CLIP[:1], CLIP[1:]):
                time.sleep(0.35)
                sink.write(piece)

    with writing(slowly):
        np.testing.assert_array_equal(load_waveform(named).samples, SAMPLES)


@UNIX
@pytest.mark.parametrize(("written", "message"), [(bytes(26 * 2**20), "larger than 25 MB"), (b"word", "is text")])
def test_what_comes_through_a_named_pipe_is_checked(named, written, message):
    with writing(lambda: named.write_bytes(written)), pytest.raises(AudioError, match=f"clip.wav: .*{message}"):
        load_waveform(named)


@UNIX
def test_a_pipe_of_the_shell_is_called_by_its_number():
    """`<(command)` is /dev/fd/63."""
    read, write = os.pipe()
    os.write(write, b"word")
    os.close(write)
    try:
        with pytest.raises(AudioError, match=f"^pipe {read}: this is text"):
            load_waveform(f"/dev/fd/{read}")
    finally:
        os.close(read)


@UNIX
def test_pipes_leave_no_handle_open(named, monkeypatch):
    monkeypatch.setattr(sources, "WRITER_S", 0.3)
    before = len(list(Path("/dev/fd").iterdir()))
    with writing(lambda: named.write_bytes(CLIP)):
        load_waveform(named)
    with pytest.raises(AudioError):
        load_waveform(named)
    assert len(list(Path("/dev/fd").iterdir())) == before


@UNIX
def test_what_a_pipe_held_can_be_opened_again(named):
    with writing(lambda: named.write_bytes(CLIP)):
        held = reopenable(named, 2**20)
    piped = reopenable(Stream(CLIP), 2**20)
    for source in (held, held, piped, piped):
        np.testing.assert_array_equal(load_waveform(source).samples, SAMPLES)
    file = io.BytesIO(CLIP)
    assert reopenable(file, 2**20) is file and reopenable("gone.wav", 2**20) == "gone.wav"
