"""The process that decodes for `ser.audio.isolation`: it reads commands from a socket, whose number is its argument."""

from __future__ import annotations

import resource
import socket
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from ser.audio.decoders import Decoder, Decoding, open_decoder
from ser.audio.isolation import (
    CHUNK,
    END,
    FAILED,
    MEASURE,
    NEXT,
    OPENED,
    REFUSED,
    STEP_S,
    Ended,
    receive,
    receive_file,
    send,
)
from ser.audio.loading import _grouped
from ser.types import AudioError

SPARE_BYTES = 512 * 2**20  # of address space, beyond what the process has at its start


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        _limit()
        while (opened := receive_file(channel)) is not None:
            with opened[0]:
                _serve(channel, *opened)


def _limit() -> None:
    """Limit memory; allow neither files nor core dumps to be written."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        limit = int(file.read().split()[0]) * resource.getpagesize() + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(kind, (0, 0))


def _limit_step() -> None:
    """Let the system end this process if its next step takes more than `STEP_S` of processor time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used_s = usage.ru_utime + usage.ru_stime
    resource.setrlimit(resource.RLIMIT_CPU, (round(used_s + STEP_S) + 1, resource.RLIM_INFINITY))


def _serve(channel: socket.socket, file: BinaryIO, label: str, decoding: Decoding) -> None:
    """Open a recording and answer the commands for it, until it is closed."""
    decoder: Decoder | None = None
    chunks: Iterator[np.ndarray] = iter(())
    try:
        _limit_step()
        decoder = open_decoder(file, label, decoding)
        send(channel, OPENED, _header(decoder))
        while (command := receive(channel))[0] in (NEXT, MEASURE):
            _limit_step()
            if command[0] == MEASURE:
                send(channel, OPENED, {"measured_s": decoder.measured_s()})
                continue
            if n_frames := command[1].get("n_frames"):
                chunks = _grouped(decoder.chunks(n_frames), n_frames)
            _send_next(channel, decoder, chunks)
    except Ended:
        return  # and then this process ends as well
    except AudioError as error:
        send(channel, REFUSED, {"error": str(error)})
    except Exception as error:  # whatever a decoder raises
        send(channel, FAILED, {"error": f"{type(error).__name__}: {error}"[:200]})
    finally:
        if decoder is not None:
            decoder.close()


def _header(decoder: Decoder) -> dict[str, object]:
    names = ("format", "sample_rate", "channels", "slack_s", "damaged", "length_s", "track", "n_tracks")
    return {name: getattr(decoder, name) for name in names}


def _send_next(channel: socket.socket, decoder: Decoder, chunks: Iterator[np.ndarray]) -> None:
    chunk = next(chunks, None)
    if chunk is None:
        send(channel, END, _header(decoder))
    else:
        send(channel, CHUNK, {}, np.ascontiguousarray(chunk, np.float32))


if __name__ == "__main__":
    main()
