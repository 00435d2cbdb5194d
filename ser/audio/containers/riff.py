"""Read the chunks of RIFF (WAV, AVI), AIFF, CAF and Wave64."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, Literal, cast

from ser.audio.containers.limits import MOST_STEPS, PLACEHOLDER, STREAMED_BYTES
from ser.audio.containers.parts import Patched

W64, W64_DATA = b"riff\x2e\x91\xcf\x11", b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
W64_HEADER = 4096  # bytes in which the chunk of samples begins
CAF, CAF_HEADER = b"caff", 8
CAF_EARLY = 2**15  # bytes before the samples, with which libsndfile finds them


def riff_starts(file: BinaryIO, head: bytes) -> Iterator[int]:
    """Yield the starts of chunks of the same kind, as long as one ends where the next begins."""
    order, at = "little" if head[:4] == b"RIFF" else "big", 0
    kind, this = (head[:4], head[8:12]), head
    while (this[:4], this[8:12]) == kind:
        yield at
        size = int.from_bytes(this[4:8], order)  # type: ignore[arg-type]
        if not 0 < size < STREAMED_BYTES:
            return
        at += 8 + size + size % 2
        file.seek(at)
        this = file.read(12)


def riff_ends_inside(file: BinaryIO, size: int, order: Literal["little", "big"] = "little") -> bool:
    """Return whether a chunk is larger than what is there; sizes that a recorder never filled in do not count."""
    at, long_size = 12, None
    for _ in range(MOST_STEPS):
        if at + 8 > size:
            break
        file.seek(at)
        head = file.read(24)
        length = int.from_bytes(head[4:8], order)
        if head[:4] == b"ds64":
            long_size = int.from_bytes(head[16:24], "little")
        if head[:4] == b"data" and length == 2**32 - 1:
            length = long_size or length
        if at + 8 + length > size:
            return head[:4] in (b"data", b"LIST", b"BODY") and length < STREAMED_BYTES
        at += 8 + length + length % 2
    return False


def with_size(file: BinaryIO) -> BinaryIO:
    """Return a Wave64 or CAF with the size of its samples if it was written into a pipe, any other file as it is.

    libsndfile would go on behind the size that a Wave64 gives, and take samples for chunks; of a CAF without a size,
    FFmpeg would lose the last packet.
    """
    file.seek(0)
    head, size = file.read(W64_HEADER), file.seek(0, os.SEEK_END)
    if head.startswith(CAF):
        at, n_bytes = _caf_data(file)
        if n_bytes != -1:
            return file
        return cast(BinaryIO, Patched(file, size, at + 4, max(0, size - at - 12).to_bytes(8, "big")))
    at = head.find(W64_DATA) if head.startswith(W64) else -1
    if at < 0 or int.from_bytes(head[at + 16 : at + 24], "little") < PLACEHOLDER:
        return file
    return cast(BinaryIO, Patched(file, size, at + 16, (size - at).to_bytes(8, "little")))


def is_late_caf(file: BinaryIO) -> bool:
    """Return whether much else lies before the samples of a CAF, which libsndfile would take for them."""
    file.seek(0)
    return file.read(len(CAF)) == CAF and _caf_data(file)[0] > CAF_EARLY


def _caf_data(file: BinaryIO) -> tuple[int, int]:
    """Return the offset and the size of a CAF's chunk of samples: -1 if it is unknown, (0, 0) if there is none."""
    at = CAF_HEADER
    for _ in range(MOST_STEPS):
        file.seek(at)
        kind, size = file.read(4), int.from_bytes(file.read(8), "big", signed=True)
        if kind == b"data":
            return at, size
        if not kind or size < 0:
            break
        at += 12 + size
    return 0, 0
