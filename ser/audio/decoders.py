"""Decoders of `ser.audio.loading`: libsndfile for its formats (WAV, FLAC, OGG, MP3, AIFF ...), PyAV for all others.

The content decides which one is used: neither sees the recording's name.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, BinaryIO, Protocol

import numpy as np
import soundfile as sf

from ser.types import AudioError

ACCEPTED = "WAV, FLAC, OGG, MP3, M4A, WebM and most other recordings"
MAGIC = {
    **dict.fromkeys((b"RIFF", b"RF64"), "WAV"),
    **dict.fromkeys((b"ID3", b"\xff\xfa", b"\xff\xfb", b"\xff\xf2", b"\xff\xf3"), "MP3"),
    **{b"fLaC": "FLAC", b"OggS": "OGG", b"FORM": "AIFF", b"caff": "CAF", b"\x1aE\xdf\xa3": "WebM"},
}

# Demuxers that read one file and nothing else. Playlists (hls, concat, dash ...) could open other files or the network.
DEMUXERS = (
    "mov,matroska,webm,mp3,aac,ac3,eac3,dts,truehd,loas,amr,asf,avi,flv,rm,mpeg,mpegts,ogg,flac,wav,w64,aiff,caf,au,"
    "ape,tta,wv,tak,mpc,mpc8,dsf"
)
# Containers that store durations; for others FFmpeg guesses them from the bit rate.
TIMED_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2": "MP4/M4A", "matroska,webm": "WebM"}

UNKNOWN_FRAMES = 2**62  # from here on a count of libsndfile means unknown
STREAMED_BYTES = 2**31 - 2**20  # chunk sizes from here on are placeholders of recorders that write into a pipe
MP3_FRAME = 1152
PARTIAL_CHUNK = re.compile(r"(?:data|SSND|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)")
MAX_OGG_PAGE = 65_307  # bytes
MAX_HEADER = 4096  # bytes


class Decoder(Protocol):
    """Decode an open recording. `sample_rate` in Hz and `channels` are the source's, not yet checked against limits.

    `length_s` is the expected length of the sound and `promised_s` that by the container, None if unknown; coders'
    padding lets intact recordings differ from it by up to `slack_s`. `damaged` is true once a damage was met.
    """

    format: str
    sample_rate: int
    channels: int
    slack_s: float
    damaged: bool

    @property
    def length_s(self) -> float | None: ...

    @property
    def promised_s(self) -> float | None: ...

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        """Yield float32 chunks of shape (up to `n_frames`, channels), until the end or the first damage."""
        ...

    def close(self) -> None: ...


def open_decoder(file: BinaryIO, label: str) -> Decoder:
    """Open the decoder for the content of a seekable binary file. Raises `AudioError`, which names the file `label`."""
    if not _is_unmeasured_mp3(file):
        file.seek(0)
        with suppress(sf.LibsndfileError):
            decoder = SndfileDecoder(file)
            # A recorder that wrote into a pipe leaves the size at 0, though sound follows the header.
            if decoder.n_frames or file.seek(0, os.SEEK_END) <= MAX_HEADER:
                return decoder
    file.seek(0)
    return AvDecoder(file, label)


def _is_unmeasured_mp3(file: BinaryIO) -> bool:
    """Return whether an MP3's first frame, after any ID3 tag, holds no frame count: libsndfile would cut it short."""
    head = file.read(10)
    tag_size = sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=False))
    file.seek(10 + tag_size if head.startswith(b"ID3") else 0)
    frame = file.read(64)
    is_layer_3 = len(frame) > 1 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2
    return is_layer_3 and b"Xing" not in frame and b"Info" not in frame


def _nameless(file: BinaryIO) -> SimpleNamespace:
    """Return the file without a name, which could decide the format, and without a way to close it."""

    def seek(offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return file.seek(offset, whence)
        except (OSError, ValueError):  # a damaged header points outside the file: stay, as fseek does
            return file.tell()

    names = ("read", "readinto", "tell")
    return SimpleNamespace(seek=seek, **{name: getattr(file, name) for name in names if hasattr(file, name)})


class _ForwardFile(sf.SoundFile):
    """Read only forward. soundfile seeks after every block, which is slow and loses the position in a damaged OGG."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """Decode with libsndfile."""

    def __init__(self, file: BinaryIO) -> None:
        self._source, self._file = file, _ForwardFile(_nameless(file))
        self.format, self.sample_rate, self.channels = self._file.format, self._file.samplerate, self._file.channels
        self.slack_s = 0.1 if self.format == "MP3" else 0.02  # padding; chunk sizes that count the header
        self.n_frames, self.damaged = self._file.frames, False
        self.close = self._file.close

    @property
    def length_s(self) -> float | None:
        return self.n_frames / self.sample_rate if self.n_frames < UNKNOWN_FRAMES else None

    @property
    def promised_s(self) -> float | None:
        """Return `length_s`, or the length that a truncated chunk announced: libsndfile logs both sizes."""
        partial = PARTIAL_CHUNK.search(self._file.extra_info)
        announced, present = map(int, partial.groups()) if partial else (0, 0)
        if self.length_s is None or not 0 < announced < STREAMED_BYTES:
            return self.length_s
        return self.length_s * announced / present if present else math.inf

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        step = MP3_FRAME if self.format == "MP3" else n_frames  # a damage loses the whole read of an MP3
        dtype = "int16" if self._file.subtype == "PCM_16" else "float32"  # integers are read several times faster
        left, ended = self.n_frames, False
        while left > 0 and not ended:
            chunk, ended = self._read(np.empty((min(step, left), self.channels), dtype))
            left -= len(chunk)
            if len(chunk):
                yield np.multiply(chunk, np.float32(2**-15), dtype=np.float32) if dtype == "int16" else chunk
        self.damaged |= self.format == "OGG" and _is_unfinished_ogg(self._source)

    def _read(self, out: np.ndarray) -> tuple[np.ndarray, bool]:
        """Read into `out`; return the part of it that was decoded, and whether nothing follows."""
        start = self._file.tell()
        try:
            chunk = self._file.read(out=out)
        except sf.LibsndfileError:
            self.damaged = True
            return out[: self._file.tell() - start], True
        return chunk, len(chunk) == 0


def _is_unfinished_ogg(file: BinaryIO) -> bool:
    """Return whether the last page of an OGG is incomplete or not marked as the last."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_OGG_PAGE))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27:
        return True
    is_last, n_segments = page[5] & 4, page[26]
    return not is_last or len(page) < 27 + n_segments + sum(page[27 : 27 + n_segments])


class AvDecoder:
    """Decode with FFmpeg's demuxers and decoders, from the given bytes and nothing else."""

    slack_s = 0.25  # priming and padding of AAC and Opus

    def __init__(self, file: BinaryIO, label: str) -> None:
        import av  # most recordings do not need it

        self._av, self._file = av, file
        options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
        self._container: Any
        try:
            self._container = av.open(_nameless(file), options=options, metadata_errors="replace")
        except av.FFmpegError as error:
            raise _undecodable(file, label) from error
        self._kind = self._container.format.name
        self.format = TIMED_CONTAINERS.get(self._kind, self._kind.upper())
        self._streams = [stream for stream in self._container.streams.audio if stream.codec_context is not None][:1]
        self.damaged, self._end = False, 0
        self.close = self._container.close
        self._frames = self._decode()
        self._first = next(self._frames, None)  # decoded values count: HE-AAC doubles the rate of its header
        if self._first is None:
            self.close()
            raise AudioError(
                f"{label}: no sound could be decoded from this {self.format} (0.0 s): it has no sound track, or is "
                "damaged. Record it again or fetch an undamaged copy."
            )
        self.sample_rate, self.channels = self._first.sample_rate, self._first.layout.nb_channels
        self.length_s = self.promised_s

    @property
    def promised_s(self) -> float | None:
        if self._kind not in TIMED_CONTAINERS:
            return None
        stream = self._streams[0]
        if stream.duration is not None:
            return float(stream.duration * stream.time_base)
        is_its_own = len(self._container.streams) == 1 and self._container.duration is not None
        return self._container.duration / self._av.time_base if is_its_own else None

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        """Yield chunks of one coder frame each, whatever `n_frames`."""
        resampler = self._av.AudioResampler(format="flt")  # packed: PyAV cannot convert eight planes
        frame = self._first
        while frame is not None:
            if (frame.sample_rate, frame.layout.nb_channels) != (self.sample_rate, self.channels):
                self.damaged = True
                return
            yield from (packed.to_ndarray().reshape(-1, self.channels) for packed in resampler.resample(frame))
            frame = next(self._frames, None)

    def _decode(self) -> Iterator[Any]:
        """Yield decoded frames up to the end or the first damage."""
        try:
            for packet in self._container.demux(self._streams) if self._streams else ():
                if packet.is_corrupt and self._kind != "wav":  # a WAV whose size is lost promises no length
                    self.damaged = True
                    return
                self._end = packet.pos + packet.size if packet.size else self._end
                yield from packet.decode()
        except self._av.FFmpegError:
            self.damaged = True
            return
        self.damaged = self._has_unfinished_block()

    def _has_unfinished_block(self) -> bool:
        """Return whether a WebM ends inside a block: a browser's has no duration that would show that it was cut."""
        if self._kind != "matroska,webm" or len(self._container.streams) > 1:
            return False
        self._file.seek(self._end + 4)  # positions exclude the 4 bytes before the coder's data
        return self._file.read(1) in (b"\xa0", b"\xa3")


def _undecodable(file: BinaryIO, label: str) -> AudioError:
    """Return the error for a file that no decoder opens, by its first bytes."""
    file.seek(0)
    head = file.read(64)
    name = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    name = "MP4/M4A" if head[4:8] == b"ftyp" else name
    if name:
        reason = f"this begins like {name}, but it is damaged or incomplete (0.0 s decoded)"
    elif all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        reason = "this is text, not sound"
    else:
        reason = f"not a known recording (it begins with the bytes {head[:4].hex(' ')})"
    return AudioError(f"{label}: {reason}. Accepted: {ACCEPTED}.")
