"""Scores of adaptation by what the clips of a source are like: how many, of one mood or speaker, mostly neutral."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ser import metrics
from ser.training.adaptation import adapted
from ser.types import Clip

SIZES = (3, 5, 10, 20, 50)
CLIPS = 20  # of every other kind
NEUTRAL_SHARE = 0.7  # of the clips that are mostly neutral, as those of most calls
NEUTRAL = ("neutral", "calm")
DRAWS = 5


@dataclass(frozen=True)
class Source:
    """The clips of a source and their log-probabilities (n_clips, n_labels) of the labels that are scored."""

    clips: Sequence[Clip]
    labels: tuple[str, ...]
    scores: np.ndarray

    @property
    def emotions(self) -> np.ndarray:
        return np.array([clip.emotion for clip in self.clips])

    @property
    def speakers(self) -> np.ndarray:
        return np.array([clip.speaker for clip in self.clips])


def source_kinds(sources: Sequence[Source], seed: int = 0) -> dict[str, dict[str, float]]:
    """Return by the kind of clips the UAR on all other clips, mean over sources, "without" and "with" adaptation.

    Every kind is drawn five times from each source that has enough such clips; moods are averaged.
    """
    rng = np.random.default_rng(seed)
    pairs: dict[str, list[np.ndarray]] = defaultdict(list)
    for source in sources:
        of_source: dict[str, list[np.ndarray]] = defaultdict(list)
        scored = np.flatnonzero(np.isin(source.emotions, source.labels))
        for kind, drawn in _draws(source, rng):
            if len(asked := np.setdiff1d(scored, drawn)):
                of_source[kind].append(_pair(source, drawn, asked))
        for kind, values in of_source.items():
            pairs[kind].append(np.mean(values, axis=0))
    means = {kind: np.mean(each, axis=0).tolist() for kind, each in pairs.items()}
    return {kind: {"without": without, "with": with_} for kind, (without, with_) in means.items()}


def _draws(source: Source, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (kind, indices of the drawn clips)."""
    everything, emotions = np.arange(len(source.clips)), source.emotions
    for size in SIZES:
        yield from _of(f"{size} of any mood", everything, size, rng)
    for label in source.labels:
        yield from _of(f"{CLIPS} of one mood", np.flatnonzero(emotions == label), CLIPS, rng)
    for speaker in sorted(set(source.speakers.tolist())):
        yield from _of(f"{CLIPS} of one speaker", np.flatnonzero(source.speakers == speaker), CLIPS, rng, draws=1)
    neutral = next((label for label in NEUTRAL if label in source.labels), None)
    if neutral is not None:
        n_neutral, kind = round(NEUTRAL_SHARE * CLIPS), f"{CLIPS}, of which {NEUTRAL_SHARE:.0%} {NEUTRAL[0]}"
        parts = [
            [drawn for _, drawn in _of("", np.flatnonzero((emotions == neutral) == same), size, rng)]
            for same, size in ((True, n_neutral), (False, CLIPS - n_neutral))
        ]
        yield from ((kind, np.concatenate(pair)) for pair in zip(*parts, strict=False))


def _of(
    kind: str, members: np.ndarray, size: int, rng: np.random.Generator, draws: int = DRAWS
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (kind, drawn members) for every draw; nothing if there are not enough."""
    if len(members) >= size:
        yield from ((kind, rng.choice(members, size, replace=False)) for _ in range(draws))


def _pair(source: Source, drawn: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return UAR on the clips that are asked, without and with adaptation to those that are drawn, (2,)."""
    labels = list(source.labels)
    truth = np.array([labels.index(emotion) for emotion in source.emotions[asked]])
    answers = source.scores[asked], adapted(source.scores, drawn, asked)
    return np.array(
        [metrics.uar(metrics.confusion_matrix(truth, each.argmax(axis=1), len(labels))) for each in answers]
    )
