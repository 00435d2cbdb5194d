"""Writes the artifact of a trained model: its scores, manifest, graphs, figures and card."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import ser
from ser import metrics
from ser.datasets.corpora import CORPORA, CorpusClips
from ser.datasets.splits import Split, shared_labels
from ser.datasets.synthetic import speak
from ser.features.log_mel import log_mel
from ser.inference import artifact
from ser.inference.encoder import Encoder
from ser.inference.manifest import HEADS, SCHEMA
from ser.inference.novelty import Novelty, fit_threshold
from ser.models.graphs import store_half
from ser.models.layers import with_scaler
from ser.reporting.figures import write_figures
from ser.reporting.model_card import card
from ser.training.calibration import Sure, calibration, sure_answers, sure_of_folds, sure_without
from ser.training.configs import Ensemble
from ser.training.cross_validation import (
    FoldResult,
    ended_by,
    fit_fold,
    fold_scores,
    left_out_scores,
    out_of_fold,
)
from ser.training.ensemble import (
    EnsembleStudy,
    TrainedModel,
    adapted_left_out,
    calibrated_scores,
    fold_minutes,
    head_scores,
)
from ser.training.feature_table import feature_table, index_hash
from ser.training.fit import Fitted, silenced
from ser.training.source_kinds import Source, source_kinds

GOLDEN_ROWS = 4
GOLDEN_PITCH_HZ = 150.0  # of a synthetic voice
LIBRARIES = ("numpy", "scipy", "librosa", "scikit-learn", "keras", "onnxruntime", "soundfile", "soxr")
ENCODER = "pretrained.onnx"  # no branch is called so
SINGLE = "model"  # file name of the network, if there is only one


def write_artifact(
    folder: Path,
    trained: TrainedModel,
    listings: Sequence[CorpusClips],
    description: Mapping[str, Any],
    *,
    force: bool,
    progress: bool,
) -> None:
    """Write the artifact of a trained model; its folder gives the name, `description` the manifest's configuration."""
    manifest = _manifest(trained, listings, folder.name, description)
    artifact.write(folder, lambda partial: _write_files(partial, trained, manifest, progress), force=force)


def _scores(trained: TrainedModel, sure: Sure) -> dict[str, Any]:
    study, folds, left_out = trained.study, trained.folds[0], trained.left_out
    data = study.first
    index, probabilities = out_of_fold(folds)
    unseen = sure_without(study, left_out, folds)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == data.truth[index]
    by_seed = [fold_scores(data, results) for results in trained.folds]
    return {
        "folds": {
            **by_seed[0],
            "seeds": [{key: scores[key] for key in ("uar", "accuracy")} for scores in by_seed],
            "uar_mean_of_seeds": float(np.mean([scores["uar"] for scores in by_seed])),
            "sure": sure_answers(study, folds, sure_of_folds(study, folds, left_out, sure)),
        },
        "random": {**fold_scores(data, [trained.random]), "note": trained.random.split.note},
        "left_out": {
            fold.split.name.removeprefix("without_"): left_out_scores(data, fold)
            | {"sure": sure_answers(study, [fold], [limit])}
            | adapted_left_out(study, fold)
            for fold, limit in zip(left_out, unseen, strict=True)
        },
        **({"left_out_sure": sure_answers(study, left_out, unseen)} if left_out else {}),
        **calibrated_scores(study, folds),
        "source_kinds": {"folds": _kinds(study, folds), "left_out": _kinds(study, left_out)},
        **head_scores(study, folds),
        **metrics.confidence_curves(confidence, right),
        "accuracy_at_half": metrics.accuracy_at_coverage(confidence, right, 0.5),
    }


def _kinds(study: EnsembleStudy, tested: Sequence[FoldResult]) -> dict[str, dict[str, float]]:
    """Return what the clips of a source must be like; the test side of every split is a source."""
    sources = []
    for fold in tested:
        labels = shared_labels(study.clips, fold.split)
        columns = [study.first.labels.index(label) for label in labels]
        clips = [study.clips[clip] for clip in fold.split.test]
        sources.append(Source(clips, tuple(labels), fold.log_probabilities[:, columns]))
    return source_kinds(sources)


def _manifest(
    trained: TrainedModel, listings: Sequence[CorpusClips], name: str, description: Mapping[str, Any]
) -> dict[str, Any]:
    study, folds = trained.study, trained.folds[0]
    ensemble, data = study.ensemble, study.first
    calibrated = calibration(study, folds, trained.left_out)
    return {
        "schema": SCHEMA,
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "labels": list(data.labels),
        "branches": [
            {"recipe": study.branches[branch].config.recipe, "file": _graph(ensemble, branch), "weight": weight}
            | ({"home": True} if branch in ensemble.home else {})
            for branch, weight in ensemble.branches.items()
        ],
        **({"heads": list(HEADS)} if study.heads else {}),
        **({"home_scale": ensemble.home_scale} if ensemble.home else {}),
        **({"encoder": {"file": ENCODER}} if study.encoder else {}),
        "adaptation": {"temperature_ratio": calibrated.adapted_temperature / calibrated.temperature},
        "golden": "golden.npz",
        **({"reduce_noise": True} if data.config.reduce_noise else {}),
        "temperature": calibrated.temperature,
        "thresholds": calibrated.thresholds,
        "folds": [fold_entry(study, fold) for fold in folds],
        "random": fold_entry(study, trained.random),
        "training": {
            "corpora": _corpus_entries(listings),
            "clips": len(study.clips),
            "config": description,
            "epochs": trained.final(data).epochs,
            "minutes": trained.minutes,
            "minutes_a_fold": statistics.median(fold_minutes(study, fold.split) for fold in folds),
            "index_sha256": index_hash(study.clips),
        },
        "metrics": _scores(trained, calibrated.sure),
        "versions": {"ser": ser.__version__, **{library: version(library) for library in LIBRARIES}},
    }


def _corpus_entries(listings: Sequence[CorpusClips]) -> dict[str, Any]:
    return {
        listing.corpus: {
            "clips": len(listing.clips),
            "speakers": listing.speakers,
            "excluded": listing.excluded,
            "licence": CORPORA.get(listing.corpus, CORPORA["table"]).licence,
        }
        for listing in listings
    }


def fold_entry(study: EnsembleStudy, fold: FoldResult) -> dict[str, Any]:
    """Return the manifest's entry for a fold; `test` lists speakers, or recordings if it is a random split."""
    clips = [study.clips[index] for index in fold.split.test]
    if fold.split.note:
        test = sorted(f"{clip.speaker}/{Path(clip.path).stem}" for clip in clips)
    else:
        test = sorted({clip.speaker for clip in clips})
    return {
        "name": fold.split.name,
        "files": [_graph(study.ensemble, branch, fold.split) for branch in study.branches],
        "test": test,
        "temperature": fold.temperature,
        "epochs": fold.fitted.epochs,
        "ended": ended_by(study.first.config, fold),
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
    if study.encoder:
        shutil.copyfile(study.encoder, folder / ENCODER)
    splits = [fold.split for fold in (*trained.folds[0], trained.random)]
    for split, (name, data) in product(splits, study.branches.items()):
        fitted = fit_fold(data, split, data.config.seeds[0])
        export_onnx(fitted, folder / _graph(study.ensemble, name, split), half=data.config.round_weights)
    for name, data in study.branches.items():
        fitted, path = trained.final(data), folder / _graph(study.ensemble, name)
        export_onnx(fitted, path)
        _save_keras(fitted, path.with_suffix(".keras"))
    _save_golden(study, folder)
    manifest |= _save_novelty(trained, folder / "novelty.npz", progress)
    (folder / "metrics.json").write_text(json.dumps(manifest["metrics"], indent=1) + "\n", encoding="utf-8")
    write_figures(folder / "figures", manifest, [fold.history for fold in trained.folds[0]])
    (folder / "MODEL_CARD.md").write_text(card(manifest), encoding="utf-8")
    return manifest


def export_onnx(fitted: Fitted, path: Path, *, half: bool = False) -> None:
    """Write scaler and network as one ONNX graph from raw features to log-probabilities.

    `half` stores large constants at half precision, for the graphs of folds whose weights training has rounded.
    """
    graph = with_scaler(fitted.network, fitted.scaler.mean, fitted.scaler.variance)
    graph(np.zeros((1, *(n or 32 for n in graph.input_shape[1:])), np.float32))
    with silenced():  # tf2onnx warns of NumPy's coming names
        graph.export(path, format="onnx", verbose=False)
    if half:
        store_half(path)


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
    if study.encoder:
        spectrogram = log_mel(speak("neutral", GOLDEN_PITCH_HZ, np.random.default_rng(0)).samples)
        stored |= {"log_mel": spectrogram, "statistics": Encoder(study.encoder, ENCODER)(spectrogram)}
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
