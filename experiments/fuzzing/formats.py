"""Small recordings of every format that the decoders accept, from synthetic sound; the same bytes in every run."""

from __future__ import annotations

import functools
import io
import re
import struct

import av
import numpy as np
import soundfile as sf

SECONDS = 0.75  # enough for an answer after a damage in the middle
# Name: container and coder of libsndfile. Rates are 8 kHz, or 16 kHz where the coder needs it.
SNDFILE = {
    **{f"wav-{name}": ("WAV", name.upper()) for name in ("pcm_u8", "pcm_16", "pcm_24", "pcm_32", "float", "double")},
    **{f"wav-{name}": ("WAV", name.upper()) for name in ("ulaw", "alaw", "ms_adpcm", "ima_adpcm", "gsm610")},
    **{f"wav-{name}": ("WAV", name.upper()) for name in ("g721_32", "nms_adpcm_32")},
    **{f"wavex-{name}": ("WAVEX", name.upper()) for name in ("pcm_16", "float")},
    **{f"rf64-{name}": ("RF64", name.upper()) for name in ("pcm_16", "float")},
    **{f"w64-{name}": ("W64", name.upper()) for name in ("pcm_16", "ms_adpcm", "gsm610")},
    **{f"aiff-{name}": ("AIFF", name.upper()) for name in ("pcm_16", "float", "ima_adpcm", "gsm610", "dwvw_16")},
    **{f"au-{name}": ("AU", name.upper()) for name in ("pcm_16", "ulaw", "g721_32", "g723_24")},
    **{f"caf-{name}": ("CAF", name.upper()) for name in ("pcm_16", "alac_16")},
    **{f"{name.lower()}-pcm_16": (name, "PCM_16") for name in ("FLAC", "AVR", "HTK", "SVX", "MAT4", "MAT5", "MPC2K")},
    **{f"{name.lower()}-pcm_16": (name, "PCM_16") for name in ("NIST", "PAF", "PVF", "IRCAM", "VOC")},
    "wve-alaw": ("WVE", "ALAW"),
    "xi-dpcm_16": ("XI", "DPCM_16"),
    "mp3-vbr": ("MP3", "MPEG_LAYER_III"),
    "ogg-vorbis": ("OGG", "VORBIS"),
    "ogg-opus": ("OGG", "OPUS"),
}
# Name: container, coder and rate (Hz) of FFmpeg.
FFMPEG = {
    "mp3-cbr": ("mp3", "libmp3lame", 16_000),
    "wav-mp3": ("wav", "libmp3lame", 16_000),
    "m4a-aac": ("ipod", "aac", 16_000),
    "m4a-alac": ("ipod", "alac", 8_000),
    "mp4-fragments": ("mp4", "aac", 16_000),
    "mov-pcm": ("mov", "pcm_s16le", 8_000),
    "3gp-amr": ("3gp", "libopencore_amrnb", 8_000),
    "amr": ("amr", "libopencore_amrnb", 8_000),
    "adts-aac": ("adts", "aac", 16_000),
    "latm-aac": ("latm", "aac", 16_000),
    "webm-opus": ("webm", "libopus", 48_000),
    "mka-mp3": ("matroska", "libmp3lame", 16_000),
    "mka-pcm": ("matroska", "pcm_s16le", 8_000),
    "mka-flac": ("matroska", "flac", 8_000),
    "wma": ("asf", "wmav2", 16_000),
    "avi-mp3": ("avi", "libmp3lame", 16_000),
    "avi-pcm": ("avi", "pcm_s16le", 8_000),
    "flv-mp3": ("flv", "libmp3lame", 22_050),
    "flv-nellymoser": ("flv", "nellymoser", 8_000),
    "ts-aac": ("mpegts", "aac", 16_000),
    "ts-mp2": ("mpegts", "mp2", 16_000),
    "mpg-mp2": ("mpeg", "mp2", 16_000),
    "mp2": ("mp2", "mp2", 16_000),
    "ac3": ("ac3", "ac3", 32_000),
    "eac3": ("eac3", "eac3", 32_000),
    "wavpack": ("wv", "wavpack", 8_000),
    "tta": ("tta", "tta", 8_000),
    "ogg-flac": ("ogg", "flac", 8_000),
    "rm-144": ("rm", "real_144", 8_000),
    "caf-ima_qt": ("caf", "adpcm_ima_qt", 8_000),
}
FORMATS = (*SNDFILE, *FFMPEG)


@functools.cache
def encoded(name: str, seconds: float = SECONDS) -> bytes:
    """Return a recording of `FORMATS`."""
    return _by_ffmpeg(name, seconds) if name in FFMPEG else _by_sndfile(name, seconds)


def sound(seconds: float, rate: int) -> np.ndarray:
    """Make gliding harmonics in syllables, with a little noise; peak 0.5."""
    time_s = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (140 * time_s + 3 * np.sin(2 * np.pi * 0.7 * time_s))
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(time_s))
    samples = (0.55 + 0.45 * np.cos(2 * np.pi * 4 * time_s)) * (voice + noise)
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32)


def _by_sndfile(name: str, seconds: float) -> bytes:
    container, coder = SNDFILE[name]
    rate = 16_000 if container in ("MP3", "HTK") else 8_000
    file = io.BytesIO()
    mode = {"bitrate_mode": "VARIABLE", "compression_level": 0.5} if container == "MP3" else {}
    sf.write(file, sound(seconds, rate), rate, format=container, subtype=coder, **mode)
    return _without_time(with_checksums(file.getvalue(), serial=1) if container == "OGG" else file.getvalue())


def _without_time(data: bytes) -> bytes:
    """Clear when a file was written: in the chunk of the peak of float WAV and AIFF, in the title of MAT5."""
    if data.startswith(b"MATLAB"):
        return re.sub(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", b"2000-01-01 00:00:00", data, count=1)
    peak = data.find(b"PEAK") + 12
    return data[:peak] + bytes(4) + data[peak + 4 :] if peak > 12 else data


def _by_ffmpeg(name: str, seconds: float) -> bytes:
    kind, coder, rate = FFMPEG[name]
    options = {"fflags": "+bitexact"}  # no random identifiers, no dates
    if name == "mp4-fragments":
        options["movflags"] = "frag_keyframe+empty_moov+default_base_moof"
    file = io.BytesIO()
    with av.open(file, "w", format=kind, options=options) as container:
        stream = container.add_stream(coder, rate=rate, layout="mono")
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        if coder == "wmav2":  # which has no bit rate of its own
            stream.bit_rate = 32_000
        frame = av.AudioFrame.from_ndarray(sound(seconds, rate).reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.codec_context.format or "fltp", "mono", rate)
        for converted in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(converted))
        container.mux([packet for packet in stream.encode(None) if packet.size])  # FLAC ends with an empty one
    data = file.getvalue()
    return with_checksums(data, serial=1) if kind == "ogg" else data


# --- OGG: decoders drop pages whose checksum does not fit, so what lies behind them is reached with new ones only ---


def with_checksums(data: bytes, serial: int | None = None) -> bytes:
    """Return an OGG whose pages have the checksums of their bytes, and another serial number if it is given."""
    pages = bytearray(data)
    start = pages.find(b"OggS")
    while 0 <= start <= len(pages) - 27:
        n_segments = pages[start + 26]
        end = start + 27 + n_segments + sum(pages[start + 27 : start + 27 + n_segments])
        if serial is not None:
            pages[start + 14 : start + 18] = struct.pack("<I", serial)
        pages[start + 22 : start + 26] = bytes(4)
        pages[start + 22 : start + 26] = struct.pack("<I", _checksum(pages[start:end]))
        start = pages.find(b"OggS", start + 27)
    return bytes(pages)


@functools.cache
def _checksums() -> tuple[int, ...]:
    table = []
    for value in range(256):
        rest = value << 24
        for _ in range(8):
            rest = (rest << 1 ^ (0x04C11DB7 if rest & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(rest)
    return tuple(table)


def _checksum(page: bytes) -> int:
    table, rest = _checksums(), 0
    for byte in page:
        rest = (rest << 8 ^ table[(rest >> 24) ^ byte]) & 0xFFFFFFFF
    return rest
