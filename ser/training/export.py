"""A model's graphs in other formats: each file is held against its original on real clips before it is put in place."""

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
from ser.features.recipes import recipe
from ser.inference.artifact import ARTIFACTS, Artifact, Branch, check_golden, check_name, find, open_graph, verify
from ser.models.layers import with_scaler
from ser.types import ArtifactError, ParameterError

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4  # between the outputs of a written file and those of the original graph
MAX_CLIPS = 100  # of a folder, evenly chosen
TIMED_S = 0.2  # of answers, of whose times the median is taken
SAMPLES = ARTIFACTS.parent / "samples"
SCALED = "model.keras"  # takes the features that this scaler has standardised; other networks contain theirs
SCALER = "scaler.joblib"

Answer = Callable[[np.ndarray], Sequence[np.ndarray]]  # features (n, *shape) to log-probabilities and further outputs


@dataclass(frozen=True)
class Format:
    """How a graph of an artifact is written to a path, how that file is run, and which libraries both need."""

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
    """Write one file a branch, raw features in and log-probabilities out, and give the figures of each.

    `out` is a folder or, for a model of one branch, a file that ends in the format's name. Each file is first run on
    the recordings of `samples/` and of the folder `check`; `report` is a path for the figures as JSON. keras and
    tflite unpickle the model's scaler: use them for models that you trust.
    Raises `ParameterError` for unknown names and places that cannot be written, `ArtifactError` for a damaged model,
    for what the format cannot hold, and for outputs that differ by more than 1e-4; nothing is written then.
    """
    made = find_format(format)
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
        rows = [_branch(artifact, branch, made, written[file], clips) for file, branch in graphs.items()]
        figures = {"model": artifact.name, "format": format, "clips": len(clips), "branches": rows}
        places = {written[file]: target for file, target in targets.items()}
        if report:
            sheet = Path(aside, "figures")
            sheet.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
            places[sheet] = report
        _place(places)
    return figures


def measure(model: str | os.PathLike[str] | None, check: Path | None = None) -> list[dict[str, Any]]:
    """The figures of every format, kept nowhere; a format that cannot hold the model has its sentence as `refused`."""
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
    """The figures of every file as text: name, size, time of an answer, largest difference."""
    if "refused" in report:
        return [(report["refused"], "", "", "")]
    return [
        (row["file"], f"{row['bytes'] / 1e6:.2f} MB", f"{row['ms']:.3f} ms", f"{row['difference']:.1e}")
        for row in report["branches"]
    ]


def find_format(name: str) -> Format:
    """The format of that name; `ParameterError` lists the known ones or says which library is missing."""
    if name not in FORMATS:
        raise ParameterError(f"Unknown format {name!r}; known: {', '.join(FORMATS)}.")
    missing = [library for library in FORMATS[name].needs if find_spec(library) is None]
    if missing:
        found = f"{name} needs {', '.join(missing)}, which this installation lacks"
        raise ParameterError(f"{found}; {advice('export')}.")
    return FORMATS[name]


def _targets(name: str, graphs: Sequence[str], format: str, out: Path, *, force: bool) -> dict[str, Path]:
    """Where the file of each graph goes: `<model>.<format>`, with the graph's name where there are several."""
    targets = {file: out / f"{name}-{file.removesuffix('.onnx').replace('/', '-')}.{format}" for file in graphs}
    ending = out.suffix.removeprefix(".")
    if len(graphs) == 1:
        targets = {graphs[0]: out if ending == format else out / f"{name}.{format}"}
    if ending in FORMATS and list(targets.values()) != [out]:
        raise ParameterError(f"{out} cannot be the place of {len(graphs)} {format} file(s); name a folder as --out.")
    for target in targets.values():
        _check_taken(target, force=force)
    return targets


def _check_taken(target: Path, *, force: bool) -> None:
    try:
        taken = target.exists() and not force
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise ParameterError(f"{target} cannot be written: {error.strerror}. Choose another place.") from error
    if taken:
        raise ParameterError(f"{target} exists already; choose another place, or --force to replace it.")


def _clips(folder: Path | None) -> list[Path]:
    """The recordings to check with: those of the repository and a folder's, evenly chosen."""
    own, found = ([*sound_files(place)] if place and place.is_dir() else [] for place in (SAMPLES, folder))
    if not (found if folder else own):
        raise ParameterError(f"No recordings to check with in {folder or SAMPLES}; name a folder of them as --check.")
    return own + found[:: -(-len(found) // MAX_CLIPS) or 1]


def _branch(artifact: Artifact, branch: Branch, made: Format, path: Path, clips: Sequence[Path]) -> dict[str, Any]:
    """Write one graph to a path, hold it against the original, and give its figures."""
    listen = recipe(branch.recipe)
    inputs = [listen.of(load_waveform(clip, listen.sample_rate)) for clip in clips]
    original = _open_onnx(artifact, artifact.path(branch.file))
    name = f"{artifact.name}/{branch.file}"
    try:
        made.write(artifact, branch.file, path)
        answer = made.open(artifact, path)
        answers = [answer(features) for features in inputs]
    except ArtifactError:
        raise
    except Exception as error:  # Keras, TensorFlow and LiteRT raise what they like
        reason = shorten(str(error), 300) or type(error).__name__
        raise ArtifactError(f"{name} cannot be held by a {path.suffix} file: {reason}") from error
    difference = float(np.max([_difference(original(x), y, name) for x, y in zip(inputs, answers, strict=True)]))
    if not difference <= TOLERANCE:
        found = f"{name} and its {path.suffix} file differ by {difference:.3g} on real clips"
        raise ArtifactError(f"{found}, at most {TOLERANCE} is accepted; nothing was written.")
    longest = max(inputs, key=lambda features: features[0].size)[:1]
    return {
        "recipe": branch.recipe,
        "file": path.name,
        "bytes": path.stat().st_size,
        "ms": _ms(answer, longest),
        "difference": difference,
    }


def _difference(expected: Sequence[np.ndarray], found: Sequence[np.ndarray], name: str) -> float:
    shapes = [[array.shape for array in arrays] for arrays in (expected, found)]
    if shapes[0] != shapes[1]:
        raise ArtifactError(f"{name}: expected outputs of shapes {shapes[0]}, the exported file gives {shapes[1]}.")
    return float(np.max([np.abs(a - b).max() for a, b in zip(expected, found, strict=True)]))


def _ms(answer: Answer, features: np.ndarray) -> float:
    """Median time of an answer in milliseconds."""
    times: list[float] = []
    while len(times) < 5 or sum(times) < TIMED_S:
        started = time.perf_counter()
        answer(features)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e3


def _place(places: dict[Path, Path]) -> None:
    """Copy finished files beside their places, and only when all are there rename them."""
    partial = {target: target.with_name(f".{target.name}.part") for target in places.values()}
    try:
        for source, target in places.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, partial[target])
        for target in places.values():
            partial[target].replace(target)
    except OSError as error:
        raise ParameterError(f"{target} cannot be written: {error.strerror}. Choose another place.") from error
    finally:
        for path in filter(Path.exists, partial.values()):
            path.unlink()


def _network(artifact: Artifact, file: str) -> keras.Model:
    """The Keras network beside a graph, from raw features to log-probabilities and its further outputs."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # read when TensorFlow starts
    import keras

    name = f"{file.removesuffix('.onnx')}.keras"
    network = keras.saving.load_model(_stored(artifact, name))
    if name == SCALED and SCALER in artifact.manifest["files"]:
        import joblib

        scaler = joblib.load(_stored(artifact, SCALER))
        shape = network.input_shape[1:]
        shape = shape[1:] if len(shape) == 2 else shape  # frames are all scaled alike
        return with_scaler(network, *np.asarray([scaler.mean_, scaler.scale_**2], np.float32).reshape(2, *shape))
    if "logits" not in [layer.name for layer in network.layers]:
        return network
    logits = network.get_layer("logits").output
    first = keras.layers.Activation("log_softmax", name="log_probabilities")(logits)
    return keras.Model(network.input, [first, *network.outputs[1:]])


def _stored(artifact: Artifact, name: str) -> Path:
    """A file that training wrote, verified with the others; an installation may have left it out."""
    if name not in artifact.manifest["files"] or not artifact.path(name).is_file():
        raise ArtifactError(f"{artifact.name}/{name} is missing, only onnx can be exported without it.")
    return artifact.path(name)


def _write_tflite(artifact: Artifact, file: str, path: Path) -> None:
    """Recurrent layers are written out step by step, since TFLite has no loop over steps of its own."""
    network = _network(artifact, file)
    if None in network.input_shape[1:] and '"unroll"' in network.to_json():
        found = f"{artifact.name}/{file} has recurrent layers over a free time axis"
        raise ArtifactError(f"{found}, which TFLite cannot hold; export it as onnx or keras.")
    unrolled = type(network).from_config(_unrolled(network.get_config()))
    unrolled.set_weights(network.get_weights())
    unrolled.export(path, format="litert", verbose=False)


def _unrolled(config: Any) -> Any:
    """A network's description with every `unroll` in it set."""
    if isinstance(config, dict):
        return {key: key == "unroll" or _unrolled(value) for key, value in config.items()}
    return type(config)(map(_unrolled, config)) if isinstance(config, list | tuple) else config


def _open_onnx(artifact: Artifact, path: Path) -> Answer:
    session = open_graph(replace(artifact, folder=path.parent), path.name)
    return lambda features: session.run(None, {session.get_inputs()[0].name: features})


def _open_keras(artifact: Artifact, path: Path) -> Answer:
    import keras

    network = keras.saving.load_model(path)
    return lambda features: [
        keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(network(features, training=False))
    ]


def _open_tflite(artifact: Artifact, path: Path) -> Answer:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path), num_threads=1).get_signature_runner()
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
