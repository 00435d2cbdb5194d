"""Adaptation in training: rows as a recogniser that knows their source sees them, and scores of adapted answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array

from ser import metrics
from ser.inference.adaptation import Reference
from ser.training.feature_table import FeatureTable
from ser.types import Clip, ParameterError

PRIOR_CLIPS = 5.0  # a source's difference counts by n / (n + 5) for n clips
SOURCE_CLIPS = (8, 15, 20, 30)  # numbers of clips of a corpus that a row is adapted to
SPEAKER_CLIPS = 5
KINDS = 3  # of rows, equally likely: plain, adapted to clips of their corpus, adapted to clips of their speaker
DRAWS = 20  # of clips that answers are adapted to, in a score

Source = Literal["corpus", "speaker"]  # what the clips of a source have in common
Answer = Callable[[Sequence[int], Sequence[int]], np.ndarray]  # (clips adapted to, clips asked) -> (n_asked, n_labels)


def reference_mean(table: FeatureTable, clips: Sequence[Clip], train: Sequence[int]) -> np.ndarray:
    """Return what sources are compared with: the mean over the training corpora of the mean of their unaltered rows."""
    rows = table.side(train, copies=False)
    corpora = np.array([clips[clip].corpus for clip in table.origin[rows]])
    means = [table.rows[rows[corpora == corpus]].mean(axis=0) for corpus in sorted(set(corpora.tolist()))]
    return np.mean(means, axis=0).astype(np.float32)


def clip_means(table: FeatureTable, n_clips: int) -> np.ndarray:
    """Return the mean of the unaltered rows of every clip, shape (n_clips, size), float32."""
    unaltered = np.flatnonzero(table.copy == 0)
    order = unaltered[np.argsort(table.origin[unaltered], kind="stable")]
    return _means(np.split(order, np.cumsum(np.bincount(table.origin[order], minlength=n_clips))[:-1]), table.rows)


def _means(groups: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return the mean of each group of `rows`, given by their indices, shape (n_groups, size), float32."""
    sizes = np.array([len(group) for group in groups])
    shares, starts = np.repeat(1 / sizes, sizes).astype(np.float32), np.cumsum([0, *sizes])
    return csr_array((shares, np.concatenate(groups), starts), (len(groups), len(rows))) @ rows


def shift(means: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return what is subtracted from the rows of a source, some of whose clips have these means (n, size)."""
    return Reference({"": reference}, PRIOR_CLIPS).shift({"": means.mean(axis=0)}, len(means))[""]


def adapted_rows(
    table: FeatureTable, clips: Sequence[Clip], train: Sequence[int], rows: np.ndarray, seed: int
) -> np.ndarray:
    """Return rows of a table, a third as they are, a third adapted to clips of their corpus, a third of their speaker.

    The clips are drawn from the training side `train` without regard to labels. A network that is trained on these rows
    can be asked with and without a known source.
    """
    rng, means = np.random.default_rng(seed), clip_means(table, len(clips))
    reference = reference_mean(table, clips, train)
    groups = {
        1: _groups([clips[clip].corpus for clip in train], train),
        2: _groups([clips[clip].speaker for clip in train], train),
    }
    kinds, drawn = rng.integers(KINDS, size=len(rows)), []
    for kind, origin in zip(kinds[kinds > 0], table.origin[rows[kinds > 0]], strict=True):
        group = groups[kind][clips[origin].corpus if kind == 1 else clips[origin].speaker]
        n_drawn = rng.choice(SOURCE_CLIPS) if kind == 1 else SPEAKER_CLIPS
        drawn.append(rng.choice(group, min(n_drawn, len(group))))
    counts = np.array([[len(group)] for group in drawn], np.float32)
    adapted = table.rows[rows]
    adapted[kinds > 0] -= counts / (counts + np.float32(PRIOR_CLIPS)) * (_means(drawn, means) - reference)
    return adapted


def _groups(names: Sequence[str], members: Sequence[int]) -> dict[str, np.ndarray]:
    found = np.array(names)
    return {name: np.asarray(members)[found == name] for name in set(names)}


# --- Scores ---


def source_scores(
    clips: Sequence[Clip],
    labels: Sequence[str],
    answer: Answer,
    n_clips: int,
    *,
    by: Source = "speaker",
    draws: int = DRAWS,
    seed: int = 0,
    on_draw: Callable[[], Any] = lambda: None,
) -> dict[str, Any]:
    """Return UAR with and without adaptation to each source, pooled over sources and draws, and the gain's interval.

    A draw takes `n_clips` clips of a source, regardless of their labels, and compares both answers for its other clips.
    `answer` returns scores in the order of `labels`; clips with other labels are drawn but not scored. The 95 %
    interval is over sources (bootstrap). Raises `ParameterError` if a source has too few clips.
    """
    known = {label: index for index, label in enumerate(labels)}
    truth = np.array([known.get(clip.emotion, -1) for clip in clips])
    pairs: dict[str, np.ndarray] = {}
    for source, drawn, rest in adapted_draws(clips, n_clips, by=by, draws=draws, seed=seed):
        scored = rest[truth[rest] >= 0]
        answers = (answer((), scored), answer(drawn.tolist(), scored))
        pair = [metrics.confusion_matrix(truth[scored], each.argmax(axis=1), len(labels)) for each in answers]
        pairs[source] = pairs.get(source, 0) + np.stack(pair)
        on_draw()
    before, after = np.stack([*pairs.values()], axis=1)
    return {
        "with": metrics.uar(after.sum(axis=0)),
        "without": metrics.uar(before.sum(axis=0)),
        "interval": metrics.gain_interval(before, after),
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
    sources = _groups([getattr(clip, by) for clip in clips], range(len(clips)))
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
