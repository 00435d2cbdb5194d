"""Distorts recordings: gain, telephone band, codecs, noise, short excerpts.

Every distortion takes a waveform and a generator and returns the bytes of a file, as a user would upload it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile as sf
import soxr

from ser.features.preprocessing import trim
from ser.types import Waveform

GAIN_DB = 12.0
TELEPHONE_RATE = 8_000  # Hz
TELEPHONE_BAND_HZ = (300.0, 3400.0)
TELEPHONE_ORDER = 6  # 36 dB per octave on each side
CODER_RATE = 48_000  # Hz, as phones and browsers encode
MP3_BIT_RATE = 64_000  # bit/s
OPUS_BIT_RATE = 24_000
SNR_DB = 20.0
EXCERPT_S = 1.5
FULL_SCALE = 32_767 / 32_768  # highest peak in 16 bits

Distortion = Callable[[Waveform, np.random.Generator], bytes]


def louder(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Raise the level by 12 dB, or as far as possible without clipping."""
    return _wav(waveform.samples * np.float32(10 ** (GAIN_DB / 20)), waveform.sample_rate)


def quieter(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Lower the level by 12 dB and round to 16 bits."""
    return _wav(waveform.samples * np.float32(10 ** (-GAIN_DB / 20)), waveform.sample_rate)


def telephone(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Limit to 300 to 3,400 Hz at a sample rate of 8 kHz."""
    return _wav(_telephone_band(waveform), TELEPHONE_RATE)


def telephone_law(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Limit to 300 to 3,400 Hz at 8 kHz, in 8 bits (mu-law)."""
    return _wav(_telephone_band(waveform), TELEPHONE_RATE, "ULAW")


def mp3(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Encode as MP3 at 64 kbit/s, mono."""
    return _encode(waveform, "mp3", "libmp3lame", MP3_BIT_RATE)


def opus(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Encode as Opus at 24 kbit/s, mono, as in calls and voice messages."""
    return _encode(waveform, "ogg", "libopus", OPUS_BIT_RATE)


def noise(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Add white noise to the whole recording, 20 dB below the mean power between its silent ends."""
    start, end = trim(waveform.samples)
    level = np.sqrt(np.mean(np.square(waveform.samples[start:end], dtype=np.float64))) * 10 ** (-SNR_DB / 20)
    return _wav(waveform.samples + level * rng.standard_normal(len(waveform.samples)), waveform.sample_rate)


def excerpt(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Cut 1.5 s at random between the silent ends, or all of it if there is less."""
    start, end = trim(waveform.samples)
    n = round(EXCERPT_S * waveform.sample_rate)
    start += int(rng.integers(max(end - start - n, 0) + 1))
    return _wav(waveform.samples[start : min(start + n, end)], waveform.sample_rate)


DISTORTIONS: dict[str, Distortion] = {
    "gain +12 dB": louder,
    "gain -12 dB": quieter,
    "telephone band, 8 kHz": telephone,
    "telephone band, mu-law": telephone_law,
    "MP3, 64 kbit/s": mp3,
    "Opus, 24 kbit/s": opus,
    "white noise, 20 dB SNR": noise,
    "excerpt of 1.5 s": excerpt,
}


def _wav(samples: np.ndarray, sample_rate: int, subtype: str = "PCM_16") -> bytes:
    """Encode as WAV, attenuated if the peak would clip."""
    peak = np.abs(samples).max()
    file = io.BytesIO()
    sf.write(file, samples * min(1.0, FULL_SCALE / max(peak, 1e-12)), sample_rate, format="WAV", subtype=subtype)
    return file.getvalue()


def _telephone_band(waveform: Waveform) -> np.ndarray:
    """Return the samples, limited to the telephone band, at 8 kHz."""
    from scipy.signal import butter, sosfilt

    band = butter(TELEPHONE_ORDER, TELEPHONE_BAND_HZ, "bandpass", fs=waveform.sample_rate, output="sos")
    return soxr.resample(sosfilt(band, waveform.samples), waveform.sample_rate, TELEPHONE_RATE)


def _encode(waveform: Waveform, container: str, codec: str, bit_rate: int) -> bytes:
    import av

    samples = soxr.resample(waveform.samples, waveform.sample_rate, CODER_RATE)
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as output:
        stream: Any = output.add_stream(codec, rate=CODER_RATE, layout="mono", bit_rate=bit_rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), "fltp", "mono")
        frame.sample_rate = CODER_RATE
        resampler = av.AudioResampler(stream.codec_context.format, "mono", CODER_RATE)
        for converted in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return file.getvalue()
