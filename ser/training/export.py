"""Exports a model's graphs to other formats, each compared with its original on real clips before it is written."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.audio.files import sound_files
from ser.audio.loading import load_waveform
from ser.extras import advice
from ser.features.recipes import recipe, with_encoder
from ser.files import write_atomically
from ser.inference.artifact import (
    ARTIFACTS,
    Artifact,
    Branch,
    check_golden,
    check_name,
    find,
    open_encoder,
    open_graph,
    verify,
)
from ser.models.layers import with_scaler
from ser.training.fit import import_keras, silenced
from ser.types import ArtifactError, ParameterError, lookup

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4  # between the outputs of a written file and those of the original graph
MAX_CLIPS = 100  # of a folder, evenly spaced
TIMED_S = 0.2  # duration of the timing, of which the median is reported
SAMPLES = ARTIFACTS.parent / "samples"
SCALED = "model.keras"  # takes features standardised by the scaler below; other networks contain theirs
SCALER = "scaler.joblib"

Answer = Callable[[np.ndarray], Sequence[np.ndarray]]  # features (n, *shape) to log-probabilities and further outputs


@dataclass(frozen=True)
class Format:
    """A writer of a graph to a path, a loader of the written file, and the libraries that both need."""

    write: Callable[[Artifact, str, Path], Any]
    open: Callable[[Artifact, Path], Answer]
    needs: tuple[str, ...] = ()


def export(
    model: str | os.PathLike[str] | None,
    format: str,
    out: Path = Path(),
    check: Path | None = None,
    report: Path | None = None,
    *,
    force: bool = False,
) -> dict[str, Any]:
    """Write a file per branch, from raw features to log-probabilities, and return its size, time and difference.

    `out` is a folder or, for a model of one branch, a file that ends in the format's name. Each file is first checked
    on the recordings of `samples/` and of the folder `check`; `report` is a path for the figures as JSON. keras and
    tflite unpickle the model's scaler: use them for models that you trust.
    Raises `ParameterError` for unknown names and paths that cannot be written, `ArtifactError` for a damaged model,
    a graph that the format cannot hold, and outputs that differ by more than 1e-4; nothing is written then.
    """
    exporter = find_format(format)
    artifact = verify(find(model))
    graphs = {branch.file: branch for branch in artifact.branches}
    targets = _targets(check_name(artifact.name), list(graphs), format, out, force=force)
    sessions = [open_graph(artifact, branch.file) for branch in artifact.branches]
    check_golden(artifact, sessions)
    if report:
        _check_taken(report, force=force)
    clips = _clips(check)
    with tempfile.TemporaryDirectory() as aside:
        written = {file: Path(aside, target.name) for file, target in targets.items()}
        rows = [_branch(artifact, branch, exporter, written[file], clips) for file, branch in graphs.items()]
        figures = {"model": artifact.name, "format": format, "clips": len(clips), "branches": rows}
        contents = {target: written[file].read_bytes() for file, target in targets.items()}
    if report:
        contents[report] = (json.dumps(figures, indent=1) + "\n").encode()
    _write(contents)
    return figures


def measure(model: str | os.PathLike[str] | None, check: Path | None = None) -> list[dict[str, Any]]:
    """Return the figures of every format, keeping no file; `refused` is the reason if it cannot hold the model."""
    verify(find(model))
    reports: list[dict[str, Any]] = []
    for format in FORMATS:
        with tempfile.TemporaryDirectory() as aside:
            try:
                reports.append(export(model, format, Path(aside), check))
            except ArtifactError as error:
                reports.append({"format": format, "refused": str(error)})
    return reports


def table(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return a row of text per file: name, size, time of an answer, largest difference."""
    if "refused" in report:
        return [(report["refused"], "", "", "")]
    return [
        (row["file"], f"{row['bytes'] / 1e6:.2f} MB", f"{row['ms']:.3f} ms", f"{row['difference']:.1e}")
        for row in report["branches"]
    ]


def find_format(name: str) -> Format:
    """Return a format by name; `ParameterError` lists the known ones or says which library is missing."""
    exporter = lookup(name, FORMATS, "format")
    missing = [library for library in exporter.needs if find_spec(library) is None]
    if missing:
        problem = f"{name} needs {', '.join(missing)}, which this installation lacks"
        raise ParameterError(f"{problem}; {advice('export')}.")
    return exporter


def _targets(name: str, graphs: Sequence[str], format: str, out: Path, *, force: bool) -> dict[str, Path]:
    """Return the path per graph: `<model>.<format>`, with the graph's name if there are several."""
    targets = {file: out / f"{name}-{file.removesuffix('.onnx').replace('/', '-')}.{format}" for file in graphs}
    ending = out.suffix.removeprefix(".")
    if len(graphs) == 1:
        targets = {graphs[0]: out if ending == format else out / f"{name}.{format}"}
    if ending in FORMATS and list(targets.values()) != [out]:
        raise ParameterError(f"{out} cannot hold {len(graphs)} {format} file(s); name a folder as --out.")
    for target in targets.values():
        _check_taken(target, force=force)
    return targets


def _check_taken(target: Path, *, force: bool) -> None:
    try:
        taken = target.exists() and not force
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise ParameterError(f"{target} cannot be written: {error.strerror}. Choose another path.") from error
    if taken:
        raise ParameterError(f"{target} exists already; choose another path, or --force to replace it.")


def _clips(folder: Path | None) -> list[Path]:
    """Return the recordings to check with: the repository's samples, and evenly spaced ones of a folder."""
    samples, others = ([*sound_files(path)] if path and path.is_dir() else [] for path in (SAMPLES, folder))
    if not (others if folder else samples):
        raise ParameterError(f"No recordings to check with in {folder or SAMPLES}; name a folder of them as --check.")
    return samples + others[:: -(-len(others) // MAX_CLIPS) or 1]


def _branch(artifact: Artifact, branch: Branch, exporter: Format, path: Path, clips: Sequence[Path]) -> dict[str, Any]:
    """Write one graph to a path, compare it with the original and return its figures."""
    features = with_encoder(recipe(branch.recipe), open_encoder(artifact))
    inputs = [features.of(load_waveform(clip, features.sample_rate)) for clip in clips]
    original = _open_onnx(artifact, artifact.path(branch.file))
    name = f"{artifact.name}/{branch.file}"
    try:
        exporter.write(artifact, branch.file, path)
        answer = exporter.open(artifact, path)
        answers = [answer(rows) for rows in inputs]
    except ArtifactError:
        raise
    except Exception as error:  # Keras, TensorFlow and LiteRT raise many types
        reason = shorten(str(error), 300) or type(error).__name__
        raise ArtifactError(f"{name} cannot be held by a {path.suffix} file: {reason}") from error
    difference = float(np.max([_difference(original(x), y, name) for x, y in zip(inputs, answers, strict=True)]))
    if not difference <= TOLERANCE:
        problem = f"{name} and its {path.suffix} file differ by {difference:.3g} on real clips"
        raise ArtifactError(f"{problem}, at most {TOLERANCE} is accepted; nothing was written.")
    longest = max(inputs, key=lambda rows: rows[0].size)[:1]
    return {
        "recipe": branch.recipe,
        "file": path.name,
        "bytes": path.stat().st_size,
        "ms": _ms(answer, longest),
        "difference": difference,
    }


def _difference(expected: Sequence[np.ndarray], exported: Sequence[np.ndarray], name: str) -> float:
    shapes = [[array.shape for array in arrays] for arrays in (expected, exported)]
    if shapes[0] != shapes[1]:
        raise ArtifactError(f"{name}: expected outputs of shapes {shapes[0]}, the exported file gives {shapes[1]}.")
    return float(np.max([np.abs(a - b).max() for a, b in zip(expected, exported, strict=True)]))


def _ms(answer: Answer, features: np.ndarray) -> float:
    """Return the median time of an answer in milliseconds."""
    times: list[float] = []
    while len(times) < 5 or sum(times) < TIMED_S:
        started = time.perf_counter()
        answer(features)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e3


def _write(contents: dict[Path, bytes]) -> None:
    """Write files, after all their folders are there."""
    try:
        for path in contents:
            path.parent.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            write_atomically(path, content)
    except OSError as error:
        raise ParameterError(f"{path} cannot be written: {error.strerror}. Choose another path.") from error


def _network(artifact: Artifact, file: str) -> keras.Model:
    """Return the Keras network of a graph, from raw features to log-probabilities and its further outputs."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # read when TensorFlow starts
    keras = import_keras()
    name = f"{file.removesuffix('.onnx')}.keras"
    network = keras.saving.load_model(_stored(artifact, name))
    if name == SCALED and SCALER in artifact.manifest["files"]:
        import joblib

        scaler = joblib.load(_stored(artifact, SCALER))
        shape = network.input_shape[1:]
        shape = shape[1:] if len(shape) == 2 else shape  # one scaler for all frames
        return with_scaler(network, *np.asarray([scaler.mean_, scaler.scale_**2], np.float32).reshape(2, *shape))
    if "logits" not in [layer.name for layer in network.layers]:
        return network
    logits = network.get_layer("logits").output
    first = keras.layers.Activation("log_softmax", name="log_probabilities")(logits)
    return keras.Model(network.input, [first, *network.outputs[1:]])


def _stored(artifact: Artifact, name: str) -> Path:
    """Return the path of a file that training wrote; an installation may lack it."""
    if name not in artifact.manifest["files"] or not artifact.path(name).is_file():
        raise ArtifactError(f"{artifact.name}/{name} is missing, only onnx can be exported without it.")
    return artifact.path(name)


def _write_tflite(artifact: Artifact, file: str, path: Path) -> None:
    """Write a network with its recurrent layers unrolled, since TFLite has no loop over steps."""
    network = _network(artifact, file)
    if None in network.input_shape[1:] and '"unroll"' in network.to_json():
        problem = f"{artifact.name}/{file} has recurrent layers over a free time axis"
        raise ArtifactError(f"{problem}, which TFLite cannot hold; export it as onnx or keras.")
    unrolled = type(network).from_config(_unrolled(network.get_config()))
    unrolled.set_weights(network.get_weights())
    with silenced():
        unrolled.export(path, format="litert", verbose=False)


def _unrolled(config: Any) -> Any:
    """Return the configuration of a network with every `unroll` set."""
    if isinstance(config, dict):
        return {key: key == "unroll" or _unrolled(value) for key, value in config.items()}
    return type(config)(map(_unrolled, config)) if isinstance(config, list | tuple) else config


def _open_onnx(artifact: Artifact, path: Path) -> Answer:
    session = open_graph(replace(artifact, folder=path.parent), path.name)
    return lambda features: session.run(None, {session.get_inputs()[0].name: features})


def _open_keras(artifact: Artifact, path: Path) -> Answer:
    keras = import_keras()
    network = keras.saving.load_model(path)
    return lambda features: [
        keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(network(features, training=False))
    ]


def _open_tflite(artifact: Artifact, path: Path) -> Answer:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    with silenced():  # its note on the delegate
        interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    (given,) = runner.get_input_details()

    def answer(features: np.ndarray) -> list[np.ndarray]:
        outputs = runner(**{given: features})
        return [outputs[name] for name in sorted(outputs)]

    return answer


FORMATS = {
    "onnx": Format(lambda artifact, file, path: shutil.copyfile(artifact.path(file), path), _open_onnx),
    "keras": Format(lambda artifact, file, path: _network(artifact, file).save(path), _open_keras, ("keras", "joblib")),
    "tflite": Format(_write_tflite, _open_tflite, ("keras", "joblib", "tensorflow", "ai_edge_litert")),
}
