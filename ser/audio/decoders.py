"""Decoders of `ser.audio.loading`: libsndfile for its formats (WAV, FLAC, OGG, MP3, AIFF ...), PyAV for all others.

The content decides which one is used: neither sees the recording's name.
"""

from __future__ import annotations

import math
import os
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import soundfile as sf
import soxr

from ser.audio import containers
from ser.types import AudioError

ACCEPTED = "WAV, FLAC, OGG, MP3, M4A, WebM and most other recordings"
MAGIC = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"BW64"), "WAV"),
    **dict.fromkeys((b"ID3", b"\xff\xfa", b"\xff\xfb", b"\xff\xf2", b"\xff\xf3"), "MP3"),
    **{b"fLaC": "FLAC", b"OggS": "OGG", b"FORM": "AIFF", b"caff": "CAF", b"riff": "W64", b"\x1aE\xdf\xa3": "WebM"},
}

# Demuxers that read one file and nothing else. Playlists (hls, concat, dash ...) could open other files or the network.
DEMUXERS = (
    "mov,matroska,webm,mp3,aac,ac3,eac3,dts,truehd,loas,amr,asf,avi,flv,rm,mpeg,mpegts,ogg,flac,wav,w64,aiff,caf,au,"
    "ape,tta,wv,tak,mpc,mpc8,dsf"
)
AV_OPTIONS: dict[str, Any] = {
    "options": {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"},
    "metadata_errors": "replace",
}
FORMATS = {"mov,mp4,m4a,3gp,3g2,mj2": "MP4/M4A", "matroska,webm": "WebM"}  # names for FFmpeg's
# Containers that store durations; for others FFmpeg guesses them from the bit rate.
TIMED_CONTAINERS = {*FORMATS, "asf", "avi", "ogg", "flac"}

# First bytes by which libsndfile knows a format at once, and the name of a resource fork to it.
SNDFILE_MAGIC = {b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"caff", b".snd", b"riff", b"NIST", b"Crea"}
RESOURCE_FORK = "._"
SAMPLE_DUMP = b"\xf0\x7e"
UNKNOWN_FRAMES = 2**62  # from here on a count of libsndfile means unknown
MP3_FRAME = 1152
CHECKED = {"OGG", "NIST", "VOC", "SVX"}  # formats of which libsndfile does not tell that they end early
PARTIAL_CHUNK = re.compile(r"(?:data|SSND|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)")
SILENT_TRACK = 1e-3  # peak up to which a track counts as silent
GAP_S = 0.1  # a jump of the time stamps that is more than rounding and the delay of a coder
MOST_PARTS = 1000  # of a joined file


class Decoder(Protocol):
    """Decode an open recording. `sample_rate` in Hz and `channels` are the source's, not yet checked against limits.

    `length_s` is the length by the header, None if unknown; coders' padding lets intact recordings differ from it by up
    to `slack_s`. `damaged` is true once a damage was met. `track` is the number of the sound track, from 1, out of
    `n_tracks`.
    """

    format: str
    sample_rate: int
    channels: int
    slack_s: float
    damaged: bool
    track: int
    n_tracks: int

    @property
    def length_s(self) -> float | None: ...

    def measured_s(self) -> float:
        """Return the length by the packets that are there, read without decoding them; `length_s` may be wrong."""
        ...

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        """Yield float32 chunks of shape (up to `n_frames`, channels), until the end or the first damage."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Decoding:
    """How to decode: `track` is the sound track, from 1; None chooses the default one, else the first with sound.

    With `keep_times` a late start, and gaps between the time stamps, become silence.
    """

    track: int | None = None
    keep_times: bool = False


def open_decoder(file: BinaryIO, label: str, decoding: Decoding | None = None) -> Decoder:
    """Open the decoder for the content of a seekable binary file. Raises `AudioError`, which names the file `label`."""
    decoding = decoding or Decoding()
    try:
        offsets = containers.starts(file, MOST_PARTS + 1)
        if len(offsets) > 1:
            return JoinedDecoder(file, offsets, label, decoding)
        return _open_one(file, label, decoding)
    except AudioError:
        raise
    except Exception as error:  # a decoder raises what it likes
        raise _undecodable(file, label) from error


def _open_one(file: BinaryIO, label: str, decoding: Decoding) -> Decoder:
    file = containers.with_size(file)
    mp3 = containers.read_mp3(file)
    if (mp3 is None or mp3.is_announced) and _is_for_libsndfile(file):
        file.seek(0)
        with suppress(sf.LibsndfileError):
            decoder = SndfileDecoder(file)
            if not decoder.n_frames:  # a recorder that wrote into a pipe leaves the size at 0, though sound follows
                with suppress(AudioError):
                    return AvDecoder(file, label, decoding)
            _check_track(decoding.track, 1, label)
            return decoder
    return AvDecoder(file, label, decoding, damaged=mp3 is not None and mp3.ends_inside)


def _is_for_libsndfile(file: BinaryIO) -> bool:
    """Return whether libsndfile may try a file.

    If the first bytes tell it nothing, as those of MP3, it looks for a resource fork in the working folder, and would
    wait for a pipe of that name. Its reader of MIDI sample dumps prints on standard output, and that of CAF takes a
    large chunk of free space for samples.
    """
    file.seek(0)
    head = file.read(4)
    is_known = head in SNDFILE_MAGIC or not os.path.lexists(RESOURCE_FORK)
    return is_known and not head.startswith(SAMPLE_DUMP) and not containers.is_late_caf(file)


def _check_track(track: int | None, n_tracks: int, label: str) -> None:
    if track is not None and not 1 <= track <= n_tracks:
        tracks = "1 sound track" if n_tracks == 1 else f"{n_tracks} sound tracks"
        raise AudioError(f"{label}: this recording has {tracks}, found track={track}. Choose one of them.")


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

    track = n_tracks = 1

    def __init__(self, file: BinaryIO) -> None:
        self._source, self._file = file, _ForwardFile(_nameless(file))
        self.format, self.sample_rate, self.channels = self._file.format, self._file.samplerate, self._file.channels
        self._is_mpeg = self._file.subtype.startswith("MPEG")
        self.slack_s = 0.1 if self._is_mpeg else 0.02  # padding; chunk sizes that count the header
        self.n_frames, self.damaged = self._file.frames, False
        self.length_s = self.n_frames / self.sample_rate if self.n_frames < UNKNOWN_FRAMES else None

    def close(self) -> None:
        self._file.close()

    def measured_s(self) -> float:
        # The sizes of uncompressed sound are checked by libsndfile, those of MP3 when it was chosen.
        length_s = self.length_s or 0.0
        return _demuxed_s(self._source) if self.format in ("FLAC", "OGG") else length_s

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        step = n_frames
        dtype = "int16" if self._file.subtype == "PCM_16" else "float32"  # integers are read several times faster
        n_read, ended = 0, False
        while n_read < self.n_frames and not ended:
            out = np.empty((min(step, self.n_frames - n_read), self.channels), dtype)
            chunk, ended = self._read(out, n_read)
            if self.damaged and self._is_mpeg and step != MP3_FRAME:  # which loses the whole read
                step, self.damaged, ended, chunk = MP3_FRAME, False, False, out[:0]
                self._start_again(n_read)
            n_read += len(chunk)
            if len(chunk):
                yield np.multiply(chunk, np.float32(2**-15), dtype=np.float32) if dtype == "int16" else chunk
        self.damaged |= self._is_short(n_read) or (self.format in CHECKED and containers.is_broken(self._source))

    def _read(self, out: np.ndarray, n_read: int) -> tuple[np.ndarray, bool]:
        """Read into `out`; return the part of it that was decoded, and whether nothing follows."""
        try:
            chunk = self._file.read(out=out)
        except sf.LibsndfileError:
            self.damaged = True
            with suppress(sf.LibsndfileError):  # some codecs do not tell where they are
                return out[: max(0, self._file.tell() - n_read)], True
            return out[:0], True
        return chunk, len(chunk) == 0

    def _start_again(self, n_read: int) -> None:
        """Open the file anew, `n_read` frames behind its start."""
        self._file.close()
        self._source.seek(0)
        self._file = _ForwardFile(_nameless(self._source))
        for at in range(0, n_read, MP3_FRAME):
            self._file.read(min(MP3_FRAME, n_read - at), dtype="float32")

    def _is_short(self, n_read: int) -> bool:
        """Return whether sound is missing: by the size of a chunk, or by the header if that may be believed."""
        announced_s = self._announced_s()
        if announced_s is None or announced_s - n_read / self.sample_rate <= self.slack_s:
            return False
        # Some recorders guess the length of a FLAC. If its last frame is complete, nothing is missing.
        return self.format != "FLAC" or self.damaged or not _decodes_to_the_end(self._source)

    def _announced_s(self) -> float | None:
        """Return `length_s`, or the length that a truncated chunk announced: libsndfile logs both sizes."""
        partial = PARTIAL_CHUNK.search(self._file.extra_info)
        announced, present = map(int, partial.groups()) if partial else (0, 0)
        if self.length_s is None or not 0 < announced < containers.STREAMED_BYTES:
            return self.length_s
        return self.length_s * announced / present if present else math.inf


def _demuxed_s(file: BinaryIO, index: int | None = None) -> float:
    """Return the seconds from the first packet of a stream to the end of the last; the file's position stays."""
    import av

    at, first, last, seconds = file.tell(), None, 0, 0.0
    file.seek(0)
    with suppress(av.FFmpegError), av.open(cast(Any, _nameless(file)), **AV_OPTIONS) as container:
        stream: Any = container.streams[index] if index is not None else container.streams.audio[0]
        for packet in container.demux(stream):
            if packet.pts is not None:
                first = packet.pts if first is None else first
                last = max(last, packet.pts + (packet.duration or 0))
                seconds = float((last - first) * stream.time_base)
    file.seek(at)
    return seconds


def _decodes_to_the_end(file: BinaryIO) -> bool:
    try:
        decoder = AvDecoder(file, "")
    except AudioError:
        return False
    for _ in decoder.chunks(0):
        pass
    decoder.close()
    return not decoder.damaged


class AvDecoder:
    """Decode with FFmpeg's demuxers and decoders, from the given bytes and nothing else."""

    slack_s = 0.25  # priming and padding of AAC and Opus

    def __init__(self, file: BinaryIO, label: str, decoding: Decoding | None = None, *, damaged: bool = False) -> None:
        import av  # most recordings do not need it

        decoding = decoding or Decoding()
        self._av, self._file, self.damaged, self._keep_times = av, file, damaged, decoding.keep_times
        self._container = self._open(label)
        self.close = self._container.close
        self._kind = self._container.format.name
        self.format = FORMATS.get(self._kind, self._kind.upper())
        tracks = [stream for stream in self._container.streams.audio if stream.codec_context is not None]
        self.n_tracks = len(tracks)
        try:
            _check_track(decoding.track, self.n_tracks, label)
            self.track = decoding.track or self._first_with_sound(tracks, label)
            self._stream = tracks[self.track - 1] if tracks else None
            self._frames = self._decode()
            self._first = next(self._frames, None)  # decoded values count: HE-AAC doubles the rate of its header
            if self._first is None:
                raise AudioError(
                    f"{label}: no sound could be decoded from this {self.format} (0.0 s): it has no sound track, or is "
                    "damaged. Record it again or fetch an undamaged copy."
                )
        except BaseException:
            self.close()
            raise
        self.sample_rate, self.channels = self._first.sample_rate, self._first.layout.nb_channels
        self.length_s = self._length_s()

    def _open(self, label: str) -> Any:
        self._file.seek(0)
        try:
            return self._av.open(_nameless(self._file), **AV_OPTIONS)
        except self._av.FFmpegError as error:
            raise _undecodable(self._file, label) from error

    def _first_with_sound(self, tracks: list[Any], label: str) -> int:
        """Return the number of the default track if it is not silent, else of the first that is not, from 1."""
        if len(tracks) < 2:
            return 1
        default = self._av.stream.Disposition.default
        order = sorted(range(len(tracks)), key=lambda index: not tracks[index].disposition & default)
        return 1 + next((index for index in order if self._sounds(index, label)), order[0])

    def _sounds(self, index: int, label: str) -> bool:
        """Return whether a track has sound; in a container of its own, since not every one can be rewound."""
        with self._open(label) as container, suppress(self._av.FFmpegError):
            for frame in container.decode(audio=index):
                if np.abs(_packed(self._av.AudioResampler(format="flt"), frame)).max(initial=0) > SILENT_TRACK:
                    return True
        return False

    def _length_s(self) -> float | None:
        if self._kind not in TIMED_CONTAINERS:
            return None
        stream = cast(Any, self._stream)
        if stream.duration is not None and not self._keep_times:
            return float(stream.duration * stream.time_base)
        is_its_own = self._keep_times or len(self._container.streams) == 1
        return self._container.duration / self._av.time_base if is_its_own and self._container.duration else None

    def measured_s(self) -> float:
        return _demuxed_s(self._file, cast(Any, self._stream).index)

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        """Yield chunks of one coder frame each, whatever `n_frames`, which is the most for a piece of silence."""
        converter = _Converter(self.sample_rate, self.channels)
        clock = _Clock(self._container.start_time, self._av.time_base) if self._keep_times else None
        resampler, layout, n_done, frame = None, None, 0, self._first
        while frame is not None:
            if clock is not None:
                for silence in _silence(clock.gap_s(frame, n_done / self.sample_rate), self, n_frames):
                    n_done += len(silence)
                    yield silence
            if (frame.sample_rate, frame.layout.name, frame.format.name) != layout:
                layout = frame.sample_rate, frame.layout.name, frame.format.name
                resampler = self._av.AudioResampler(format="flt")  # packed: PyAV cannot convert eight planes
            for chunk in converter.convert(_packed(resampler, frame), frame.sample_rate):
                n_done += len(chunk)
                yield chunk
            frame = next(self._frames, None)
        yield from converter.finish()

    def _decode(self) -> Iterator[Any]:
        """Yield decoded frames up to the end or the first damage."""
        try:
            for packet in self._container.demux(self._stream) if self._stream is not None else ():
                if packet.is_corrupt and self._kind != "wav":  # a WAV whose size is lost promises no length
                    self.damaged = True
                    return
                yield from packet.decode()
        except (self._av.FFmpegError, IndexError):  # PyAV's, for a packet of a stream that no header names
            self.damaged = True
            return
        self.damaged |= containers.is_broken(self._file)


def _packed(resampler: Any, frame: Any) -> np.ndarray:
    """Return a decoded frame as float32 of shape (n_frames, channels)."""
    channels = frame.layout.nb_channels
    pieces = [packed.to_ndarray().reshape(-1, channels) for packed in resampler.resample(frame)]
    return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty((0, channels), np.float32), *pieces])


class _Clock:
    """Compare the time stamps of a container with the sound decoded so far."""

    def __init__(self, start_time: int | None, time_base: int) -> None:
        self._origin_s = None if start_time is None else start_time / time_base

    def gap_s(self, frame: Any, done_s: float) -> float:
        """Return the seconds of silence before a frame; a time that goes back starts the count anew."""
        if frame.pts is None or frame.time_base is None:
            return 0.0
        time_s = float(frame.pts * frame.time_base)
        if self._origin_s is None:
            self._origin_s = time_s
        gap_s = time_s - self._origin_s - done_s
        if gap_s < -GAP_S:
            self._origin_s = time_s - done_s
        return gap_s if gap_s > GAP_S else 0.0


def _silence(seconds: float, decoder: Decoder, n_frames: int) -> Iterator[np.ndarray]:
    """Yield silence of a decoder's rate and channels, at most `n_frames` at a time."""
    left = round(seconds * decoder.sample_rate)
    while left > 0:
        size = min(left, max(n_frames, 1))
        yield np.zeros((size, decoder.channels), np.float32)
        left -= size


class _Converter:
    """Convert sound to one rate and number of channels, which may change from part to part of a file."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._rate, self._channels = sample_rate, channels
        self._resampler: Any = None
        self._source_rate = sample_rate

    def convert(self, chunk: np.ndarray, sample_rate: int) -> Iterator[np.ndarray]:
        """Yield a chunk (n_frames, channels) at `sample_rate` (Hz) at the rate and with the channels of the first."""
        if sample_rate != self._source_rate:
            yield from self.finish()
            if sample_rate != self._rate:
                self._resampler = soxr.ResampleStream(sample_rate, self._rate, self._channels, dtype="float32")
            self._source_rate = sample_rate
        if chunk.shape[1] != self._channels:
            chunk = np.repeat(chunk.mean(axis=1, keepdims=True, dtype=np.float32), self._channels, axis=1)
        yield chunk if self._resampler is None else self._resampled(chunk, False)

    def finish(self) -> Iterator[np.ndarray]:
        """Yield what a resampler still holds."""
        if self._resampler is not None:
            yield self._resampled(np.empty((0, self._channels), np.float32), True)
        self._resampler = None

    def _resampled(self, chunk: np.ndarray, last: bool) -> np.ndarray:
        return self._resampler.resample_chunk(np.ascontiguousarray(chunk), last).reshape(-1, self._channels)


class JoinedDecoder:
    """Decode recordings that stand one behind the other in a file, at the rate and with the channels of the first."""

    length_s = None

    def measured_s(self) -> float:
        return 0.0  # not asked for: no header tells the length of all parts

    def __init__(self, file: BinaryIO, offsets: list[int], label: str, decoding: Decoding) -> None:
        end = file.seek(0, os.SEEK_END)
        ends = [*offsets[1:], end]
        self._parts = [containers.Part(file, *span) for span in zip(offsets, ends, strict=True)]
        self._label, self._decoding = label, decoding
        self._first = self._decoder = _open_one(cast(BinaryIO, self._parts[0]), label, decoding)
        self.format, self.sample_rate, self.channels = self._first.format, self._first.sample_rate, self._first.channels
        self.slack_s, self.track, self.n_tracks = self._first.slack_s, self._first.track, self._first.n_tracks
        self.damaged = len(self._parts) > MOST_PARTS

    def chunks(self, n_frames: int) -> Iterator[np.ndarray]:
        converter = _Converter(self.sample_rate, self.channels)
        for decoder in self._decoders():
            for chunk in decoder.chunks(n_frames):
                yield from converter.convert(chunk, decoder.sample_rate)
            self.damaged |= decoder.damaged
        yield from converter.finish()

    def _decoders(self) -> Iterator[Decoder]:
        """Yield the decoders of the parts; one that cannot be opened is a damage, and the next one follows."""
        yield self._first
        for part in self._parts[1:MOST_PARTS]:
            self._decoder.close()
            try:
                self._decoder = open_decoder(cast(BinaryIO, part), self._label, self._decoding)
            except AudioError:
                self.damaged = True
            else:
                yield self._decoder

    def close(self) -> None:
        self._decoder.close()


def _undecodable(file: BinaryIO, label: str) -> AudioError:
    """Return the error for a file that no decoder opens, by its first bytes."""
    file.seek(0)
    head = file.read(64)
    name = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    name = "MP4/M4A" if head[4:8] == b"ftyp" else name
    if name:
        reason = f"this begins like {name}, but it is damaged or incomplete (0.0 s decoded)"
    elif _is_text(head):
        reason = "this is text, not sound"
    else:
        reason = f"not a known recording (it begins with the bytes {head[:4].hex(' ')})"
    return AudioError(f"{label}: {reason}. Accepted: {ACCEPTED}.")


def _is_text(head: bytes) -> bool:
    """Return whether bytes begin a text in UTF-8; its last character may be incomplete."""
    try:
        text = getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\r\n\ufeff" for character in text)
