"""Check formats whose header tells the size of what follows: NIST Sphere and ASF (WMA)."""

from __future__ import annotations

import math
from typing import BinaryIO

from ser.audio.containers.limits import PLACEHOLDER

NIST_FIELDS = (b"sample_count", b"channel_count", b"sample_n_bytes")  # whose product is the size


def nist_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether there are fewer samples than the header of a NIST Sphere counts."""
    file.seek(0)
    lines = file.read(1024).split(b"\n")
    header = int(lines[1]) if len(lines) > 1 and lines[1].strip().isdigit() else 0
    entries = (line.split() for line in lines if line.split()[1:2] == [b"-i"])
    counts = {name: int(value) for name, _, value, *_ in entries if name in NIST_FIELDS and value.isdigit()}
    return len(counts) == len(NIST_FIELDS) and header + math.prod(counts.values()) > size


def asf_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether the header or the packets of an ASF (WMA) end early; written into a pipe they have no size."""
    file.seek(16)
    header = int.from_bytes(file.read(8), "little")
    file.seek(header + 16 if header < size else size)
    packets = int.from_bytes(file.read(8), "little")
    return header + packets > size and packets < PLACEHOLDER
