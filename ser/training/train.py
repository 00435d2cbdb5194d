"""From corpora to an artifact: folds of unseen speakers, the random split beside them, then the network that ships."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import ser
from ser import metrics
from ser.datasets.corpora import CorpusClips, find_corpus, load_corpus
from ser.datasets.splits import Split, inner_split, random_split, speaker_folds
from ser.inference import artifact
from ser.inference.manifest import SCHEMA
from ser.inference.novelty import Novelty, usual
from ser.models.layers import with_scaler
from ser.training.configs import Config, find_config
from ser.training.cross_validation import FoldResult, Study, out_of_fold, prepare, run_fold, train_on
from ser.training.feature_table import code_digest
from ser.training.fit import LEAST_ROUNDED, Fitted, ended
from ser.types import LABEL_SETS, Clip, ParameterError

WANTED_ACCURACY = 0.85  # of the answers that are given without doubt, on out-of-fold speakers
GOLDEN_ROWS = 4
LIBRARIES = ("numpy", "scipy", "librosa", "scikit-learn", "keras", "onnxruntime", "soundfile", "soxr")


def train(
    corpora: Sequence[tuple[str, str]],
    config_name: str = "dense105",
    name: str | None = None,
    *,
    labels: str | None = None,
    reduce_noise: bool = False,
    resume: bool = False,
    force: bool = False,
    progress: bool = True,
) -> Path:
    """Train and score a model on (corpus name, folder) pairs and write `artifacts/<name>/`; returns that folder.

    `labels`, a key of `LABEL_SETS`, stands in for the configuration's; `reduce_noise` adds noise reduction to it.
    Killed runs keep their finished fits; `resume` goes on from them. Raises `ParameterError` for unknown names and
    unusable corpora, `ArtifactError` where the folder exists and `force` is not given.
    """
    config = find_config(config_name)
    config = replace(config, labels=labels or config.labels, reduce_noise=reduce_noise or config.reduce_noise)
    name = artifact.check_name(name or config_name)
    folder = artifact.home(name)
    artifact.check_free(folder, force=force)
    listings = [_within(load_corpus(find_corpus(corpus).name, data), config.labels) for corpus, data in corpora]
    clips = [clip for listing in listings for clip in listing.clips]
    check_clips(clips, config)
    work = work_folder(name, clips, config, resume)
    study = prepare(clips, config, work, progress)
    trained = _train_all(study, speaker_folds(study.clips), progress)
    manifest = _manifest(study, listings, trained, name, config_name)
    artifact.write(folder, lambda beside: _fill(beside, study, trained, manifest), force=force)
    shutil.rmtree(work)
    return folder


def _within(listing: CorpusClips, labels: str) -> CorpusClips:
    """The listing without clips of other labels than the set's, which are counted."""
    kept = [clip for clip in listing.clips if clip.emotion in LABEL_SETS[labels]]
    left = Counter(clip.emotion for clip in listing.clips if clip.emotion not in LABEL_SETS[labels])
    return replace(listing, clips=kept, excluded=dict(sorted((left + Counter(listing.excluded)).items())))


def check_clips(clips: Sequence[Clip], config: Config) -> None:
    """Refuse before the long work where no honest score is possible."""
    emotions = {clip.emotion for clip in clips}
    if len(emotions) < 2:
        raise ParameterError(
            f"Of the {config.labels} labels ({', '.join(LABEL_SETS[config.labels])}) the corpora hold "
            f"{', '.join(emotions) or 'none'}: at least two emotions are needed to learn. Add a corpus."
        )
    for split in speaker_folds(clips):
        inner_split(clips, split.train)


@dataclass(frozen=True)
class Trained:
    """Everything that was fitted for one artifact."""

    folds: list[list[FoldResult]]  # [seed][fold]
    chance: FoldResult  # the random split
    shipped: Fitted
    temperature: float


def _train_all(study: Study, folds: list[Split], progress: bool) -> Trained:
    from tqdm.auto import tqdm

    seeds, epochs = study.config.seeds, study.config.epochs
    random = random_split(study.clips, seeds[0], duplicates=study.duplicates)
    fits = (len(seeds) + 1) * len(folds) + 3
    with tqdm(total=fits * epochs, desc=f"Training {fits} networks", unit="epoch", disable=not progress) as bar:
        results = [[run_fold(study, split, seed, bar.update) for split in folds] for seed in seeds]
        chance = run_fold(study, random, seeds[0], bar.update)
        usual = round(float(np.median([fold.fitted.epochs for fold in results[0]])))
        shipped = train_on(study, range(len(study.clips)), seeds[0], usual, bar.update)
    return Trained(results, chance, shipped, pooled_temperature(study, results[0]))


def pooled_temperature(study: Study, folds: list[FoldResult]) -> float:
    index, answers = _pooled(folds)
    return metrics.temperature(answers, study.truth[index])


def _pooled(folds: Sequence[FoldResult]) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the tested clips and their log-probabilities."""
    index = np.array([clip for fold in folds for clip in fold.split.test])
    return index, np.concatenate([fold.log_probabilities for fold in folds])


def work_folder(name: str, clips: Sequence[Clip], config: Config, resume: bool, more: str = "") -> Path:
    """Where this very training keeps its finished fits; emptied unless it is resumed."""
    digest = index_hash(clips, json.dumps(config.to_dict(), sort_keys=True) + code_digest() + more)
    folder = Path(os.environ.get("SER_CACHE", "~/.cache/ser")).expanduser() / "work" / f"{name}-{digest[:16]}"
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    return folder


def index_hash(clips: Sequence[Clip], more: str = "") -> str:
    """SHA-256 over speaker, file name and emotion of every clip."""
    lines = [f"{clip.speaker}\t{Path(clip.path).stem}\t{clip.emotion}" for clip in clips]
    return hashlib.sha256("\n".join([*lines, more]).encode()).hexdigest()


def score(study: Study, folds: Sequence[FoldResult]) -> dict[str, Any]:
    """Pooled out-of-fold scores with the interval over speakers and the calibration error."""
    index, probabilities = out_of_fold(folds)
    truth, answer = study.truth[index], probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    return {
        **metrics.report(truth, answer, study.labels),
        "uar_interval": metrics.speaker_interval(truth, answer, study.speakers[index], len(study.labels)),
        "calibration_error": metrics.calibration_error(confidence, answer == truth),
        "clips": len(index),
        "speakers": len(set(study.speakers[index])),
        "uar_by_speaker": _by_speaker(study, index, truth, answer),
    }


def _by_speaker(study: Study, index: np.ndarray, truth: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    speakers = study.speakers[index]
    masks = {str(speaker): speakers == speaker for speaker in sorted(set(speakers))}
    n = len(study.labels)
    return {
        speaker: metrics.uar(metrics.confusion_matrix(truth[mask], answer[mask], n)) for speaker, mask in masks.items()
    }


def _scores(study: Study, trained: Trained) -> dict[str, Any]:
    folds = score(study, trained.folds[0])
    seeds = [metrics_of_seed(study, results) for results in trained.folds]
    return {
        "folds": {**folds, "seeds": seeds, "uar_mean_of_seeds": float(np.mean([seed["uar"] for seed in seeds]))},
        "random": {**score(study, [trained.chance]), "note": trained.chance.split.note},
    }


def metrics_of_seed(study: Study, results: Sequence[FoldResult]) -> dict[str, float]:
    """UAR and accuracy of one seed's folds."""
    scores = score(study, results)
    return {key: scores[key] for key in ("uar", "accuracy")}


def threshold(study: Study, folds: Sequence[FoldResult], temperature: float) -> float:
    """Confidence from which on out-of-fold answers, calibrated as the shipped ones are, are right often enough."""
    index, answers = _pooled(folds)
    probabilities = metrics.softmax(answers / temperature)
    right = probabilities.argmax(axis=1) == study.truth[index]
    return metrics.confidence_threshold(probabilities.max(axis=1), right, WANTED_ACCURACY)


def _manifest(
    study: Study, listings: Sequence[CorpusClips], trained: Trained, name: str, config_name: str
) -> dict[str, Any]:
    folds = trained.folds[0]
    return {
        "schema": SCHEMA,
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "labels": list(study.labels),
        "branches": [{"recipe": study.config.recipe, "file": "model.onnx", "weight": 1.0}],
        "golden": "golden.npz",
        **({"reduce_noise": True} if study.config.reduce_noise else {}),
        "temperature": trained.temperature,
        "thresholds": {"confidence": threshold(study, folds, trained.temperature)},
        "folds": [variant(study, fold) for fold in folds],
        "random": variant(study, trained.chance),
        "training": {
            "corpora": heard_corpora(listings),
            "clips": len(study.clips),
            "config": {"name": config_name, **study.config.to_dict()},
            "epochs": trained.shipped.epochs,
            "index_sha256": index_hash(study.clips),
        },
        "metrics": _scores(study, trained),
        "versions": {"ser": ser.__version__, **{library: version(library) for library in LIBRARIES}},
    }


def heard_corpora(listings: Sequence[CorpusClips]) -> dict[str, Any]:
    """What the manifest says of each corpus that a model was trained on."""
    return {
        listing.corpus: {
            "clips": len(listing.clips),
            "speakers": listing.speakers,
            "excluded": listing.excluded,
            "licence": find_corpus(listing.corpus).licence,
        }
        for listing in listings
    }


def variant(study: Study, fold: FoldResult) -> dict[str, Any]:
    """A network that never heard `test`: speakers for a fold of speakers, recordings for the random split."""
    clips = [study.clips[index] for index in fold.split.test]
    if fold.split.note:
        tested = sorted(f"{clip.speaker}/{Path(clip.path).stem}" for clip in clips)
    else:
        tested = sorted({clip.speaker for clip in clips})
    name = fold.split.name
    return {
        "name": name,
        "files": [f"folds/{name}.onnx"],
        "test": tested,
        "temperature": fold.temperature,
        "epochs": fold.fitted.epochs,
        "ended": ended_by(study.config, fold),
    }


def ended_by(config: Config, fold: FoldResult) -> str:
    """What set the number of epochs: "epochs", "minutes" or "patience", in the fit or in the one that chose for it."""
    found = ended(config, fold.fitted.history)
    return ended(config, fold.inner_history) if found == "chosen" else found


def _fill(beside: Path, study: Study, trained: Trained, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write everything in the folder but its manifest; gives the manifest."""
    from ser.reporting.figures import write_figures
    from ser.reporting.model_card import write_card

    (beside / "folds").mkdir()
    for fold in [*trained.folds[0], trained.chance]:
        export_onnx(fold.fitted, beside / "folds" / f"{fold.split.name}.onnx")
    export_onnx(trained.shipped, beside / "model.onnx")
    trained.shipped.network.save(beside / "model.keras")
    _save_scaler(trained.shipped, beside / "scaler.joblib")
    _save_golden(study, beside)
    if study.table.rows.ndim == 2:  # what is usual is told for statistics, not for frames or images
        manifest = {**manifest, "novelty": _save_novelty(study, trained.folds[0], beside / "novelty.npz")}
    (beside / "metrics.json").write_text(json.dumps(manifest["metrics"], indent=1) + "\n", encoding="utf-8")
    curves = [fold.inner_history for fold in trained.folds[0]]
    write_figures(beside / "figures", manifest, curves)
    write_card(beside, manifest)
    return manifest


def _save_novelty(study: Study, folds: Sequence[FoldResult], path: Path) -> dict[str, Any]:
    """Write what the training speech is like; gives the manifest's entry."""

    def rows(clips: Sequence[int]) -> np.ndarray:
        return study.table.rows[study.table.side(clips, copies=False)]

    Novelty.fitted(rows(range(len(study.clips)))).save(path)
    sides = ((rows(fold.split.train), rows(fold.split.test)) for fold in folds)
    return {"file": path.name, "branch": 0, **usual(sides)}


def export_onnx(fitted: Fitted, path: Path, *, half: bool = False) -> None:
    """Scaler and network as one ONNX graph from raw features to log-probabilities.

    With `half` kernels are stored at half precision: no loss where training has rounded them.
    """
    graph = with_scaler(fitted.network, fitted.scaler.mean, fitted.scaler.variance)
    graph(np.zeros((1, *(n or 32 for n in graph.input_shape[1:])), np.float32))
    graph.export(path, format="onnx", verbose=False)
    if half:
        _store_half(path)


def save_network(fitted: Fitted, path: Path) -> None:
    """Scaler and network as one Keras file."""
    with_scaler(fitted.network, fitted.scaler.mean, fitted.scaler.variance).save(path)


def _store_half(path: Path) -> None:
    """Rewrite a graph with its large constants at half precision, each cast back where it is used."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph, kept, casts = model.graph, [], []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < LEAST_ROUNDED:
            kept.append(constant)
            continue
        small = f"{constant.name}_half"
        casts.append(helper.make_node("Cast", [small], [constant.name], to=TensorProto.FLOAT))
        kept.append(numpy_helper.from_array(values.astype(np.float16), small))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    onnx.save(model, path)


def _save_scaler(fitted: Fitted, path: Path) -> None:
    """The fitted `StandardScaler`, for people who go on training; answering never opens it.

    It takes flat rows: one a window, or one a frame where the recipe gives frames.
    """
    import joblib
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_ = fitted.scaler.mean.ravel().astype(np.float64)
    scaler.var_ = fitted.scaler.variance.ravel().astype(np.float64)
    scaler.scale_ = np.sqrt(scaler.var_)
    scaler.n_features_in_ = len(scaler.mean_)
    joblib.dump(scaler, path)


def _save_golden(study: Study, beside: Path) -> None:
    """A few feature rows and what the exported graph gives for them on this machine."""
    import onnxruntime as ort

    session = ort.InferenceSession(beside / "model.onnx", providers=["CPUExecutionProvider"])
    rows = study.table.rows[study.table.copy == 0]
    rows = rows[:: max(len(rows) // GOLDEN_ROWS, 1)][:GOLDEN_ROWS]
    np.savez(beside / "golden.npz", input_0=rows, output_0=artifact.run_graph(session, rows))
