"""Trains a model from corpora: scores it on unseen speakers and on a random split, then writes its artifact."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import ser
from ser import metrics
from ser.datasets.corpora import CorpusClips, find_corpus, load_corpus
from ser.datasets.splits import Split, inner_split, speaker_folds
from ser.inference import artifact
from ser.inference.manifest import HEADS, SCHEMA
from ser.inference.novelty import Novelty, fit_threshold
from ser.inference.recognizer import Recognizer
from ser.models.layers import with_scaler
from ser.reporting.figures import write_figures
from ser.reporting.model_card import card
from ser.training.configs import ENSEMBLES, Config, Ensemble, describe, find_ensemble
from ser.training.cross_validation import (
    FoldResult,
    TrainingSet,
    ended_by,
    fit_final,
    fit_fold,
    fold_scores,
    left_out_scores,
    out_of_fold,
    tested,
)
from ser.training.enrolment import DRAWS, enrolment, voices
from ser.training.ensemble import (
    OWN,
    EnsembleStudy,
    fold_minutes,
    fold_result,
    fold_results,
    head_scores,
    prepare_ensemble,
    train_networks,
)
from ser.training.feature_table import code_digest, feature_table
from ser.training.fit import LEAST_ROUNDED, Fitted
from ser.types import LABEL_SETS, Clip, ParameterError

TARGET_ACCURACY = 0.85  # of answers that are not uncertain, on out-of-fold speakers
GOLDEN_ROWS = 4
LIBRARIES = ("numpy", "scipy", "librosa", "scikit-learn", "keras", "onnxruntime", "soundfile", "soxr")
SINGLE = "model"  # file name of the network, if there is only one


def train(
    corpora: Sequence[tuple[str, str]],
    config_name: str = "dense105",
    name: str | None = None,
    *,
    labels: str | None = None,
    reduce_noise: bool = False,
    resume: bool = False,
    force: bool = False,
    jobs: int = 2,
    progress: bool = True,
) -> Path:
    """Train and score a model on (corpus name, folder) pairs, write `artifacts/<name>/` and return that folder.

    `config_name` is a configuration or an ensemble; the folds of an ensemble are those of the first corpus. `labels`, a
    key of `LABEL_SETS`, replaces the label set of a configuration, and `reduce_noise` adds noise reduction. Networks
    are trained in `jobs` processes of one thread each; `resume` continues from the finished ones of an interrupted run.
    Raises `ParameterError` for unknown names and unusable corpora, `ArtifactError` if the folder exists (see `force`).
    """
    ensemble, configs = find_ensemble(config_name)
    if config_name in ENSEMBLES and (labels or reduce_noise):
        raise ParameterError(f"--labels and --reduce-noise are for single networks; {config_name} is an ensemble.")
    configs = {branch: _changed(config, labels, reduce_noise) for branch, config in configs.items()}
    name = artifact.check_name(name or config_name)
    folder = artifact.new_folder(name)
    artifact.check_free(folder, force=force)
    first = next(iter(configs.values()))
    listings = [_within(load_corpus(find_corpus(corpus).name, data), first.labels) for corpus, data in corpora]
    clips = [clip for listing in listings for clip in listing.clips]
    n_scored = len(listings[0].clips) if ensemble.first_corpus else len(clips)
    check_clips(clips[:n_scored], first)
    description = describe(config_name, ensemble, configs)
    work = work_folder(name, clips, description, resume)
    study = prepare_ensemble(clips, ensemble, configs, work, progress, n_scored=n_scored)
    trained = _train(study, work, jobs, progress)
    manifest = _manifest(trained, listings, name, description)
    artifact.write(folder, lambda partial: _write_files(partial, trained, manifest, progress), force=force)
    shutil.rmtree(work)
    return folder


def _changed(config: Config, labels: str | None, reduce_noise: bool) -> Config:
    return replace(config, labels=labels or config.labels, reduce_noise=reduce_noise or config.reduce_noise)


def _within(listing: CorpusClips, labels: str) -> CorpusClips:
    """Drop and count the clips whose label is not in the label set."""
    kept = [clip for clip in listing.clips if clip.emotion in LABEL_SETS[labels]]
    dropped = Counter(clip.emotion for clip in listing.clips if clip.emotion not in LABEL_SETS[labels])
    return replace(listing, clips=kept, excluded=dict(sorted((dropped + Counter(listing.excluded)).items())))


def check_clips(clips: Sequence[Clip], config: Config) -> None:
    """Raise `ParameterError`, before the long work, if no speaker-independent score is possible."""
    emotions = {clip.emotion for clip in clips}
    if len(emotions) < 2:
        raise ParameterError(
            f"Of the {config.labels} labels ({', '.join(LABEL_SETS[config.labels])}) the corpora hold "
            f"{', '.join(emotions) or 'none'}: at least two emotions are needed to learn. Add a corpus."
        )
    for split in speaker_folds(clips):
        inner_split(clips, split.train)


def work_folder(name: str, clips: Sequence[Clip], description: Mapping[str, Any], resume: bool) -> Path:
    """Return the folder that caches the fits of this training; it is emptied unless it is resumed."""
    digest = index_hash(clips, json.dumps(description, sort_keys=True) + code_digest())
    folder = Path(os.environ.get("SER_CACHE", "~/.cache/ser")).expanduser() / "work" / f"{name}-{digest[:16]}"
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    return folder


def index_hash(clips: Sequence[Clip], more: str = "") -> str:
    """Return the SHA-256 over speaker, file name and emotion of every clip."""
    lines = [f"{clip.speaker}\t{Path(clip.path).stem}\t{clip.emotion}" for clip in clips]
    return hashlib.sha256("\n".join([*lines, more]).encode()).hexdigest()


@dataclass(frozen=True)
class TrainedModel:
    """The answers of all networks on their test sides; the networks themselves are in the study's work folder."""

    study: EnsembleStudy
    folds: list[list[FoldResult]]  # [seed][fold]
    random: FoldResult
    left_out: list[FoldResult]
    temperature: float
    minutes: float

    def final(self, data: TrainingSet) -> Fitted:
        """Return the network that ships."""
        return fit_final(data, [fold.split for fold in self.folds[0]])


def _train(study: EnsembleStudy, work: Path, jobs: int, progress: bool) -> TrainedModel:
    folds, random, left_out = study.folds(), study.random_split(), study.left_out()
    started = time.monotonic()
    train_networks(study, [split for split, _ in folds], [random, *left_out], jobs, progress, final=True)
    minutes = _total_minutes(work / "minutes.json", (time.monotonic() - started) / 60)
    seeds = range(len(study.first.config.seeds))
    results = [fold_results(study, folds, seed_index) for seed_index in seeds]
    index, log_probabilities = tested(results[0])
    temperature = metrics.temperature(log_probabilities, study.first.truth[index])
    others = [fold_result(study, split, temperature) for split in left_out]
    return TrainedModel(study, results, _random_result(study, random, temperature), others, temperature, minutes)


def _random_result(study: EnsembleStudy, split: Split, temperature: float) -> FoldResult:
    """Return the answers on the random split, with a temperature of its own if that is fitted on inner speakers."""
    if study.ensemble.inner_fit:
        return fold_results(study, [(split, ())])[0]
    return fold_result(study, split, temperature)


def _total_minutes(path: Path, minutes: float) -> float:
    """Return and store the minutes of this run and of those that it resumes."""
    total = minutes + (json.loads(path.read_text()) if path.exists() else 0.0)
    path.write_text(json.dumps(total))
    return total


# --- Scores ---


def _scores(trained: TrainedModel) -> dict[str, Any]:
    study, folds = trained.study, trained.folds[0]
    data = study.first
    index, probabilities = out_of_fold(folds)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == data.truth[index]
    by_seed = [fold_scores(data, results) for results in trained.folds]
    return {
        "folds": {
            **by_seed[0],
            "seeds": [{key: scores[key] for key in ("uar", "accuracy")} for scores in by_seed],
            "uar_mean_of_seeds": float(np.mean([scores["uar"] for scores in by_seed])),
        },
        "random": {**fold_scores(data, [trained.random]), "note": trained.random.split.note},
        "left_out": {
            fold.split.name.removeprefix("without_"): left_out_scores(data, fold) for fold in trained.left_out
        },
        **head_scores(study, folds),
        **metrics.confidence_curves(confidence, right),
        "accuracy_at_half": metrics.accuracy_at_coverage(confidence, right, 0.5),
    }


def threshold(data: TrainingSet, folds: Sequence[FoldResult], temperature: float) -> float:
    """Return the confidence above which out-of-fold answers, calibrated as the model is, reach the target accuracy."""
    index, log_probabilities = tested(folds)
    probabilities = metrics.softmax(log_probabilities / temperature)
    right = probabilities.argmax(axis=1) == data.truth[index]
    return metrics.confidence_threshold(probabilities.max(axis=1), right, TARGET_ACCURACY)


# --- The artifact ---


def _manifest(
    trained: TrainedModel, listings: Sequence[CorpusClips], name: str, description: Mapping[str, Any]
) -> dict[str, Any]:
    study, folds = trained.study, trained.folds[0]
    ensemble, data = study.ensemble, study.first
    return {
        "schema": SCHEMA,
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "labels": list(data.labels),
        "branches": [
            {"recipe": study.branches[branch].config.recipe, "file": _graph(ensemble, branch), "weight": weight}
            for branch, weight in ensemble.branches.items()
        ],
        **({"heads": list(HEADS)} if study.heads else {}),
        **_own_entry(study),
        "golden": "golden.npz",
        **({"reduce_noise": True} if data.config.reduce_noise else {}),
        "temperature": trained.temperature,
        "thresholds": {"confidence": threshold(data, folds, trained.temperature)},
        "folds": [fold_entry(study, fold, [*study.all]) for fold in folds],
        "random": fold_entry(study, trained.random, [*study.branches]),
        "training": {
            "corpora": _corpus_entries(listings),
            "clips": len(study.clips),
            "config": description,
            "epochs": trained.final(data).epochs,
            "minutes": trained.minutes,
            "minutes_a_fold": statistics.median(fold_minutes(study, fold.split) for fold in folds),
            "index_sha256": index_hash(study.clips),
        },
        "metrics": _scores(trained),
        "versions": {"ser": ser.__version__, **{library: version(library) for library in LIBRARIES}},
    }


def _own_entry(study: EnsembleStudy) -> dict[str, Any]:
    if study.own is None:
        return {}
    recipe, weight = study.own.config.recipe, study.ensemble.own_weight
    return {"own_voice": {"recipe": recipe, "file": f"{OWN}.onnx", "weight": weight}}


def _corpus_entries(listings: Sequence[CorpusClips]) -> dict[str, Any]:
    return {
        listing.corpus: {
            "clips": len(listing.clips),
            "speakers": listing.speakers,
            "excluded": listing.excluded,
            "licence": find_corpus(listing.corpus).licence,
        }
        for listing in listings
    }


def fold_entry(study: EnsembleStudy, fold: FoldResult, networks: Sequence[str]) -> dict[str, Any]:
    """Return the manifest's entry for a fold; `test` lists speakers, or recordings if it is a random split."""
    clips = [study.clips[index] for index in fold.split.test]
    if fold.split.note:
        test = sorted(f"{clip.speaker}/{Path(clip.path).stem}" for clip in clips)
    else:
        test = sorted({clip.speaker for clip in clips})
    own = {"own_voice": _graph(study.ensemble, OWN, fold.split)} if OWN in networks else {}
    return {
        "name": fold.split.name,
        "files": [_graph(study.ensemble, branch, fold.split) for branch in study.branches],
        "test": test,
        "temperature": fold.temperature,
        "epochs": fold.fitted.epochs,
        "ended": ended_by(study.first.config, fold),
        **own,
    }


def _graph(ensemble: Ensemble, branch: str, split: Split | None = None) -> str:
    """Return the name of a network's graph, of the network that ships if no split is given."""
    single = len(ensemble.branches) == 1
    if split is None:
        return f"{SINGLE if single else branch}.onnx"
    return f"folds/{split.name}.onnx" if single else f"folds/{split.name}-{branch}.onnx"


def _write_files(folder: Path, trained: TrainedModel, manifest: dict[str, Any], progress: bool) -> dict[str, Any]:
    """Write all files of the artifact except its manifest, and return the manifest."""
    study = trained.study
    (folder / "folds").mkdir()
    graphs = [(fold.split, name, data) for fold in trained.folds[0] for name, data in study.all.items()]
    graphs += [(trained.random.split, name, data) for name, data in study.branches.items()]
    for split, name, data in graphs:
        fitted = fit_fold(data, split, data.config.seeds[0])
        export_onnx(fitted, folder / _graph(study.ensemble, name, split), half=data.config.round_weights)
    for name, data in study.all.items():
        fitted, path = trained.final(data), folder / _graph(study.ensemble, name)
        export_onnx(fitted, path)
        _save_keras(fitted, path.with_suffix(".keras"))
    _save_golden(study, folder)
    manifest |= _save_novelty(trained, folder / "novelty.npz", progress)
    manifest["metrics"] |= _enrolment_scores(study, folder, manifest, progress)
    (folder / "metrics.json").write_text(json.dumps(manifest["metrics"], indent=1) + "\n", encoding="utf-8")
    write_figures(folder / "figures", manifest, [fold.history for fold in trained.folds[0]])
    (folder / "MODEL_CARD.md").write_text(card(manifest), encoding="utf-8")
    return manifest


def _enrolment_scores(study: EnsembleStudy, folder: Path, manifest: dict[str, Any], progress: bool) -> dict[str, Any]:
    """Score the scored speakers with and without enrolment, by the stored fold graphs."""
    from tqdm.auto import tqdm

    if study.own is None:
        return {}
    folds = [(fold, Recognizer(artifact.Artifact(folder, manifest), fold)) for fold in manifest["folds"]]
    recognizers = {speaker: recognizer for fold, recognizer in folds for speaker in fold["test"]}
    clips = study.clips[: study.n_scored]
    with tqdm(total=len(recognizers) * DRAWS, desc="Enrolment", unit="draw", disable=not progress) as bar:
        answers = voices(clips, recognizers)
        return {"calibrated": enrolment(clips, study.first.labels, *answers, on_draw=bar.update)}


def export_onnx(fitted: Fitted, path: Path, *, half: bool = False) -> None:
    """Write scaler and network as one ONNX graph from raw features to log-probabilities.

    `half` stores large constants at half precision, for the graphs of folds whose weights training has rounded.
    """
    graph = with_scaler(fitted.network, fitted.scaler.mean, fitted.scaler.variance)
    graph(np.zeros((1, *(n or 32 for n in graph.input_shape[1:])), np.float32))
    graph.export(path, format="onnx", verbose=False)
    if half:
        _store_half(path)


def _store_half(path: Path) -> None:
    """Rewrite a graph with its large constants at half precision, each followed by a cast to single precision."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph, constants, casts = model.graph, [], []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < LEAST_ROUNDED:
            constants.append(constant)
            continue
        small = f"{constant.name}_half"
        casts.append(helper.make_node("Cast", [small], [constant.name], to=TensorProto.FLOAT))
        constants.append(numpy_helper.from_array(values.astype(np.float16), small))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(constants)
    graph.node.extend(nodes)
    onnx.save(model, path)


def _save_keras(fitted: Fitted, path: Path) -> None:
    """Write scaler and network as one Keras file; a single network goes without it, beside a scikit-learn scaler."""
    if path.stem != SINGLE:
        with_scaler(fitted.network, fitted.scaler.mean, fitted.scaler.variance).save(path)
        return
    fitted.network.save(path)
    _save_scaler(fitted, path.with_name("scaler.joblib"))


def _save_scaler(fitted: Fitted, path: Path) -> None:
    """Write the scaler as a `StandardScaler` for further training; prediction does not read it.

    It takes flat rows: one per window, or one per frame if the recipe gives frames.
    """
    import joblib
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_ = fitted.scaler.mean.ravel().astype(np.float64)
    scaler.var_ = fitted.scaler.variance.ravel().astype(np.float64)
    scaler.scale_ = np.sqrt(scaler.var_)
    scaler.n_features_in_ = len(scaler.mean_)
    joblib.dump(scaler, path)


def _save_golden(study: EnsembleStudy, folder: Path) -> None:
    """Write a few feature rows of every branch and the output of its graph for them on this machine."""
    import onnxruntime as ort

    stored: dict[str, Any] = {}
    for i, (name, data) in enumerate(study.branches.items()):
        session = ort.InferenceSession(folder / _graph(study.ensemble, name), providers=["CPUExecutionProvider"])
        rows = data.table.rows[data.table.copy == 0]
        rows = rows[:: max(len(rows) // GOLDEN_ROWS, 1)][:GOLDEN_ROWS]
        stored |= {f"input_{i}": rows, f"output_{i}": artifact.run_graph(session, rows)}
    np.savez_compressed(folder / "golden.npz", **stored)


def _save_novelty(trained: TrainedModel, path: Path, progress: bool) -> dict[str, Any]:
    """Write the distribution of the training speech and return the manifest's entry, if the features are statistics."""
    study, recipe = trained.study, trained.study.ensemble.novelty_recipe
    table = feature_table(study.clips, recipe, progress=progress) if recipe else study.first.table
    if table.rows.ndim != 2:
        return {}

    def rows(clips: Sequence[int]) -> np.ndarray:
        return table.rows[table.side(clips, copies=False)]

    Novelty.fitted(rows(range(len(study.clips)))).save(path)
    sides = ((rows(fold.split.train), rows(fold.split.test)) for fold in trained.folds[0])
    features = {"recipe": recipe} if recipe else {"branch": 0}
    return {"novelty": {"file": path.name, **features, **fit_threshold(sides)}}
