"""Training and test sides that share no speaker, and the guard that stops a split which leaks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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
MAX_LEAVE_ONE_OUT = 12  # up to so many speakers each one is a test side of its own
GROUPS = 6
INFLATED = "inflated by shared speakers"
DOUBLED = "doubled"  # the one split that is meant to leak
DOUBLED_NOTE = "inflated by shared speakers and by copies of the training recordings"


@dataclass(frozen=True)
class Split:
    """Two sides of a list of clips, as ascending indices. `note` must be printed beside every figure from it."""

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    note: str = ""


def speaker_folds(clips: Sequence[Clip]) -> list[Split]:
    """Folds in which every clip is tested once and no speaker stands on both sides.

    A pure RAVDESS list gets the six published folds (without those whose actors are absent), any other list one fold
    a speaker up to twelve speakers, else six groups dealt in turn from the sorted speakers, since neighbours in that
    order often share corpus and sex. Raises `ParameterError` for fewer than two speakers.
    """
    speakers = sorted({clip.speaker for clip in clips})
    if len(speakers) < 2:
        raise ParameterError(
            f"Speaker-independent folds need at least two speakers; all {len(clips)} clips have "
            f"{speakers[0] if speakers else 'none'}. Name the speakers by a sub-folder (happy/anna/1.wav) or in the "
            "speaker column of a table.tsv, or ask for the random split, whose figures are " + INFLATED + "."
        )
    groups = _published(clips) or _dealt(speakers)
    return [_by_speakers(clips, range(len(clips)), name, group) for name, group in groups.items()]


def random_split(
    clips: Sequence[Clip], seed: int = 0, test_share: float = 0.2, duplicates: Iterable[Sequence[int]] = ()
) -> Split:
    """A split by chance within every emotion, noted as inflated: the same speakers stand on both sides.

    `duplicates` are groups of indices that stay together. Raises `ParameterError` where a side would be empty.
    """
    if not 0 < test_share < 1:
        raise ParameterError(f"test_share must lie between 0 and 1, found {test_share}.")
    rng = np.random.default_rng(seed)
    partners = {min(group): tuple(group) for group in duplicates}
    followers = {index for first, group in partners.items() for index in group if index != first}
    units = defaultdict(list)
    for index, clip in enumerate(clips):
        if index not in followers:
            units[clip.emotion].append(index)
    test: set[int] = set()
    owed = 0.0  # what rounding left over, handed on so that the sides have the sizes asked for
    for emotion in sorted(units):
        firsts = rng.permutation(units[emotion]).tolist()
        owed += test_share * len(firsts)
        # An emotion with two clips or more stands on both sides.
        count = min(max(round(owed), 1), len(firsts) - 1)
        owed -= count
        test.update(index for first in firsts[:count] for index in partners.get(first, (first,)))
    if not test:
        raise ParameterError(f"No emotion has two clips, so {len(clips)} clips cannot be split.")
    train = (index for index in range(len(clips)) if index not in test)
    return Split("random", tuple(train), tuple(sorted(test)), INFLATED)


def corpus_splits(clips: Sequence[Clip]) -> list[Split]:
    """Leaves one corpus out: a split `without_<corpus>` for each, to test on that corpus and to train on the others.

    It is scored over `shared_labels`. Raises `ParameterError` for fewer than two corpora, or where a corpus shares
    fewer than two labels with the others.
    """
    corpora = sorted({clip.corpus for clip in clips})
    if len(corpora) < 2:
        raise ParameterError(
            f"Leaving one corpus out needs at least two corpora; all {len(clips)} clips are of "
            f"{corpora[0] if corpora else 'none'}. Name a second one, or ask for folds of speakers."
        )
    return [_without(clips, corpus) for corpus in corpora]


def shared_labels(clips: Sequence[Clip], split: Split) -> tuple[str, ...]:
    """The labels that both sides of a split hold, in vocabulary order."""
    train, test = ({clips[index].emotion for index in side} for side in (split.train, split.test))
    return tuple(emotion for emotion in EMOTIONS if emotion in train & test)


def doubled(clips: Sequence[Clip]) -> list[Clip]:
    """Every recording twice, as in the copy of RAVDESS that most people download: 2,880 paths, 1,440 recordings."""
    return [*clips, *clips]


def doubled_split(clips: Sequence[Clip], seed: int = 0) -> Split:
    """The random split of a doubled list as published: copies are not kept together, so most test clips were heard.

    It shows what that does to a score, and is the only split that `ser.training.cross_validation.guard` lets leak.
    """
    return replace(random_split(clips, seed), name=DOUBLED, note=DOUBLED_NOTE)


def inner_split(clips: Sequence[Clip], train_indices: Sequence[int], seed: int = 0, share: float = 0.2) -> Split:
    """Holds out about `share` of the speakers of a training side, to choose epochs and temperature on.

    Every corpus and sex gives in proportion; `seed` decides who. Indices count in `clips`, as `train_indices` do.
    """
    strata = defaultdict(set)
    for index in train_indices:
        clip = clips[index]
        strata[clip.corpus, clip.sex or ""].add(clip.speaker)
    rng = np.random.default_rng(seed)
    order = []
    for key in sorted(strata):
        speakers = rng.permutation(sorted(strata[key])).tolist()
        order += [((rank + 0.5) / len(speakers), speaker) for rank, speaker in enumerate(speakers)]
    if len(order) < 2:
        raise ParameterError(
            "Choosing epochs on held-out speakers needs at least two speakers on the training side, "
            f"found {order[0][1] if order else 'none'}."
        )
    # The lowest ranks of all strata together take a like part of each; the sort is stable.
    order.sort(key=lambda place: place[0])
    held_out = {speaker for _, speaker in order[: max(1, round(share * len(order)))]}
    return _by_speakers(clips, train_indices, "inner", held_out)


def check_split(
    clips: Sequence[Clip],
    split: Split,
    *,
    by_speaker: bool = True,
    origin: Sequence[int] | None = None,
    duplicates: Iterable[Sequence[int]] = (),
) -> None:
    """The guard: raises `ParameterError` where something of the training side is heard again on the test side.

    That is a clip or an augmented copy of it, another file of the same recording, a duplicate (`duplicates`, groups
    of clip indices), or, with `by_speaker`, a speaker. With `origin` the split's indices count rows of a feature
    matrix, and `origin[row]` is the clip that a row was made from; without it they count `clips`.
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
        shared = _shared(keys, train, test)
        if shared:
            one, other = (clips[index] for index in shared)
            raise ParameterError(
                f"Split {split.name!r} leaks: {what} stands on both sides ({one.path} of {one.speaker} in training, "
                f"{other.path} of {other.speaker} in test). Make it with speaker_folds, or keep all of it on one side."
            )


def _shared(keys: Sequence, train: Iterable[int], test: Iterable[int]) -> tuple[int, int] | None:
    """A clip of the training side and one of the test side that have the same key."""
    trained = {keys[index]: index for index in train}
    return next(((trained[keys[index]], index) for index in test if keys[index] in trained), None)


def _published(clips: Sequence[Clip]) -> dict[str, set[str]]:
    """Test speakers of the published RAVDESS folds; empty where the list is another or would lack a training side."""
    speakers = {clip.speaker for clip in clips}
    folds = {f"fold{k}": {f"ravdess/{actor:02d}" for actor in fold} for k, fold in enumerate(RAVDESS_FOLDS, start=1)}
    present = {name: fold & speakers for name, fold in folds.items() if fold & speakers}
    whole = set().union(*present.values()) == speakers
    return present if whole and len(present) > 1 else {}


def _without(clips: Sequence[Clip], corpus: str) -> Split:
    speakers = {clip.speaker for clip in clips if clip.corpus == corpus}
    split = _by_speakers(clips, range(len(clips)), f"without_{corpus}", speakers)
    shared = shared_labels(clips, split)
    if len(shared) < 2:
        raise ParameterError(
            f"The corpus {corpus} shares {', '.join(shared) or 'no label'} with the others, but two labels at least "
            "are needed to score a network without it. Drop it, or add a corpus with its labels."
        )
    return split


def _dealt(speakers: list[str]) -> dict[str, set[str]]:
    n = len(speakers) if len(speakers) <= MAX_LEAVE_ONE_OUT else GROUPS
    return {f"fold{k}": set(speakers[k - 1 :: n]) for k in range(1, n + 1)}


def _by_speakers(clips: Sequence[Clip], indices: Iterable[int], name: str, test_speakers: set[str]) -> Split:
    sides: dict[bool, list[int]] = {True: [], False: []}
    for index in sorted(indices):
        sides[clips[index].speaker in test_speakers].append(index)
    return Split(name, tuple(sides[False]), tuple(sides[True]))
