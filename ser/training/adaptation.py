"""Scores of answers that are adapted to a source: to a few clips of a corpus or of a speaker, drawn without labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from ser import metrics
from ser.inference.adaptation import SourceMean
from ser.types import Clip, ParameterError

SPEAKER_CLIPS = 5
DRAWS = 20  # of clips that answers are adapted to

Source = Literal["corpus", "speaker"]  # what the clips of a source have in common
# Scores of an unseen corpus: name, what clips of a source have in common, the number of them that is known, and draws.
UNSEEN_SOURCES: tuple[tuple[str, Source, int, int], ...] = (
    ("adapted_10", "corpus", 10, DRAWS),
    ("adapted_20", "corpus", 20, DRAWS),
    ("calibrated", "speaker", SPEAKER_CLIPS, 5),  # there are many speakers
)


def adapted(scores: np.ndarray, drawn: Sequence[int] | np.ndarray, asked: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the scores of the clips that are asked, adapted to those of a source that are drawn, (n_asked, n_labels).

    `scores` (n, n_labels) are log-probabilities.
    """
    known = scores[drawn]
    return scores[asked] + SourceMean(len(known), known.mean(axis=0)).correction


def large_sources(clips: Sequence[Clip], n_clips: int, by: Source) -> list[int]:
    """Return the indices of the clips whose source has more than `n_clips`."""
    sizes = Counter(getattr(clip, by) for clip in clips)
    return [index for index, clip in enumerate(clips) if sizes[getattr(clip, by)] > n_clips]


def unseen_scores(clips: Sequence[Clip], labels: Sequence[str], scores: np.ndarray) -> dict[str, Any]:
    """Return UAR on an unseen corpus, with and without clips of it and of each speaker, by name (`UNSEEN_SOURCES`).

    `scores` (n_clips, n_labels) are the log-probabilities of `labels`. Speakers with too few clips are left out, and a
    corpus with too few has no scores.
    """
    report: dict[str, Any] = {}
    for name, by, n_clips, draws in UNSEEN_SOURCES:
        if kept := large_sources(clips, n_clips, by):
            part = [clips[position] for position in kept]
            report[name] = source_scores(part, labels, scores[kept], n_clips, by=by, draws=draws)
    return report


def source_scores(
    clips: Sequence[Clip],
    labels: Sequence[str],
    scores: np.ndarray,
    n_clips: int,
    *,
    by: Source = "speaker",
    draws: int = DRAWS,
    seed: int = 0,
    on_draw: Callable[[], Any] = lambda: None,
) -> dict[str, Any]:
    """Return UAR with and without adaptation to each source, pooled over sources and draws, and the gain's interval.

    A draw takes `n_clips` clips of a source, regardless of their labels, and compares both answers for its other clips.
    `scores` (n_clips, n_labels) are the log-probabilities of `labels`; clips with other labels are drawn but not
    scored. The 95 % interval is over sources (bootstrap), None if there is one. Raises `ParameterError` if a source has
    too few clips.
    """
    known = {label: index for index, label in enumerate(labels)}
    truth = np.array([known.get(clip.emotion, -1) for clip in clips])
    pairs: dict[str, np.ndarray] = {}
    for source, drawn, rest in adapted_draws(clips, n_clips, by=by, draws=draws, seed=seed):
        scored = rest[truth[rest] >= 0]
        answers = scores[scored], adapted(scores, drawn, scored)
        pair = [metrics.confusion_matrix(truth[scored], each.argmax(axis=1), len(labels)) for each in answers]
        pairs[source] = pairs.get(source, 0) + np.stack(pair)
        on_draw()
    before, after = np.stack([*pairs.values()], axis=1)
    return {
        "with": metrics.uar(after.sum(axis=0)),
        "without": metrics.uar(before.sum(axis=0)),
        "interval": metrics.gain_interval(before, after) if len(pairs) > 1 else None,
        "clips": n_clips,
        "draws": draws,
        "seed": seed,
        f"{by}s" if by == "speaker" else "corpora": len(pairs),
    }


def adapted_draws(
    clips: Sequence[Clip], n_clips: int, *, by: Source, draws: int = DRAWS, seed: int = 0
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (source, drawn clips, its other clips) of every draw; raise `ParameterError` if a source is too small."""
    rng = np.random.default_rng(seed)
    names = np.array([getattr(clip, by) for clip in clips])
    sources = {name: np.flatnonzero(names == name) for name in set(names.tolist())}
    few = sorted(source for source, indices in sources.items() if len(indices) <= n_clips)
    if few or not sources:
        raise ParameterError(
            f"Adaptation to {n_clips} clips is scored on the other clips of a {by}; found {len(few)} with no more than "
            f"that ({', '.join(few[:3]) or 'no clips at all'}). Leave them out, or adapt to fewer."
        )
    for source, indices in sorted(sources.items()):
        for _ in range(draws):
            drawn = rng.choice(indices, n_clips, replace=False)
            yield source, drawn, np.setdiff1d(indices, drawn)
