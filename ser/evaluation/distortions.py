"""Distorts recordings: gain, telephone band, codecs, noise, offset, hum, pops, pauses, reverberation, short excerpts.

Every distortion takes a waveform and a generator and returns the bytes of a file, as a user would upload it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
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
OFFSET = 0.02  # of full scale
HUM_HZ = 50.0  # with harmonics
HUM_HARMONICS = (1.0, 0.5, 0.3)
POP_S = 0.03
PAUSE_S = 10.0
ROOM_SNR_DB = 25.0
ROOM_S = 3.0  # before and after
PINK_FROM_HZ = 50.0
PHONE_REVERBERATION_S = 0.4  # until the echo has fallen by 60 dB
ECHO_SHARE = 0.7  # of the direct sound's energy
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
    level = speech_level(waveform) * 10 ** (-SNR_DB / 20)
    return _wav(waveform.samples + level * rng.standard_normal(len(waveform.samples)), waveform.sample_rate)


def excerpt(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Cut 1.5 s at random between the silent ends, or all of it if there is less."""
    start, end = trim(waveform.samples)
    n = round(EXCERPT_S * waveform.sample_rate)
    start += int(rng.integers(max(end - start - n, 0) + 1))
    return _wav(waveform.samples[start : min(start + n, end)], waveform.sample_rate)


def offset(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Add a constant of 2 % of full scale, as a bad converter does."""
    return _wav(waveform.samples + np.float32(OFFSET), waveform.sample_rate)


def hum(waveform: Waveform, level_db: float) -> bytes:
    """Add 50 Hz and two harmonics, `level_db` relative to the peak of the recording."""
    time = np.arange(len(waveform.samples)) / waveform.sample_rate
    tone = sum(share * np.sin(2 * np.pi * HUM_HZ * k * time) for k, share in enumerate(HUM_HARMONICS, start=1))
    level = 10 ** (level_db / 20) * np.abs(waveform.samples).max() / np.abs(tone).max()
    return _wav(waveform.samples + level * tone, waveform.sample_rate)


def faint_hum(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Add hum 30 dB below the peak."""
    return hum(waveform, -30)


def loud_hum(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Add hum 20 dB below the peak."""
    return hum(waveform, -20)


def pop(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Add a pop of 30 ms, as of a microphone that is touched, as loud as the peak, somewhere in the recording."""
    n = min(round(POP_S * waveform.sample_rate), len(waveform.samples))
    start = int(rng.integers(len(waveform.samples) - n + 1))
    samples = waveform.samples.copy()
    samples[start : start + n] += np.abs(samples).max() * np.hanning(n).astype(np.float32)
    return _wav(samples, waveform.sample_rate)


def pause(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Insert ten seconds of silence at the quietest place in the middle third of the speech."""
    start, end = trim(waveform.samples)
    first, last = start + (end - start) // 3, end - (end - start) // 3
    n = round(0.02 * waveform.sample_rate)
    power = np.convolve(np.square(waveform.samples[first:last], dtype=np.float64), np.ones(n), "same")
    place = first + int(power.argmin()) if last > first else start
    silence = np.zeros(round(PAUSE_S * waveform.sample_rate), np.float32)
    return _wav(np.concatenate([waveform.samples[:place], silence, waveform.samples[place:]]), waveform.sample_rate)


def room(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Add pink noise 25 dB below the speech, and three seconds of it before and after: a recorder in a quiet room."""
    around = np.pad(waveform.samples, round(ROOM_S * waveform.sample_rate))
    level = speech_level(waveform) * 10 ** (-ROOM_SNR_DB / 20)
    return _wav(around + level * pink_noise(len(around), waveform.sample_rate, rng), waveform.sample_rate)


def coarse(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Round to 8 bits."""
    return _wav(waveform.samples, waveform.sample_rate, "PCM_U8")


def phone_reverberation(waveform: Waveform, rng: np.random.Generator) -> bytes:
    """Let an echo of 0.4 s follow, then limit to the telephone band: a call on speaker in a room."""
    n = round(PHONE_REVERBERATION_S * waveform.sample_rate)
    tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    response = np.concatenate([[1.0], tail * np.sqrt(ECHO_SHARE / np.square(tail).sum())])
    samples = np.convolve(waveform.samples, response)[: len(waveform.samples)].astype(np.float32)
    return telephone(replace(waveform, samples=samples), rng)


DISTORTIONS: dict[str, Distortion] = {
    "gain +12 dB": louder,
    "gain -12 dB": quieter,
    "telephone band, 8 kHz": telephone,
    "telephone band, mu-law": telephone_law,
    "MP3, 64 kbit/s": mp3,
    "Opus, 24 kbit/s": opus,
    "offset of 2 %": offset,
    "hum at -30 dB": faint_hum,
    "hum at -20 dB": loud_hum,
    "a pop": pop,
    "a pause of 10 s": pause,
    "3 s of a room around": room,
    "8 bits": coarse,
    "telephone in a reverberant room": phone_reverberation,
    "white noise, 20 dB SNR": noise,
    "excerpt of 1.5 s": excerpt,
}


def speech_level(waveform: Waveform) -> float:
    """Return the root mean square of the samples between the silent ends."""
    start, end = trim(waveform.samples)
    return float(np.sqrt(np.mean(np.square(waveform.samples[start:end], dtype=np.float64))))


def pink_noise(n: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise with a root mean square of 1 that is as loud in each octave above 50 Hz, shape (n,)."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / sample_rate), PINK_FROM_HZ))
    noise = np.fft.irfft(spectrum, n)
    return noise / noise.std()


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
