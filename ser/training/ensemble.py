"""Our own model: several networks on different views of a voice, trained apart and asked together.

Folds are made of the first corpus' speakers. All other corpora stand on every training side, and a few speakers of
each training side are kept from its networks, to choose their weights on.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ser import metrics
from ser.datasets.splits import Split, corpus_splits, inner_split, random_split, speaker_folds
from ser.training.configs import CONFIGS
from ser.training.cross_validation import (
    FoldResult,
    Study,
    clip_heads,
    clip_log_probabilities,
    guard,
    prepare,
    stage,
    train_on,
)
from ser.training.feature_table import FeatureTable
from ser.training.fit import Fitted
from ser.types import Clip

INNER_SHARE = 0.1  # of a training side's speakers, whom its networks never hear
OWN_CLIPS = 5  # of a speaker, that a voice is described by in training
OWN_DRAWS = 2  # rows of each window, each described by other clips
FINAL = "final"


@dataclass(frozen=True)
class Ensemble:
    """Names of configurations and the weight of each one's log-probabilities.

    `own` is one of them, trained once more on features less those of the speaker's voice; once a few clips of the
    speaker are known, that network takes the place of the first, with `own_weight`.
    """

    branches: dict[str, float]
    own: str
    own_weight: float


ENSEMBLES = {"voice": Ensemble({"sequence": 0.35, "sequence_mixed": 0.35, "statistics": 0.3}, "statistics", 0.7)}


@dataclass(frozen=True)
class Answers:
    """What the networks of one split answer together: log-probabilities (n, n_labels), heads (n, 2)."""

    log_probabilities: np.ndarray
    heads: np.ndarray


@dataclass(frozen=True)
class Team:
    """The studies of all branches, on the same clips; the first `home` clips are those of the folds' corpus."""

    ensemble: Ensemble
    studies: dict[str, Study]
    own: Study
    home: int

    @property
    def first(self) -> Study:
        return next(iter(self.studies.values()))

    @property
    def clips(self) -> Sequence[Clip]:
        return self.first.clips

    @property
    def all(self) -> dict[str, Study]:
        return {**self.studies, "own": self.own}

    def trained(self, split: Split) -> list[str]:
        """The branches that are trained on a split; a voice of one's own is asked for in the folds and when shipped."""
        named = split.name.startswith("fold") or split.name == FINAL
        return [*self.studies, *(["own"] if named else [])]


def assemble(clips: Sequence[Clip], home: int, ensemble: Ensemble, work: Path, progress: bool = True) -> Team:
    """Extract the features of every branch. Raises `ParameterError` where duplicates span speakers."""
    studies: dict[str, Study] = {}
    for name in ensemble.branches:
        studies[name] = _same_rows(studies, name, work) or prepare(clips, CONFIGS[name], work / name, progress)
    own = studies[ensemble.own]
    own = replace(own, table=relative(own.table, own.clips), work=work / "own")
    own.work.mkdir(exist_ok=True)
    home = sum(clip.corpus == clips[0].corpus for clip in own.clips) if home < len(clips) else len(own.clips)
    return Team(ensemble, studies, own, home)


def _same_rows(studies: dict[str, Study], name: str, work: Path) -> Study | None:
    """A branch on the rows of an earlier one, where both are made alike."""
    config = CONFIGS[name]
    rows = (config.recipe, config.copies, config.augmentations, config.reduce_noise)
    for study in studies.values():
        one = study.config
        if rows == (one.recipe, one.copies, one.augmentations, one.reduce_noise):
            (work / name).mkdir(exist_ok=True)
            return replace(study, config=config, work=work / name)
    return None


def relative(table: FeatureTable, clips: Sequence[Clip], seed: int = 0) -> FeatureTable:
    """Features less their mean over a few clips of the same speaker, drawn without a look at their labels.

    Every row stands there twice, each time described by other clips.
    """
    rng = np.random.default_rng(seed)
    unaltered = np.flatnonzero(table.copy == 0)
    clip_means = np.stack([table.rows[unaltered[table.origin[unaltered] == i]].mean(axis=0) for i in range(len(clips))])
    speakers = np.array([clip.speaker for clip in clips])
    own = {speaker: np.flatnonzero(speakers == speaker) for speaker in set(speakers)}
    parts = []
    for _ in range(OWN_DRAWS):
        voices = np.stack([clip_means[_others(rng, own[speakers[i]], i)].mean(axis=0) for i in range(len(clips))])
        parts.append(table.rows - voices[table.origin])
    origin, copy = np.tile(table.origin, OWN_DRAWS), np.tile(table.copy, OWN_DRAWS)
    return replace(table, rows=np.concatenate(parts).astype(np.float32), origin=origin, copy=copy)


def _others(rng: np.random.Generator, own: np.ndarray, clip: int) -> np.ndarray:
    """A few of a speaker's clips without the one in question, unless there is no other."""
    others = own[own != clip]
    return rng.choice(others, min(OWN_CLIPS, len(others)), replace=False) if len(others) else own


# --- Splits ---


def team_folds(team: Team) -> list[tuple[Split, tuple[int, ...]]]:
    """Folds over the speakers of the home corpus, each with the clips of the speakers kept for choices."""
    return [_kept_apart(team, split) for split in speaker_folds(team.clips[: team.home])]


def team_random(team: Team, seed: int = 0) -> Split:
    """The random split of the home corpus; the other corpora are trained on."""
    together = [group for group in team.first.duplicates if max(group) < team.home]
    split = random_split(team.clips[: team.home], seed, duplicates=together)
    return replace(split, train=(*split.train, *range(team.home, len(team.clips))))


def team_left_out(team: Team) -> list[Split]:
    """One corpus left out after the other; none where there is only one."""
    return corpus_splits(team.clips) if len({clip.corpus for clip in team.clips}) > 1 else []


def team_final(team: Team) -> Split:
    """Everything, for the network that ships."""
    return Split(FINAL, tuple(range(len(team.clips))), ())


def _kept_apart(team: Team, split: Split) -> tuple[Split, tuple[int, ...]]:
    kept = inner_split(team.clips[: team.home], split.train, share=INNER_SHARE).test
    train = (*sorted(set(split.train) - set(kept)), *range(team.home, len(team.clips)))
    return replace(split, train=train), kept


# --- Training ---


def train_team(team: Team, splits: Sequence[Split], jobs: int, progress: bool = True) -> float:
    """Train every branch on every split, in `jobs` processes of one thread each; returns the minutes it took.

    Finished networks are kept in the work folder and read from there by `answers`, and by a run that goes on.
    """
    from joblib import Parallel, delayed, parallel_config
    from tqdm.auto import tqdm

    for split in splits:
        if split.test:
            guard(team.first, split)
    tasks = [(name, split) for split in splits for name in team.trained(split)]
    started = time.monotonic()
    with (
        warnings.catch_warnings(),
        parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1),
        tqdm(total=len(tasks), desc="Training", unit="network", disable=not progress) as bar,
    ):
        # TensorFlow keeps memory from fit to fit, and joblib puts a fresh worker in the place of one that has grown.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        fits = (delayed(fit_one)(team.all[name], split, os.getpid()) for name, split in tasks)
        for _ in Parallel(return_as="generator_unordered")(fits):
            bar.update()
    return (time.monotonic() - started) / 60


def fit_one(study: Study, split: Split, program: int) -> None:
    """Train one network, unless it is there; `program` is the process that wants it."""

    def stop_if_orphaned() -> None:
        # A worker outlives a program that is killed, and would write into the run that goes on from there.
        if program not in (os.getpid(), os.getppid()):
            os._exit(1)

    if (study.work / split.name / "done.json").exists():
        return
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(variable, "1")
    config = study.config
    stage(study, split.name, lambda: train_on(study, split.train, config.seeds[0], config.epochs, stop_if_orphaned))


def fitted(team: Team, name: str, split: Split) -> Fitted:
    """A network that `train_team` trained."""
    study = team.all[name]
    config = study.config
    return stage(study, split.name, lambda: train_on(study, split.train, config.seeds[0], config.epochs))


def answers(team: Team, split: Split, clips: Sequence[int]) -> Answers:
    """What the networks of a split answer together for some clips."""
    weights = np.array(list(team.ensemble.branches.values()))
    networks = {name: fitted(team, name, split) for name in team.studies}
    scores = [clip_log_probabilities(team.studies[name], network, clips) for name, network in networks.items()]
    heads = [clip_heads(team.studies[name], network, clips) for name, network in networks.items()]
    return Answers(np.tensordot(weights, scores, 1), np.tensordot(weights / weights.sum(), heads, 1))


def fold_results(
    team: Team, folds: Iterable[tuple[Split, tuple[int, ...]]]
) -> tuple[list[FoldResult], list[np.ndarray]]:
    """Each fold's answers on its test side, with a temperature of its own, and what its heads say there.

    The temperature is that of the speakers of the fold's training side, each answered in the fold that never heard
    it; a split that stands alone has the speakers kept apart for it.
    """
    folds = list(folds)
    tested = {split.name: answers(team, split, split.test) for split, _ in folds}
    results = []
    for split, kept in folds:
        asked = [(tested[other.name], other.test) for other, _ in folds if other.name != split.name]
        asked = asked or [(answers(team, split, kept), kept)]
        inner = np.concatenate([found.log_probabilities for found, _ in asked])
        temperature = metrics.temperature(inner, team.first.truth[[clip for _, clips in asked for clip in clips]])
        network, scores = fitted(team, next(iter(team.studies)), split), tested[split.name].log_probabilities
        results.append(FoldResult(split, network, temperature, network.history, scores))
    return results, [tested[split.name].heads for split, _ in folds]


def head_scores(team: Team, folds: Sequence[FoldResult], heads: Sequence[np.ndarray]) -> dict[str, Any]:
    """Accuracy of sex and intensity on the test sides, and the area under the curve of intensity."""
    index = np.array([clip for fold in folds for clip in fold.split.test])
    found = np.concatenate(heads)
    clips = [team.clips[i] for i in index]
    women = np.array([clip.sex == "female" for clip in clips])
    known = np.array([clip.sex is not None for clip in clips])
    graded = np.array([clip.intensity is not None and clip.emotion != "neutral" for clip in clips])
    strong = np.array([clip.intensity == "strong" for clip in clips])
    scores = {}
    if known.any():
        scores["sex"] = {
            "accuracy": float(np.mean((found[:, 0] >= 0.5) == women, where=known)),
            "clips": int(known.sum()),
        }
    if len(set(strong[graded])) > 1:
        from sklearn.metrics import roc_auc_score

        scores["intensity"] = {
            "accuracy": float(np.mean((found[:, 1] >= 0.5) == strong, where=graded)),
            "auc": float(roc_auc_score(strong[graded], found[graded, 1])),
            "clips": int(graded.sum()),
        }
    return scores
