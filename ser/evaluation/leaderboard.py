"""The leaderboard: the published designs and our own models, measured in one way, beside what others print."""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ser.audio.loading import load_waveform
from ser.datasets.corpora import load_corpus
from ser.datasets.splits import DOUBLED, Split, doubled, doubled_split, random_split, speaker_folds
from ser.files import write_atomically
from ser.inference.artifact import Artifact, find, known, verify
from ser.inference.recognizer import Recognizer
from ser.metrics import softmax
from ser.reporting import leaderboard as standings
from ser.reporting.published_scores import ANCHORS, DESIGNS, LISTENERS
from ser.training.configs import CONFIGS
from ser.training.cross_validation import FoldResult, Study, clip_log_probabilities, prepare, run_fold, scores, train_on
from ser.training.train import ended_by, export_onnx, index_hash, work_folder
from ser.types import LABEL_SETS, Clip, ParameterError

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
    resume: bool = False,
    out: str | os.PathLike[str] = "reports",
    jobs: int = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Measure models on RAVDESS and write `leaderboard.json`, `.md` and `.png` in `out`; returns the board.

    A name is an artifact, whose scores are those of its manifest, or a configuration, which is trained here: six
    folds of unseen actors and the random split, in `jobs` processes of one thread each. Without names all artifacts
    and published designs. Rows of other names that stand in `out` already, of the same recordings, stay. A killed run
    keeps its finished fits; `resume` goes on from them. Raises `ParameterError` for an unknown name.
    """
    names = _names(models)
    clips = load_corpus(CORPUS, os.fspath(data)).clips
    header = {**_header(clips), "one_out": _one_out(Path(out))}
    rows = _standing_rows(Path(out), header)
    there = [verify(find(name)) for name in names if name in known()]
    entries = _entries([name for name in names if name not in known()], clips, resume, progress)
    for row in chain((_artifact_row(artifact, clips) for artifact in there), _trained_rows(entries, jobs, progress)):
        rows = merged(rows, row)
        # With every row, so that a long run shows what it has.
        standings.write(Path(out), {**header, "created": datetime.now(UTC).isoformat(timespec="seconds"), "rows": rows})
    return {**header, "rows": rows}


def _names(models: Sequence[str]) -> list[str]:
    choice = list(dict.fromkeys([*known(), *CONFIGS]))
    unknown = [name for name in models if name not in choice]
    if unknown:
        raise ParameterError(f"Unknown model {unknown[0]!r}; known: {', '.join(choice)}.")
    return list(models) or [name for name in choice if name in known() or name in DESIGNS]


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
    """What `experiments/one_out.py` wrote beside the board."""
    file = out / ONE_OUT
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _standing_rows(out: Path, header: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that an earlier run wrote about the same recordings."""
    file = out / standings.JSON
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return old["rows"] if old.get("index_sha256") == header["index_sha256"] else []


def merged(rows: Sequence[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows with `new` in the place of the one of its name: ours first, the best on top; then designs by name."""
    together = [row for row in rows if row["name"] != new["name"]] + [new]
    kinds = ("ours", "design", DOUBLED)
    return sorted(together, key=lambda row: (kinds.index(row["kind"]), _rank(row), row["name"]))


def _rank(row: dict[str, Any]) -> float:
    return -row["folds"]["uar"] if row["kind"] == "ours" and row["folds"] else 0.0


# --- Rows of models that are there ---


def _artifact_row(artifact: Artifact, clips: Sequence[Clip]) -> dict[str, Any]:
    import keras

    manifest = artifact.manifest
    found, training = manifest["metrics"], manifest["training"]
    files = [artifact.path(branch.file) for branch in artifact.branches]
    return _row(
        artifact.name,
        artifact.labels,
        folds=found.get("folds"),
        random=found.get(RANDOM),
        left_out={
            corpus: {"uar": scored["uar"], "labels": scored["labels"]}
            for corpus, scored in found.get("left_out", {}).items()
        },
        **_parameters(keras.saving.load_model(file, compile=False) for file in sorted(artifact.folder.glob("*.keras"))),
        bytes=sum(file.stat().st_size for file in files),
        ms=answer_ms(Recognizer(artifact), clips),
        minutes=training.get("minutes_a_fold"),
        epochs=training["epochs"],
        ended=_ways(fold.get("ended") for fold in manifest.get("folds", [])),
    )


def _row(name: str, labels: Sequence[str], **measured: Any) -> dict[str, Any]:
    design = DESIGNS.get(name)
    for protocol in ("folds", RANDOM):
        found = measured.get(protocol)
        measured[protocol] = {key: found[key] for key in KEPT if key in found} if found else None
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
    """How many numbers some Keras models hold, and how many of them are learned by gradients."""
    weights = [variable for network in networks for variable in network.weights]
    return {
        "parameters": sum(math.prod(variable.shape) for variable in weights),
        "trainable": sum(math.prod(variable.shape) for variable in weights if variable.trainable),
    }


def _ways(ended: Iterable[str | None]) -> str | None:
    """The ways in which the fits of all folds ended; None where it is not known."""
    return ", ".join(sorted({way for way in ended if way})) or None


def answer_ms(recognizer: Recognizer, clips: Sequence[Clip]) -> float:
    """Median time in milliseconds from a clip's waveform to its answer, over clips from the whole list."""
    chosen = clips[:: max(len(clips) // TIMED_CLIPS, 1)]
    waveforms = [load_waveform(clip.path, recognizer.sample_rate) for clip in chosen]
    recognizer.predict(waveforms[0])  # builds filter banks
    times = []
    for waveform in waveforms:
        started = time.perf_counter()
        recognizer.predict(waveform)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


# --- Rows of configurations that are trained here ---


@dataclass(frozen=True)
class _Entry:
    """A row to be: what it is trained on, and the splits."""

    name: str
    study: Study
    folds: list[Split]
    chance: Split

    @property
    def splits(self) -> list[Split]:
        return [*self.folds, self.chance]


def _entries(names: Sequence[str], clips: Sequence[Clip], resume: bool, progress: bool) -> list[_Entry]:
    """A row for each configuration; with one of them a second, which shows what the doubled corpus does to it."""
    entries = []
    for name in names:
        study = _study(name, clips, f"leaderboard-{name}", resume, progress)
        chance = random_split(study.clips, study.config.seeds[0], duplicates=study.duplicates)
        entries.append(_Entry(name, study, speaker_folds(study.clips), chance))
    if DOUBLED_DESIGN in names:
        study = _study(DOUBLED_DESIGN, doubled(clips), f"leaderboard-{DOUBLED}", resume, progress)
        entries.append(_Entry(DOUBLED_DESIGN, study, [], doubled_split(study.clips, study.config.seeds[0])))
    return entries


def _study(name: str, clips: Sequence[Clip], work: str, resume: bool, progress: bool) -> Study:
    config = CONFIGS[name]
    clips = [clip for clip in clips if clip.emotion in LABEL_SETS[config.labels]]
    return prepare(clips, config, work_folder(work, clips, config, resume), progress)


def _trained_rows(entries: Sequence[_Entry], jobs: int, progress: bool) -> Iterator[dict[str, Any]]:
    """The rows, each as soon as its last network is trained."""
    from joblib import Parallel, delayed, parallel_config
    from tqdm.auto import tqdm

    tasks = [(place, split) for place, entry in enumerate(entries) for split in entry.splits]
    left = Counter(place for place, _ in tasks)
    with (
        warnings.catch_warnings(),
        parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1),
        tqdm(total=len(tasks), desc="Training", unit="fold", disable=not progress) as bar,
    ):
        # TensorFlow keeps memory from fit to fit, and joblib puts a fresh worker in the place of one that has grown.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        fits = (delayed(_fit)(place, entries[place].study, split, os.getpid()) for place, split in tasks)
        for place in Parallel(return_as="generator_unordered")(fits):
            bar.update()
            left[place] -= 1
            if not left[place]:
                yield _trained_row(entries[place])


def _fit(place: int, study: Study, split: Split, program: int) -> int:
    """Train and ask the network of one split, unless an earlier run did, and keep what is needed of it; gives `place`.

    The networks themselves go once their answers are kept. `program` is the process that wants them.
    """

    def stop_if_orphaned() -> None:
        # A worker outlives a program that is killed, and would write into the run that goes on from there.
        if program not in (os.getpid(), os.getppid()):
            os._exit(1)

    if not _outcome(study, split).exists():
        for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(variable, "1")
        fold = _trained(study, split, stop_if_orphaned)
        if split.note:
            export_onnx(fold.fitted, study.work / GRAPH)
        found = {
            "log_probabilities": fold.log_probabilities.tolist(),
            "epochs": fold.fitted.epochs,
            "minutes": fold.inner_history["minutes"][-1] + fold.fitted.history["minutes"][-1],
            "ended": ended_by(study.config, fold),
            **_parameters([fold.fitted.network]),
        }
        write_atomically(_outcome(study, split), json.dumps(found))
    for folder in study.work.glob(f"{split.name}-*"):  # a run that was killed just here has left some
        shutil.rmtree(folder)
    return place


def _trained(study: Study, split: Split, on_epoch: Callable[[], None]) -> FoldResult:
    """One fit of a split, and before it another where that chooses the number of epochs.

    No temperature is fitted for its own sake: it changes no figure of the board.
    """
    config, seed = study.config, study.config.seeds[0]
    if config.choose_epochs:
        return run_fold(study, split, seed, on_epoch)
    fitted = train_on(study, split.train, seed, config.epochs, on_epoch)
    answers = clip_log_probabilities(study, fitted, split.test)
    return FoldResult(split, fitted, 1.0, {"minutes": [0.0]}, answers)


def _outcome(study: Study, split: Split) -> Path:
    return study.work / f"{split.name}.json"


def _trained_row(entry: _Entry) -> dict[str, Any]:
    study = entry.study
    found = {split.name: json.loads(_outcome(study, split).read_text()) for split in entry.splits}
    last = found[entry.chance.name]
    row = _row(
        entry.name,
        study.labels,
        folds=_scores(study, entry.folds, found) if entry.folds else None,
        random=_scores(study, [entry.chance], found),
        parameters=last["parameters"],
        trainable=last["trainable"],
        bytes=(study.work / GRAPH).stat().st_size,
        ms=answer_ms(_recognizer(entry), study.clips),
        minutes=statistics.median(outcome["minutes"] for outcome in found.values()),
        epochs=statistics.median(outcome["epochs"] for outcome in found.values()),
        ended=_ways(outcome["ended"] for outcome in found.values()),
    )
    if entry.folds:
        return row
    return {**row, "name": f"{entry.name}-{DOUBLED}", "kind": DOUBLED, "paths": len(study.clips)}


def _scores(study: Study, splits: Sequence[Split], found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    index = np.array([clip for split in splits for clip in split.test])
    answers = [softmax(np.array(found[split.name]["log_probabilities"])) for split in splits]
    return scores(study.truth[index], np.concatenate(answers), study.speakers[index], study.labels)


def _recognizer(entry: _Entry) -> Recognizer:
    """The network of the random split as it would answer a user."""
    study = entry.study
    manifest = {
        "name": entry.name,
        "labels": study.labels,
        "branches": [{"recipe": study.config.recipe, "file": GRAPH, "weight": 1.0}],
        "reduce_noise": study.config.reduce_noise,
        "thresholds": {"confidence": 0.0},
    }
    return Recognizer(Artifact(study.work, manifest), {"files": [GRAPH], "temperature": 1.0})
