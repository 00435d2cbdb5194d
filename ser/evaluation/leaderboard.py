"""Measures published designs and our models by the same protocols, for the leaderboard."""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from ser.audio.loading import load_waveform
from ser.datasets.corpora import load_corpus
from ser.datasets.splits import DOUBLED, Split, doubled, doubled_split, speaker_folds
from ser.evaluation.evaluate import evaluate, score_unseen, stored_folds
from ser.inference.artifact import Artifact, find, known, verify
from ser.inference.recognizer import Recognizer
from ser.reporting import leaderboard as reporting
from ser.reporting.published_scores import ANCHORS, DESIGNS, LISTENERS
from ser.training.adaptation import UNSEEN_SOURCES
from ser.training.configs import CONFIGS, Ensemble, describe
from ser.training.cross_validation import ended_by, fold_scores
from ser.training.ensemble import EnsembleStudy, fold_minutes, fold_result, prepare_ensemble, train_networks
from ser.training.feature_table import index_hash
from ser.training.fit import import_keras
from ser.training.release import export_onnx
from ser.training.train import work_folder
from ser.types import LABEL_SETS, Clip, check_known

CORPUS = "ravdess"
RANDOM = "random"
GRAPH = "model.onnx"
ONE_OUT = "one_out.json"
TIMED_CLIPS = 24
DOUBLED_DESIGN = "design_e"  # the one whose claim comes from "2,880 audio samples"
KEPT = ("uar", "uar_interval", "uar_mean_of_seeds", "accuracy", "macro_f1", "neutral_calm_merged", "clips", "speakers")


def leaderboard(
    data: str | os.PathLike[str],
    models: Sequence[str] = (),
    *,
    unseen: Sequence[tuple[str, str]] = (),
    resume: bool = False,
    only_unseen: bool = False,
    out: str | os.PathLike[str] = "reports",
    jobs: int = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Measure models on RAVDESS, write `leaderboard.json`, `.md` and `.png` in `out` and return the board.

    A name is an artifact, which is scored by its stored fold graphs (by its manifest if that is of the same clips), or
    a configuration, which is trained on six folds of unseen actors and a random split, in `jobs` processes of one
    thread each. Without names all artifacts and published designs. Rows of other names in `out`, of the same clips,
    are kept. `unseen` are other corpora, as (name, folder): models that were trained on RAVDESS alone are scored on
    them, a configuration by the network of its random split; of other models the manifest has the scores of networks
    that were trained without a corpus. `resume` continues an interrupted run from its finished fits. With `only_unseen`
    the scores of rows that stand in `out` are kept, and of a configuration only the network of the random split is
    trained. Raises `ParameterError` for unknown names, and with `only_unseen` for those without such a row.
    """
    names = _names(models)
    clips = load_corpus(CORPUS, os.fspath(data)).clips
    header = {**_header(clips), "one_out": _one_out(Path(out))}
    rows = _old_rows(Path(out), header)
    if only_unseen:
        measured = _asked_again(names, rows, clips, resume, jobs, progress)
    else:
        artifacts = [verify(find(name)) for name in names if name in known()]
        entries = _entries([name for name in names if name not in known()], clips, resume, progress)
        artifact_rows = ((_artifact_row(each, clips, data, progress), Recognizer(each)) for each in artifacts)
        measured = chain(artifact_rows, (_trained_row(entry, jobs, progress) for entry in entries))
    for row, recognizer in measured:
        row["left_out"] |= _unseen_scores(row, recognizer, unseen, progress)
        rows = merged(rows, row)
        # After every row, so that a long run shows its results so far.
        reporting.write(Path(out), {**header, "created": datetime.now(UTC).isoformat(timespec="seconds"), "rows": rows})
    return {**header, "rows": rows}


def _names(models: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys([*known(), *CONFIGS]))
    for name in models:
        check_known(name, names, "model")
    return list(models) or [name for name in names if name in known() or name in DESIGNS]


# --- The board ---


def _header(clips: Sequence[Clip]) -> dict[str, Any]:
    return {
        "corpus": CORPUS,
        "clips": len(clips),
        "speakers": len({clip.speaker for clip in clips}),
        "index_sha256": index_hash(clips),
        "listeners": LISTENERS,
        "anchors": ANCHORS,
    }


def _one_out(out: Path) -> dict[str, Any]:
    """Return the scores that `experiments/one_out.py` wrote in the same folder."""
    file = out / ONE_OUT
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _old_rows(out: Path, header: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that an earlier run wrote about the same clips."""
    file = out / reporting.JSON
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return old["rows"] if old.get("index_sha256") == header["index_sha256"] else []


def merged(rows: Sequence[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Replace the row of the same name and sort: our models by UAR, then designs by name, then the doubled corpus."""
    together = [row for row in rows if row["name"] != new["name"]] + [new]
    kinds = ("ours", "design", DOUBLED)
    return sorted(together, key=lambda row: (kinds.index(row["kind"]), _rank(row), row["name"]))


def _rank(row: dict[str, Any]) -> float:
    return -row["folds"]["uar"] if row["kind"] == "ours" and row["folds"] else 0.0


# --- Rows of artifacts ---


def _artifact_row(
    artifact: Artifact, clips: Sequence[Clip], data: str | os.PathLike[str], progress: bool
) -> dict[str, Any]:
    keras = import_keras()
    manifest = artifact.manifest
    training = manifest["training"]
    files = {artifact.path(branch.file) for branch in artifact.branches}
    if "encoder" in manifest:
        files.add(artifact.path(manifest["encoder"]["file"]))
    return _row(
        artifact.name,
        artifact.labels,
        **{protocol: _artifact_scores(artifact, clips, data, protocol, progress) for protocol in ("folds", RANDOM)},
        left_out={corpus: _kept_unseen(scores) for corpus, scores in manifest["metrics"].get("left_out", {}).items()},
        **_parameters(keras.saving.load_model(file, compile=False) for file in sorted(artifact.folder.glob("*.keras"))),
        bytes=sum(file.stat().st_size for file in files),
        ms=answer_ms(Recognizer(artifact), clips),
        minutes=training.get("minutes_a_fold"),
        epochs=training["epochs"],
        ended=_reasons(fold.get("ended") for fold in manifest.get("folds", [])),
    )


def _artifact_scores(
    artifact: Artifact, clips: Sequence[Clip], data: str | os.PathLike[str], protocol: str, progress: bool
) -> dict[str, Any] | None:
    """Return the manifest's scores if they are of these clips, else those of the stored graphs, None without any."""
    if _scored_on(artifact, clips):
        return artifact.manifest["metrics"].get(protocol)
    if not stored_folds(artifact, clips, protocol):
        return None
    return evaluate(CORPUS, data, artifact.folder, protocol, progress=progress)


def _scored_on(artifact: Artifact, clips: Sequence[Clip]) -> bool:
    """Return whether the manifest's scores are of these clips: as many, with all recordings of its random split."""
    names = {f"{clip.speaker}/{Path(clip.path).stem}" for clip in clips}
    tested = artifact.manifest.get(RANDOM, {}).get("test", ())
    n_scored = artifact.manifest["metrics"].get("folds", {}).get("clips")
    n_clips = sum(clip.emotion in artifact.labels for clip in clips)
    return n_scored == n_clips and bool(tested) and names.issuperset(tested)


def _row(name: str, labels: Sequence[str], **measured: Any) -> dict[str, Any]:
    design = DESIGNS.get(name)
    for protocol in ("folds", RANDOM):
        scores = measured.get(protocol)
        measured[protocol] = {key: scores[key] for key in KEPT if key in scores} if scores else None
    return {
        "name": name,
        "kind": "design" if design else "ours",
        "title": design["title"] if design else name,
        "claim": design["claim"] if design else None,
        "labels": list(labels),
        "left_out": {},
        **measured,
    }


def _parameters(networks: Iterable[Any]) -> dict[str, int]:
    """Return the number of weights of some Keras models, and how many of them are trainable."""
    weights = [variable for network in networks for variable in network.weights]
    return {
        "parameters": sum(math.prod(variable.shape) for variable in weights),
        "trainable": sum(math.prod(variable.shape) for variable in weights if variable.trainable),
    }


def _reasons(ended: Iterable[str | None]) -> str | None:
    """Return what ended the fits of all folds; None if unknown."""
    return ", ".join(sorted({reason for reason in ended if reason})) or None


def answer_ms(recognizer: Recognizer, clips: Sequence[Clip]) -> float:
    """Return the median time in milliseconds from waveform to answer, over evenly chosen clips."""
    chosen = clips[:: max(len(clips) // TIMED_CLIPS, 1)]
    waveforms = [load_waveform(clip.path, recognizer.sample_rate) for clip in chosen]
    recognizer.predict(waveforms[0])  # builds filter banks
    times = []
    for waveform in waveforms:
        started = time.perf_counter()
        recognizer.predict(waveform)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def _unseen_scores(
    row: dict[str, Any], recognizer: Recognizer, unseen: Sequence[tuple[str, str]], progress: bool
) -> dict[str, Any]:
    """Return the scores on the corpora that the recogniser has not been trained on, by their names."""
    trained = recognizer.artifact.manifest.get("training", {}).get("corpora", {CORPUS: {}})
    asked = [(name, folder) for name, folder in unseen if name not in trained and row["kind"] != DOUBLED]
    scores = {name: score_unseen(recognizer, name, folder, progress) for name, folder in asked}
    return {name: _kept_unseen(each) for name, each in scores.items()}


def _kept_unseen(scores: dict[str, Any]) -> dict[str, Any]:
    """Return what the board holds of the scores on an unseen corpus."""
    known = {name: scores[name]["with"] for name, *_ in UNSEEN_SOURCES if name in scores}
    return {"uar": scores["uar"], "labels": scores["labels"], **known}


# --- Rows of configurations ---


@dataclass(frozen=True)
class _Entry:
    """A configuration to train, and its splits."""

    name: str
    study: EnsembleStudy
    folds: list[Split]
    random: Split


def _entries(
    names: Sequence[str], clips: Sequence[Clip], resume: bool, progress: bool, with_doubled: bool = True
) -> list[_Entry]:
    """Prepare each configuration, and one of them a second time on the doubled corpus."""
    entries = []
    for name in names:
        study = _prepare(name, clips, f"leaderboard-{name}", resume, progress)
        entries.append(_Entry(name, study, speaker_folds(study.clips), study.random_split()))
    if with_doubled and DOUBLED_DESIGN in names:
        study = _prepare(DOUBLED_DESIGN, doubled(clips), f"leaderboard-{DOUBLED}", resume, progress)
        seed = study.first.config.seeds[0]
        entries.append(_Entry(DOUBLED_DESIGN, study, [], doubled_split(study.clips, seed)))
    return entries


def _prepare(name: str, clips: Sequence[Clip], work: str, resume: bool, progress: bool) -> EnsembleStudy:
    """Prepare one network. An inner fit is only made to choose epochs: the board needs no temperature."""
    config = CONFIGS[name]
    clips = [clip for clip in clips if clip.emotion in LABEL_SETS[config.labels]]
    ensemble, configs = replace(Ensemble.of_one(name), inner_fit=config.choose_epochs), {name: config}
    folder = work_folder(work, clips, describe(name, ensemble, configs), resume)
    return prepare_ensemble(clips, ensemble, configs, folder, progress)


def _trained_row(entry: _Entry, jobs: int, progress: bool) -> tuple[dict[str, Any], Recognizer]:
    """Return the row of a configuration, and the recogniser of its random split."""
    study, config = entry.study, entry.study.first.config
    train_networks(study, [], [*entry.folds, entry.random], jobs, progress)
    folds, random = [fold_result(study, split) for split in entry.folds], fold_result(study, entry.random)
    export_onnx(random.fitted, study.first.work / GRAPH)
    results, recognizer = [*folds, random], _recognizer(entry)
    row = _row(
        entry.name,
        study.first.labels,
        folds=fold_scores(study.first, folds) if folds else None,
        random=fold_scores(study.first, [random]),
        **_parameters([random.fitted.network]),
        bytes=(study.first.work / GRAPH).stat().st_size,
        ms=answer_ms(recognizer, study.clips),
        minutes=statistics.median(fold_minutes(study, result.split) for result in results),
        epochs=statistics.median(result.fitted.epochs for result in results),
        ended=_reasons(ended_by(config, result) for result in results),
    )
    if not folds:
        row |= {"name": f"{entry.name}-{DOUBLED}", "kind": DOUBLED, "paths": len(study.clips)}
    return row, recognizer


def _asked_again(
    names: Sequence[str], rows: Sequence[dict[str, Any]], clips: Sequence[Clip], resume: bool, jobs: int, progress: bool
) -> Iterator[tuple[dict[str, Any], Recognizer]]:
    """Yield rows as they stand, each with its recogniser; that of a configuration is trained on the random split."""
    stored = {row["name"]: row for row in rows}
    for name in names:
        check_known(name, list(stored), "row of the leaderboard")
    for name in names:
        if name in known():
            yield stored[name], Recognizer(verify(find(name)))
            continue
        (entry, *_) = _entries([name], clips, resume, progress, with_doubled=False)
        train_networks(entry.study, [], [entry.random], jobs, progress)
        random = fold_result(entry.study, entry.random)
        export_onnx(random.fitted, entry.study.first.work / GRAPH)
        scores = fold_scores(entry.study.first, [random])
        yield stored[name] | {"asked_random_uar": scores["uar"]}, _recognizer(entry)


def _recognizer(entry: _Entry) -> Recognizer:
    """Return a recogniser with the network of the random split."""
    data = entry.study.first
    manifest = {
        "name": entry.name,
        "labels": data.labels,
        "branches": [{"recipe": data.config.recipe, "file": GRAPH, "weight": 1.0}],
        "reduce_noise": data.config.reduce_noise,
        "thresholds": {"confidence": 0.0},
    }
    return Recognizer(Artifact(data.work, manifest), {"files": [GRAPH], "temperature": 1.0})
