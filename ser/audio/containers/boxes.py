"""Read formats of boxes with a size: the atoms of MP4, the tags of FLV, the blocks of Creative Voice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from ser.audio.containers.limits import MOST_STEPS


def atoms_end_inside(file: BinaryIO, size: int) -> bool:
    return any(end > size for _, _, end in atoms(file))


def atoms(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """Yield (start, kind, end) of the top-level atoms of an MP4."""
    size, at = file.seek(0, os.SEEK_END), 0
    for _ in range(MOST_STEPS):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if not kind.isalnum() and not kind.strip().isalnum():  # no atom: what follows is not of this file
            return
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        end = size if length == 0 else at + max(length, 8)
        yield at, kind, end
        at = end


def flv_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether the last tag of an FLV is incomplete."""
    at = 13  # header and the first size of a tag before
    for _ in range(MOST_STEPS):
        if at >= size:
            return at > size
        file.seek(at)
        head = file.read(11)
        if len(head) < 11:
            return True
        at += 11 + int.from_bytes(head[1:4], "big") + 4
    return False


def voc_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether the last block of a Creative Voice file is incomplete; SoX counts 8 bytes too few."""
    file.seek(20)
    at = int.from_bytes(file.read(2), "little")
    for _ in range(MOST_STEPS):
        if at + 16 > size:
            return at > size
        file.seek(at)
        at += 4 + int.from_bytes(file.read(4)[1:], "little")
    return False
