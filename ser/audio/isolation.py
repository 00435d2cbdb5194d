"""Decode recordings in processes of their own, if `SER_ISOLATE` is 1: a crash, a hang or a bomb costs one recording.

Decoders are C code that reads untrusted bytes. A process of `ser.audio.isolated` stays warm between recordings, gets
each as a file descriptor over a socket, and sends its samples back chunk by chunk. It is no sandbox: it may read what
its user may.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from ser.audio.decoders import Decoding
from ser.types import AudioError, ParameterError

VARIABLE = "SER_ISOLATE"
STEP_S = 10.0  # to open a recording, or to decode its next chunk
START_S = 60.0
PROGRAM = "ser.audio.isolated"
NEXT, MEASURE, CLOSE, OPENED, CHUNK, END, REFUSED, FAILED = range(8)  # kinds of messages
HEADER = struct.Struct("<BIQ")  # kind, bytes of JSON, bytes of samples
MAX_LABEL = 200  # characters
MAX_REQUEST_BYTES = 4096
PIECE_BYTES = 2**20
PACKAGES = Path(__file__).resolve().parents[2]
MOST_IDLE = 4  # processes that are kept
ADVICE = "Record it again, or convert it to WAV or FLAC."


class Ended(OSError):
    """The other side of a socket has ended."""


def is_wanted() -> bool:
    """Return whether `SER_ISOLATE` asks for it; raises `ParameterError` if the system cannot, or for other values."""
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "0", "1"):
        raise ParameterError(f"{VARIABLE}={value[:20]}: accepted are 1, and 0 or nothing. Set one of them.")
    if value == "1" and not hasattr(os, "memfd_create"):
        raise ParameterError(f"{VARIABLE}=1 needs Linux. Unset it, or run the container.")
    return value == "1"


class IsolatedDecoder:
    """Decode in another process, as a `Decoder`. Raises `AudioError` as that one does, and if the process fails."""

    format: str
    sample_rate: int
    channels: int
    slack_s: float
    damaged: bool
    length_s: float | None
    track: int
    n_tracks: int

    def __init__(self, file: BinaryIO, label: str, decoding: Decoding) -> None:
        self._label, self._process = label, _Process.take()
        self._is_open = True
        self.__dict__ |= self._ask(lambda channel: send_file(channel, file, label, decoding))[1]
        self._process.channel.settimeout(STEP_S)

    def measured_s(self) -> float:
        return self._ask(lambda channel: send(channel, MEASURE))[1]["measured_s"]

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        kind, fields, data = self._ask(lambda channel: send(channel, NEXT, {"n_frames": n_frames}))
        while kind == CHUNK:
            yield np.frombuffer(data, np.float32).reshape(-1, self.channels)
            kind, fields, data = self._ask(lambda channel: send(channel, NEXT))
        self.__dict__ |= fields

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._process.give_back(closing=True)

    def _ask(self, ask: Callable[[socket.socket], None]) -> tuple[int, dict[str, Any], bytearray]:
        """Send a message and return the answer. A process without one is ended; another takes its place."""
        answered = False
        try:
            ask(self._process.channel)
            kind, fields, data = receive(self._process.channel)
            answered = True
        except OSError as error:
            how = f"took more than {STEP_S:g} s" if isinstance(error, TimeoutError) else "broke off"
            raise AudioError(f"{self._label}: its decoder {how}; this recording is damaged. {ADVICE}") from error
        finally:
            if not answered:
                self._is_open = False
                self._process.end()
        if kind in (REFUSED, FAILED):
            self._is_open = False
            self._process.give_back()
            failed = f"{self._label}: its decoder failed ({fields['error']}); this recording is damaged. {ADVICE}"
            raise AudioError(fields["error"] if kind == REFUSED else failed)
        return kind, fields, data


class _Process:
    """A process that decodes one recording at a time; idle ones are kept for the next."""

    _idle: ClassVar[deque[_Process]] = deque()

    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair()
        path = os.pathsep.join([str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # decoders of libsndfile write to it
                env=os.environ | {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "2"},
                start_new_session=True,  # Ctrl-C is its parent's
            )
        self.channel.settimeout(START_S)

    @classmethod
    def take(cls) -> _Process:
        try:
            return cls._idle.pop()
        except IndexError:
            return cls()

    def give_back(self, *, closing: bool = False) -> None:
        """Keep the process for the next recording; `closing` tells it that no more of this one is wanted."""
        try:
            if closing:
                send(self.channel, CLOSE)
        except OSError:
            self.end()
            return
        self.channel.settimeout(STEP_S)
        if len(self._idle) < MOST_IDLE:
            self._idle.append(self)
        else:
            self.end()

    def end(self) -> None:
        self.channel.close()
        self._process.kill()
        self._process.wait()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Process._idle.clear)  # their sockets are the parent's


# --- Messages ---


def send(channel: socket.socket, kind: int, fields: dict[str, Any] | None = None, samples: Any = b"") -> None:
    """Send a message: its kind, fields as JSON, and samples."""
    text, data = json.dumps(fields or {}).encode(), memoryview(samples).cast("B")
    try:
        channel.sendall(HEADER.pack(kind, len(text), len(data)) + text)
        channel.sendall(data)
    except ConnectionError as error:
        raise Ended from error


def receive(channel: socket.socket) -> tuple[int, dict[str, Any], bytearray]:
    """Receive a message. Raises `Ended` if the other side has ended, `TimeoutError` if it does not answer."""
    kind, n_text, n_data = HEADER.unpack(_exactly(channel, HEADER.size))
    return kind, json.loads(_exactly(channel, n_text)), _exactly(channel, n_data)


def _exactly(channel: socket.socket, n_bytes: int) -> bytearray:
    data = bytearray(n_bytes)
    left = memoryview(data)
    while left:
        try:
            n_received = channel.recv_into(left)
        except ConnectionError as error:
            raise Ended from error
        if not n_received:
            raise Ended
        left = left[n_received:]
    return data


def send_file(channel: socket.socket, file: BinaryIO, label: str, decoding: Decoding) -> None:
    """Send the descriptor of a file, or of a copy in memory of what is no file of the system, and how to decode it."""
    text = json.dumps([label[:MAX_LABEL], decoding.track, decoding.keep_times]).encode()
    if isinstance(file, io.BufferedReader) and isinstance(file.raw, io.FileIO):
        socket.send_fds(channel, [text], [file.fileno()])
        return
    copy = os.memfd_create("recording")
    try:
        with os.fdopen(copy, "wb", closefd=False) as target:
            file.seek(0)
            shutil.copyfileobj(file, target, PIECE_BYTES)
        socket.send_fds(channel, [text], [copy])
    finally:
        os.close(copy)


def receive_file(channel: socket.socket) -> tuple[BinaryIO, str, Decoding] | None:
    """Receive a file, opened, its label and how to decode it; None if the other side has ended."""
    try:
        text, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST_BYTES, 1)
    except ConnectionError:
        return None
    if not descriptors:
        return None
    label, track, keep_times = json.loads(text)
    return os.fdopen(descriptors[0], "rb"), label, Decoding(track, keep_times)
