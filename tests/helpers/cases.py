"""Recordings of the kinds that people met in public bug reports, made from synthetic sound with soundfile and PyAV.

`CASES` says of each what its answer must be.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import av
import numpy as np
import soundfile as sf
import soxr
from golden.make import RATE, voice

S = 1.6  # seconds of one voice, and of the three that are joined
ONE, TWO, THREE = voice(S), voice(1.2, 200.0, 2), voice(1.4, 110.0, 3)
JOINED_S = S + 1.2 + 1.4
PAUSE = np.zeros(RATE // 2, np.float32)
TALK = np.concatenate([ONE, PAUSE, TWO])
TALK_S = len(TALK) / RATE
Sound = np.ndarray


@dataclass(frozen=True)
class Case:
    """What a recording gives: `seconds` of sound with or without `cut_off`, or a refusal that holds `refusal`.

    `timeline_s` is how long its timeline is, if the file's times have gaps. `ffmpeg_s` is what FFmpeg decodes, if that
    is not what the file holds.
    """

    make: Callable[[], bytes]
    seconds: float = S
    cut_off: bool = False
    refusal: str = ""
    timeline_s: float | None = None
    ffmpeg_s: float | None = None


# --- Encoders ---


class _Pipe:
    """A file that cannot be sought in: sizes are never filled in."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> int:
        self.content += data
        return len(data)

    def getvalue(self) -> bytes:
        return bytes(self.content)


def by_sndfile(sound: Sound, format: str, subtype: str | None = None, rate: int = RATE, **options: Any) -> bytes:
    """Encode (n,) or (n, channels) at 16 kHz with libsndfile, at `rate` in Hz."""
    file = io.BytesIO()
    sf.write(file, at_rate(sound, rate), rate, format=format, subtype=subtype, **options)
    return file.getvalue()


def by_ffmpeg(
    sound: Sound,
    format: str,
    codec: str,
    rate: int = RATE,
    *,
    layout: str = "mono",
    pipe: bool = False,
    coding: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    **options: str,
) -> bytes:
    """Encode (n,) at 16 kHz with FFmpeg, at `rate` in Hz, into every channel of `layout`.

    `options` are those of the container, `coding` those of the coder.
    """
    file: Any = _Pipe() if pipe else io.BytesIO()
    with av.open(file, "w", format=format, options=options) as box:
        stream = audio_stream(box, codec, rate, layout, coding or {})
        stream.metadata.update(tags or {})
        box.mux(packets(stream, sound))
    return file.getvalue()


def audio_stream(
    box: Any, codec: str, rate: int = RATE, layout: str = "mono", coding: dict[str, str] | None = None
) -> Any:
    stream = box.add_stream(codec, rate=rate, layout=layout, options=coding or {})
    if codec.startswith("wma") or codec == "g723_1":  # which have no bit rate of their own
        stream.bit_rate = 6_300 if codec == "g723_1" else 64_000
    return stream


def packets(stream: Any, sound: Sound, start_s: float = 0.0) -> list[Any]:
    """Encode (n,) at 16 kHz for a stream, with times from `start_s` on."""
    rate, layout = stream.rate, stream.layout.name
    frame = av.AudioFrame.from_ndarray(at_rate(sound, rate).reshape(1, -1), format="flt", layout="mono")
    frame.sample_rate, frame.pts = rate, round(start_s * rate)
    resampler = av.AudioResampler(format=stream.codec_context.format or "fltp", layout=layout, rate=rate)
    made = [packet for f in (*resampler.resample(frame), *resampler.resample(None)) for packet in stream.encode(f)]
    return [packet for packet in (*made, *stream.encode(None)) if packet.size]


def at_rate(sound: Sound, rate: int) -> Sound:
    return np.ascontiguousarray(sound if rate == RATE else soxr.resample(sound, RATE, rate), np.float32)


def picture(box: Any, seconds: float, codec: str = "mpeg4") -> list[Any]:
    """Add a stream of black pictures, and return its packets."""
    stream = box.add_stream(codec, rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    frames = []
    for number in range(round(10 * seconds)):
        frame = av.VideoFrame.from_ndarray(np.full((96, 64), 128, np.uint8), format="yuv420p")
        frame.pts = number
        frames.append(frame)
    return [packet for frame in (*frames, None) for packet in stream.encode(frame)]


# --- MP3 ---


@cache
def vbr(sound_index: int = 0) -> bytes:
    """Return one of the three voices as MP3 of variable bit rate, with a Xing header."""
    sound = (ONE, TWO, THREE)[sound_index]
    return by_sndfile(sound, "MP3", rate=44_100, bitrate_mode="VARIABLE", compression_level=0.5)


@cache
def no_xing(rate: int = 44_100, layout: str = "mono") -> bytes:
    """Return an MP3 without any header."""
    return by_ffmpeg(ONE, "mp3", "libmp3lame", rate, layout=layout, write_xing="0", id3v2_version="0")


def with_xing_frames(share: float) -> bytes:
    """Return an MP3 whose Xing header says that it has `share` of its frames."""
    data = bytearray(vbr())
    at = data.index(b"Xing") + 8
    frames = struct.unpack(">I", data[at : at + 4])[0]
    data[at : at + 4] = struct.pack(">I", round(share * frames))
    return bytes(data)


def cut_with_xing() -> bytes:
    """Return the first quarter of a longer MP3, with the header of all of it."""
    data = by_sndfile(np.tile(ONE, 4), "MP3", rate=44_100, bitrate_mode="VARIABLE", compression_level=0.5)
    return data[: len(data) // 4]


def id3(size: int, flags: int = 0, version: int = 3) -> bytes:
    """Return the header of an ID3 tag of `size` bytes."""
    sizes = bytes((size >> shift) & 127 for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, flags]) + sizes


def cover(size: int) -> bytes:
    """Return an ID3 tag with a picture of `size` bytes."""
    frame = b"APIC" + struct.pack(">I", size) + b"\0\0" + b"\0image/jpeg\0\3\0" + bytes(size - 14)
    return id3(len(frame)) + frame


def id3_footer() -> bytes:
    return id3(1024, 0x10, 4) + bytes(1024) + b"3DI" + id3(1024, 0x10, 4)[3:] + no_xing()


# --- OGG ---


def chained(subtype: str, *rates: int) -> bytes:
    """Return the three voices as OGG, one behind the other."""
    sounds = (ONE, TWO, THREE)
    if subtype == "FLAC":
        return b"".join(by_ffmpeg(sound, "ogg", "flac") for sound in sounds)
    rates = rates or (16_000,) * 3
    return b"".join(by_sndfile(sound, "OGG", subtype, rate) for sound, rate in zip(sounds, rates, strict=True))


def with_picture(format: str, audio: str, rate: int = RATE, *, video: str = "mpeg4") -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=format) as box:
        seen = picture(box, S, video)
        for packet in _in_time(seen + packets(audio_stream(box, audio, rate), ONE)):
            box.mux(packet)
    return file.getvalue()


def silence_left_out() -> bytes:
    """Return Opus with discontinuous transmission, as browsers and telephones send it."""
    sound = np.concatenate([ONE, np.zeros(4 * RATE, np.float32), TWO])
    return by_ffmpeg(sound, "ogg", "libopus", 48_000, coding={"dtx": "1", "application": "voip"})


def _in_time(packets: list[Any]) -> list[Any]:
    return sorted(packets, key=lambda packet: float(packet.dts * packet.time_base) if packet.dts else 0.0)


# --- WAV ---


def pcm(sound: Sound = ONE) -> bytes:
    return (sound * 32767).astype("<i2").tobytes()


def chunk(name: bytes, body: bytes, *, padded: bool = True) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2 and padded)


def riff(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


FORMAT = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
FMT, DATA = chunk(b"fmt ", FORMAT), chunk(b"data", pcm())
LIST = chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"Recorder"))


def wav(sound: Sound = ONE, subtype: str = "PCM_16", rate: int = RATE) -> bytes:
    return by_sndfile(sound, "WAV", subtype, rate)


def wav_by_ffmpeg(codec: str, rate: int = RATE, *, pipe: bool = False, **options: str) -> bytes:
    return by_ffmpeg(ONE, "wav", codec, rate, pipe=pipe, **options)


def sized(size: int, riff_size: int | None = None) -> bytes:
    """Return a WAV whose chunk of samples says that it has `size` bytes, as recorders that died leave it."""
    all_size = struct.pack("<I", (36 + size) % 2**32 if riff_size is None else riff_size)
    return b"RIFF" + all_size + b"WAVE" + FMT + b"data" + struct.pack("<I", size) + pcm()


def short_size_0() -> bytes:
    """Return half a second of 8 bits at 8 kHz, less than 4,096 bytes, with a size of 0."""
    sound = (at_rate(ONE[:8000], 8_000) * 127 + 128).astype("u1").tobytes()
    header = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8_000, 8_000, 1, 8))
    return b"RIFF" + bytes(4) + b"WAVE" + header + b"data" + bytes(4) + sound


def in_32_bits() -> bytes:
    """Return 24 bits in containers of 32 (WAVE_FORMAT_EXTENSIBLE)."""
    kind = bytes.fromhex("0100000000001000800000aa00389b71")
    header = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 4 * RATE, 4, 32, 22, 24, 4) + kind
    return riff(chunk(b"fmt ", header), chunk(b"data", ((ONE * 8388607).astype("<i4") << 8).tobytes()))


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def wav_with_tags_behind_a_pipe() -> bytes:
    """Return a WAV without sizes, behind whose samples stand 9,000 bytes of tags."""
    tags = chunk(b"LIST", b"INFO" + chunk(b"ICMT", bytes(range(256)) * 35 + bytes(40)))
    return b"RIFF" + b"\xff" * 4 + b"WAVE" + FMT + b"data" + b"\xff" * 4 + pcm() + tags


# --- MP4, Matroska, WebM, FLAC ---


def late(format: str, audio: str, start_s: float, rate: int = RATE, *, video: str = "mpeg4") -> bytes:
    """Return a film whose sound starts `start_s` seconds behind the picture."""
    file = io.BytesIO()
    with av.open(file, "w", format=format) as box:
        seen = picture(box, start_s + 1, video)
        heard = packets(audio_stream(box, audio, rate), ONE, start_s)
        for packet in _in_time(seen + heard):
            box.mux(packet)
    return file.getvalue()


def two_tracks(format: str = "mp4", first: Sound = 0 * ONE, second: Sound = ONE) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=format) as box:
        streams = [audio_stream(box, "aac") for _ in range(2)]
        for packet in _in_time([*packets(streams[0], first), *packets(streams[1], second)]):
            box.mux(packet)
    return file.getvalue()


@cache
def take() -> bytes:
    return by_ffmpeg(TALK, "ipod", "aac")


def edited(start_s: float, length_s: float) -> bytes:
    """Return a take of which the edit list plays `length_s` seconds: trimmed on a phone, without a loss."""
    data = bytearray(take())
    at = data.index(b"mvhd")
    scale = struct.unpack(">I", data[at + 16 : at + 20])[0]
    length = struct.pack(">I", round(length_s * scale))
    data[at + 20 : at + 24] = length
    at = data.index(b"tkhd") + 24
    data[at : at + 4] = length
    at = data.index(b"mdhd")
    media = struct.unpack(">I", data[at + 16 : at + 20])[0]
    at = data.index(b"elst")
    data[at + 12 : at + 20] = length + struct.pack(">i", round(start_s * media))
    return bytes(data)


def opus(format: str, sound: Sound = TALK, *, gap_at_s: float = 1e9, gap_s: float = 0.0, pipe: bool = False) -> bytes:
    """Return Opus in Matroska or WebM; behind `gap_at_s` the times jump by `gap_s`."""
    file: Any = _Pipe() if pipe else io.BytesIO()
    with av.open(file, "w", format=format, options={"live": "1"} if pipe else {}) as box:
        for packet in packets(audio_stream(box, "libopus", 48_000), sound):
            if packet.pts is not None and packet.pts * packet.time_base > gap_at_s:
                shift = round(gap_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            box.mux(packet)
    return file.getvalue()


def webm_2s_too_long() -> bytes:
    """Return a WebM whose duration is that of the page's clock."""
    data = opus("webm")
    at = data.index(b"\x44\x89\x88") + 3
    return patched(data, at, struct.pack(">d", struct.unpack(">d", data[at : at + 8])[0] + 2000))


def flac_with_total(factor: int) -> bytes:
    """Return a FLAC whose header says `factor` times the number of its samples."""
    data = by_sndfile(ONE, "FLAC")
    number = int.from_bytes(data[21:26], "big")
    total = number & (2**36 - 1)
    return patched(data, 21, (number - total + factor * total).to_bytes(5, "big"))


def joined(format: str, codec: str, rate: int = RATE, **options: Any) -> bytes:
    return b"".join(by_ffmpeg(sound, format, codec, rate, **options) for sound in (ONE, TWO, THREE))


def joined_by_sndfile(format: str, subtype: str | None = None) -> bytes:
    return b"".join(by_sndfile(sound, format, subtype) for sound in (ONE, TWO, THREE))


# --- Channels and signals ---


def stereo(left: Sound, right: Sound) -> bytes:
    return wav(np.stack([left, right], 1))


def a_call() -> bytes:
    """Return a call of two people, one on each channel, who speak in turn."""
    pause = np.zeros_like(PAUSE)
    left = np.concatenate([ONE, pause, 0 * TWO])
    return stereo(left, np.concatenate([0 * ONE, pause, TWO]))


def pop() -> Sound:
    """Return 0.1 s with a pop of full scale, as when a microphone opens."""
    sound = np.zeros(1600, np.float32)
    sound[200:280] = np.sign(np.sin(np.arange(80) / 6))
    return sound


NO_SOUND = "this is text, not sound"
UNKNOWN = "not a known recording"


def _of(function: Callable[..., bytes], *arguments: Any, **options: Any) -> Callable[[], bytes]:
    return partial(function, *arguments, **options)


MP3 = {
    "mp3-vbr.mp3": Case(vbr),
    "mp3-cbr.mp3": Case(_of(by_sndfile, ONE, "MP3", rate=44_100, bitrate_mode="CONSTANT")),
    "mp3-no-xing.mp3": Case(no_xing, 1.646),
    "mp3-joined-vbr.mp3": Case(lambda: vbr(0) + vbr(1) + vbr(2), 4.337),
    "mp3-joined-silence-first.mp3": Case(
        lambda: by_sndfile(0 * TWO, "MP3", rate=44_100, bitrate_mode="VARIABLE", compression_level=0.5) + vbr(), 2.875
    ),
    "mp3-joined-rates.mp3": Case(lambda: no_xing(24_000) + no_xing(44_100, "stereo"), 3.322),
    "mp3-joined-other-rate-xing.mp3": Case(lambda: by_sndfile(ONE, "MP3", rate=22_050) + vbr(1), 2.901),
    "mp3-cut-keeps-xing.mp3": Case(cut_with_xing, 1.542, cut_off=True),
    "mp3-xing-0-frames.mp3": Case(lambda: with_xing_frames(0)),
    "mp3-xing-half-the-frames.mp3": Case(lambda: with_xing_frames(0.5)),
    "mp3-xing-of-a-longer-file.mp3": Case(lambda: with_xing_frames(100)),
    "mp3-no-xing-id3-padding.mp3": Case(lambda: id3(1024) + bytes(1024) + bytes(500) + no_xing(), 1.646),
    "mp3-no-xing-id3-footer.mp3": Case(id3_footer, 1.646),
    "mp3-no-xing-two-id3.mp3": Case(lambda: 2 * (id3(1024) + bytes(1024)) + no_xing(), 1.646),
    "mp3-no-xing-zeros.mp3": Case(lambda: bytes(200) + no_xing(), 1.646),
    "mp3-id3v1-behind.mp3": Case(lambda: vbr() + b"TAG" + bytes(125)),
    "mp3-cover-3mb.mp3": Case(lambda: cover(3 * 2**20) + vbr()),
    "plain.mp2": Case(_of(by_ffmpeg, ONE, "mp2", "mp2", 44_100)),
}
OGG = {
    "ogg-vorbis.ogg": Case(_of(by_sndfile, ONE, "OGG", "VORBIS")),
    "ogg-opus.opus": Case(_of(by_sndfile, ONE, "OGG", "OPUS")),
    "ogg-flac.oga": Case(_of(by_ffmpeg, ONE, "ogg", "flac")),
    "ogg-chained-vorbis.ogg": Case(_of(chained, "VORBIS"), JOINED_S),
    "ogg-chained-opus.opus": Case(_of(chained, "OPUS"), JOINED_S),
    "ogg-chained-flac.oga": Case(_of(chained, "FLAC"), JOINED_S),
    "ogg-chained-rates.ogg": Case(_of(chained, "VORBIS", 16_000, 44_100, 8_000), JOINED_S, ffmpeg_s=0),
    "ogg-video.ogv": Case(_of(with_picture, "ogg", "libopus", 48_000, video="libvpx")),
    "ogg-cover.opus": Case(
        _of(by_ffmpeg, ONE, "ogg", "libopus", 48_000, tags={"METADATA_BLOCK_PICTURE": "A" * 400_000})
    ),
    "opus-silence.opus": Case(silence_left_out, S + 5.2),
}
WAV = {
    "wav-s16.wav": Case(wav),
    "wav-u8.wav": Case(_of(wav, subtype="PCM_U8")),
    "wav-s24.wav": Case(_of(wav, subtype="PCM_24")),
    "wav-s32.wav": Case(_of(wav, subtype="PCM_32")),
    "wav-f32.wav": Case(_of(wav, subtype="FLOAT")),
    "wav-f64.wav": Case(_of(wav, subtype="DOUBLE")),
    "wav-mulaw.wav": Case(_of(wav, subtype="ULAW")),
    "wav-alaw.wav": Case(_of(wav, subtype="ALAW")),
    "wav-adpcm-ms.wav": Case(_of(wav, subtype="MS_ADPCM"), 1.645),
    "wav-adpcm-ima.wav": Case(_of(wav, subtype="IMA_ADPCM"), 1.653),
    "wav-gsm.wav": Case(_of(wav, subtype="GSM610", rate=8_000)),
    "wav-g721.wav": Case(_of(wav, subtype="G721_32", rate=8_000)),
    **{
        f"wav-nms-{n}.wav": Case(_of(wav, subtype=f"NMS_ADPCM_{n}", rate=8_000), ffmpeg_s=ffmpeg_s)
        for n, ffmpeg_s in ((16, 3.34), (24, 4.92), (32, 6.6))  # which takes it for another ADPCM
    },
    "wav-g726.wav": Case(_of(wav_by_ffmpeg, "g726", 8_000)),
    "wav-g723.wav": Case(_of(wav_by_ffmpeg, "g723_1", 8_000)),
    "wav-mp3.wav": Case(_of(wav_by_ffmpeg, "libmp3lame"), 1.692),
    "wav-aac.wav": Case(_of(wav_by_ffmpeg, "aac"), 1.664),
    "wav-rf64.wav": Case(_of(wav_by_ffmpeg, "pcm_s16le", rf64="always")),
    "wav-bw64.wav": Case(lambda: b"BW64" + wav_by_ffmpeg("pcm_s16le", rf64="always")[4:]),
    "wav-rifx.wav": Case(_of(by_sndfile, ONE, "WAV", "PCM_16", endian="BIG")),
    **{
        f"wav-pipe-{name}.wav": Case(_of(wav_by_ffmpeg, codec, pipe=True), seconds)
        for name, codec, seconds in (
            *(("s16", "pcm_s16le", S), ("f32", "pcm_f32le", S), ("s24", "pcm_s24le", S), ("u8", "pcm_u8", S)),
            *(("mulaw", "pcm_mulaw", S), ("alaw", "pcm_alaw", S)),
            *(("adpcm-ms", "adpcm_ms", 1.654), ("adpcm-ima", "adpcm_ima_wav", 1.658)),
        )
    },
    "wav-id3-front.wav": Case(lambda: id3(20) + bytes(20) + wav(), ffmpeg_s=0),
    "wav-odd-chunk.wav": Case(lambda: riff(FMT, chunk(b"note", b"abc"), DATA)),
    "wav-odd-chunk-unpadded.wav": Case(
        lambda: riff(FMT, chunk(b"note", b"abc", padded=False), DATA), refusal="begins like WAV, but it is damaged"
    ),
    "wav-apple-fllr.wav": Case(lambda: riff(FMT, chunk(b"FLLR", bytes(4044)), DATA)),
    "wav-junk-first.wav": Case(lambda: riff(chunk(b"JUNK", bytes(28)), FMT, DATA)),
    "wav-list-behind.wav": Case(lambda: riff(FMT, DATA, LIST)),
    "wav-pipe-list-behind.wav": Case(wav_with_tags_behind_a_pipe, S + 9020 / 32_000),
    "wav-ext-24in32.wav": Case(in_32_bits),
    "wav-two-data-chunks.wav": Case(
        lambda: riff(FMT, chunk(b"data", pcm()[: len(pcm()) // 2]), chunk(b"data", pcm()[len(pcm()) // 2 :])), S / 2
    ),
    "wav-size-of-first-flush.wav": Case(_of(sized, 32_000), 1.0),
    "wav-size-0.wav": Case(_of(sized, 0)),
    "wav-size-0-short.wav": Case(short_size_0, 0.5),
    "wav-size-minus-1.wav": Case(_of(sized, 2**32 - 1)),
    "wav-riff-size-0.wav": Case(_of(sized, len(pcm()), 0)),
    "wav-wrong-rate.wav": Case(lambda: patched(wav(), 24, struct.pack("<I", 44_100)), S * 16_000 / 44_100),
    "wav-fmt-14.wav": Case(lambda: riff(chunk(b"fmt ", FORMAT[:14]), DATA), 2 * S),
    "wav-fmt-18.wav": Case(lambda: riff(chunk(b"fmt ", FORMAT + bytes(2)), DATA)),
    "wav-fmt-50.wav": Case(lambda: riff(chunk(b"fmt ", FORMAT + bytes(34)), DATA)),
    "wav-fmt-after-data.wav": Case(lambda: riff(DATA, FMT)),
    "wav-fmt-blockalign-0.wav": Case(lambda: riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 0, 0, 16)), DATA)),
    "joined.wav": Case(_of(joined_by_sndfile, "WAV", "PCM_16"), JOINED_S, ffmpeg_s=S),
    **{f"wav-rate-{rate}.wav": Case(_of(wav, rate=rate)) for rate in (8_000, 11_025, 12_000, 22_254, 37_800, 176_400)},
    **{
        f"wav-rate-{rate}.wav": Case(_of(wav, rate=rate), refusal="accepted are 8,000 to 192,000 Hz. Resample it")
        for rate in (4_000, 6_000, 7_350, 384_000)
    },
    "wav-channels-10.wav": Case(
        lambda: wav(np.stack([ONE] * 10, 1)), refusal="10 channels; accepted are 1 to 8. Mix it down"
    ),
}
OTHERS = {
    "aiff.aiff": Case(_of(by_sndfile, ONE, "AIFF")),
    "aiff-pipe.aiff": Case(_of(by_ffmpeg, ONE, "aiff", "pcm_s16be", pipe=True), ffmpeg_s=0),
    "au.au": Case(_of(by_sndfile, ONE, "AU", "PCM_16")),
    "au-pipe.au": Case(_of(by_ffmpeg, ONE, "au", "pcm_s16be", pipe=True)),
    "au-g723-24.au": Case(_of(by_sndfile, ONE, "AU", "G723_24", 8_000)),
    "au-g723-40.au": Case(_of(by_sndfile, ONE, "AU", "G723_40", 8_000)),
    "xi-dpcm-8.xi": Case(_of(by_sndfile, ONE, "XI", "DPCM_8", 44_100), ffmpeg_s=0),
    "xi-dpcm-16.xi": Case(_of(by_sndfile, ONE, "XI", "DPCM_16", 44_100), ffmpeg_s=0),
    "nist.sph": Case(_of(by_sndfile, ONE, "NIST", "PCM_16")),
    "voc.voc": Case(_of(by_sndfile, ONE, "VOC", "PCM_16")),
    "caf-ima4.caf": Case(_of(by_ffmpeg, ONE, "caf", "adpcm_ima_qt")),
    "w64-pipe.w64": Case(_of(by_ffmpeg, ONE, "w64", "pcm_s16le", pipe=True), ffmpeg_s=0),
    "flac.flac": Case(_of(by_sndfile, ONE, "FLAC")),
    "flac-pipe.flac": Case(_of(by_ffmpeg, ONE, "flac", "flac", pipe=True)),
    "flac-id3.flac": Case(lambda: id3(1024) + bytes(1024) + by_sndfile(ONE, "FLAC")),
    "flac-total-twice.flac": Case(_of(flac_with_total, 2)),
    "flac-total-0.flac": Case(_of(flac_with_total, 0)),
    "joined.aiff": Case(_of(joined_by_sndfile, "AIFF"), JOINED_S, ffmpeg_s=S),
    "joined.rf64": Case(_of(joined_by_sndfile, "RF64", "PCM_16"), JOINED_S, ffmpeg_s=S),
    "joined.caf": Case(_of(joined_by_sndfile, "CAF", "PCM_16"), JOINED_S, ffmpeg_s=S),
    "joined-alac.caf": Case(_of(joined_by_sndfile, "CAF", "ALAC_16"), JOINED_S, ffmpeg_s=S),
    "joined.au": Case(_of(joined_by_sndfile, "AU", "PCM_16"), JOINED_S),
    "joined.tta": Case(_of(joined, "tta", "tta"), JOINED_S, ffmpeg_s=S),
    "joined.wma": Case(_of(joined, "asf", "wmav2"), 4.128, ffmpeg_s=1.568),
    "joined.flac": Case(_of(joined_by_sndfile, "FLAC"), JOINED_S),
    "joined.webm": Case(lambda: b"".join(opus("webm", sound) for sound in (ONE, TWO, THREE)), JOINED_S, ffmpeg_s=2.807),
    "joined.mp4": Case(_of(joined, "mp4", "aac"), JOINED_S, ffmpeg_s=S),
    "joined.aac": Case(_of(joined, "adts", "aac"), 4.416),
    "joined.amr": Case(_of(joined, "amr", "libopencore_amrnb", 8_000), 4.26, ffmpeg_s=3.9),
    "adts.aac": Case(_of(by_ffmpeg, ONE, "adts", "aac"), 1.664),
    "adts-id3.aac": Case(lambda: id3(256, version=4) + bytes(256) + by_ffmpeg(ONE, "adts", "aac"), 1.664),
    "phone.amr": Case(_of(by_ffmpeg, ONE, "amr", "libopencore_amrnb", 8_000)),
    "phone.3ga": Case(_of(by_ffmpeg, ONE, "3gp", "libopencore_amrnb", 8_000)),
    "plain.ac3": Case(_of(by_ffmpeg, ONE, "ac3", "ac3", 44_100)),
    "plain.avi": Case(_of(by_ffmpeg, ONE, "avi", "libmp3lame"), 1.692),
    "film.avi": Case(_of(with_picture, "avi", "libmp3lame"), 1.692),
    "plain.flv": Case(_of(by_ffmpeg, ONE, "flv", "libmp3lame", 44_100), 1.646),
    "plain.wma": Case(_of(by_ffmpeg, ONE, "asf", "wmav2"), 1.568),
    "plain.tta": Case(_of(by_ffmpeg, ONE, "tta", "tta")),
    "plain.wv": Case(_of(by_ffmpeg, ONE, "wv", "wavpack")),
    "plain.mov": Case(_of(by_ffmpeg, ONE, "mov", "aac")),
    "ts-aac.ts": Case(_of(by_ffmpeg, ONE, "mpegts", "aac"), 1.664),
    "ts-mp2.ts": Case(_of(by_ffmpeg, ONE, "mpegts", "mp2"), 1.656),
    "film.ts": Case(_of(with_picture, "mpegts", "mp2", video="mpeg2video"), 1.656),
    "ps.mpg": Case(_of(by_ffmpeg, ONE, "mpeg", "mp2", 44_100)),
    "film.vob": Case(_of(with_picture, "vob", "mp2", 48_000, video="mpeg2video")),
}
MP4 = {
    "aac.m4a": Case(_of(by_ffmpeg, ONE, "ipod", "aac")),
    "alac.m4a": Case(_of(by_ffmpeg, ONE, "ipod", "alac")),
    "m4a-edit-list.m4a": Case(_of(edited, 0.6, 2.0), 2.0),
    "mp4-sound-starts-at-5s.mp4": Case(_of(late, "mp4", "aac", 5.0), 1.664, timeline_s=6.664),
    "mp4-two-tracks-first-silent.mp4": Case(two_tracks),
    "mp4-fragments.mp4": Case(
        _of(by_ffmpeg, ONE, "mp4", "aac", movflags="frag_keyframe+empty_moov+default_base_moof"), 1.664
    ),
}
MATROSKA = {
    "plain.mka": Case(_of(opus, "matroska"), TALK_S),
    "mka-gap-20s.mka": Case(_of(opus, "matroska", gap_at_s=S + 0.25, gap_s=20.0), TALK_S, timeline_s=TALK_S + 20),
    "mkv-pipe.mkv": Case(_of(opus, "matroska", pipe=True), TALK_S),
    "webm-plain.webm": Case(_of(opus, "webm"), TALK_S),
    "webm-browser.webm": Case(_of(opus, "webm", pipe=True), TALK_S),
    "webm-duration-2s-too-long.webm": Case(webm_2s_too_long, TALK_S),
    "film.webm": Case(_of(with_picture, "webm", "libopus", 48_000, video="libvpx")),
}
SIGNALS = {
    "stereo-antiphase.wav": Case(_of(stereo, ONE, -ONE)),
    "stereo-left-only.wav": Case(_of(stereo, ONE, 0 * ONE)),
    "call-two-channels.wav": Case(a_call, TALK_S),
    "dc-only.wav": Case(lambda: wav(np.full(3 * RATE, 0.05, np.float32)), 3.0),
    "dc-voice.wav": Case(lambda: wav(0.5 * ONE + 0.1)),
    "pop-voice.wav": Case(lambda: wav(np.concatenate([pop(), 0.1 * ONE])), S + 0.1),
    "gap-5s.wav": Case(lambda: wav(np.concatenate([ONE, np.zeros(5 * RATE, np.float32), ONE])), 2 * S + 5),
    "click-then-nothing.wav": Case(lambda: wav(np.concatenate([np.zeros(RATE), [0.8, -0.8], np.zeros(2 * RATE)])), 3.0),
    "two-at-once.wav": Case(lambda: wav((ONE + np.resize(TWO, len(ONE))) / 2)),
}
REFUSED = {
    "error-page.wav": Case(lambda: b"<!DOCTYPE html><html><body>403 Forbidden</body></html>", refusal=NO_SOUND),
    "lfs-pointer.wav": Case(
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 124970\n", refusal=NO_SOUND
    ),
    "text.wav": Case(lambda: b"Dear diary, today I was happy.\n" * 9, refusal=NO_SOUND),
    "empty.wav": Case(lambda: b"", refusal="the file is empty (0 bytes)"),
    "zip.wav": Case(lambda: b"PK\3\4" + bytes(100), refusal=UNKNOWN),
    "raw.pcm": Case(lambda: bytes(64) + pcm(), refusal=UNKNOWN),
    "raw.gsm": Case(lambda: b"\xd8\x20\xa2\xe1\x5a" + bytes(28) * 80, refusal=UNKNOWN),
    "raw.g722": Case(_of(by_ffmpeg, ONE, "g722", "g722"), refusal=UNKNOWN),
    "wechat.silk": Case(lambda: b"\x02#!SILK_V3" + bytes(range(256)) * 12, refusal=UNKNOWN),
}
CASES: dict[str, Case] = {**MP3, **OGG, **WAV, **OTHERS, **MP4, **MATROSKA, **SIGNALS, **REFUSED}


@cache
def made(name: str) -> bytes:
    """Return a recording of `CASES`."""
    return CASES[name].make()
