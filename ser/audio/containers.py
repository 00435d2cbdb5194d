"""Structure of recordings, read from their bytes: whether one follows another, and whether one ends inside a packet.

Only headers are read, so that an hour costs little and nothing is kept in memory.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import Any, BinaryIO, Literal, cast

STREAMED_BYTES = 2**31 - 2**20  # chunk sizes from here on are placeholders of recorders that write into a pipe
MOST_STEPS = 2**19  # headers that are read of a file; three hours of frames, and about a second
SEARCHED = 2**20  # bytes behind a damage in which the next frame is looked for
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


def starts(file: BinaryIO, most: int) -> list[int]:
    """Return the offsets at which recordings begin: 0, and those that stand behind it, joined as by `cat`.

    Gives up to `most`. Knows WAV, RF64, AIFF, AVI, CAF, AU, OGG (chained streams), FLAC, TTA, ASF (WMA), WebM,
    Matroska, MP4 and AMR; gives only 0 for other formats.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RIFX", b"FORM"):
        return list(islice(_riff_starts(file, head), most))
    if head[:4] == b"OggS":
        return list(islice(_ogg_starts(file), most))
    if head[4:8] == b"ftyp":
        return [0, *islice((start for start, kind, _ in _atoms(file) if kind == b"ftyp" and start), most - 1)]
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


# --- RIFF and AIFF ---


def _riff_starts(file: BinaryIO, head: bytes) -> Iterator[int]:
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


def _riff_ends_inside(file: BinaryIO, size: int, order: Literal["little", "big"] = "little") -> bool:
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


W64, W64_DATA = b"riff\x2e\x91\xcf\x11", b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
W64_HEADER = 4096  # bytes in which the chunk of samples begins
PLACEHOLDER = 2**62  # bytes from which on a size of a Wave64 is none
CAF, CAF_HEADER = b"caff", 8
CAF_EARLY = 2**15  # bytes before the samples, with which libsndfile finds them


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
        return cast(BinaryIO, _Patched(file, size, at + 4, max(0, size - at - 12).to_bytes(8, "big")))
    at = head.find(W64_DATA) if head.startswith(W64) else -1
    if at < 0 or int.from_bytes(head[at + 16 : at + 24], "little") < PLACEHOLDER:
        return file
    return cast(BinaryIO, _Patched(file, size, at + 16, (size - at).to_bytes(8, "little")))


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


# --- NIST Sphere, Creative Voice ---

NIST_FIELDS = (b"sample_count", b"channel_count", b"sample_n_bytes")  # whose product is the size


def _nist_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether there are fewer samples than the header of a NIST Sphere counts."""
    file.seek(0)
    lines = file.read(1024).split(b"\n")
    header = int(lines[1]) if len(lines) > 1 and lines[1].strip().isdigit() else 0
    entries = (line.split() for line in lines if line.split()[1:2] == [b"-i"])
    counts = {name: int(value) for name, _, value, *_ in entries if name in NIST_FIELDS and value.isdigit()}
    return len(counts) == len(NIST_FIELDS) and header + math.prod(counts.values()) > size


def _voc_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether the last block of a Creative Voice file is incomplete; SoX counts 8 bytes too few."""
    file.seek(20)
    at = int.from_bytes(file.read(2), "little")
    for _ in range(MOST_STEPS):
        if at + 16 > size:
            return at > size
        file.seek(at)
        at += 4 + int.from_bytes(file.read(4)[1:], "little")
    return False


# --- OGG ---


@dataclass(frozen=True)
class _Page:
    start: int
    is_first: bool  # of a stream
    continues: bool  # its last packet goes on in the next page
    end: int


def _pages(file: BinaryIO) -> Iterator[_Page]:
    """Yield the pages of an OGG (RFC 3533) up to the first bytes that are none."""
    at = 0
    for _ in range(MOST_STEPS):
        file.seek(at)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            return
        lengths = file.read(head[26])
        end = at + 27 + head[26] + sum(lengths) + (head[26] - len(lengths))
        yield _Page(at, bool(head[5] & 2), bool(lengths) and lengths[-1] == 255, end)
        at = end


def _ogg_starts(file: BinaryIO) -> Iterator[int]:
    """Yield the start of every group of streams: a first page behind a page that is not one."""
    in_header = False
    for page in _pages(file):
        if page.is_first and not in_header:
            yield page.start
        in_header = page.is_first


def _ogg_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether the last page is incomplete, or its last packet goes on."""
    page = None
    for page in _pages(file):  # noqa: B007
        pass
    return page is None or page.end > size or page.continues or size - page.end in range(1, 27)


# --- MP4, Matroska, FLV, ASF ---


def _atoms_end_inside(file: BinaryIO, size: int) -> bool:
    return any(end > size for _, _, end in _atoms(file))


def _atoms(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
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


SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
# Times, blocks, and what else a cluster may hold (RFC 9559, 5.1.3).
UNKNOWN = -1  # length of an element that ends where the next one of its kind begins
IN_CLUSTER = {0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0xAF, 0x5854, 0xEC, 0xBF}


def _ebml_is_broken(file: BinaryIO, size: int) -> bool:
    """Return whether an element goes on behind the last byte, or a cluster holds what is no part of one."""
    at, clusters_end, in_cluster = 0, size, False
    for _ in range(MOST_STEPS):
        if at >= size:
            return at > size
        file.seek(at)
        head = file.read(12)
        element, id_length = _vint(head, keep_marker=True)
        length, length_length = _vint(head[id_length:])
        if not id_length or not length_length:
            return (in_cluster and at < clusters_end) or (len(head) < 12 and head.strip(b"\0") != b"")
        start = at + id_length + length_length
        end = start + max(length, 0)
        if element in (SEGMENT, CLUSTER):
            if end > size:
                return True
            in_cluster, clusters_end = element == CLUSTER, size if length == UNKNOWN else end
            at = start
        elif in_cluster and at < clusters_end and element not in IN_CLUSTER:
            if clusters_end < size or element < 2**28:  # a cluster of unknown length ends with an element of the top
                return True
            in_cluster, at = False, end
        else:
            at = end
    return False


def _vint(data: bytes, keep_marker: bool = False) -> tuple[int, int]:
    """Return an EBML number (RFC 8794, 4) and its length in bytes; -1 if all bits are set, (0, 0) if it is none."""
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return 0, 0
    value = int.from_bytes(data[:length], "big")
    if keep_marker:
        return value, length
    value &= (1 << 7 * length) - 1
    return (UNKNOWN if value == (1 << 7 * length) - 1 else value), length


def _flv_ends_inside(file: BinaryIO, size: int) -> bool:
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


def _asf_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether the header or the packets of an ASF (WMA) end early; written into a pipe they have no size."""
    file.seek(16)
    header = int.from_bytes(file.read(8), "little")
    file.seek(header + 16 if header < size else size)
    packets = int.from_bytes(file.read(8), "little")
    return header + packets > size and packets < PLACEHOLDER


# --- Frames that tell their length ---

TS_PACKET = 188  # bytes


def _ts_ends_inside(file: BinaryIO, size: int) -> bool:
    """Return whether an MPEG-TS, whose packets begin with a G, ends inside one."""
    file.seek(0)
    return file.read(3 * TS_PACKET)[::TS_PACKET] == b"GGG" and size % TS_PACKET != 0


PACK, PROGRAM_END = 0xBA, b"\0\0\1\xb9"  # of MPEG-PS: an identifier, and the last four bytes


def _ps_ends_inside(file: BinaryIO, size: int) -> bool:
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


def _frames_end_inside(file: BinaryIO, size: int, frame_length: Callable[[bytes], int]) -> bool:
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


def _adts_length(head: bytes) -> int:
    """Return the length of an AAC frame in bytes (ISO 13818-7, 6.2), 0 if it is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def _ac3_length(head: bytes) -> int:
    """Return the length of an AC-3 frame in bytes (ATSC A/52, table 5.18), 0 if it is none."""
    if len(head) < 5 or head[:2] != b"\x0b\x77" or head[4] >> 6 == 3 or head[4] & 63 > 37:
        return 0
    rate, odd = AC3_RATES[(head[4] & 63) >> 1], head[4] & 1
    return (4 * rate, 2 * (rate * 96_000 // 44_100 + odd), 6 * rate)[head[4] >> 6]


AC3_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)  # kbit/s
ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")

# How the formats are told apart by their first 12 bytes, and what finds a break.
CHECKS: tuple[tuple[Callable[[bytes], object], Callable[[BinaryIO, int], bool]], ...] = (
    (lambda head: head.startswith(b"OggS"), _ogg_ends_inside),
    (lambda head: head[4:8] in ATOMS, _atoms_end_inside),
    (lambda head: head.startswith(b"\x1aE\xdf\xa3"), _ebml_is_broken),
    (lambda head: head.startswith((b"RIFF", b"RF64", b"BW64")), _riff_ends_inside),
    (lambda head: head.startswith((b"FORM", b"RIFX")), partial(_riff_ends_inside, order="big")),
    (lambda head: head.startswith(b"NIST_1A"), _nist_ends_inside),
    (lambda head: head.startswith(b"Creative Voi"), _voc_ends_inside),
    (lambda head: head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), _asf_ends_inside),
    (lambda head: head.startswith(b"\0\0\1\xba"), _ps_ends_inside),
    (lambda head: head.startswith(b"FLV"), _flv_ends_inside),
    (lambda head: head.startswith(b"G"), _ts_ends_inside),
    (_adts_length, partial(_frames_end_inside, frame_length=_adts_length)),
    (_ac3_length, partial(_frames_end_inside, frame_length=_ac3_length)),
)

# --- MP3 ---

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


# --- Parts of a file ---


class Part(io.RawIOBase):
    """Present the bytes of a file from `start` to `end` as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        super().__init__()
        self._file, self._start, self._size, self._at = file, start, end - start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        bases: dict[int, Callable[[], int]] = {
            os.SEEK_SET: lambda: 0,
            os.SEEK_CUR: lambda: self._at,
            os.SEEK_END: lambda: self._size,
        }
        position = bases[whence]() + offset
        if position < 0:
            raise ValueError("negative position")
        self._at = position
        return position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        left = max(0, min(len(view), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(left)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Patched(Part):
    """Present a file with other bytes at one place."""

    def __init__(self, file: BinaryIO, size: int, place: int, patch: bytes) -> None:
        super().__init__(file, 0, size)
        self._place, self._patch = place, patch

    def readinto(self, buffer: Any) -> int:
        start = self._at
        n_read = super().readinto(buffer)
        first, last = max(start, self._place), min(start + n_read, self._place + len(self._patch))
        if first < last:
            patch = self._patch[first - self._place : last - self._place]
            memoryview(buffer).cast("B")[first - start : last - start] = patch
        return n_read
