"""Check packets and frames that tell their length: MPEG-TS, MPEG-PS, ADTS (AAC) and AC-3."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from ser.audio.containers.limits import MOST_STEPS
from ser.audio.containers.mp3 import TAGS

TS_PACKET = 188  # bytes
PACK, PROGRAM_END = 0xBA, b"\0\0\1\xb9"  # of MPEG-PS: an identifier, and the last four bytes
AC3_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)  # kbit/s


def ts_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether an MPEG-TS, whose packets begin with a G, ends inside one."""
    file.seek(0)
    return file.read(3 * TS_PACKET)[::TS_PACKET] == b"GGG" and size % TS_PACKET != 0


def ps_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether the last packet of an MPEG-PS (ISO 13818-1, 2.5) is incomplete; zeros may stand between them."""
    at = 0
    for _ in range(MOST_STEPS):
        if at >= size:
            return at > size
        file.seek(at)
        head = file.read(14)
        zeros = len(head) - len(head.lstrip(b"\0"))
        if zeros > 2:
            at += max(1, zeros - 2)
        elif len(head) < 6 or not head.startswith(b"\0\0\1"):
            return 3 < len(head) < 6 and head[:4] != PROGRAM_END
        elif head[3] == PACK:
            at += 14 + (head[-1] & 7) if head[4] >> 6 == 1 else 12
        else:
            at += 4 if head.startswith(PROGRAM_END) else 6 + int.from_bytes(head[4:6], "big")
    return False


def frames_end_inside(file: BinaryIO, size: int, frame_length: Callable[[bytes], int]) -> bool:
    """Return whether the last of the frames that follow each other from the start is incomplete."""
    at = 0
    for _ in range(MOST_STEPS):
        if at >= size:
            return at > size
        file.seek(at)
        head = file.read(8)
        length = frame_length(head)
        if not length:
            return len(head) < 8 and not head.startswith(TAGS)
        at += length
    return False


def adts_length(head: bytes) -> int:
    """Return the length of an AAC frame in bytes (ISO 13818-7, 6.2), 0 if it is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def ac3_length(head: bytes) -> int:
    """Return the length of an AC-3 frame in bytes (ATSC A/52, table 5.18), 0 if it is none."""
    if len(head) < 5 or head[:2] != b"\x0b\x77" or head[4] >> 6 == 3 or head[4] & 63 > 37:
        return 0
    rate, odd = AC3_RATES[(head[4] & 63) >> 1], head[4] & 1
    return (4 * rate, 2 * (rate * 96_000 // 44_100 + odd), 6 * rate)[head[4] >> 6]
