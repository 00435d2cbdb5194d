"""Times `ser batch` on one process and on two, plain and adapted to each folder, over thousands of recordings.

`python benchmarks/batch.py DATA` on an otherwise idle machine links the clips of RAVDESS often enough for `--clips`
names in folders of a hundred, and runs the command in each of these ways, in turn, from its start to its end. It prints
a table; `--write` also writes it into `reports/`. The targets are ratios of medians; the plain rows must be the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq
from reporting import ROOT, add_write, publish, this_machine

REPORT = "batch_benchmark"
WAYS = {"plain, one process": (1, "none"), "plain": (2, "none"), "adapted to each folder": (2, "folder")}
ONE, PLAIN, ADAPTED = WAYS  # names of ways to run, with their processes and `--adapt`
FASTER = 1.8  # at least, two processes than one
LONGER = 1.15  # at most, adapted than plain
FOLDER_CLIPS = 100


def main() -> None:
    options = _options()
    report = measure(options.data, options.model, options.clips, options.runs)
    publish(report, table(report), options.write, REPORT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds ravdess")
    parser.add_argument("--model", default="dense105", help="a model's name or folder")
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3, help="of each number of processes")
    add_write(parser)
    return parser.parse_args()


def measure(data: Path, model: str, clips: int, runs: int) -> dict[str, Any]:
    """Return the report."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "calls")
        link(data, folder, clips)
        paths = {
            (run, way): Path(work, f"{run}-{number}.parquet") for run in range(runs) for number, way in enumerate(WAYS)
        }
        timed = [_run(folder, path, model, way) for (_, way), path in paths.items()]
        first, *others = [pq.read_table(path) for (_, way), path in paths.items() if way != ADAPTED]
        adapted = [pq.read_table(path) for (_, way), path in paths.items() if way == ADAPTED]
    seconds = {way: median(run["seconds"] for run in timed if run["way"] == way) for way in WAYS}
    return {
        "machine": this_machine(load_before),
        "model": model,
        "clips": clips,
        "runs": timed,
        "seconds": seconds,
        "faster": seconds[ONE] / seconds[PLAIN],
        "longer": seconds[ADAPTED] / seconds[PLAIN],
        "same": len(first) == clips and all(first.equals(other) for other in others),
        "adapted": all(len(table) == clips and table != first for table in adapted),
    }


def link(data: Path, folder: Path, clips: int) -> None:
    """Link the clips of RAVDESS under `clips` names, and read each once, so that all runs find it in the disk cache."""
    files = sorted(data.glob("ravdess/*/*.flac"))
    if not files:
        raise SystemExit(f"{data} holds no ravdess/*/*.flac.")
    for path in files:
        path.read_bytes()
    for number, path in enumerate(islice(cycle(files), clips)):
        link = folder / f"{number // FOLDER_CLIPS:03d}" / f"{number:06d}.flac"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())


def _run(folder: Path, path: Path, model: str, way: str) -> dict[str, Any]:
    """Time one run of the command; note the load before it."""
    print(f"{way} ...", file=sys.stderr)
    jobs, adapt = WAYS[way]
    command = [sys.executable, "-m", "ser", "batch", folder, "--out", path, "--model", model]
    command += ["--jobs", jobs, "--adapt", adapt]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    load, began = os.getloadavg()[0], time.perf_counter()
    subprocess.run([*map(str, command)], env=environment, check=True, stdout=subprocess.DEVNULL)
    return {"way": way, "seconds": time.perf_counter() - began, "load_before": round(load, 2)}


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    machine = report["machine"]
    rows = [
        f"| {run['way']} | {run['seconds']:.1f} | {_rate(report, run)} | {run['load_before']} |"
        for run in report["runs"]
    ]
    faster = "pass" if report["faster"] >= FASTER and report["same"] else "**fail**"
    longer = "pass" if report["longer"] <= LONGER and report["adapted"] else "**fail**"
    return "\n".join(
        [
            f"# {report['clips']:,} clips to one table, `{report['model']}`",
            "",
            f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; load {machine['load_before']} "
            f"before and {machine['load_after']} after.",
            "",
            "| way | seconds | files a second | load before |",
            "|---|---:|---:|---:|",
            *rows,
            "",
            f"Two processes are {report['faster']:.2f} times as fast as one (medians; at least {FASTER}); the plain "
            f"tables are {'the same' if report['same'] else '**not** the same'}: {faster}.",
            "",
            f"Adapted to folders of {FOLDER_CLIPS} clips it takes {report['longer']:.2f} times as long as plain (at "
            f"most {LONGER}), and the answers are {'others' if report['adapted'] else '**the same**'}: {longer}.",
        ]
    )


def _rate(report: dict[str, Any], run: dict[str, Any]) -> str:
    return f"{report['clips'] / run['seconds']:.0f}"


if __name__ == "__main__":
    main()
