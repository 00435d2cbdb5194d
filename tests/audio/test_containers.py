"""The structure of files, from bytes that are made by hand: where recordings start, and whether one ends inside."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from ser.audio.containers import Mp3, Part, is_broken, matroska, read_mp3, starts, with_size
from ser.audio.containers.frames import ac3_length, adts_length
from ser.audio.containers.riff import W64, W64_DATA
from ser.audio.containers.structure import NEAR, PIECE


def broken(data: bytes) -> bool:
    return is_broken(io.BytesIO(data))


def begins(data: bytes, most: int = 100) -> list[int]:
    return starts(io.BytesIO(data), most)


def sized(name: bytes, body: bytes, order: str = "little") -> bytes:
    """Return a chunk of RIFF: name, size, body, padded to an even length."""
    return name + len(body).to_bytes(4, order) + body + bytes(len(body) % 2)  # type: ignore[arg-type]


def riff(body: bytes = bytes(100), order: str = "little") -> bytes:
    kind = b"RIFF" if order == "little" else b"RIFX"
    return sized(kind, b"WAVE" + sized(b"fmt ", bytes(16), order) + sized(b"data", body, order), order)


def page(*lengths: int, first: bool = False) -> bytes:
    """Return a page of OGG with packets of some lengths; one of 255 goes on in the next page."""
    return b"OggS\0" + (b"\2" if first else b"\0") + bytes(20) + bytes([len(lengths), *lengths]) + bytes(sum(lengths))


def atom(kind: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    return (8 + len(body) if size is None else size).to_bytes(4, "big") + kind + body


def element(name: bytes, body: bytes, size: bytes | None = None) -> bytes:
    """Return an element of EBML, its size in one byte."""
    return name + (bytes([0x80 | len(body)]) if size is None else size) + body


def adts(body: int = 40) -> bytes:
    length = 7 + body
    return bytes([0xFF, 0xF1, 0x50, 0x80 | length >> 11, length >> 3 & 255, (length & 7) << 5, 0]) + bytes(body)


def flv_tag(body: int) -> bytes:
    return b"\x08" + body.to_bytes(3, "big") + bytes(7) + bytes(body) + bytes(4)


def mp3_frame(tag: bytes = b"", rate: int = 0, mono: bool = True) -> bytes:
    """Return a frame of MPEG 1, layer III, 128 kbit/s, 44.1 kHz (417 bytes) or at another index of the rate."""
    length = {0: 417, 1: 384}[rate]
    frame = bytes([0xFF, 0xFB, 0x90 | rate << 2, 0xC0 if mono else 0]) + bytes(17) + tag
    return frame + bytes(length - len(frame))


def xing(n_frames: int) -> bytes:
    return mp3_frame(b"Xing" + bytes([0, 0, 0, 1]) + n_frames.to_bytes(4, "big"))


EBML = element(b"\x1aE\xdf\xa3", element(b"\x42\x82", b"webm"))
CLUSTER = element(b"\x1f\x43\xb6\x75", element(b"\xe7", b"\0") + element(b"\xa3", bytes(30)))
UNKNOWN = b"\x01" + 7 * b"\xff"
SEGMENT = b"\x18\x53\x80\x67"
ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(8)
HEADER = (46).to_bytes(8, "little") + bytes(22)
NIST = b"NIST_1A\n   1024\nsample_count -i 50\nchannel_count -i 1\nsample_n_bytes -i 2\nend_head\n".ljust(1024)
VOC = b"Creative Voice File\x1a" + (26).to_bytes(2, "little") + bytes(4)
PACK = b"\0\0\1\xba\x44" + bytes(8) + b"\xf8"
PS = PACK + b"\0\0\1\xc0" + (40).to_bytes(2, "big") + bytes(40)
AC3 = b"\x0b\x77\0\0\x00" + bytes(128 - 5)  # 32 kbit/s at 48 kHz

WHOLE: dict[str, bytes] = {
    "RIFF": riff(),
    "RIFX": riff(order="big"),
    "RIFF, odd chunk": riff(bytes(101)),
    "RIFF, a list behind": riff() + sized(b"LIST", bytes(20)),
    "OGG": page(30, first=True) + page(200, 100),
    "MP4": atom(b"ftyp", b"M4A ") + atom(b"moov", bytes(50)) + atom(b"mdat", bytes(90)),
    "MP4, long size": atom(b"ftyp", b"M4A ") + atom(b"mdat", (116).to_bytes(8, "big") + bytes(100), size=1),
    "MP4, size 0: to the end": atom(b"ftyp", b"M4A ") + atom(b"mdat", bytes(90), size=0),
    "WebM": EBML + element(SEGMENT, CLUSTER, UNKNOWN),
    "WebM, two clusters": EBML + element(SEGMENT, CLUSTER + CLUSTER, UNKNOWN),
    "FLV": b"FLV\1\4\0\0\0\x09" + bytes(4) + flv_tag(50) + flv_tag(60),
    "ASF": ASF + HEADER + bytes(16) + (100).to_bytes(8, "little") + bytes(76),
    "MPEG-TS": 5 * (b"G" + bytes(187)),
    "MPEG-PS": PS + PS,
    "ADTS": adts() + adts(),
    "AC-3": AC3 + AC3,
    "NIST": NIST + bytes(100),
    "VOC": VOC + b"\1" + (50).to_bytes(3, "little") + bytes(50) + b"\0",
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_not_broken(name):
    assert not broken(WHOLE[name])


# Of those that tell the end of their last packet by its size.
@pytest.mark.parametrize("name", [name for name in WHOLE if name not in ("MP4, size 0: to the end", "RIFF, odd chunk")])
@pytest.mark.parametrize("missing", [2, 15])
def test_files_that_end_inside_a_packet_are_broken(name, missing):
    if name == "VOC":
        missing += 16  # its last header is not looked behind
    assert broken(WHOLE[name][:-missing])


BROKEN = {
    "OGG, a packet that goes on": page(30, first=True) + page(255),
    "OGG, half a header": page(30, first=True) + page(9)[:11],
    "no page of OGG": b"OggS",
    "WebM, a cluster that holds what is none of it": EBML
    + element(SEGMENT, element(b"\x1f\x43\xb6\x75", element(b"\xe7", b"\0") + b"\x99\x81\0"), UNKNOWN),
    "FLV, half a tag": WHOLE["FLV"] + b"\x08\0",
    "RIFF, the size of ds64": b"RF64"
    + bytes(4)
    + b"WAVE"
    + sized(b"ds64", bytes(8) + (500).to_bytes(8, "little") + bytes(12))
    + b"data\xff\xff\xff\xff"
    + bytes(100),
}
UNTOLD = {
    "RIFF, a size that was never filled in": riff()[:40] + b"\xff\xff\xff\x7f" + bytes(50),
    "ASF into a pipe": ASF + HEADER + bytes(16) + b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(30),
    "MP4, no atom behind": atom(b"ftyp", b"M4A ") + b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8",
    "tags behind ADTS": adts() + b"TAGx",
    "the end of an MPEG-PS": PS + b"\0\0\1\xb9",
    "zeros in an MPEG-PS": PS + bytes(30) + PS,
    "NIST without counts": b"NIST_1A\n   1024\nend_head\n".ljust(1024),
    "no format": b"something else",
    "nothing": b"",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name):
    assert broken(BROKEN[name])


@pytest.mark.parametrize("name", UNTOLD)
def test_what_cannot_be_told_is_not_broken(name):
    assert not broken(UNTOLD[name])


@pytest.mark.parametrize("frame_length", [adts_length, ac3_length])
@pytest.mark.parametrize(
    "head", [b"", b"\xff", b"\xff\xf1\x50\x80\0", b"\x0b\x77\0\0\xff", bytes(8), b"\xff\xfb\x90\0\0\0\0"]
)
def test_what_is_no_frame_has_no_length(frame_length, head):
    assert frame_length(head) == 0


@pytest.mark.parametrize(
    ("data", "number", "length"),
    [(b"\x81", 1, 1), (b"\x40\x02", 2, 2), (b"\xff", matroska.UNKNOWN, 1), (UNKNOWN, matroska.UNKNOWN, 8)]
    + [(data, 0, 0) for data in (b"", b"\0", b"\x40")],
)
def test_numbers_of_ebml(data, number, length):
    assert matroska._vint(data) == (number, length)


# --- Recordings one behind the other ---

FLAC = b"fLaC\0\0\0\x22" + bytes(100)
AMR = b"#!AMR\n" + bytes(80)
MP4 = WHOLE["MP4"]
JOINED: dict[str, tuple[bytes, bytes]] = {
    "WAV": (riff(), riff(bytes(50))),
    "WAV, odd": (riff(bytes(51)), riff()),
    "OGG": (WHOLE["OGG"], WHOLE["OGG"]),
    "FLAC": (FLAC, FLAC),
    "WebM": (WHOLE["WebM"], EBML + bytes(100)),
    "AMR": (AMR, AMR),
    "MP4": (MP4, MP4),
}


@pytest.mark.parametrize("name", JOINED)
def test_joined_recordings_start_where_they_do(name):
    one, other = JOINED[name]
    assert begins(one + other) == [0, len(one)]
    assert begins(one + other, most=1) == [0] == begins(one)


def test_two_streams_of_one_ogg_are_one_recording():
    two = page(30, first=True) + page(30, first=True) + page(100) + page(90)
    assert begins(two) == [0] and begins(two + two) == [0, len(two)]


def test_a_recording_of_another_kind_behind_does_not_count():
    assert begins(riff() + sized(b"RIFF", b"AVI " + bytes(50))) == [0]
    assert begins(riff() + b"ID3" + bytes(50)) == [0]


@pytest.mark.parametrize("offset", range(-NEAR - 2, 10))
def test_a_mark_is_found_wherever_the_pieces_end(offset):
    one = FLAC.ljust(PIECE + offset, b"\1")
    assert begins(one + FLAC) == [0, len(one)]


def test_a_mark_without_what_belongs_to_it_is_part_of_the_sound():
    assert begins(EBML + bytes(100) + b"\x1aE\xdf\xa3" + bytes(100)) == [0]


def test_a_size_of_a_pipe_ends_the_search():
    assert begins(b"RIFF\xff\xff\xff\xffWAVE" + bytes(100) + riff()) == [0]


# --- MP3 ---


def frames(*parts: bytes) -> Mp3:
    found = read_mp3(io.BytesIO(b"".join(parts)))
    assert found is not None
    return found


def test_frames_are_counted():
    ten = 10 * [mp3_frame()]
    assert frames(*ten) == Mp3(10, None, True, False)
    assert frames(xing(10), *ten) == Mp3(10, 10, True, False) and frames(xing(10), *ten).is_announced
    assert not frames(xing(5), *ten).is_announced and not frames(*ten).is_announced
    assert frames(*ten, mp3_frame()[:-3]) == Mp3(10, None, True, True)
    assert frames(*ten, b"TAG" + bytes(125)) == Mp3(10, None, True, False)


@pytest.mark.parametrize(
    ("between", "n_frames"),
    [(xing(3), 4), (mp3_frame(rate=1), 5), (mp3_frame(mono=False), 5), (b"rubbish", 4)],
    ids=["a second header", "another rate", "stereo", "other bytes"],
)
def test_what_is_not_plain(between, n_frames):
    two = mp3_frame() + mp3_frame()
    assert frames(two, between, two) == Mp3(n_frames, None, False, False)


def test_tags_end_an_mp3_unless_a_frame_follows():
    two = mp3_frame() + mp3_frame()
    for tag in (b"ID3\3\0\0\0\0\1\0" + bytes(128), b"TAG" + bytes(125)):
        assert frames(two, tag) == frames(two)
        joined = frames(two, tag, two)
        assert joined.n_frames == 4 and not joined.is_plain
    assert frames(two, b"APETAGEX" + bytes(200), two) == frames(two)


@pytest.mark.parametrize(
    "before",
    [b"", b"ID3\3\0\0\0\0\1\0" + bytes(128), b"ID3\3\0\x10\0\0\0\x0a" + bytes(20), bytes(300)],
    ids=["nothing", "ID3", "ID3 with a footer", "zeros"],
)
def test_the_first_frame_is_found_behind_tags(before):
    assert frames(before, mp3_frame(), mp3_frame()).n_frames == 2


@pytest.mark.parametrize("data", [b"", b"\xff", riff(), FLAC, b"ID3", bytes(50), b"\xff\xfb\x90\xc0" + bytes(600)])
def test_no_mp3(data):
    assert read_mp3(io.BytesIO(data)) is None


# --- Parts and patches ---


def test_a_part_is_a_file_of_its_own():
    part = Part(io.BytesIO(bytes(range(100))), 10, 20)
    assert part.readable() and part.seekable() and part.read() == bytes(range(10, 20)) and part.read() == b""
    assert (part.seek(-3, 2), part.read(), part.tell()) == (7, bytes(range(17, 20)), 10)
    assert (part.seek(2), part.seek(3, 1), part.read(2)) == (2, 5, bytes([15, 16]))
    assert part.seek(50) == 50 and part.read() == b""
    with pytest.raises(ValueError, match="negative"):
        part.seek(-1)


@pytest.mark.parametrize("read", [lambda file: file.read(), lambda file: b"".join(iter(lambda: file.read(3), b""))])
def test_the_size_of_a_wave64_from_a_pipe(read: Callable[[io.RawIOBase], bytes]):
    head = W64 + bytes(50) + W64_DATA
    data = head + b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(200)
    patched = with_size(io.BytesIO(data))
    patched.seek(0)
    size = len(W64_DATA) + 8 + 200
    assert read(patched) == head + size.to_bytes(8, "little") + bytes(200)
    whole = io.BytesIO(head + size.to_bytes(8, "little") + bytes(200))
    assert with_size(whole) is whole
