"""Times a prediction, warm and from a fresh process, against the plain chain of `benchmarks/chain.py`.

`python benchmarks/predict.py` on an idle machine prints a table; `--write` also writes it into `reports/`. Every figure
comes from its own process. `ser` gets one thread, the chain the threads that its libraries choose. The chain supports
only a model like `dense105`; the default model is also timed alone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile as sf
from reporting import ROOT, add_write, checked, publish, this_machine

REPORT = "predict_benchmark"
SIDES = ("ours", "chain")
RATES = (48_000, 16_000)  # Hz; the first one is that of the targets
CLIP_S = 3.5
WARM_UP = 5
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"

# Name in the table, keys of the figure, its limit and unit; "x" figures must reach the limit, others stay below.
TARGETS = (
    ("warm, times faster than the chain", ("warm", "48000", "ratio"), 15, "x"),
    ("warm", ("warm", "48000", "ours"), 4, "ms"),
    ("fresh process, times faster", ("fresh", "ratio"), 7, "x"),
    ("fresh process, empty caches, times faster", ("fresh_empty_caches", "ratio"), 7, "x"),
    ("fresh process", ("fresh", "ours"), 0.6, "s"),
    ("fresh process, peak memory", ("memory", "ours"), 200, "MB"),
    ("features, share of the tolerance", ("agreement", "features"), 1, "of it"),
    ("probabilities, largest difference", ("agreement", "probabilities"), 1e-3, ""),
    ("the default model, warm", ("default", "warm"), 60, "ms"),
    ("the default model, peak memory of a fresh process", ("default", "memory"), 250, "MB"),
    ("the default model, its graphs", ("default", "size"), 30, "MB"),
    ("the default model, fresh process", ("default", "fresh"), 0.9, "s"),
)
# Largest difference over the block's largest value.
TOLERANCES = {"mfcc_delta": 1e-3, "mfcc_mean": 1e-4, "mfcc_std": 1e-4, "mel_db": 1e-4, "centroid": 1e-4}
TOLERANCES |= {"rolloff": 1e-4, "zero_crossing": 1e-4, "chroma": 1e-4}

OURS = """
import resource, sys
import ser
print(ser.load(sys.argv[1]).predict(sys.argv[2]).label, flush=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> None:
    options = _options()
    if options.child:
        print(json.dumps(child(options.child, options.model, options.clips, options.runs)))
        return
    report = measure(options.model, options.default, options.runs, options.starts)
    publish(report, table(report), options.write, REPORT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", default="dense105", help="one branch of `voice105-v2`, for both; default: dense105")
    parser.add_argument("--default", help="a model's name or folder, timed alone; default: the best")
    parser.add_argument("--runs", type=int, default=50, help="warm answers to take the median of")
    parser.add_argument("--starts", type=int, default=7, help="fresh processes; 0: only the one with empty caches")
    add_write(parser)
    parser.add_argument("--child", choices=(*SIDES, "alone"), help=argparse.SUPPRESS)
    parser.add_argument("--clips", type=Path, nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def speech_like(sample_rate: int) -> bytes:
    """Return a 16-bit WAV of 3.5 s: gliding harmonics and noise in syllables, without silence."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(CLIP_S * sample_rate)) / sample_rate
    phase = 2 * np.pi * (140 * time_s + 3 * np.sin(2 * np.pi * 0.7 * time_s))
    voice = sum(np.sin(k * phase) / k for k in range(1, 25))
    syllables = 0.55 + 0.45 * np.cos(2 * np.pi * 4 * time_s)
    samples = syllables * (voice + 0.3 * rng.standard_normal(len(time_s)))
    file = io.BytesIO()
    sf.write(file, 0.5 * samples / np.abs(samples).max(), sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


# --- In the parent: one process for each figure ---


def measure(model: str, default: str | None, runs: int, starts: int) -> dict[str, Any]:
    """Return the report."""
    sys.path.insert(0, str(ROOT))
    from ser.inference.artifact import find

    folder, load_before = str(find(model)), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work:
        clips = [Path(work, f"{rate}.wav") for rate in RATES]
        for clip, rate in zip(clips, RATES, strict=True):
            clip.write_bytes(speech_like(rate))
        for side in SIDES:
            _start(side, folder, clips[0], str(Path(work, "before")))  # writes the byte code
        empty = {side: [_start(side, folder, clips[0], work)] for side in SIDES}  # fills them for what follows
        warm = {side: _warm(side, folder, clips, runs, work) for side in SIDES}
        fresh = {side: [_start(side, folder, clips[0], work) for _ in range(starts)] or empty[side] for side in SIDES}
        alone = _alone(find(default), clips[0], runs, starts, work)
    report = {
        "machine": this_machine(load_before),
        "model": Path(folder).name,
        "runs": runs,
        "starts": starts,
        "warm": {str(rate): _pair({side: warm[side]["ms"][i] for side in SIDES}) for i, rate in enumerate(RATES)},
        "fresh": _pair({side: [seconds for seconds, _ in fresh[side]] for side in SIDES}),
        "fresh_empty_caches": _pair({side: [seconds for seconds, _ in empty[side]] for side in SIDES}),
        "memory": {side: max(megabytes for _, megabytes in fresh[side]) for side in SIDES},
        "agreement": agreement(warm["ours"], warm["chain"]),
        "default": alone,
    }
    return {**report, "targets": [checked(report, *target) for target in TARGETS]}


def _pair(values: dict[str, list[float]]) -> dict[str, float]:
    """Return the medians of both sides and their ratio."""
    medians = {side: median(values[side]) for side in SIDES}
    return {**medians, "ratio": medians["chain"] / medians["ours"]}


def _alone(folder: Path, clip: Path, runs: int, starts: int, work: str) -> dict[str, Any]:
    """Measure one model: ms warm, seconds and peak MB of a fresh process, MB of its graphs."""
    from ser.inference.manifest import read_manifest

    manifest = read_manifest(folder)
    graphs = [*manifest["branches"], *([manifest["encoder"]] if "encoder" in manifest else [])]
    fresh = [_start("ours", str(folder), clip, work) for _ in range(max(starts, 1))]
    return {
        "model": folder.name,
        "warm": median(_warm("alone", str(folder), [clip], runs, work)["ms"][0]),
        "fresh": median(seconds for seconds, _ in fresh),
        "memory": max(megabytes for _, megabytes in fresh),
        "size": sum((folder / graph["file"]).stat().st_size for graph in graphs) / 1e6,
    }


def _environment(side: str, caches: str) -> dict[str, str]:
    """Return the environment: one thread for `ser`, the default for the chain; numba compiles into `caches`.

    Byte code is written, as installers do: without it every start would compile all that it imports.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in (*THREADS, NO_BYTE_CODE)}
    threads = {} if side == "chain" else dict.fromkeys(THREADS, "1")
    return {**inherited, **threads, "NUMBA_CACHE_DIR": caches, "PYTHONPATH": str(ROOT)}


def _warm(side: str, folder: str, clips: list[Path], runs: int, caches: str) -> dict[str, Any]:
    """Run `child` in its own process."""
    command = [sys.executable, __file__, "--child", side, "--model", folder, "--runs", str(runs), "--clips"]
    return json.loads(_run([*command, *map(str, clips)], _environment(side, caches))[1][-1])


def _start(side: str, folder: str, clip: Path, caches: str) -> tuple[float, float]:
    """Return the seconds from the start of a process to its first prediction, and its peak memory in MB."""
    program = ["-c", OURS] if side == "ours" else [str(ROOT / "benchmarks" / "chain.py")]
    seconds, lines = _run([sys.executable, *program, folder, str(clip)], _environment(side, caches))
    return seconds, int(lines[-1]) / 1024


def _run(command: list[str], environment: dict[str, str]) -> tuple[float, list[str]]:
    """Return the seconds until the first line of a program's output, and all lines. `SystemExit` if it fails.

    The parent imports little: Linux counts its memory in the child's peak.
    """
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            seconds = time.perf_counter() - began
            lines = [first, *process.stdout.readlines()]
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command[:3])} failed:\n{errors.read()}")
    return seconds, lines


def agreement(ours: dict[str, Any], chain: dict[str, Any]) -> dict[str, float]:
    """Compare the results of both sides.

    `features`: the largest difference of a block over its largest value, as a share of the tolerance.
    `probabilities`: the largest difference after our temperature is undone.
    """
    actual, expected = np.array(ours["features"]), np.array(chain["features"])
    shares = []
    for block, tolerance in TOLERANCES.items():
        rows = [row for row, name in enumerate(ours["names"]) if name.startswith(block)]
        shares.append(np.abs(actual - expected)[rows].max() / np.abs(expected[rows]).max() / tolerance)
    uncalibrated = np.array(ours["probabilities"]) ** ours["temperature"]
    difference = np.abs(uncalibrated / uncalibrated.sum() - chain["probabilities"]).max()
    return {"features": float(max(shares)), "probabilities": float(difference), "temperature": ours["temperature"]}


# --- In a child: warm predictions of one side ---


def child(side: str, model: str, clips: list[Path], runs: int) -> dict[str, Any]:
    """Return the milliseconds of warm predictions of each clip, and the values computed for the first one."""
    data = [clip.read_bytes() for clip in clips]
    answer, computed = {"ours": _ours, "chain": _chain, "alone": _just_ours}[side](model)
    return {"ms": [_times(answer, clip, runs) for clip in data], **computed(data[0])}


def _ours(model: str) -> tuple[Callable[[bytes], Any], Callable[[bytes], dict[str, Any]]]:
    import ser
    from ser.audio.loading import load_waveform
    from ser.features.recipes import recipe

    recognizer = ser.load(model)
    features = recipe(recognizer.artifact.branches[0].recipe)

    def computed(data: bytes) -> dict[str, Any]:
        return {
            "names": features.feature_names,
            "features": features.of(load_waveform(data)).mean(axis=0).tolist(),
            "probabilities": list(recognizer.predict(data).probabilities.values()),
            "temperature": recognizer.artifact.manifest["temperature"],
        }

    return recognizer.predict, computed


def _just_ours(model: str) -> tuple[Callable[[bytes], Any], Callable[[bytes], dict[str, Any]]]:
    import ser

    return ser.load(model).predict, lambda data: {}


def _chain(model: str) -> tuple[Callable[[bytes], Any], Callable[[bytes], dict[str, Any]]]:
    from chain import Chain, extract, read

    chain = Chain(Path(model))

    def computed(data: bytes) -> dict[str, Any]:
        return {"features": extract(read(data)).tolist(), "probabilities": chain.predict(data).tolist()}

    return chain.predict, computed


def _times(answer: Callable[[bytes], Any], data: bytes, runs: int) -> list[float]:
    for _ in range(WARM_UP):
        answer(data)
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        answer(data)
        times.append(1000 * (time.perf_counter() - began))
    return times


# --- The table ---


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    machine = report["machine"]
    rows = [(f"warm, {int(rate) // 1000} kHz", "ms", pair) for rate, pair in report["warm"].items()]
    rows += [
        ("fresh process", "s", report["fresh"]),
        ("fresh process, empty caches", "s", report["fresh_empty_caches"]),
    ]
    memory, alone = report["memory"], report["default"]
    rows.append(("fresh process, peak memory", "MB", {**memory, "ratio": memory["chain"] / memory["ours"]}))
    lines = [
        f"# From {CLIP_S} s of sound to an answer, `{report['model']}`",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; load {machine['load_before']} before "
        f"and {machine['load_after']} after. Medians of {report['runs']} warm answers and {report['starts']} fresh "
        "processes (one with empty caches); the chain's parts are in `benchmarks/chain.py`.",
        "",
        "| | ser, one thread | plain chain | ratio |",
        "|---|---:|---:|---:|",
        *(f"| {name} | {_three(p['ours'])} {u} | {_three(p['chain'])} {u} | {p['ratio']:.1f} |" for name, u, p in rows),
        "",
        f"The default model, `{alone['model']}` ({alone['size']:.2f} MB), alone: {_three(alone['warm'])} ms warm; "
        f"{_three(alone['fresh'])} s and {_three(alone['memory'])} MB from a fresh process.",
        "",
        "| target | limit | found | |",
        "|---|---:|---:|---|",
        *map(_target, report["targets"]),
    ]
    return "\n".join(lines)


def _target(target: dict[str, Any]) -> str:
    bound = "at least" if target["unit"] == "x" else "at most"
    unit = f" {target['unit']}".rstrip()
    verdict = "pass" if target["passed"] else "**fail**"
    return f"| {target['name']} | {bound} {target['limit']:g}{unit} | {_three(target['found'])}{unit} | {verdict} |"


def _three(value: float) -> str:
    """Return a number with three significant digits."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


if __name__ == "__main__":
    main()
