"""Whether explanations name what answers rest on: hides what is named, and as much at random, over unseen actors.

Run: python experiments/explain.py --data FOLDER [--clips 240] [--jobs 2] [--write]. Clips of RAVDESS are asked of the
networks that were trained without their actor, and compared with neutral voices without these actors. The limits of
`ser.inference.explain` were chosen on the actors of fold 6 (--development), who are left out of the score.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from experiments.neutral_voice import Measured, measure_all, statistics_of  # noqa: E402
from ser.audio.loading import load_waveform  # noqa: E402
from ser.datasets.corpora import load_corpus  # noqa: E402
from ser.evaluation.evaluate import stored_folds  # noqa: E402
from ser.features.voice_measures import MEASURES  # noqa: E402
from ser.inference.artifact import find, verify  # noqa: E402
from ser.inference.explain import (  # noqa: E402
    UNEXPLAINED,
    Asked,
    Group,
    Reference,
    best_groups,
    named_stretches,
    training_reference,
)
from ser.inference.hiding import attenuate, cut_out, replace_by_noise  # noqa: E402
from ser.inference.recognizer import Recognizer  # noqa: E402
from ser.reporting.model_card import explained_table  # noqa: E402
from ser.training.parallel import in_parallel  # noqa: E402
from ser.types import Clip  # noqa: E402

DEVELOPMENT = 5  # the index of the fold
DRAWS = 4  # of stretches at random, a clip
SEED = 0
BOOTSTRAPS = 2000
WANTED = 2.0
Bounds = Sequence[tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="where the corpora lie")
    parser.add_argument("--model", default="voice", help="a model's name or folder; default: voice")
    parser.add_argument("--clips", type=int, default=240, help="as many of each actor")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--development", action="store_true", help="the actors of fold 6 in place of the others")
    parser.add_argument("--write", type=Path, nargs="?", const=ROOT / "reports", help="folder; default: reports/")
    options = parser.parse_args()
    report = score(options.model, options.data, options.clips, options.jobs, options.development)
    print(explained_table(report))
    for row in report["rows"]:
        verdict = "pass" if row["ratio"] >= WANTED else "fail"
        print(f"{row['name']}: {row['ratio']:.2f} times as much ({verdict})")
    if options.write:
        (options.write / "explain.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def score(model: str, data: Path, n_clips: int, jobs: int, development: bool) -> dict[str, Any]:
    """Return how much the probability of the answers changes if what is named is hidden, and as much at random."""
    from tqdm import tqdm

    artifact, clips = verify(find(model)), load_corpus("ravdess", data).clips
    measured = measure_all(data)
    stored = stored_folds(artifact, clips, "folds")
    used = [stored[DEVELOPMENT]] if development else [fold for k, fold in enumerate(stored) if k != DEVELOPMENT]
    n_actors = len({clips[index].speaker for _, tested in used for index in tested})
    tasks = [
        partial(score_actor, model, fold, drawn, measured)
        for fold, tested in used
        for drawn in _drawn([clips[index] for index in tested], n_clips // n_actors)
    ]
    found = [row for rows in tqdm(in_parallel(tasks, jobs, ordered=True), total=len(tasks)) for row in rows]
    kinds = dict.fromkeys(name for row in found for name in row["changes"])
    return {
        "model": artifact.name,
        "clips": len(found),
        "actors": n_actors,
        "explained": float(np.mean([bool(row["changes"]) for row in found])),
        "rows": [_summary(name, found) for name in kinds],
    }


def _drawn(clips: Sequence[Clip], n: int) -> list[list[Clip]]:
    """Return n clips at random of each speaker."""
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_speaker[clip.speaker].append(clip)
    rng = np.random.default_rng(SEED)
    return [[every[index] for index in rng.permutation(len(every))[:n]] for every in by_speaker.values()]


def score_actor(
    model: str, fold: dict[str, Any], clips: Sequence[Clip], measured: Sequence[Measured]
) -> list[dict[str, Any]]:
    """Return the changes of every clip of an actor, by networks that were trained without the actor."""
    recognizer = Recognizer(verify(find(model)), fold)
    neutral = statistics_of(measured, without=fold["test"])
    rng = np.random.default_rng(int(clips[0].speaker.split("/")[1]))
    return [{"speaker": clip.speaker, "changes": changes(recognizer, clip, neutral, rng)} for clip in clips]


def changes(
    recognizer: Recognizer, clip: Clip, neutral: dict[str, Any], rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Return by kind how much the probability changes if what is named is hidden, and at random."""
    waveform = load_waveform(clip.path, recognizer.sample_rate)
    prediction = recognizer.predict(waveform)
    if UNEXPLAINED & set(prediction.reasons):
        return {}
    asked = Asked(recognizer, waveform, prediction)
    reference = training_reference(neutral, prediction.sex)
    groups = best_groups(asked.groups(reference))
    stretches = [(hidden.start, hidden.end) for hidden in named_stretches(asked.hidden_stretches())]
    return {
        **(stretch_changes(asked, stretches, rng) if stretches else {}),
        **(group_changes(asked, groups, reference) if groups else {}),
    }


def stretch_changes(asked: Asked, named: Bounds, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Return the changes by each way of hiding; cutting out is none by which stretches are chosen."""
    length = named[0][1] - named[0][0]
    draws = [_draw(len(asked.sound), len(named), length, rng) for _ in range(DRAWS)]
    ways: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
        "stretches, cut out": cut_out,
        "stretches, turned down": attenuate,
        "stretches, replaced by noise": partial(replace_by_noise, noise=asked.noise),
    }
    return {
        name: (_change(asked, way, named), float(np.mean([_change(asked, way, draw) for draw in draws])))
        for name, way in ways.items()
    }


def _draw(n_samples: int, n: int, length: int, rng: np.random.Generator) -> Bounds:
    """Return n stretches at random that do not overlap."""
    gaps = np.sort(rng.integers(0, n_samples - n * length + 1, n))
    return [(int(gap) + k * length, int(gap) + (k + 1) * length) for k, gap in enumerate(gaps)]


def _change(asked: Asked, way: Callable[[np.ndarray, int, int], np.ndarray], bounds: Bounds) -> float:
    sound = asked.sound
    for start, end in sorted(bounds, reverse=True):
        sound = way(sound, start, end)
    return abs(asked.fall(sound))


def group_changes(asked: Asked, groups: Sequence[Group], reference: Reference) -> dict[str, tuple[float, float]]:
    """Return the mean change if a named property is brought to the neutral voice.

    Beside it those that are not named are changed by as many standard deviations: towards the neutral voice, as in the
    check that named properties have passed, and away from it, which they have not.
    """
    distances = asked.distances(reference)
    named = float(np.mean([abs(asked.fall(asked.changed(group.name, -group.z, reference))) for group in groups]))
    others = [name for name in MEASURES if name not in {group.name for group in groups}]

    def moved(direction: int) -> float:
        pairs = [(name, direction * np.copysign(group.z, distances[name])) for group in groups for name in others]
        return float(np.mean([abs(asked.fall(asked.changed(name, by, reference))) for name, by in pairs]))

    return {
        "properties, others less marked": (named, moved(-1)),
        "properties, others more marked": (named, moved(1)),
    }


def _summary(name: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return mean changes, their ratio, and its 95 % interval over actors."""
    by_actor: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in found:
        if name in row["changes"]:
            by_actor[row["speaker"]].append(row["changes"][name])
    sums = np.array([np.sum(pairs, axis=0) for pairs in by_actor.values()])
    rng = np.random.default_rng(SEED)
    drawn = sums[rng.integers(0, len(sums), (BOOTSTRAPS, len(sums)))].sum(axis=1)
    count = sum(map(len, by_actor.values()))
    changed, at_random = (sums.sum(axis=0) / count).tolist()
    return {
        "name": name,
        "share": count / len(found),
        "named": changed,
        "random": at_random,
        "ratio": changed / at_random,
        "interval": np.percentile(drawn[:, 0] / drawn[:, 1], (2.5, 97.5)).tolist(),
    }


if __name__ == "__main__":
    main()
