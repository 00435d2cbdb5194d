"""From corpora to the artifact of an ensemble: folds of unseen speakers, left-out corpora, the networks that ship."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import ser
from ser import metrics
from ser.datasets.corpora import CorpusClips, find_corpus, load_corpus
from ser.datasets.splits import Split
from ser.inference import artifact
from ser.inference.manifest import HEADS, SCHEMA
from ser.inference.novelty import Novelty, usual
from ser.reporting.figures import write_figures
from ser.reporting.model_card import write_card
from ser.training.configs import CONFIGS, Config
from ser.training.cross_validation import FoldResult, Study, clip_log_probabilities, left_out_scores, out_of_fold
from ser.training.enrolment import enrolment
from ser.training.ensemble import (
    ENSEMBLES,
    Ensemble,
    Team,
    answers,
    assemble,
    fitted,
    fold_results,
    head_scores,
    team_final,
    team_folds,
    team_left_out,
    team_random,
    train_team,
)
from ser.training.feature_table import feature_table
from ser.training.train import (
    GOLDEN_ROWS,
    LIBRARIES,
    check_clips,
    export_onnx,
    heard_corpora,
    index_hash,
    pooled_temperature,
    save_network,
    score,
    threshold,
    variant,
    work_folder,
)
from ser.types import ParameterError

NOVELTY_RECIPE = "voice105-v1"
OWN = "own"


@dataclass(frozen=True)
class Released:
    """Everything that was trained for one artifact, and how long it took."""

    team: Team
    folds: list[FoldResult]
    heads: list[np.ndarray]
    chance: FoldResult
    left_out: list[FoldResult]
    final: Split
    temperature: float
    minutes: float


def train_ensemble(
    corpora: Sequence[tuple[str, str]],
    ensemble_name: str = "voice",
    name: str | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    jobs: int = 2,
    progress: bool = True,
) -> Path:
    """Train and score an ensemble on (corpus name, folder) pairs and write `artifacts/<name>/`; returns that folder.

    The folds are those of the first corpus. Networks are trained in `jobs` processes of one thread; killed runs keep
    the finished ones, and `resume` goes on from them. Raises as `ser.train.train` does.
    """
    ensemble = find_ensemble(ensemble_name)
    name = artifact.check_name(name or ensemble_name)
    folder = artifact.home(name)
    artifact.check_free(folder, force=force)
    listings = [load_corpus(find_corpus(corpus).name, data) for corpus, data in corpora]
    clips = [clip for listing in listings for clip in listing.clips]
    check_clips(listings[0].clips, Config())
    work = work_folder(name, clips, CONFIGS[ensemble.own], resume, json.dumps(_described(ensemble), sort_keys=True))
    team = assemble(clips, len(listings[0].clips), ensemble, work, progress)
    released = _train(team, work, jobs, progress)
    manifest = _manifest(released, listings, name, ensemble_name, progress)
    artifact.write(folder, lambda beside: _fill(beside, released, manifest, progress), force=force)
    shutil.rmtree(work)
    return folder


def find_ensemble(name: str) -> Ensemble:
    """The ensemble of that name; `ParameterError` lists the known ones."""
    if name not in ENSEMBLES:
        raise ParameterError(f"Unknown ensemble {name!r}; known: {', '.join(ENSEMBLES)}.")
    return ENSEMBLES[name]


def _described(ensemble: Ensemble) -> dict[str, Any]:
    return {**asdict(ensemble), "configs": {name: CONFIGS[name].to_dict() for name in ensemble.branches}}


def _train(team: Team, work: Path, jobs: int, progress: bool) -> Released:
    folds, final, chance, left = team_folds(team), team_final(team), team_random(team), team_left_out(team)
    splits = [*(split for split, _ in folds), final, chance, *left]
    minutes = _added(work / "minutes.json", train_team(team, splits, jobs, progress))
    results, heads = fold_results(team, folds)
    temperature = pooled_temperature(team.first, results)
    others = [_asked(team, split, temperature) for split in (chance, *left)]
    return Released(team, results, heads, others[0], others[1:], final, temperature, minutes)


def _added(path: Path, minutes: float) -> float:
    """The minutes of this run and of those that it goes on from."""
    total = minutes + (json.loads(path.read_text()) if path.exists() else 0.0)
    path.write_text(json.dumps(total))
    return total


def _asked(team: Team, split: Split, temperature: float) -> FoldResult:
    """What the networks of a split without speakers kept apart answer on its test side."""
    network = fitted(team, next(iter(team.studies)), split)
    return FoldResult(split, network, temperature, network.history, answers(team, split, split.test).log_probabilities)


# --- Scores ---


def _scores(released: Released, progress: bool) -> dict[str, Any]:
    team, study = released.team, released.team.first
    folds = score(study, released.folds)
    index, probabilities = out_of_fold(released.folds)
    right = probabilities.argmax(axis=1) == study.truth[index]
    confidence = probabilities.max(axis=1)
    seed = {key: folds[key] for key in ("uar", "accuracy")}
    return {
        "folds": {**folds, "seeds": [seed], "uar_mean_of_seeds": folds["uar"]},
        "random": {**score(study, [released.chance]), "note": released.chance.split.note},
        "left_out": {
            fold.split.name.removeprefix("without_"): left_out_scores(study, fold) for fold in released.left_out
        },
        **head_scores(team, released.folds, released.heads),
        **metrics.confidence_curves(confidence, right),
        "accuracy_at_half": metrics.accuracy_at_coverage(confidence, right, 0.5),
        "calibrated": _enrolment(released, progress),
    }


def _enrolment(released: Released, progress: bool) -> dict[str, Any]:
    """What five clips of each test speaker are worth, from the networks that never heard the speaker."""
    from tqdm.auto import tqdm

    team = released.team
    base, truth = team.studies[team.ensemble.own], team.clips[: team.home]
    name, weight = team.ensemble.own, team.ensemble.branches[team.ensemble.own]
    plain: dict[int, np.ndarray] = {}
    others: dict[int, np.ndarray] = {}  # less what the network says whose place is taken
    fold_of: dict[int, Split] = {}
    for fold in released.folds:
        test = fold.split.test
        replaced = clip_log_probabilities(base, fitted(team, name, fold.split), test)
        plain |= dict(zip(test, fold.log_probabilities, strict=True))
        others |= dict(zip(test, fold.log_probabilities - weight * replaced, strict=True))
        fold_of |= dict.fromkeys(test, fold.split)
    unaltered = base.table.side(range(team.home), copies=False)
    rows_of = {clip: base.table.rows[unaltered[base.table.origin[unaltered] == clip]] for clip in plain}
    speakers = np.array([clip.speaker for clip in truth])

    def calibrated(drawn: list[int]) -> Callable[[int], np.ndarray]:
        own = [int(clip) for clip in np.flatnonzero(speakers == speakers[drawn[0]])]
        voice = np.mean([rows_of[clip].mean(axis=0) for clip in drawn], axis=0)
        rows = np.concatenate([rows_of[clip] for clip in own]) - voice
        found = fitted_own(fold_of[drawn[0]]).log_probabilities(rows.astype(np.float32))
        ends = np.cumsum([len(rows_of[clip]) for clip in own])[:-1]
        means = {clip: part.mean(axis=0) for clip, part in zip(own, np.split(found, ends), strict=True)}
        return lambda clip: others[clip] + team.ensemble.own_weight * means[clip]

    networks: dict[str, Any] = {}

    def fitted_own(split: Split) -> Any:
        if split.name not in networks:
            networks[split.name] = fitted(team, OWN, split)
        return networks[split.name]

    with tqdm(total=len(set(speakers)) * 20, desc="Own voices", unit="draw", disable=not progress) as bar:
        return enrolment(truth, team.first.labels, plain.__getitem__, calibrated, on_draw=bar.update)


# --- The artifact ---


def _manifest(
    released: Released, listings: Sequence[CorpusClips], name: str, ensemble_name: str, progress: bool
) -> dict[str, Any]:
    team = released.team
    ensemble, study = team.ensemble, team.first
    architecture = " + ".join(CONFIGS[branch].architecture for branch in ensemble.branches)
    config = CONFIGS[next(iter(ensemble.branches))]
    return {
        "schema": SCHEMA,
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "labels": list(study.labels),
        "branches": [
            {"recipe": CONFIGS[branch].recipe, "file": f"{branch}.onnx", "weight": weight}
            for branch, weight in ensemble.branches.items()
        ],
        "heads": list(HEADS),
        "own_voice": {
            "recipe": CONFIGS[ensemble.own].recipe,
            "file": f"{OWN}.onnx",
            "weight": ensemble.own_weight,
        },
        "golden": "golden.npz",
        "temperature": released.temperature,
        "thresholds": {"confidence": threshold(study, released.folds, released.temperature)},
        "folds": [_variant(team, fold) for fold in released.folds],
        "random": _variant(team, released.chance),
        "training": {
            "corpora": heard_corpora(listings),
            "clips": len(team.clips),
            "config": {**_described(ensemble), "name": ensemble_name, "architecture": architecture}
            | {"copies": config.copies, "seeds": list(config.seeds)},
            "epochs": config.epochs,
            "minutes": released.minutes,
            "minutes_a_fold": _minutes_a_fold(released),
            "index_sha256": index_hash(team.clips),
        },
        "metrics": _scores(released, progress),
        "versions": {"ser": ser.__version__, **{library: version(library) for library in LIBRARIES}},
    }


def _minutes_a_fold(released: Released) -> float:
    """Of training all networks of a fold one after the other; the median fold."""
    team = released.team
    return statistics.median(
        sum(fitted(team, branch, fold.split).history["minutes"][-1] for branch in team.trained(fold.split))
        for fold in released.folds
    )


def _variant(team: Team, fold: FoldResult) -> dict[str, Any]:
    name = fold.split.name
    files = [f"folds/{name}-{branch}.onnx" for branch in team.ensemble.branches]
    own = {"own_voice": f"folds/{name}-{OWN}.onnx"} if OWN in team.trained(fold.split) else {}
    return {**variant(team.first, fold), "files": files, **own}


def _fill(beside: Path, released: Released, manifest: dict[str, Any], progress: bool) -> dict[str, Any]:
    """Write everything in the folder but its manifest; gives the manifest."""
    team = released.team
    (beside / "folds").mkdir()
    for fold in [*released.folds, released.chance]:
        for branch in team.trained(fold.split):
            network = fitted(team, branch, fold.split)
            export_onnx(network, beside / "folds" / f"{fold.split.name}-{branch}.onnx", half=True)
    for branch in team.all:
        network = fitted(team, branch, released.final)
        export_onnx(network, beside / f"{branch}.onnx")
        save_network(network, beside / f"{branch}.keras")
    _save_golden(team, beside)
    manifest = {**manifest, "novelty": _save_novelty(released, beside / "novelty.npz", progress)}
    (beside / "metrics.json").write_text(json.dumps(manifest["metrics"], indent=1) + "\n", encoding="utf-8")
    write_figures(beside / "figures", manifest, [fold.inner_history for fold in released.folds])
    write_card(beside, manifest)
    return manifest


def _save_golden(team: Team, beside: Path) -> None:
    """A few feature rows of every branch and what its exported graph gives for them on this machine."""
    import onnxruntime as ort

    stored: dict[str, np.ndarray] = {}
    for i, (branch, study) in enumerate(team.studies.items()):
        session = ort.InferenceSession(beside / f"{branch}.onnx", providers=["CPUExecutionProvider"])
        rows = study.table.rows[study.table.copy == 0]
        rows = rows[:: max(len(rows) // GOLDEN_ROWS, 1)][:GOLDEN_ROWS]
        stored |= {f"input_{i}": rows, f"output_{i}": artifact.run_graph(session, rows)}
    np.savez_compressed(beside / "golden.npz", allow_pickle=False, **stored)


def _save_novelty(released: Released, path: Path, progress: bool) -> dict[str, Any]:
    """Write what the training speech is like; gives the manifest's entry."""
    team = released.team
    table = feature_table(team.clips, NOVELTY_RECIPE, progress=progress)
    study: Study = replace(team.first, table=table)

    def rows(clips: Sequence[int]) -> np.ndarray:
        return table.rows[study.table.side(clips, copies=False)]

    Novelty.fitted(rows(range(len(team.clips)))).save(path)
    sides = ((rows(fold.split.train), rows(fold.split.test)) for fold in released.folds)
    return {"file": path.name, "recipe": NOVELTY_RECIPE, **usual(sides)}
