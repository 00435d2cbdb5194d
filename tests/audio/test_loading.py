"""Loading recordings: every format, every refusal, every kind of damage, and the limits under hostile headers."""

from __future__ import annotations

import functools
import io
import os
import struct
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr

from ser.audio.decoders import DEMUXERS
from ser.audio.files import SOUND_ENDINGS, sound_files
from ser.audio.loading import MAX_BYTES, MAX_TIMELINE_S, load_waveform, open_recording
from ser.types import AudioError, ParameterError

SUBTYPES = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("AIFF", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]


@functools.cache
def speech(seconds: float = 2.0, rate: int = 16_000) -> np.ndarray:
    """Make three bursts of low-passed noise a second, peak 0.5: as uneven as speech, and robust to every coder."""
    rng = np.random.default_rng(7)
    t = np.arange(round(seconds * rate)) / rate
    noise = np.convolve(rng.standard_normal(len(t)), np.hanning(rate // 1000), mode="same")
    sound = noise * np.sin(1.5 * 2 * np.pi * t) ** 2
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def encode(samples: np.ndarray, rate: int = 16_000, format: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def encode_av(
    samples: np.ndarray, path: Path, format: str, codec: str, rate: int = 48_000, layout: str = "mono", **options: str
) -> bytes:
    """Encode with FFmpeg; through a file, since an MP4's index at the front needs one."""
    import av

    with av.open(str(path), "w", format=format, options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if codec == "wmav2":  # which has no bit rate of its own
            stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.codec_context.format or "fltp", layout=layout, rate=rate)
        for converted in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path.read_bytes()


AV_KINDS = {
    "m4a": ("ipod", "aac", {"movflags": "faststart"}),
    "alac": ("ipod", "alac", {"movflags": "faststart"}),
    "mp4 in fragments": ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "adts": ("adts", "aac", {}),
    "webm": ("webm", "libopus", {}),
    "webm of a browser": ("webm", "libopus", {"live": "1"}),
    "ogg opus": ("ogg", "libopus", {}),
    "mp3": ("mp3", "libmp3lame", {}),
    "mp3 without length": ("mp3", "libmp3lame", {"write_xing": "0"}),
}


def make(kind: str, tmp_path: Path, seconds: float = 3.0) -> bytes:
    """Encode bursts of `seconds` in any of the formats, at 48 kHz."""
    sound = speech(seconds, 48_000)
    if kind in AV_KINDS:
        container, codec, options = AV_KINDS[kind]
        return encode_av(sound, tmp_path / "made", container, codec, **options)
    return encode(sound, 48_000, *kind.split("/"))


def best_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest correlation over shifts within 0.1 s at 16 kHz: coders may delay."""
    n = min(len(a), len(b))
    spectrum = np.fft.rfft(a[:n], 2 * n) * np.conj(np.fft.rfft(b[:n], 2 * n))
    near = np.r_[np.fft.irfft(spectrum)[:1600], np.fft.irfft(spectrum)[-1600:]]
    return float(near.max() / np.sqrt(np.dot(a[:n], a[:n]) * np.dot(b[:n], b[:n])))


# --- Formats ---


@pytest.mark.slow
@pytest.mark.parametrize(("format", "subtype"), SUBTYPES)
def test_soundfile_formats(format, subtype):
    sound = speech()
    waveform = load_waveform(encode(sound, 16_000, format, subtype))
    assert waveform.samples.dtype == np.float32 and waveform.samples.ndim == 1
    assert waveform.sample_rate == 16_000 and abs(waveform.duration_s - 2) < 0.05
    lossless = subtype.startswith("PCM") or subtype in ("FLOAT", "DOUBLE")
    tolerance = 2**-7 if subtype == "PCM_U8" else 2**-14
    if lossless:
        np.testing.assert_allclose(waveform.samples, sound, atol=tolerance)
    assert best_correlation(waveform.samples, sound) > (0.995 if lossless else 0.9)
    assert not waveform.cut_off and not waveform.clipped


@pytest.mark.slow
@pytest.mark.parametrize("kind", AV_KINDS)
def test_pyav_formats(kind, tmp_path):
    waveform = load_waveform(make(kind, tmp_path))
    assert abs(waveform.duration_s - 3) < 0.1
    assert not waveform.cut_off and not waveform.clipped
    assert best_correlation(waveform.samples, soxr.resample(speech(3, 48_000), 48_000, 16_000)) > 0.9


# The container, the coder and the rate with which a file of each ending is made.
ENDINGS = {
    **dict.fromkeys((".m4a", ".m4b", ".m4r"), ("ipod", "aac", 48_000)),
    **dict.fromkeys((".ogg", ".oga", ".ogx", ".ogm", ".opus"), ("ogg", "libopus", 48_000)),
    **dict.fromkeys((".aif", ".aiff", ".aifc"), ("aiff", "pcm_s16le", 48_000)),
    **dict.fromkeys((".mp4", ".m4v", ".f4v"), ("mp4", "aac", 48_000)),
    **dict.fromkeys((".3gp", ".3gpp", ".3ga"), ("3gp", "libopencore_amrnb", 8_000)),
    **dict.fromkeys((".mov", ".qt"), ("mov", "aac", 48_000)),
    **dict.fromkeys((".mp3",), ("mp3", "libmp3lame", 48_000)),
    **dict.fromkeys((".mp2", ".mpa", ".mpga", ".m2a"), ("mp2", "mp2", 48_000)),
    **dict.fromkeys((".mpg", ".mpeg"), ("mpeg", "mp2", 48_000)),
    **dict.fromkeys((".ts", ".m2ts", ".mts"), ("mpegts", "aac", 48_000)),
    **dict.fromkeys((".wma", ".wmv", ".asf"), ("asf", "wmav2", 44_100)),
    **dict.fromkeys((".webm", ".weba"), ("webm", "libopus", 48_000)),
    **dict.fromkeys((".mka", ".mkv"), ("matroska", "aac", 48_000)),
    **dict.fromkeys((".eac3", ".ec3"), ("eac3", "eac3", 48_000)),
    **dict.fromkeys((".rm", ".ra"), ("rm", "real_144", 8_000)),
    ".3g2": ("3g2", "aac", 48_000),
    ".amr": ("amr", "libopencore_amrnb", 8_000),
    ".aac": ("adts", "aac", 48_000),
    ".ac3": ("ac3", "ac3", 48_000),
    ".avi": ("avi", "libmp3lame", 48_000),
    ".flv": ("flv", "libmp3lame", 44_100),
    ".vob": ("vob", "mp2", 48_000),
    ".ogv": ("ogg", "libopus", 48_000),
    ".wv": ("wv", "wavpack", 48_000),
    ".tta": ("tta", "tta", 48_000),
    ".flac": ("flac", "flac", 48_000),
    ".caf": ("caf", "alac", 48_000),
    ".w64": ("w64", "pcm_s16le", 48_000),
}
# The formats of libsndfile, and of FFmpeg those which it reads but cannot write, with their decoders.
SNDFILE_ENDINGS = {
    **dict.fromkeys((".wav", ".wave", ".bwf"), "WAV"),
    **dict.fromkeys((".au", ".snd"), "AU"),
    **dict.fromkeys((".sph", ".nist"), "NIST"),
    **{".rf64": "RF64", ".voc": "VOC", ".avr": "AVR", ".ircam": "IRCAM", ".pvf": "PVF", ".8svx": "SVX", ".wve": "WVE"},
}
READ_ENDINGS = {
    **{".ape": ("ape", "ape"), ".tak": ("tak", "tak"), ".mpc": ("mpc", "mpc7"), ".dts": ("dts", "dca")},
    **{".thd": ("truehd", "truehd"), ".awb": ("amr", "amrwb"), ".spx": ("ogg", "speex")},
}


@pytest.mark.slow
@pytest.mark.parametrize("ending", sorted(SOUND_ENDINGS - READ_ENDINGS.keys()))
def test_every_ending_that_is_listed_is_decoded(ending, tmp_path):
    path = tmp_path / f"clip{ending}"
    if ending in SNDFILE_ENDINGS:
        rate, subtype = 8_000, "ALAW" if ending == ".wve" else "PCM_16"
        path.write_bytes(encode(speech(2, rate), rate, SNDFILE_ENDINGS[ending], subtype))
    else:
        container, codec, rate = ENDINGS[ending]
        path.write_bytes(encode_av(speech(2, rate), tmp_path / "made", container, codec, rate))
    assert sound_files(tmp_path) == [path]
    assert abs(load_waveform(path).duration_s - 2) < 0.1


@pytest.mark.parametrize("ending", sorted(READ_ENDINGS))
def test_an_ending_that_cannot_be_written_has_its_decoder(ending):
    import av

    demuxer, decoder = READ_ENDINGS[ending]
    assert ending in SOUND_ENDINGS and demuxer in DEMUXERS.split(",")
    assert av.ContainerFormat(demuxer, "r").is_input and av.Codec(decoder, "r").is_decoder


@pytest.mark.slow
@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
@pytest.mark.parametrize("kind", ["m4a", "mp3", "webm"])
def test_intact_file_is_never_cut_off(kind, rate, tmp_path):
    container, codec, options = AV_KINDS[kind]
    rate = 24_000 if codec == "libopus" else rate
    for seconds in (0.3, 1.7):
        sound = encode_av(speech(seconds, rate), tmp_path / "made", container, codec, rate, **options)
        assert not load_waveform(sound).cut_off


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_caf_written_into_a_pipe_is_heard_to_its_end(subtype):
    sound = encode(speech(1.93), 16_000, "CAF", subtype)
    at = sound.index(b"data") + 4
    assert int.from_bytes(sound[at : at + 8], "big") > 2 * 16_000
    piped = sound[:at] + b"\xff" * 8 + sound[at + 8 :]
    free = b"free" + (300_000).to_bytes(8, "big") + bytes(300_000)
    for made in (sound, piped, sound[: at - 4] + free + sound[at - 4 :], piped[: at - 4] + free + piped[at - 4 :]):
        waveform = load_waveform(made)
        assert not waveform.cut_off
        np.testing.assert_allclose(waveform.samples, speech(1.93), atol=1e-4)
    assert len(load_waveform(piped + piped).samples) == 2 * len(waveform.samples)


@pytest.mark.parametrize("data", [b"caff", b"caff\0\1\0\0", b"caff\0\1\0\0data", b"caff\0\1\0\0data\xff\xff"])
def test_the_beginning_of_a_caf_is_no_sound(data):
    with pytest.raises(AudioError, match="damaged or incomplete"):
        load_waveform(data)


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_are_averaged(channels):
    tracks = np.stack([speech() * (1 + k) / channels for k in range(channels)], axis=1)
    waveform = load_waveform(encode(tracks, subtype="FLOAT"))
    np.testing.assert_allclose(waveform.samples, tracks.mean(axis=1), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "channels"), [("stereo", 2), ("5.1", 6), ("7.1", 8)])
@pytest.mark.parametrize("kind", [("ipod", "aac"), ("webm", "libopus"), ("matroska", "pcm_f32le")], ids="/".join)
def test_channels_are_averaged_by_pyav(kind, layout, channels, tmp_path):
    levels = np.arange(1, channels + 1, dtype=np.float32) / channels
    sound = speech(2, 48_000)[:, None] * levels
    waveform = load_waveform(encode_av(sound, tmp_path / "made", *kind, layout=layout))
    expected = soxr.resample(speech(2, 48_000), 48_000, 16_000) * levels.mean()
    assert abs(waveform.duration_s - 2) < 0.1 and best_correlation(waveform.samples, expected) > 0.9
    if "pcm_f32le" in kind:
        np.testing.assert_allclose(waveform.samples[: len(expected)], expected, atol=2**-14)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_resampling_keeps_a_sine(rate):
    t = np.arange(rate) / rate
    samples = load_waveform(encode(0.5 * np.sin(2 * np.pi * 1000 * t), rate, subtype="FLOAT")).samples
    assert abs(len(samples) - 16_000) <= 1
    middle = np.arange(2000, 14_000)
    np.testing.assert_allclose(samples[middle], 0.5 * np.sin(2 * np.pi * 1000 * middle / 16_000), atol=2e-4)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_resampling_equals_soxr(rate):
    sound = speech(2, rate)
    expected = soxr.resample(sound, rate, 16_000)
    np.testing.assert_allclose(load_waveform(encode(sound, rate, subtype="FLOAT")).samples, expected, atol=1e-6)


def test_resampling_does_not_alias():
    t = np.arange(48_000) / 48_000
    samples = load_waveform(encode(np.sin(2 * np.pi * 9000 * t), 48_000, subtype="FLOAT")).samples
    assert np.abs(samples[1000:-1000]).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["WAV/PCM_16", "FLAC/PCM_16", "OGG/VORBIS", "MP3/MPEG_LAYER_III", "webm"])
def test_blocks_join_to_the_same_sound(kind, tmp_path):
    data = make(kind, tmp_path)
    expected = load_waveform(data).samples
    for block_s in (0.01, 0.3, 100.0):
        with open_recording(data) as recording:
            blocks = list(recording.blocks(16_000, block_s))
        np.testing.assert_array_equal(np.concatenate(blocks), expected)
        assert len(blocks) > (5 if block_s < 1 else 0)


# --- Sources ---


def test_path_bytes_and_file_are_one(tmp_path):
    data = encode(speech())
    path = tmp_path / "clip.wav"
    path.write_bytes(data)
    expected = load_waveform(data).samples
    with path.open("rb") as file, path.open("rb", buffering=0) as raw:
        sources = [path, str(path), bytearray(data), memoryview(data), io.BytesIO(data), file, raw]
        for source in sources:
            np.testing.assert_array_equal(load_waveform(source).samples, expected)
        assert not file.closed and not raw.closed


def test_file_object_is_read_from_its_start_and_stays_open():
    file = io.BytesIO(encode(speech()))
    file.seek(1000)
    first = load_waveform(file).samples
    np.testing.assert_array_equal(load_waveform(file).samples, first)
    assert not file.closed


def test_pipe():
    data = encode(speech())
    read, write = os.pipe()
    with os.fdopen(read, "rb") as source, os.fdopen(write, "wb") as sink:
        writer = threading.Thread(target=lambda: (sink.write(data), sink.close()))
        writer.start()
        waveform = load_waveform(source)
        writer.join()
    np.testing.assert_array_equal(waveform.samples, load_waveform(data).samples)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip.mp3", "clip.raw", "clip.vox", "clip.m3u8", "clip.txt", "clip"])
@pytest.mark.parametrize("kind", ["WAV/PCM_16", "FLAC/PCM_16", "m4a"])
def test_name_does_not_matter(name, kind, tmp_path):
    data = make(kind, tmp_path, 1.0)
    (tmp_path / name).write_bytes(data)
    expected = load_waveform(data).samples
    np.testing.assert_array_equal(load_waveform(tmp_path / name).samples, expected)
    upload = io.BytesIO(data)
    upload.name = name
    np.testing.assert_array_equal(load_waveform(upload).samples, expected)


def test_no_file_stays_open(tmp_path):
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    good.write_bytes(encode(speech()))
    bad.write_bytes(b"only words\n" * 20)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        load_waveform(good)
        next(open_recording(good).blocks(16_000))
        list(open_recording(good).blocks(16_000))
        with pytest.raises(AudioError):
            load_waveform(bad)
        with pytest.raises(AudioError):
            load_waveform(good, max_s=1.0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_loading_can_be_stopped_after_any_block():
    """A minute is twelve blocks or more."""
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise ParameterError("stop")

    with pytest.raises(ParameterError, match="stop"):
        load_waveform(encode(np.zeros(60 * 8000), 8000), check=check)
    assert len(calls) == 3


@pytest.mark.slow
def test_threads_share_nothing(tmp_path):
    sources = [make(kind, tmp_path, 1.0) for kind in ("WAV/PCM_16", "OGG/VORBIS", "m4a")] * 4
    alone = [load_waveform(source).samples for source in sources]
    with ThreadPoolExecutor(4) as pool:
        for expected, waveform in zip(alone, pool.map(load_waveform, sources), strict=True):
            np.testing.assert_array_equal(waveform.samples, expected)


@pytest.mark.slow
def test_pyav_is_imported_only_when_needed(tmp_path):
    (tmp_path / "clip").write_bytes(encode(speech()))
    code = "import sys, ser.audio; ser.audio.load_waveform(sys.argv[1]); print([m for m in sys.modules if m == 'av'])"
    assert run(code, tmp_path / "clip").strip() == "[]"


# --- Damage ---

HALVES = ["WAV/PCM_16", "WAV/FLOAT", "AIFF/PCM_16", "FLAC/PCM_16", "OGG/VORBIS", "OGG/OPUS", "MP3/MPEG_LAYER_III"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*HALVES, *(kind for kind in AV_KINDS if kind != "mp3 without length")])
def test_half_a_file_is_answered_with_cut_off(kind, tmp_path):
    data = make(kind, tmp_path, 4.0)
    intact, half = load_waveform(data), load_waveform(data[: len(data) // 2])
    assert half.cut_off and not intact.cut_off
    assert 0.9 < half.duration_s < 2.3
    n = len(half.samples) - 1600
    np.testing.assert_allclose(half.samples[:n], intact.samples[:n], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["FLAC/PCM_16", "OGG/VORBIS", "OGG/OPUS", "MP3/MPEG_LAYER_III", "m4a", "webm", "mp3"])
def test_random_bytes_in_the_middle(kind, tmp_path, rng):
    data = make(kind, tmp_path, 4.0)
    middle = len(data) // 2
    damaged = load_waveform(data[:middle] + rng.bytes(3000) + data[middle + 3000 :])
    assert damaged.cut_off
    assert 0.9 < damaged.duration_s < 3.9
    assert np.isfinite(damaged.samples).all()


@pytest.mark.parametrize("kind", ["WAV/PCM_16", "FLAC/PCM_16", "mp3"])
def test_damage_before_half_a_second(kind, tmp_path):
    data = make(kind, tmp_path, 0.8)
    with pytest.raises(AudioError, match=r"damaged \w+, only 0\.\d\d s could be decoded and at least 0\.5 s"):
        load_waveform(data[: len(data) // 2])


@pytest.mark.slow
def test_half_an_m4a_without_its_index(tmp_path):
    data = encode_av(speech(3, 48_000), tmp_path / "made", "ipod", "aac")
    with pytest.raises(AudioError, match=r"begins like MP4/M4A.*0\.0 s decoded"):
        load_waveform(data[: len(data) // 2])


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000])
def test_wav_of_a_streaming_recorder_is_complete(size):
    data = encode(speech())
    at = data.index(b"data") + 4
    waveform = load_waveform(data[:at] + struct.pack("<I", size) + data[at + 4 :])
    np.testing.assert_allclose(waveform.samples, load_waveform(data).samples, atol=1e-6)
    assert not waveform.cut_off


@pytest.mark.slow
def test_mp3_behind_an_id3_tag(tmp_path):
    for kind in ("mp3", "mp3 without length"):
        data = make(kind, tmp_path)
        tag = b"ID3\x03\x00\x00" + bytes([0, 0, 8, 0]) + bytes(1024)
        np.testing.assert_allclose(load_waveform(tag + data).samples, load_waveform(data).samples, atol=1e-6)


# --- Clipping ---


@pytest.mark.parametrize("gain", [0.01, 1.0, 3.98])
def test_gain_does_not_clip_float_sound(gain):
    assert not load_waveform(encode(speech() * gain, subtype="FLOAT")).clipped


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
def test_hard_clipping_is_flagged(subtype, channels):
    overdriven = np.clip(speech() * 8, -1, 1) / 2
    assert load_waveform(encode(np.stack([overdriven] * channels, axis=1), subtype=subtype)).clipped


def test_clipping_is_flagged_in_any_block():
    quiet_first = np.concatenate([np.zeros(16_000), 0.3 * speech(), np.clip(speech() * 8, -1, 1)])
    with open_recording(encode(quiet_first)) as recording:
        assert sum(map(len, recording.blocks(16_000, 0.05))) == len(quiet_first)
    assert recording.clipped


@pytest.mark.parametrize("peak", [300 / 32768, 0.9])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_tones_and_quiet_speech_are_not_clipped(peak, rate):
    t = np.arange(2 * rate) / rate
    for sound in (np.sin(2 * np.pi * 110 * t), np.sin(2 * np.pi * 440 * t), speech(2, rate) * 2):
        assert not load_waveform(encode(peak * sound, rate)).clipped


def test_silence_is_sound():
    waveform = load_waveform(encode(np.zeros(16_000)))
    assert waveform.duration_s == 1.0 and not waveform.samples.any()
    assert not waveform.clipped and not waveform.cut_off


# --- Refusals ---


def with_rate(rate: int) -> bytes:
    data = encode(speech())
    return data[:24] + struct.pack("<I", rate) + data[28:]


def with_values(value: float, n: int) -> bytes:
    sound = speech().copy()
    sound[100 : 100 + n] = value
    return encode(sound, subtype="FLOAT")


REFUSALS = {
    "empty": (lambda: b"", r"empty \(0 bytes\)\. Accepted: WAV, FLAC"),
    "text": (lambda: b"Dear diary,\ntoday I was happy.\n" * 9, "this is text, not sound"),
    "picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(200), "not a known recording .*89 50 4e 47"),
    "truncated header": (lambda: encode(speech())[:20], "begins like WAV, but it is damaged or incomplete"),
    "header alone": (lambda: encode(speech())[:44], r"damaged WAV, only 0\.00 s"),
    "truncated FLAC header": (lambda: encode(speech(), format="FLAC")[:60], "FLAC.*damaged or incomplete"),
    "no samples": (lambda: encode(np.zeros(0)), r"WAV holds no samples \(0\.0 s"),
    "one sample": (lambda: encode(np.zeros(1), 48_000), "too few samples"),
    "one NaN": (lambda: with_values(np.nan, 1), "1 of 32,000 samples are not finite"),
    "some Inf": (lambda: with_values(-np.inf, 9), "9 of 32,000 samples are not finite"),
    "only NaN": (lambda: encode(np.full(999, np.nan), subtype="FLOAT"), "999 of 999 samples are not finite"),
    "1 Hz": (lambda: with_rate(1), "1 Hz; accepted are 8,000 to 192,000 Hz"),
    "7,999 Hz": (lambda: with_rate(7_999), "7,999 Hz; accepted are 8,000 to 192,000 Hz"),
    "2 GHz": (lambda: with_rate(2_000_000_000), "2,000,000,000 Hz; accepted are 8,000 to 192,000 Hz"),
    "9 channels": (lambda: encode(np.zeros((8000, 9))), "9 channels; accepted are 1 to 8"),
    "1,024 channels": (lambda: encode(np.zeros((99, 1024))), "1,024 channels; accepted are 1 to 8"),
    "121 s": (lambda: encode(np.zeros(121 * 8000), 8000), r"121\.0 s long; accepted are up to 120 s\. .* `timeline`"),
    "too large": (lambda: bytes(MAX_BYTES + 1), "larger than 25 MB"),
    "sample dump": (
        lambda: encode(speech(), 48_000, "SDS", "PCM_16"),
        "not a known recording .*f0 7e",
    ),  # libsndfile prints
    "playlist": (lambda: b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n", "this is text"),
    "list of files": (lambda: b"ffconcat version 1.0\nfile '/etc/hostname'\n", "this is text"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case, tmp_path):
    build, message = REFUSALS[case]
    path = tmp_path / "clip.wav"
    path.write_bytes(build())
    with pytest.raises(AudioError, match=message):
        load_waveform(build())
    with pytest.raises(AudioError, match=rf"^clip\.wav: .*{message}"):
        load_waveform(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [(".", "this is a folder"), ("no/such.wav", "^such.wav: no such file"), ("/dev/zero", "not a regular file")],
)
def test_paths_that_are_no_recordings(path, message):
    with pytest.raises(AudioError, match=message):
        load_waveform(path)


@pytest.mark.parametrize("source", [None, 3, np.zeros(9), io.StringIO("words")])
def test_other_sources_are_refused(source):
    with pytest.raises(ParameterError, match="path, bytes or a file opened in binary mode"):
        load_waveform(source)


def test_video_without_sound(tmp_path):
    import av

    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match=r"^film\.mp4: no sound could be decoded from this MP4/M4A .*no sound track"):
        load_waveform(tmp_path / "film.mp4")


@pytest.mark.slow
def test_larger_recordings_can_be_asked_for():
    data = encode(np.zeros(14_000_000, np.int16), 48_000)
    with open_recording(data, max_s=MAX_TIMELINE_S, max_bytes=2**30) as recording:
        assert sum(map(len, recording.blocks(16_000))) == round(14_000_000 / 3)


# --- Hostile headers: memory and time ---


def run(code: str, *arguments: object) -> str:
    """Run code in a new Python process and return its output."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=60).stdout


# Not ru_maxrss: a child inherits its parent's.
PEAK_KB = "open('/proc/self/status').read().split('VmHWM:')[1].split()[0]"

BOMB_PROGRAM = f"""
import sys
from ser.audio.loading import load_waveform
from ser.types import AudioError
for path in sys.argv[1:]:
    try:
        load_waveform(path)
    except AudioError as error:
        print(error)
print({PEAK_KB})
"""


def silent_flac(path: Path, seconds: int) -> None:
    with sf.SoundFile(path, "w", 16_000, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(seconds // 60):
            file.write(np.zeros(60 * 16_000, np.int16))


@pytest.mark.slow
def test_bombs_stay_small(tmp_path):
    """An hour of silence in 0.5 MB, with its length and without; 1,024 channels; 1 Hz; 2 GHz; a WebM without end."""
    silent_flac(tmp_path / "hour.flac", 3600)
    unmeasured = bytearray((tmp_path / "hour.flac").read_bytes())
    unmeasured[21] &= 0xF0  # total number of samples, 36 bits: 0 stands for unknown
    unmeasured[22:26] = bytes(4)
    (tmp_path / "unmeasured.flac").write_bytes(unmeasured)
    (tmp_path / "channels.wav").write_bytes(encode(np.zeros((9000, 1024), np.int16)))
    (tmp_path / "slow.wav").write_bytes(with_rate(1))
    (tmp_path / "fast.wav").write_bytes(with_rate(2_000_000_000))
    long = np.zeros(130 * 8000, np.float32)
    encode_av(long, tmp_path / "endless.webm", "webm", "libopus", 8_000, live="1")
    wide = tmp_path / "wide.wav"
    wide.write_bytes(encode(np.zeros((1_500_000, 8), np.int16), 192_000))
    names = ["hour.flac", "unmeasured.flac", "channels.wav", "slow.wav", "fast.wav", "endless.webm", "wide.wav"]
    *messages, peak_kb = run(BOMB_PROGRAM, *(tmp_path / name for name in names)).splitlines()
    expected = [
        "3,600.0 s long",
        "more than 120 s long",
        "1,024 channels",
        "1 Hz",
        "2,000,000,000 Hz",
        "more than 120 s",
    ]
    assert len(messages) == len(expected)  # the last file is within the limits
    for message, text in zip(messages, expected, strict=True):
        assert text in message
    assert int(peak_kb) < 300_000


@pytest.mark.slow
def test_blocks_need_no_more_memory_for_longer_sound(tmp_path):
    silent_flac(tmp_path / "long.flac", 900)
    code = (
        "import sys; from ser.audio.loading import *\n"
        "recording = open_recording(sys.argv[1], max_s=MAX_TIMELINE_S)\n"
        f"print(sum(map(len, recording.blocks(16_000))), {PEAK_KB})"
    )
    samples, peak_kb = map(int, run(code, tmp_path / "long.flac").split())
    assert samples == 900 * 16_000
    assert peak_kb < 120_000


# --- Real recordings ---


@pytest.mark.data
def test_original_recordings(ser_data):
    paths = sorted((ser_data / "ravdess_original").glob("*.wav"))
    assert len(paths) == 9
    channels = []
    for path in paths:
        channels.append(sf.info(path).channels)
        original = load_waveform(path)
        actor = path.stem[-2:]
        ours = load_waveform(ser_data / "ravdess" / f"Actor_{actor}" / f"{path.stem}.flac")
        assert abs(original.duration_s - ours.duration_s) < 0.01
        assert best_correlation(original.samples, ours.samples) > 0.999
        assert not original.cut_off and not original.clipped
    assert sorted(channels) == [1] * 8 + [2]


@pytest.mark.data
def test_clipping_in_real_speech(ser_data):
    paths = sorted((ser_data / "ravdess").glob("*/*.flac"))[::30] + sorted((ser_data / "emodb/wav").iterdir())[::30]
    plain = [load_waveform(path) for path in paths]
    assert not any(waveform.clipped or waveform.cut_off for waveform in plain)
    overdriven = [np.clip(w.samples / np.abs(w.samples).max() * 10 ** (12 / 20), -1, 1) for w in plain]
    assert all(load_waveform(encode(sound)).clipped for sound in overdriven)
