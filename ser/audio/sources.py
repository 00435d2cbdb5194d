"""Sources of recordings (paths, bytes, open files, uploads, pipes), each opened as a seekable binary file.

Nothing is written to disk: a pipe is read to its end into memory.
"""

from __future__ import annotations

import io
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeGuard

from ser.audio.decoders import ACCEPTED
from ser.types import AudioError, ParameterError


class Upload(Protocol):
    """Uploaded file of Starlette and FastAPI: a binary file and the name that the client gave it."""

    file: BinaryIO
    filename: str | None


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Upload

# Held in memory of one pipe: an hour as WAV (16-bit mono at 16 kHz) or four as MP3 (64 kbit/s) are 110 MB.
MAX_PIPE_BYTES = 120 * 2**20
PIECE_BYTES = 2**16  # what a pipe of the system holds
WRITER_S = 5.0  # until a program must have opened a named pipe; after that it may take its time
POLL_S = 0.02


class _Pipe(io.BytesIO):
    """All bytes of a pipe, and its `name` for messages."""

    name = ""


def source_name(source: object) -> str | None:
    """Return the name to show for a source: a path as given, an uploaded file's name, else None."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = source.filename if _is_upload(source) else getattr(source, "name", None)
    return Path(name).name if isinstance(name, str) else None


def open_source(source: Any, max_bytes: int, stack: ExitStack) -> tuple[BinaryIO, str]:
    """Return a seekable binary file at its start, and the name for messages; `stack` closes what is opened here."""
    name = source_name(source)
    label = "The recording" if name is None else Path(name).name
    stream = source.file if _is_upload(source) else source
    if isinstance(source, str) and not source:
        raise AudioError(f"The path is empty. Give the path of a recording: {ACCEPTED}.")
    if isinstance(source, (str, os.PathLike)):
        file = stack.enter_context(_open_path(Path(source), max_bytes))
    elif isinstance(source, (bytes, bytearray, memoryview)):
        file = io.BytesIO(source)
    elif hasattr(stream, "read") and not isinstance(stream, io.TextIOBase):
        _check_readable(stream)
        file = stream if _is_seekable(stream) else _read_pipe(stream, max_bytes, label)
    else:
        kind = type(source).__name__
        raise ParameterError(f"A recording must be a path, bytes or a file opened in binary mode, found {kind}.")
    label = file.name if isinstance(file, _Pipe) else label
    _check_size(file, label, max_bytes)
    return file, label


def reopenable(source: Any, max_bytes: int) -> Any:
    """Return a source that can be opened more than once: a pipe is read into memory, others are returned as they are.

    Raises `AudioError` for a pipe as `open_source` does.
    """
    if isinstance(source, str | os.PathLike):
        return _open_path(Path(source), max_bytes) if Path(source).is_fifo() else source
    return source if _is_seekable(source) else _read_pipe(source, max_bytes, source_name(source) or "The recording")


def _is_upload(source: object) -> TypeGuard[Upload]:
    return hasattr(source, "file") and hasattr(source, "filename")


def _is_seekable(stream: Any) -> bool:
    return getattr(stream, "seekable", lambda: False)()


def _check_readable(stream: Any) -> None:
    if getattr(stream, "closed", False) or not getattr(stream, "readable", lambda: True)():
        raise ParameterError("The file is closed, or open for writing only. Open it with open(path, 'rb').")


def _open_path(path: Path, max_bytes: int) -> BinaryIO:
    label = path.name[:80] or str(path)
    try:
        if path.is_file():
            return path.open("rb")
        if path.is_fifo():
            return _read_named_pipe(path, max_bytes)
        if path.is_dir():
            raise AudioError(f"{label}: this is a folder. Give one recording: {ACCEPTED}.")
        reason = "not a regular file" if path.exists() else "no such file"  # a device may have no end
        raise AudioError(f"{label}: {reason}. Give the path of a recording: {ACCEPTED}.")
    except OSError as error:
        raise AudioError(f"{label}: cannot be opened ({error.strerror}). Check its name and rights.") from error


def _check_size(file: BinaryIO, label: str, max_bytes: int) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size == 0:
        raise AudioError(f"{label}: the file is empty (0 bytes). Accepted: {ACCEPTED}.")
    if size > max_bytes:
        raise AudioError(
            f"{label}: larger than {max_bytes / 2**20:,.0f} MB, the most that is accepted. "
            "Cut it, or store it as FLAC, OGG or M4A."
        )


# --- Pipes ---


def _read_named_pipe(path: Path, max_bytes: int) -> _Pipe:
    """Read a named pipe to its end, or raise `AudioError` if no program writes into it: waiting could last forever."""
    label = f"pipe {path.name}" if path.name.isdecimal() else path.name  # a shell's <(command) is /dev/fd/63
    with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as pipe:
        due = time.monotonic() + WRITER_S
        while (first := pipe.read(PIECE_BYTES)) == b"":  # None: a program has opened it, and not written yet
            if time.monotonic() > due:
                raise AudioError(
                    f"{label}: nothing was written into this pipe within {WRITER_S:g} s. Start the program that "
                    "writes into it, or give a file."
                )
            time.sleep(POLL_S)
        os.set_blocking(pipe.fileno(), True)
        return _read_pipe(pipe, max_bytes, label, first or b"")


def _read_pipe(stream: Any, max_bytes: int, label: str, first: bytes = b"") -> _Pipe:
    """Read a stream to its end, or to the first byte beyond the limit: one call may return a part of what is to come.

    Raises `AudioError` if it cannot be read, would have to be waited for, or holds more than memory should.
    """
    limit = min(max_bytes, MAX_PIPE_BYTES)
    held = _Pipe(first)
    held.name = label
    held.seek(0, os.SEEK_END)
    try:
        while held.tell() <= limit:
            piece = stream.read(min(PIECE_BYTES, limit + 1 - held.tell()))
            if piece is None:
                raise AudioError(
                    f"{label}: its pipe is non-blocking and has nothing to read yet. Make it blocking, with "
                    "os.set_blocking(pipe.fileno(), True), or read it and give the bytes."
                )
            if not piece:
                return held
            held.write(piece)
    except OSError as error:
        raise AudioError(f"{label}: cannot be read ({error.strerror or error}). Send it again.") from error
    if limit < max_bytes:
        raise AudioError(
            f"{label}: more than {limit / 2**20:,.0f} MB came through a pipe, the most that is held in memory. Store "
            "it in a file and give its path, or send it as FLAC, OGG or M4A."
        )
    return held
