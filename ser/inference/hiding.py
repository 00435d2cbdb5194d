"""Alterations of a recording that hide one property of a voice, or one stretch of time, and leave the rest."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from ser.features.descriptors import HOP_LENGTH
from ser.features.spectral import SAMPLE_RATE
from ser.features.voice_measures import VoiceMeasures

RAMP = 160  # samples, 10 ms, over which a stretch is faded out and in
ATTENUATED = 10 ** (-30 / 20)
UNVOICED_PERIOD = 128  # samples between grains of what is not voiced, 8 ms
ALIGNED = 0.2  # of a period: how far a mark may move to the peak of the waveform
SHELF_HZ = 1000.0  # between the two bands whose ratio is the brightness
SHELF_ORDER = 8
LEVEL_RANGE_DB = (-20.0, 10.0)  # around the mean of the speech; the gain outside is that of the ends
AVERAGING_DB = 4.8  # by which noise falls in the mean of three periods
SEED = 0


# --- Stretches of time ---


def attenuate(samples: np.ndarray, start: int, end: int) -> np.ndarray:
    """Turn a stretch down by 30 dB."""
    hidden = samples.copy()
    hidden[start:end] *= 1 - _fade(end - start) * np.float32(1 - ATTENUATED)
    return hidden


def replace_by_noise(samples: np.ndarray, start: int, end: int, noise: np.ndarray) -> np.ndarray:
    """Replace a stretch by noise of the same level; `noise` is `average_noise` of the samples."""
    fade, sound, other = _fade(end - start), samples[start:end], noise[start:end]
    gain = np.sqrt(np.square(sound).mean() / max(float(np.square(other).mean()), 1e-20))
    hidden = samples.copy()
    hidden[start:end] = sound * np.sqrt(1 - fade**2) + gain * other * fade
    return hidden


def cut_out(samples: np.ndarray, start: int, end: int) -> np.ndarray:
    """Remove a stretch and join the two sides."""
    n = min(RAMP, start, len(samples) - end)
    rising = np.linspace(0, 1, n, dtype=np.float32)
    joint = samples[start - n : start] * (1 - rising) + samples[end : end + n] * rising
    return np.concatenate([samples[: start - n], joint, samples[end + n :]])


def average_noise(samples: np.ndarray) -> np.ndarray:
    """Return noise with the long-term spectrum of the samples."""
    n = next_fast_len(len(samples), real=True)
    spectrum = np.abs(rfft(samples, n))
    phases = np.random.default_rng(SEED).uniform(0, 2 * np.pi, len(spectrum))
    return irfft(spectrum * np.exp(1j * phases), n)[: len(samples)].astype(np.float32)


def _fade(n: int) -> np.ndarray:
    """Return weights of a stretch, (n,): 1 inside, rising and falling at its ends."""
    ramp = min(RAMP, n // 2)
    rising = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / max(ramp, 1)).astype(np.float32)
    fade = np.ones(n, np.float32)
    fade[:ramp], fade[n - ramp :] = rising, rising[::-1]
    return fade


# --- Properties of the voice ---
# Each takes the samples that were measured, their measures, and by how much the measure is to change, in its unit.


def change(samples: np.ndarray, measures: VoiceMeasures, name: str, by: float) -> np.ndarray:
    """Return the samples with one of `MEASURES` changed by so much, float32."""
    return CHANGES[name](samples, measures, by).astype(np.float32)


def change_pitch(samples: np.ndarray, measures: VoiceMeasures, by: float) -> np.ndarray:
    """Shift the pitch; formants, melody and tempo stay."""
    return resynthesise(samples, measures, ratio=np.full(len(measures.voiced), 2 ** (np.clip(by, -12, 12) / 12)))


def change_pitch_movement(samples: np.ndarray, measures: VoiceMeasures, by: float) -> np.ndarray:
    """Make the melody flatter or livelier around its median."""
    factor = _factor(measures["pitch_movement"], by, 0.1, 3.0)
    return resynthesise(samples, measures, ratio=2 ** ((factor - 1) * measures.deviation / 12))


def change_loudness_movement(samples: np.ndarray, measures: VoiceMeasures, by: float) -> np.ndarray:
    """Make the level over time more even or more varied."""
    factor = _factor(measures["loudness_movement"], by, 0.2, 2.5)
    gain_db = (factor - 1) * np.clip(measures.level_db, *LEVEL_RANGE_DB)
    return samples * 10 ** (_per_sample(gain_db, len(samples)) / 20)


def change_tempo(samples: np.ndarray, measures: VoiceMeasures, by: float) -> np.ndarray:
    """Make it faster or slower, pauses included; the pitch stays."""
    return resynthesise(samples, measures, speed=_factor(measures["tempo"], by, 0.5, 2.0))


def change_brightness(samples: np.ndarray, measures: VoiceMeasures, by: float) -> np.ndarray:
    """Turn up or down what lies above 1 kHz."""
    n = next_fast_len(len(samples) + RAMP, real=True)
    ratio = (rfftfreq(n, 1 / SAMPLE_RATE) / SHELF_HZ) ** SHELF_ORDER
    gain_db = np.clip(by, -24, 24) * ratio / (1 + ratio)
    return irfft(rfft(samples, n) * 10 ** (gain_db / 20), n)[: len(samples)]


def change_voice_quality(samples: np.ndarray, measures: VoiceMeasures, by: float) -> np.ndarray:
    """Add breath, or average neighbouring periods."""
    if by > 0:
        share = min(1.0, by / AVERAGING_DB)
        return (1 - share) * samples + share * resynthesise(samples, measures, averaged=True)
    before, after = (10 ** (-(measures["voice_quality"] + step) / 10) for step in (0, by))
    whisper = _whisper(samples)
    return samples + np.sqrt(max(0.0, after - before)) * whisper


CHANGES = {
    "pitch": change_pitch,
    "pitch_movement": change_pitch_movement,
    "loudness_movement": change_loudness_movement,
    "tempo": change_tempo,
    "brightness": change_brightness,
    "voice_quality": change_voice_quality,
}


def resynthesise(
    samples: np.ndarray,
    measures: VoiceMeasures,
    *,
    ratio: np.ndarray | None = None,
    speed: float = 1.0,
    averaged: bool = False,
) -> np.ndarray:
    """Add the sound up from its periods at other times (TD-PSOLA) [Moulines & Charpentier 1990].

    `ratio` (n_frames,) multiplies the pitch, `speed` the tempo; `averaged` takes each period as the mean of three.
    """
    period = _periods(measures, len(samples))
    marks = _marks(samples, period)
    grains = [_grain(samples, mark, round(period[mark])) for mark in marks]
    if averaged:
        grains = _averaged(grains)
    factor = (
        np.ones(len(marks)) if ratio is None else _per_sample(np.where(measures.voiced, ratio, 1), len(samples))[marks]
    )
    steps = np.append(np.diff(marks), round(period[-1])) / factor
    n, longest = int(len(samples) / speed), max(map(len, grains))
    sound, weight = np.zeros(n + 2 * longest), np.zeros(n + 2 * longest)
    at = marks[0] / speed
    while at < n:
        nearest = _nearest(marks, round(at * speed))
        grain = grains[nearest]
        window, first = np.hanning(len(grain) + 2)[1:-1], round(at) - len(grain) // 2 + longest
        sound[first : first + len(grain)] += grain * window
        weight[first : first + len(grain)] += window
        at += steps[nearest]
    kept = slice(longest, longest + n)
    return sound[kept] / np.maximum(weight[kept], 0.1)


def _periods(measures: VoiceMeasures, n_samples: int) -> np.ndarray:
    """Return the period of every sample, that of the grains where nothing is voiced."""
    frames = np.where(measures.voiced, measures.period * 2 ** (-measures.deviation / 12), UNVOICED_PERIOD)
    nearest = np.minimum((np.arange(n_samples) + HOP_LENGTH // 2) // HOP_LENGTH, len(frames) - 1)
    return frames[nearest]


def _marks(samples: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Return the samples around which the periods lie: each where the sound is most like that around the one before."""
    first = int(period[0] // 2)
    marks = [first + int(samples[first : 2 * first].argmax())]
    while (expected := marks[-1] + round(period[marks[-1]])) < len(samples):
        marks.append(expected + _offset(samples, marks[-1], expected, round(period[marks[-1]])))
    return np.array(marks)


def _offset(samples: np.ndarray, mark: int, expected: int, period: int) -> int:
    """Return by how many samples to move a mark, at most `ALIGNED` of a period."""
    half, reach = period // 2, round(ALIGNED * period)
    if mark < half or expected + half + reach >= len(samples):
        return 0
    around = samples[expected - half - reach : expected + half + reach + 1]
    return int(np.correlate(around, samples[mark - half : mark + half + 1]).argmax()) - reach


def _nearest(marks: np.ndarray, at: int) -> int:
    after = int(np.searchsorted(marks, at))
    if after == len(marks) or (after and at - marks[after - 1] < marks[after] - at):
        return after - 1
    return after


def _grain(samples: np.ndarray, mark: int, period: int) -> np.ndarray:
    """Return two periods around a mark, zeros beyond the ends of the samples; (2 period + 1,)."""
    padded = samples[max(0, mark - period) : mark + period + 1]
    before, after = max(0, period - mark), max(0, mark + period + 1 - len(samples))
    return np.pad(padded, (before, after))


def _averaged(grains: list[np.ndarray]) -> list[np.ndarray]:
    """Return the mean of each grain and its neighbours, around their marks."""
    return [
        np.mean([_centred(grain, len(own)) for grain in grains[max(0, k - 1) : k + 2]], axis=0)
        for k, own in enumerate(grains)
    ]


def _centred(grain: np.ndarray, n: int) -> np.ndarray:
    """Cut or pad a grain to an odd length around its middle."""
    half, wanted = len(grain) // 2, n // 2
    return grain[half - wanted : half + wanted + 1] if wanted <= half else np.pad(grain, wanted - half)


def _whisper(samples: np.ndarray, n_fft: int = 256) -> np.ndarray:
    """Return noise with the short-time spectrum of the samples, whose frames resolve no harmonics."""
    hop, window = n_fft // 4, np.hanning(n_fft + 1)[:-1]
    padded = np.pad(samples, n_fft)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop] * window
    phases = np.random.default_rng(SEED).uniform(0, 2 * np.pi, (len(frames), n_fft // 2 + 1))
    altered = irfft(np.abs(rfft(frames)) * np.exp(1j * phases), n_fft) * window
    noise = np.zeros(len(padded))
    for k, frame in enumerate(altered):
        noise[k * hop : k * hop + n_fft] += frame
    noise = noise[n_fft : n_fft + len(samples)]
    return noise * np.sqrt(np.square(samples).mean() / max(float(np.square(noise).mean()), 1e-20))


def _factor(value: float, by: float, least: float, most: float) -> float:
    """Return by what a measure is multiplied to change by so much, within the limits of its alteration."""
    return float(np.clip((value + by) / max(value, 1e-6), least, most))


def _per_sample(frames: np.ndarray, n_samples: int) -> np.ndarray:
    return np.interp(np.arange(n_samples), np.arange(len(frames)) * HOP_LENGTH, frames)
