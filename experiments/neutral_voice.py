"""Statistics of how neutral voices sound in the training corpora, which explanations compare a voice with.

Run: python experiments/neutral_voice.py --data FOLDER. It writes ser/inference/neutral_voice.json; each corpus counts
alike.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ser.audio.loading import load_waveform
from ser.datasets.corpora import load_corpus
from ser.features.spectral import SAMPLE_RATE
from ser.features.voice_measures import MEASURES
from ser.inference.explain import NEUTRAL_VOICE, measures_of
from ser.types import Clip

CORPORA = ("ravdess", "emodb", "nemo", "emotiontts", "ased")  # those with neutral clips
MOST_NEUTRAL = 240  # clips of a corpus
SPEAKERS_OF = "ravdess"  # which has as many clips of each emotion from every speaker
SEED = 0


class Measured(NamedTuple):
    """A clip and its measures, (6,)."""

    clip: Clip
    values: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="where the corpora lie")
    measured = measure_all(parser.parse_args().data)
    statistics = statistics_of(measured)
    NEUTRAL_VOICE.write_text(json.dumps(statistics, indent=1) + "\n", encoding="utf-8")
    print(f"{sum(statistics['clips'].values())} neutral clips of {', '.join(statistics['clips'])}")
    for kind in ("female", "male", "any"):
        print(
            f"{kind}: " + ", ".join(f"{name} {s['mean']:.1f} ± {s['sd']:.1f}" for name, s in statistics[kind].items())
        )
    print("a speaker's own: " + ", ".join(f"{name} ± {sd:.1f}" for name, sd in statistics["speaker_sd"].items()))


def measure_all(data: Path) -> list[Measured]:
    """Return the measures of neutral clips of every corpus, and of all emotions of `SPEAKERS_OF`."""
    from tqdm import tqdm

    clips: list[Clip] = []
    for name in CORPORA:
        listed = load_corpus(name, data).clips
        neutral = [clip for clip in listed if clip.emotion == "neutral" and clip.sex is not None]
        drawn = np.random.default_rng(SEED).permutation(len(neutral))[:MOST_NEUTRAL]
        others = [clip for clip in listed if clip.emotion != "neutral"] if name == SPEAKERS_OF else []
        clips += [*(neutral[index] for index in sorted(drawn)), *others]
    found = ((clip, measures_of(load_waveform(clip.path, SAMPLE_RATE))) for clip in tqdm(clips, desc="Clips"))
    return [Measured(clip, measures.values) for clip, measures in found if measures is not None]


def statistics_of(measured: Sequence[Measured], without: Collection[str] = ()) -> dict[str, Any]:
    """Return mean and standard deviation by sex, and the usual deviation within a speaker, without some speakers."""
    used = [row for row in measured if row.clip.speaker not in without]
    neutral = [row for row in used if row.clip.emotion == "neutral"]
    return {
        "clips": dict(Counter(row.clip.corpus for row in neutral)),
        **{sex: _of_corpora([row for row in neutral if row.clip.sex == sex]) for sex in ("female", "male")},
        "any": _of_corpora(neutral),
        "speaker_sd": _within_speakers([row for row in used if row.clip.corpus == SPEAKERS_OF]),
    }


def _of_corpora(rows: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """Return mean and standard deviation of each measure, as if each corpus had as many clips."""
    by_corpus = _grouped(rows, "corpus")
    means = np.array([values.mean(axis=0) for values in by_corpus])
    variance = np.mean([values.var(axis=0) for values in by_corpus], axis=0) + means.var(axis=0)
    pairs = zip(MEASURES, means.mean(axis=0), np.sqrt(variance), strict=True)
    return {name: {"mean": round(float(mean), 3), "sd": round(float(sd), 3)} for name, mean, sd in pairs}


def _within_speakers(rows: Sequence[Measured]) -> dict[str, float]:
    deviations = np.sqrt(np.mean([values.var(axis=0) for values in _grouped(rows, "speaker")], axis=0))
    return {name: round(float(sd), 3) for name, sd in zip(MEASURES, deviations, strict=True)}


def _grouped(rows: Sequence[Measured], by: str) -> list[np.ndarray]:
    groups: dict[str, list[np.ndarray]] = defaultdict(list)
    for row in rows:
        groups[getattr(row.clip, by)].append(row.values)
    return [np.array(values) for values in groups.values()]


if __name__ == "__main__":
    main()
