"""Walk through the frames of MP3 and the other MPEG layers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

from ser.audio.containers.limits import MOST_STEPS

SEARCHED = 2**20  # bytes behind a damage in which the next frame is looked for
BIT_RATES = {  # kbit/s by (MPEG version 1, layer), of index 1 to 14 (ISO 11172-3, 2.4.2.3; ISO 13818-3, 2.4.2.3)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # Hz by version bits
TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")  # of titles, behind the sound


@dataclass(frozen=True)
class Mp3:
    """What an MP3 holds: `n_frames` of sound; `announced` by its Xing or Info header, None without one.

    `is_plain` is true if all frames are of one rate and number of channels, without a second header or other bytes
    between them. `ends_inside` is true if the last frame is incomplete.
    """

    n_frames: int
    announced: int | None
    is_plain: bool
    ends_inside: bool

    @property
    def is_announced(self) -> bool:
        """Whether the header is right and the file whole: libsndfile reads as many frames as it says."""
        is_whole = self.is_plain and not self.ends_inside
        return is_whole and self.announced is not None and abs(self.announced - self.n_frames) <= 1


def read_mp3(file: BinaryIO) -> Mp3 | None:
    """Walk through the frames of an MPEG layer I, II or III file; None if it is none."""
    at = _first_frame(file)
    if at is None:
        return None
    size = file.seek(0, os.SEEK_END)
    n_frames, announced, is_plain, ends_inside, kind = 0, None, True, False, None
    for _ in range(MOST_STEPS):
        if at + 4 > size:
            break
        file.seek(at)
        head = file.read(48)
        length, this = _frame(head[1], head[2], head[3]) if head[0] == 0xFF else (0, (0, 0))
        if not length:
            skipped = _behind_tags(file, at) if head.startswith(TAGS) else _next_frame(file, at + 1)
            if skipped is None:
                break
            at, is_plain = skipped, False
            continue
        kind = kind or this
        is_plain &= kind == this
        if at + length > size:
            ends_inside = True
            break
        tag = next((tag for tag in (b"Xing", b"Info") if tag in head), None)
        if tag is None:
            n_frames += 1
        elif n_frames or announced is not None:
            is_plain = False
        else:
            where = head.index(tag) + 4
            announced = int.from_bytes(head[where + 4 : where + 8], "big") if head[where + 3 : where + 4][0] & 1 else 0
        at += length
    else:
        is_plain = False  # too many to tell
    return Mp3(n_frames, announced, is_plain, ends_inside)


@cache
def _frame(second: int, third: int, fourth: int) -> tuple[int, tuple[int, int]]:
    """Return the length in bytes of a frame by its header, 0 if that is none; and its rate and whether it is mono."""
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    index, rate = third >> 4, third >> 2 & 3
    if second < 0xE0 or version == 1 or layer == 4 or index in (0, 15) or rate == 3:
        return 0, (0, 0)
    hertz, padding = RATES[version][rate], third >> 1 & 1
    bits = 1000 * BIT_RATES[version == 3, layer][index - 1]
    if layer == 1:
        length = 4 * (12 * bits // hertz + padding)
    else:
        length = (72 if layer == 3 and version != 3 else 144) * bits // hertz + padding
    return length, (hertz, fourth >> 6 == 3)


def _first_frame(file: BinaryIO) -> int | None:
    """Return the offset of the first frame, behind tags and zeros; None if the file does not begin like an MP3."""
    at = _end_of_tags(file, 0)
    file.seek(at)
    head = file.read(1)
    if head == b"\0" or (at and head != b"\xff"):
        return _next_frame(file, at, only_behind_zeros=True)
    return _next_frame(file, at, n_bytes=4)


def _behind_tags(file: BinaryIO, at: int) -> int | None:
    """Return the offset of the frame behind the tags at `at`, of a recording that is joined; None if there is none."""
    end = _end_of_tags(file, at)
    return _next_frame(file, end, only_behind_zeros=True) if end > at else None


def _end_of_tags(file: BinaryIO, at: int) -> int:
    """Return the end of the ID3 tags that begin at `at`, if any: of version 2, or 128 bytes of version 1."""
    file.seek(at)
    head = file.read(10)
    while len(head) == 10 and head.startswith((b"ID3", b"TAG")):
        length = sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        at += 128 if head.startswith(b"TAG") else 10 + length + (10 if head[5] & 16 else 0)
        file.seek(at)
        head = file.read(10)
    return at


def _next_frame(file: BinaryIO, at: int, n_bytes: int = SEARCHED, only_behind_zeros: bool = False) -> int | None:
    """Return the offset of the first frame from `at` on that another one of its kind follows, within `n_bytes`."""
    file.seek(at)
    data = file.read(n_bytes)
    if only_behind_zeros:
        n_zeros = len(data) - len(data.lstrip(b"\0"))
        at, data = at + n_zeros, data[n_zeros : n_zeros + 4]
    found = data.find(b"\xff")
    while 0 <= found <= len(data) - 4:
        length, kind = _frame(*data[found + 1 : found + 4])
        if length:
            file.seek(at + found + length)
            behind = file.read(4)
            if len(behind) < 4 or (behind[0] == 0xFF and _frame(*behind[1:])[1] == kind) or behind.startswith(TAGS):
                return at + found
        found = data.find(b"\xff", found + 1)
    return None
