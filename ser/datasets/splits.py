"""Speaker-independent folds and other splits, and the check that a split does not leak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np

from ser.datasets.corpora import recording_id
from ser.types import EMOTIONS, Clip, ParameterError

# Test actors of the six published folds of RAVDESS.
RAVDESS_FOLDS = (
    (1, 11, 20, 21),
    (4, 10, 12, 14),
    (8, 9, 19, 23),
    (3, 5, 7, 24),
    (2, 15, 16, 18),
    (6, 13, 17, 22),
)
MAX_LEAVE_ONE_OUT = 12  # speakers; with more of them, they are grouped into folds
GROUPS = 6
INFLATED = "inflated by shared speakers"
DOUBLED = "doubled"  # the only split that is meant to leak
DOUBLED_NOTE = "inflated by shared speakers and by copies of the training recordings"


@dataclass(frozen=True)
class Split:
    """Training and test indices into a list of clips, ascending. `note` must be printed with every score of it."""

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    note: str = ""


def speaker_folds(clips: Sequence[Clip]) -> list[Split]:
    """Return speaker-independent folds; each clip is in one test side.

    RAVDESS alone gets its six published folds (without those whose actors are absent); other clips get one fold per
    speaker for up to 12 speakers, else six groups: every sixth of the sorted speakers, since neighbours in that order
    often share corpus and sex. Raises `ParameterError` if there are fewer than two speakers.
    """
    speakers = sorted({clip.speaker for clip in clips})
    if len(speakers) < 2:
        raise ParameterError(
            f"Speaker-independent folds need at least two speakers; all {len(clips)} clips have "
            f"{speakers[0] if speakers else 'none'}. Name the speakers by a sub-folder (happy/anna/1.wav) or in the "
            "speaker column of a table.tsv, or use the random split, whose scores are " + INFLATED + "."
        )
    n = len(speakers) if len(speakers) <= MAX_LEAVE_ONE_OUT else GROUPS
    groups = _published(clips) or {f"fold{k}": set(speakers[k - 1 :: n]) for k in range(1, n + 1)}
    return [_by_speakers(clips, range(len(clips)), name, group) for name, group in groups.items()]


def random_split(
    clips: Sequence[Clip], seed: int = 0, test_share: float = 0.2, duplicates: Iterable[Sequence[int]] = ()
) -> Split:
    """Return a random split, stratified by emotion; its note says that shared speakers inflate the scores.

    `duplicates` are groups of indices that stay on one side. Raises `ParameterError` if a side would be empty.
    """
    if not 0 < test_share < 1:
        raise ParameterError(f"test_share must be between 0 and 1, got {test_share}.")
    rng = np.random.default_rng(seed)
    partners = {min(group): group for group in duplicates}
    followers = {index for group in partners.values() for index in group} - set(partners)
    units = defaultdict(list)
    for index, clip in enumerate(clips):
        if index not in followers:
            units[clip.emotion].append(index)
    test: set[int] = set()
    owed = 0.0  # rounding remainder, carried over so that the test side has the requested size
    for emotion in sorted(units):
        firsts = rng.permutation(units[emotion]).tolist()
        owed += test_share * len(firsts)
        # An emotion with two or more clips is on both sides.
        count = min(max(round(owed), 1), len(firsts) - 1)
        owed -= count
        test.update(index for first in firsts[:count] for index in partners.get(first, (first,)))
    if not test:
        raise ParameterError(f"No emotion has two clips, so {len(clips)} clips cannot be split.")
    return Split("random", tuple(sorted(set(range(len(clips))) - test)), tuple(sorted(test)), INFLATED)


def corpus_splits(clips: Sequence[Clip]) -> list[Split]:
    """Return a split `without_<corpus>` per corpus: train on the other corpora, test on this one.

    Score it over `shared_labels`. Raises `ParameterError` if there are fewer than two corpora, or if one shares fewer
    than two labels with the others.
    """
    corpora = sorted({clip.corpus for clip in clips})
    if len(corpora) < 2:
        raise ParameterError(
            f"Leaving one corpus out needs at least two corpora; all {len(clips)} clips are of "
            f"{corpora[0] if corpora else 'none'}. Add another corpus, or use speaker folds."
        )
    return [_without(clips, corpus) for corpus in corpora]


def _without(clips: Sequence[Clip], corpus: str) -> Split:
    speakers = {clip.speaker for clip in clips if clip.corpus == corpus}
    split = _by_speakers(clips, range(len(clips)), f"without_{corpus}", speakers)
    shared = shared_labels(clips, split)
    if len(shared) < 2:
        raise ParameterError(
            f"The corpus {corpus} shares {', '.join(shared) or 'no label'} with the others; scoring a network without "
            "it needs at least two shared labels. Drop it, or add a corpus with its labels."
        )
    return split


def shared_labels(clips: Sequence[Clip], split: Split) -> tuple[str, ...]:
    """Return the labels that are on both sides of a split, in vocabulary order."""
    train, test = ({clips[index].emotion for index in side} for side in (split.train, split.test))
    return tuple(emotion for emotion in EMOTIONS if emotion in train & test)


def doubled(clips: Sequence[Clip]) -> list[Clip]:
    """Return every clip twice, as in the most downloaded copy of RAVDESS: 2,880 paths, 1,440 recordings."""
    return [*clips, *clips]


def doubled_split(clips: Sequence[Clip], seed: int = 0) -> Split:
    """Return the random split of doubled clips, the only one that may leak: most test clips are trained on, too."""
    return replace(random_split(clips, seed), name=DOUBLED, note=DOUBLED_NOTE)


def inner_split(clips: Sequence[Clip], train_indices: Sequence[int], seed: int = 0, share: float = 0.2) -> Split:
    """Hold out about `share` of the speakers of a training side, e.g. to choose epochs and temperature.

    Speakers are stratified by corpus and sex. Indices refer to `clips`, as `train_indices` do.
    """
    strata = defaultdict(set)
    for index in train_indices:
        clip = clips[index]
        strata[clip.corpus, clip.sex or ""].add(clip.speaker)
    rng = np.random.default_rng(seed)
    ranked = []
    for key in sorted(strata):
        speakers = rng.permutation(sorted(strata[key])).tolist()
        ranked += [((rank + 0.5) / len(speakers), speaker) for rank, speaker in enumerate(speakers)]
    if len(ranked) < 2:
        raise ParameterError(
            "Choosing epochs on held-out speakers needs at least two speakers on the training side, "
            f"got {ranked[0][1] if ranked else 'none'}."
        )
    # The lowest relative ranks of all strata take the same share of each; the sort is stable.
    ranked.sort(key=itemgetter(0))
    held_out = {speaker for _, speaker in ranked[: max(1, round(share * len(ranked)))]}
    return _by_speakers(clips, train_indices, "inner", held_out)


def check_split(
    clips: Sequence[Clip],
    split: Split,
    *,
    by_speaker: bool = True,
    origin: Sequence[int] | None = None,
    duplicates: Iterable[Sequence[int]] = (),
) -> None:
    """Raise `ParameterError` if a split leaks from the training side into the test side.

    A leak is a shared clip or augmented copy, another file of the same recording, a duplicate (`duplicates`: groups of
    clip indices) or, with `by_speaker`, a shared speaker. With `origin`, the split's indices are rows of a feature
    matrix and `origin[row]` is the clip of a row; without it they are indices into `clips`.
    """
    train, test = (side if origin is None else tuple(origin[row] for row in side) for side in (split.train, split.test))
    if not train or not test:
        raise ParameterError(f"Split {split.name!r} has an empty {'test' if train else 'training'} side.")
    group_of = {index: number for number, group in enumerate(duplicates) for index in group}
    checks: dict[str, Sequence] = {
        "a clip or its augmented copy": range(len(clips)),
        "a recording": [recording_id(clip) for clip in clips],
        "a pair with equal samples": [group_of.get(index, ~index) for index in range(len(clips))],
    }
    if by_speaker:
        checks["a speaker"] = [clip.speaker for clip in clips]
    for what, keys in checks.items():
        trained = {keys[index]: clips[index] for index in train}
        leak = next((index for index in test if keys[index] in trained), None)
        if leak is not None:
            first, second = trained[keys[leak]], clips[leak]
            raise ParameterError(
                f"Split {split.name!r} leaks: {what} is on both sides ({first.path} of {first.speaker} in "
                f"training, {second.path} of {second.speaker} in test). Use speaker_folds, or keep it on one side."
            )


def _published(clips: Sequence[Clip]) -> dict[str, set[str]]:
    """Return the test speakers of the published RAVDESS folds; empty if not just these or only one fold."""
    speakers = {clip.speaker for clip in clips}
    folds = ({f"ravdess/{actor:02d}" for actor in fold} & speakers for fold in RAVDESS_FOLDS)
    present = {f"fold{k}": fold for k, fold in enumerate(folds, start=1) if fold}
    complete = set().union(*present.values()) == speakers
    return present if complete and len(present) > 1 else {}


def _by_speakers(clips: Sequence[Clip], indices: Iterable[int], name: str, test_speakers: set[str]) -> Split:
    ordered = sorted(indices)
    test = tuple(index for index in ordered if clips[index].speaker in test_speakers)
    return Split(name, tuple(index for index in ordered if clips[index].speaker not in test_speakers), test)
