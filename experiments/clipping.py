"""How often clipping is found, by depth and coder, and how often in recordings that were not altered, by corpus.

The threshold is fitted on every second speaker of each corpus, the figures are of the others. `--write` keeps them in
`reports/clipping.json`. Run: python experiments/clipping.py --data FOLDER [--every 3] [--clips 8] [--write]

`--ceilings` measures another thing alone: whether the peaks of what is called clipped crowd at full scale times the
gains that were applied after it was recorded, as only those of clipped sound do in files of many devices.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile as sf
import soxr

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser.audio.clipping import CLIPPED_SCORE, ClipMeter
from ser.audio.decoders import open_decoder
from ser.datasets.corpora import load_corpus
from ser.types import Clip

REPORT = Path(__file__).resolve().parent.parent / "reports" / "clipping.json"
CORPORA = ("ravdess", "nemo", "emodb", "emotiontts_kr", "ased", "aesdd", "emospeech", "turev")
OVERDRIVEN = "emospeech"  # people's own devices; many of its recordings are clipped, so that it fits no threshold
ALLOWED = 0.015  # of a corpus' recordings, when the threshold is fitted; 0.02 is the aim on other speakers
DEPTHS_DB = (6, 9, 12, 18)  # by which the peak lies over the level that it is cut at
KNEE = 0.8  # of that level, above which the softened kind is bent
PEAK = 0.9  # of full scale, after clipping
CEILINGS = {"1": 1.0, "-3 dB": 0.5**0.5, "-6 dB": 0.5}  # full scale of a recorder, after a gain
OVERSHOOT = 1.01  # of a coder, by which peaks lie above the level that they were cut at
BESIDE = 0.05  # of a level, up to which peaks count as lying there
LEAST_PEAK = 0.6  # of the loudest; lower ones are not looked at
BLOCK = 2**16
RATE = 16_000  # Hz


def score(data: bytes) -> float:
    """Return the meter's score of a file."""
    return measured(data)[0]


def measured(data: bytes) -> tuple[float, np.ndarray]:
    """Return the meter's score of a file and the samples of its first channel."""
    decoder = open_decoder(io.BytesIO(data), "clip")
    meter, blocks = ClipMeter(decoder.sample_rate), []
    for frames in decoder.chunks(BLOCK):
        meter.add(frames)
        blocks.append(frames[:, 0])
    decoder.close()
    return meter.score, np.concatenate(blocks)


def clipped(samples: np.ndarray, depth_db: float, soft: bool) -> np.ndarray:
    """Cut samples `depth_db` below their peak; `soft` bends them from 0.8 of that level on."""
    driven = samples / np.abs(samples).max() * 10 ** (depth_db / 20)
    over = (np.abs(driven) - KNEE) / (1 - KNEE)
    bent = np.sign(driven) * (KNEE + (1 - KNEE) * np.tanh(over))
    cut = np.where(over > 0, bent, driven) if soft else np.clip(driven, -1, 1)
    return (PEAK * cut).astype(np.float32)


# --- What happens to a recording after it was clipped ---


def through(container: str, codec: str, bit_rate: int, rate: int) -> Callable[[np.ndarray], bytes]:
    """Return a function that encodes samples at 16 kHz with one of FFmpeg's coders, at `rate` (Hz)."""

    def encode(samples: np.ndarray) -> bytes:
        file = io.BytesIO()
        with av.open(file, "w", format=container) as output:
            stream: Any = output.add_stream(codec, rate=rate, layout="mono", bit_rate=bit_rate)
            resampled = np.ascontiguousarray(soxr.resample(samples, RATE, rate)[None])
            frame = av.AudioFrame.from_ndarray(resampled, "fltp", "mono")
            frame.sample_rate = rate
            resampler = av.AudioResampler(stream.codec_context.format, "mono", rate)
            for converted in (*resampler.resample(frame), *resampler.resample(None)):
                output.mux(stream.encode(converted))
            output.mux(stream.encode(None))
        return file.getvalue()

    return encode


def wav(samples: np.ndarray, rate: int = RATE, **options: Any) -> bytes:
    file = io.BytesIO()
    sf.write(file, np.clip(samples, -1, 1), rate, **({"format": "WAV"} | options))
    return file.getvalue()


def resampled(samples: np.ndarray, *rates: int) -> np.ndarray:
    for rate, following in pairwise(rates):
        samples = soxr.resample(samples, rate, following)
    return samples


CHANGES: dict[str, Callable[[np.ndarray], bytes]] = {
    "WAV": wav,
    "MP3 64k": through("mp3", "libmp3lame", 64_000, RATE),
    "MP3 64k, 44.1 kHz": through("mp3", "libmp3lame", 64_000, 44_100),
    "AAC 64k": through("adts", "aac", 64_000, RATE),
    "AAC 96k, 44.1 kHz": through("adts", "aac", 96_000, 44_100),
    "Vorbis q4": lambda samples: wav(samples, format="OGG", subtype="VORBIS", compression_level=0.6),
    "Opus 24k": through("ogg", "libopus", 24_000, 48_000),
    "16 to 44.1 to 16 kHz": lambda samples: wav(resampled(samples, RATE, 44_100, RATE)),
    "gain x 0.3": lambda samples: wav(0.3 * samples),
    "gain x 0.8": lambda samples: wav(0.8 * samples),
}


def altered(samples: np.ndarray) -> Iterator[tuple[int, str, str, bytes]]:
    """Yield depth (0: not clipped), kind, change and file of everything that is made of a recording."""
    for depth in (0, *DEPTHS_DB):
        for kind in ("hard", "soft") if depth else ("none",):
            cut = clipped(samples, depth, kind == "soft") if depth else samples
            yield from ((depth, kind, name, change(cut)) for name, change in CHANGES.items())
    for depth in DEPTHS_DB:  # cut by a recorder at 44.1 kHz
        cut = clipped(resampled(samples, RATE, 44_100), depth, soft=False)
        yield depth, "hard", "44.1 to 16 kHz", wav(resampled(cut, 44_100, RATE))


# --- Figures ---


def halves(clips: list[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Return the clips of the speakers that the threshold is fitted on, and those of the others."""
    fitting = set(sorted({clip.speaker for clip in clips})[::2])
    return [clip for clip in clips if clip.speaker in fitting], [clip for clip in clips if clip.speaker not in fitting]


def fit(scores: dict[str, list[float]]) -> float:
    """Return the lowest threshold that is passed by the allowed share of each corpus but the overdriven one."""
    return max(float(np.quantile(found, 1 - ALLOWED)) for name, found in scores.items() if name != OVERDRIVEN)


def measure(data: Path, every: int, n_clips: int) -> dict[str, Any]:
    fitting: dict[str, list[float]] = {}
    others: dict[str, list[float]] = {}
    hits: dict[tuple[int, str, str], list[bool]] = defaultdict(list)
    for name in CORPORA:
        seen, held_out = halves(load_corpus(name, data / name).clips)
        fitting[name], others[name] = (
            [score(Path(clip.path).read_bytes()) for clip in clips[::every]] for clips in (seen, held_out)
        )
        for clip in held_out[:: max(1, len(held_out) // n_clips)][:n_clips] if name != OVERDRIVEN else ():
            samples = sf.read(clip.path, dtype="float32")[0]
            for depth, kind, change, file in altered(samples):
                hits[depth, kind, change].append(score(file) > CLIPPED_SCORE)
        print(f"{name}: done", file=sys.stderr)
    return {
        "threshold": CLIPPED_SCORE,
        "fitted": fit(fitting),
        "every": every,
        "clips": {name: len(found) for name, found in others.items()},
        "false_alarms": {name: float(np.mean(np.array(found) > CLIPPED_SCORE)) for name, found in others.items()},
        "altered": {name: float(np.mean(found)) for name, found in _by_change(hits, 0).items()},
        "n_altered": len(hits[0, "none", "WAV"]),
        "hits": {
            f"{depth} dB, {kind}": {
                change: float(np.mean(found)) for (d, k, change), found in hits.items() if (d, k) == (depth, kind)
            }
            for depth in DEPTHS_DB
            for kind in ("hard", "soft")
        },
    }


def _by_change(hits: dict[tuple[int, str, str], list[bool]], depth: int) -> dict[str, list[bool]]:
    return {change: found for (d, _, change), found in hits.items() if d == depth}


# --- Levels that peaks crowd at ---


def crowded_level(samples: np.ndarray) -> float:
    """Return the level that most peaks between two changes of the sign lie near."""
    changes = np.flatnonzero(np.signbit(samples[1:]) != np.signbit(samples[:-1])) + 1
    peaks = np.sort(np.maximum.reduceat(np.abs(samples), [0, *changes]))
    peaks = peaks[peaks > LEAST_PEAK * peaks[-5:].mean()]
    ends = np.searchsorted(peaks, (1 + BESIDE) * peaks, "right")
    first = int((ends - np.arange(len(peaks))).argmax())
    return float(np.median(peaks[first : ends[first]]))


def measure_ceilings(data: Path) -> dict[str, Any]:
    """Return, of what is called clipped and of all else, how many recordings have their peaks at each ceiling."""
    held_out = halves(load_corpus(OVERDRIVEN, data / OVERDRIVEN).clips)[1]
    levels: dict[bool, list[float]] = {True: [], False: []}
    for clip in held_out:
        found, samples = measured(Path(clip.path).read_bytes())
        levels[found > CLIPPED_SCORE].append(crowded_level(samples))
    return {
        name: {"recordings": len(levels[called]), **_at_ceilings(np.array(levels[called]))}
        for name, called in (("called clipped", True), ("others", False))
    }


def _at_ceilings(levels: np.ndarray) -> dict[str, float]:
    near = {name: np.abs(levels / (OVERSHOOT * level) - 1) <= BESIDE for name, level in CEILINGS.items()}
    return {name: float(each.mean()) for name, each in (near | {"any": np.any(list(near.values()), axis=0)}).items()}


def ceilings_table(ceilings: dict[str, Any]) -> str:
    """Return shares of recordings as text."""
    lines = [f"Of {OVERDRIVEN}, peaks crowd within {BESIDE:.0%} of full scale after a gain:"]
    for name, found in ceilings.items():
        shares = ", ".join(f"{key} {found[key]:.1%}" for key in (*CEILINGS, "any"))
        lines.append(f"  {name} ({found['recordings']}): {shares}")
    return "\n".join(lines)


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [f"threshold {report['threshold']}, fitted on half of the speakers {report['fitted']:.4f}"]
    lines += ["", "Called clipped, of recordings as they are (other half of the speakers):"]
    lines += [f"  {name}: {share:.1%} of {report['clips'][name]}" for name, share in report["false_alarms"].items()]
    lines += ["", f"... of {report['n_altered']} recordings that were coded, not clipped:"]
    lines += [f"  {name}: {share:.1%}" for name, share in report["altered"].items()]
    for kind, shares in report["hits"].items():
        lines += ["", f"Found, cut {kind}:", *(f"  {name}: {share:.0%}" for name, share in shares.items())]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="where the corpora lie")
    parser.add_argument("--every", type=int, default=1, help="take each n-th recording for false alarms")
    parser.add_argument("--clips", type=int, default=8, help="of each corpus, that are clipped and coded")
    parser.add_argument("--write", action="store_true", help="keep the figures in reports/clipping.json")
    parser.add_argument("--ceilings", action="store_true", help="measure where peaks crowd, and keep the other figures")
    options = parser.parse_args()
    report = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
    if options.ceilings:
        report["ceilings"] = measure_ceilings(options.data)
        print(ceilings_table(report["ceilings"]))
    else:
        kept = {name: report[name] for name in ("ceilings",) if name in report}
        report = measure(options.data, options.every, options.clips) | kept
        print(table(report))
    if options.write:
        REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
