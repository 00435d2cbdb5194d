"""How well the turns of a two-channel call are found: its sides one by one, in every format of a timeline.

A call is made of recordings of two speakers, the agent on the left and the customer on the right channel, whose turns
are known. Run: python experiments/call.py --data FOLDER [--minutes 10] [--model NAME] [--write]. `--write` keeps the
figures in `reports/call.json`.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import ser  # noqa: E402
from ser.audio.loading import load_waveform  # noqa: E402
from ser.datasets.corpora import load_corpus  # noqa: E402
from ser.features.preprocessing import trim  # noqa: E402
from ser.features.spectral import HOP_LENGTH, frame_power  # noqa: E402
from ser.timeline.formats import write  # noqa: E402
from ser.types import Clip  # noqa: E402

REPORT = ROOT / "reports" / "call.json"
RATE = 16_000  # Hz
SIDES = ("left", "right")
LEVEL = 0.3  # peak of a turn
NOISE = 1e-4  # of the line, root mean square
BETWEEN_S = (0.6, 2.5)  # from one turn to the next
MOST_CLIPS = 3  # of a turn, said without a pause
BREATH_DB = 20.0  # below the loudest frame; where little else than breath and clicks is left of a clip
BREATH_S = 0.15
JOINED_S = 0.3  # segments that are closer belong to one turn
WANTED_S = 0.3

Spans = dict[str, list[tuple[float, float]]]
CUE = r"(\d+):(\d+):(\d+),(\d+) --> (\d+):(\d+):(\d+),(\d+)\n\S+ (\w+): "  # of SRT, its caption up to the channel


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="where RAVDESS lies")
    parser.add_argument("--actors", nargs=2, default=("ravdess/05", "ravdess/06"), help="agent and customer")
    parser.add_argument("--strong", action="store_true", help="take cries and whispers of strong intensity, too")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--model", default="voice")
    parser.add_argument("--write", action="store_true", help="keep the figures in reports/call.json")
    options = parser.parse_args()
    clips = load_corpus("ravdess", str(options.data)).clips
    clips = [clip for clip in clips if options.strong or clip.intensity == "normal"]
    of_actors = [[clip for clip in clips if clip.speaker == actor] for actor in options.actors]
    voices = [voice(of_actor) for of_actor in of_actors]
    recording, turns = call(voices, 60 * options.minutes)
    report = {
        "model": options.model,
        "intensity": "all" if options.strong else "normal",
        "clips": sum(map(len, voices)),
        "left_out": sum(map(len, of_actors)) - sum(map(len, voices)),
        "minutes": options.minutes,
        "turns": {side: len(of_side) for side, of_side in turns.items()},
        **measure(recording, turns, ser.load(options.model)),
    }
    print(table(report))
    if options.write:
        REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


# --- The call ---


def spoken(path: str | Path) -> np.ndarray | None:
    """Return a recording's speech without the silence at its ends, at the level of a turn.

    None if it begins or ends with a breath or click, so that nothing but a listener could say where the speech does.
    """
    samples = load_waveform(path).samples
    start, end = trim(samples)
    power = frame_power(samples)
    loud = np.flatnonzero(power > power.max() * 10 ** (-BREATH_DB / 10)) * HOP_LENGTH
    if max(loud[0] - start, end - loud[-1]) > BREATH_S * RATE:
        return None
    return samples[start:end] * (LEVEL / np.abs(samples).max())


def voice(clips: Iterable[Clip]) -> list[np.ndarray]:
    """Return the speech of all clips that have clear ends."""
    return [speech for clip in clips if (speech := spoken(clip.path)) is not None]


def call(voices: Sequence[Sequence[np.ndarray]], seconds: float, seed: int = 0) -> tuple[bytes, Spans]:
    """Return a two-channel WAV of about that length, in which two voices take turns, and the turns in seconds."""
    rng = np.random.default_rng(seed)
    samples = NOISE * rng.standard_normal((round(seconds * RATE), len(SIDES)))
    turns: Spans = {side: [] for side in SIDES}
    at, side = round(rng.uniform(*BETWEEN_S) * RATE), 0
    while True:
        chosen = rng.integers(len(voices[side]), size=rng.integers(1, MOST_CLIPS, endpoint=True))
        said = np.concatenate([voices[side][number] for number in chosen])
        if at + len(said) > len(samples):
            break
        samples[at : at + len(said), side] += said
        turns[SIDES[side]].append((at / RATE, (at + len(said)) / RATE))
        at, side = at + len(said) + round(rng.uniform(*BETWEEN_S) * RATE), 1 - side
    file = io.BytesIO()
    sf.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue(), turns


# --- What stands in the formats ---


def _json(content: bytes) -> Spans:
    return _by_side((one["channel"], one["start_s"], one["end_s"]) for one in json.loads(content)["segments"])


def _srt(content: bytes) -> Spans:
    cues = re.findall(CUE, content.decode())
    return _by_side((side, _seconds(*numbers[:4]), _seconds(*numbers[4:])) for *numbers, side in cues)


def _seconds(hours: str, minutes: str, seconds: str, milliseconds: str) -> float:
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds) + int(milliseconds) / 1000


def _textgrid(content: bytes) -> Spans:
    found = []
    for tier in content.decode().split("item [")[1:]:
        name = re.search(r'name = "emotion (\w+)"', tier)
        intervals = re.findall(r'xmin = (\S+)\s+xmax = (\S+)\s+text = "(.+)"', tier)
        found += [(name[1], float(start_s), float(end_s)) for start_s, end_s, _ in intervals if name]
    return _by_side(found)


def _parquet(content: bytes) -> Spans:
    # `read_table` of PyArrow 26 aborts one in five short processes at their end.
    from pyarrow.parquet import ParquetFile

    rows = ParquetFile(io.BytesIO(content)).read().to_pylist()
    return _by_side((row["channel"], row["start_s"], row["end_s"]) for row in rows)


READERS: dict[str, Callable[[bytes], Spans]] = {
    "json": _json,
    "srt": _srt,
    "textgrid": _textgrid,
    "parquet": _parquet,
}


def _by_side(segments: Iterable[tuple[str, float, float]]) -> Spans:
    """Return the segments of each side, those that follow each other joined."""
    spans: Spans = {side: [] for side in SIDES}
    for side, start_s, end_s in sorted(segments):
        of_side = spans[side]
        if of_side and start_s - of_side[-1][1] < JOINED_S:
            of_side[-1] = of_side[-1][0], max(end_s, of_side[-1][1])
        else:
            of_side.append((start_s, end_s))
    return spans


# --- Figures ---


def measure(recording: bytes, turns: Spans, recognizer: ser.Recognizer) -> dict[str, Any]:
    """Return for each format how far starts and ends of turns are from where they are, in seconds."""
    timeline = recognizer.timeline(recording, channels="each")
    contents = {name: write(timeline, name) for name in READERS}
    encoded = {name: text.encode() if isinstance(text, str) else text for name, text in contents.items()}
    return {"formats": {name: deviations(READERS[name](content), turns) for name, content in encoded.items()}}


def deviations(found: Spans, turns: Spans) -> dict[str, Any]:
    """Compare spans with turns: of a turn, its start and end with those of the spans that lie over it."""
    starts, ends, missed, extra = [], [], 0, 0
    for side in SIDES:
        taken = set()
        for start_s, end_s in turns[side]:
            over = [span for span in found[side] if span[0] < end_s and span[1] > start_s]
            taken.update(over)
            if over:
                starts.append(abs(over[0][0] - start_s))
                ends.append(abs(over[-1][1] - end_s))
            else:
                missed += 1
        extra += len(found[side]) - len(taken)
    return {"missed": missed, "extra": extra, "starts": _summary(starts), "ends": _summary(ends)}


def _summary(values: list[float]) -> dict[str, float]:
    return {
        "largest": max(values),
        "p95": float(np.quantile(values, 0.95)),
        "median": float(np.median(values)),
        "within": float(np.mean(np.array(values) <= WANTED_S)),
    }


def table(report: dict[str, Any]) -> str:
    """Return the report as text."""
    turns = " and ".join(f"{n} {side}" for side, n in report["turns"].items())
    lines = [
        f"{report['minutes']:g} minutes, {turns} turns, `{report['model']}`; wanted: within {WANTED_S} s",
        f"of {report['clips']} clips of {report['intensity']} intensity, but for {report['left_out']} with a breath",
    ]
    for name, found in report["formats"].items():
        starts, ends = (_in_words(kind, found[kind]) for kind in ("starts", "ends"))
        lines.append(f"  {name}: {starts}; {ends}; missed {found['missed']}, extra {found['extra']}")
    return "\n".join(lines)


def _in_words(kind: str, found: dict[str, float]) -> str:
    return f"{kind} within {found['within']:.1%}, 95 % by {found['p95']:.3f} s, largest {found['largest']:.3f} s"


if __name__ == "__main__":
    main()
