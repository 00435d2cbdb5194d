"""Choose, by the first bytes of a file, how to find where recordings start in it and whether it is broken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import BinaryIO

from ser.audio.containers.boxes import atoms, atoms_end_inside, flv_ends_inside, voc_ends_inside
from ser.audio.containers.frames import ac3_length, adts_length, frames_end_inside, ps_ends_inside, ts_ends_inside
from ser.audio.containers.headers import asf_ends_inside, nist_ends_inside
from ser.audio.containers.matroska import ebml_is_broken
from ser.audio.containers.ogg import ogg_ends_inside, ogg_starts
from ser.audio.containers.riff import riff_ends_inside, riff_starts

PIECE = 2**16  # bytes of a file in memory at once during a search: larger pieces are returned to the system each time
# What marks the start of a recording in the middle of a file, and what follows within the next `NEAR` bytes.
MARKS = {
    b"fLaC\0\0\0\x22": b"",  # with the size of its STREAMINFO
    b"\x1aE\xdf\xa3": b"\x42\x82",  # EBML and its DocType: WebM, Matroska
    b"#!AMR": b"",
    b"RF64\xff\xff\xff\xffWAVE": b"",
    b"caff\0\x01\0\0desc": b"",
    b".snd\0\0\0": b"",  # AU, with a header below 256 bytes
    b"TTA1\x01\0": b"",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa": b"\0\x62\xce\x6c",  # ASF: WMA
}
NEAR = 64
ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")

# How the formats are told apart by their first 12 bytes, and what finds a break.
CHECKS: tuple[tuple[Callable[[bytes], object], Callable[[BinaryIO, int], bool]], ...] = (
    (lambda head: head.startswith(b"OggS"), ogg_ends_inside),
    (lambda head: head[4:8] in ATOMS, atoms_end_inside),
    (lambda head: head.startswith(b"\x1aE\xdf\xa3"), ebml_is_broken),
    (lambda head: head.startswith((b"RIFF", b"RF64", b"BW64")), riff_ends_inside),
    (lambda head: head.startswith((b"FORM", b"RIFX")), partial(riff_ends_inside, order="big")),
    (lambda head: head.startswith(b"NIST_1A"), nist_ends_inside),
    (lambda head: head.startswith(b"Creative Voi"), voc_ends_inside),
    (lambda head: head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), asf_ends_inside),
    (lambda head: head.startswith(b"\0\0\1\xba"), ps_ends_inside),
    (lambda head: head.startswith(b"FLV"), flv_ends_inside),
    (lambda head: head.startswith(b"G"), ts_ends_inside),
    (adts_length, partial(frames_end_inside, frame_length=adts_length)),
    (ac3_length, partial(frames_end_inside, frame_length=ac3_length)),
)


def starts(file: BinaryIO, most: int) -> list[int]:
    """Return the offsets at which recordings begin: 0, and those that stand behind it, joined as by `cat`.

    Gives up to `most`. Knows WAV, RF64, AIFF, AVI, CAF, AU, OGG (chained streams), FLAC, TTA, ASF (WMA), WebM,
    Matroska, MP4 and AMR; gives only 0 for other formats.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RIFX", b"FORM"):
        return list(islice(riff_starts(file, head), most))
    if head[:4] == b"OggS":
        return list(islice(ogg_starts(file), most))
    if head[4:8] == b"ftyp":
        return [0, *islice((start for start, kind, _ in atoms(file) if kind == b"ftyp" and start), most - 1)]
    mark = next((mark for mark in MARKS if head.startswith(mark)), None)
    return [0, *islice(_find(file, mark, MARKS[mark]), most - 1)] if mark else [0]


def is_broken(file: BinaryIO) -> bool:
    """Return whether the bytes end inside a packet or frame, or packets do not follow each other.

    False for formats that this cannot tell of.
    """
    file.seek(0)
    head = file.read(12)
    size = file.seek(0, os.SEEK_END)
    check = next((check for is_its, check in CHECKS if is_its(head)), None)
    return check is not None and check(file, size)


def _find(file: BinaryIO, mark: bytes, near: bytes) -> Iterator[int]:
    """Yield the offsets, beyond 0, of `mark` with `near` in the bytes behind it."""
    file.seek(0)
    base, held = 0, b""
    while block := file.read(PIECE):
        held += block
        at = held.find(mark, 0 if base else 1)
        while 0 <= at <= len(held) - NEAR:
            if near in held[at : at + NEAR]:
                yield base + at
                file.seek(base + len(held))  # whoever takes the offsets may read elsewhere
            at = held.find(mark, at + 1)
        rest = held[max(0, len(held) - NEAR + 1) :]  # too short to have been looked at
        base, held = base + len(held) - len(rest), rest
