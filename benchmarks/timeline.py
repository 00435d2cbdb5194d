"""Measures the timeline of an hour: time, memory, and the accuracy of its speech detection.

`python benchmarks/timeline.py` (SER_DATA set) joins clips of three corpora, trimmed at 30 dB, with 1 to 3 s of
noise at -60 dBFS to one hour, and once without a pause; each timeline is made by a fresh process on at most two cores.
It prints a table; `--write` also writes it into `reports/`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from reporting import ROOT, add_write, publish, this_machine

REPORT = "timeline_benchmark"
RATE = 16_000
PATTERNS = ("ravdess/*/*.flac", "emodb/wav/*.ogg", "nemo/**/*.ogg")
NOISE_DB = -60.0
PAUSES_S = (1.0, 3.0)
GUARD_S = 0.25  # around each joint nothing is counted
BLOCKS_S = (1.0, 10.0, 60.0)
CORES = 2
LIMITS = {"seconds": 90.0, "megabytes": 350.0, "accuracy": 0.95}


def main() -> None:
    options = _options()
    if options.child:
        print(json.dumps(child(options.child, options.model, options.block)))
        return
    report = measure(Path(os.environ["SER_DATA"]), options.model, options.minutes)
    publish(report, table(report), options.write, REPORT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", help="a model's name or folder; default: the best")
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the recordings")
    add_write(parser)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--block", type=float, default=5.0, help=argparse.SUPPRESS)
    return parser.parse_args()


# --- The recordings ---


def record(path: Path, data: Path, duration_s: float, *, pauses: bool) -> list[tuple[int, bool]]:
    """Write a FLAC; return the length in samples of each of its parts, and whether it is speech."""
    sys.path.insert(0, str(ROOT))
    parts, n_samples = [], 0
    with sf.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for samples, speech in _parts(data, pauses=pauses):
            file.write(samples)
            parts.append((len(samples), speech))
            n_samples += len(samples)
            if n_samples >= duration_s * RATE:
                return parts
    raise SystemExit(f"Not enough clips in {data} for {duration_s:.0f} s.")


def _parts(data: Path, *, pauses: bool) -> Iterator[tuple[np.ndarray, bool]]:
    from ser.audio.loading import load_waveform
    from ser.features.preprocessing import trim

    rng = np.random.default_rng(0)
    files = [sorted(data.glob(pattern)) for pattern in PATTERNS]
    shuffled = [path for some in files for path in random.Random(0).sample(some, min(map(len, files)))]
    random.Random(0).shuffle(shuffled)
    for path in shuffled:
        if pauses:
            yield quiet_noise(rng.uniform(*PAUSES_S), rng), False
        samples = load_waveform(path).samples
        start, end = trim(samples)
        yield samples[start:end], True


def quiet_noise(duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """Return noise that falls by 3 dB an octave, as in a quiet room."""
    n = round(duration_s * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n)) / np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / RATE), 20))
    samples = np.fft.irfft(spectrum, n)
    return (10 ** (NOISE_DB / 20) * samples / samples.std()).astype(np.float32)


# --- The figures ---


def measure(data: Path, model: str | None, minutes: float) -> dict[str, Any]:
    """Return the report."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work:
        paused, endless = Path(work, "paused.flac"), Path(work, "endless.flac")
        parts = record(paused, data, 60 * minutes, pauses=True)
        record(endless, data, 60 * minutes, pauses=False)
        runs = [_run(paused, model, block_s) for block_s in BLOCKS_S]
        without = _run(endless, model, 5.0)
    first = runs[0]["timeline"]
    report = {
        "machine": {**this_machine(load_before), "cores": min(CORES, os.cpu_count() or CORES)},
        "model": first["model"],
        "duration_s": first["duration_s"],
        "clips": sum(speech for _, speech in parts),
        "segments": len(first["segments"]),
        "identical": all(run["timeline"] == {**first, "file": run["timeline"]["file"]} for run in runs),
        "runs": [{key: run[key] for key in ("block_s", "seconds", "cpu_s", "megabytes")} for run in runs],
        "without_pauses": {key: without[key] for key in ("seconds", "cpu_s", "megabytes")},
        **accuracy(parts, first["segments"]),
    }
    return {**report, "targets": _checked(report)}


def _run(recording: Path, model: str | None, block_s: float) -> dict[str, Any]:
    """Time one timeline in its own process, from its start to its end."""
    command = [
        sys.executable,
        __file__,
        "--child",
        recording,
        "--block",
        block_s,
        *(["--model", model] if model else []),
    ]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    ran = subprocess.run([*map(str, command)], env=environment, check=True, stdout=subprocess.PIPE)
    return {**json.loads(ran.stdout), "block_s": block_s, "seconds": time.perf_counter() - began}


def child(recording: Path, model: str | None, block_s: float) -> dict[str, Any]:
    """Return the timeline, the processor time in seconds and the peak memory of this process in MB."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    from ser.inference.recognizer import load
    from ser.timeline.segments import timeline

    result = timeline(recording, load(model), block_s=block_s)
    return {"timeline": result.to_dict(), "cpu_s": time.process_time(), "megabytes": _peak_mb()}


def _peak_mb() -> float:
    """Return the peak memory in MB: of `VmHWM`, since Linux hands a parent's peak on to `ru_maxrss`."""
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def accuracy(parts: list[tuple[int, bool]], segments: list[dict[str, Any]]) -> dict[str, float]:
    """Return the share of the time that is classified correctly, without `GUARD_S` around each joint."""
    lengths = [length for length, _ in parts]
    truth = np.repeat([speech for _, speech in parts], lengths)
    answer, counted = np.zeros(len(truth), bool), np.ones(len(truth), bool)
    for segment in segments:
        answer[round(segment["start_s"] * RATE) : round(segment["end_s"] * RATE)] = True
    for joint in np.cumsum(lengths)[:-1]:
        counted[max(0, joint - round(GUARD_S * RATE)) : joint + round(GUARD_S * RATE)] = False
    return {
        "accuracy": float((answer == truth)[counted].mean()),
        "speech_found": float(answer[counted & truth].mean()),
        "silence_found": float((~answer)[counted & ~truth].mean()),
    }


def _checked(report: dict[str, Any]) -> list[dict[str, Any]]:
    every = [*report["runs"], report["without_pauses"]]
    slowest, largest = (max(run[key] for run in every) for key in ("seconds", "megabytes"))
    return [
        {"name": "seconds, start of the process included", "limit": LIMITS["seconds"], "found": slowest},
        {"name": "peak memory, MB", "limit": LIMITS["megabytes"], "found": largest},
        {"name": "speech and silence classified correctly", "limit": LIMITS["accuracy"], "found": report["accuracy"]},
        {"name": "the same for blocks of 1, 10 and 60 s", "limit": 1, "found": int(report["identical"])},
    ]


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    machine, without = report["machine"], report["without_pauses"]
    rows = [(f"decoded in blocks of {run['block_s']:g} s", run) for run in report["runs"]]
    lines = [
        f"# {report['duration_s'] / 60:.0f} minutes to a timeline, `{report['model']}`",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; load {machine['load_before']} before "
        f"and {machine['load_after']} after. {report['clips']} clips, {report['segments']} segments.",
        "",
        "| a fresh process | seconds | processor seconds | peak MB |",
        "|---|---:|---:|---:|",
        *(f"| {name} | {_cells(run)} |" for name, run in [*rows, ("speech without a pause", without)]),
        "",
        f"{report['accuracy']:.1%} of the time is classified correctly: {report['speech_found']:.1%} of the speech, "
        f"{report['silence_found']:.1%} of the silence, {1000 * GUARD_S:.0f} ms around each joint not counted.",
        "",
        "| target | limit | found | |",
        "|---|---:|---:|---|",
        *map(_target, report["targets"]),
    ]
    return "\n".join(lines)


def _cells(run: dict[str, Any]) -> str:
    return f"{run['seconds']:.1f} | {run['cpu_s']:.1f} | {run['megabytes']:.0f}"


def _target(target: dict[str, Any]) -> str:
    at_least = target["limit"] <= 1
    reached = target["found"] >= target["limit"] if at_least else target["found"] <= target["limit"]
    verdict = "pass" if reached else "**fail**"
    bound = "at least" if at_least else "at most"
    return f"| {target['name']} | {bound} {target['limit']:g} | {target['found']:.3g} | {verdict} |"


if __name__ == "__main__":
    main()
