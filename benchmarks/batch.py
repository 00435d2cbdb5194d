"""Times `ser batch` on one process and on two, over thousands of recordings, from its start to its end.

`python benchmarks/batch.py DATA` on an otherwise idle machine links the clips of RAVDESS often enough for `--clips`
names and runs the command on one process and on two, in turn, each into a fresh folder. It prints a table; `--write`
also writes it into `reports/`. The target is the ratio of the medians; the rows must be the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice, product
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq
from reporting import ROOT, add_write, publish, this_machine

REPORT = "batch_benchmark"
JOBS = (1, 2)
TARGET = 1.8


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
        paths = {(run, jobs): Path(work, f"{jobs}-{run}.parquet") for run, jobs in product(range(runs), JOBS)}
        timed = [_run(folder, path, model, jobs) for (_, jobs), path in paths.items()]
        first, *others = [pq.read_table(path) for path in paths.values()]
    seconds = {str(jobs): median(run["seconds"] for run in timed if run["jobs"] == jobs) for jobs in JOBS}
    return {
        "machine": this_machine(load_before),
        "model": model,
        "clips": clips,
        "runs": timed,
        "seconds": seconds,
        "ratio": seconds["1"] / seconds["2"],
        "same": len(first) == clips and all(first.equals(other) for other in others),
    }


def link(data: Path, folder: Path, clips: int) -> None:
    """Link the clips of RAVDESS under `clips` names, and read each once, so that all runs find it in the disk cache."""
    files = sorted(data.glob("ravdess/*/*.flac"))
    if not files:
        raise SystemExit(f"{data} holds no ravdess/*/*.flac.")
    for path in files:
        path.read_bytes()
    folder.mkdir()
    for number, path in enumerate(islice(cycle(files), clips)):
        (folder / f"{number:06d}.flac").symlink_to(path.resolve())


def _run(folder: Path, path: Path, model: str, jobs: int) -> dict[str, Any]:
    """Time one run of the command; note the load before it."""
    print(f"{jobs} process{'es' * (jobs > 1)} ...", file=sys.stderr)
    command = [sys.executable, "-m", "ser", "batch", folder, "--out", path, "--model", model, "--jobs", jobs]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    load, began = os.getloadavg()[0], time.perf_counter()
    subprocess.run([*map(str, command)], env=environment, check=True, stdout=subprocess.DEVNULL)
    return {"jobs": jobs, "seconds": time.perf_counter() - began, "load_before": round(load, 2)}


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    machine = report["machine"]
    rows = [
        f"| {run['jobs']} | {run['seconds']:.1f} | {_rate(report, run)} | {run['load_before']} |"
        for run in report["runs"]
    ]
    verdict = "pass" if report["ratio"] >= TARGET and report["same"] else "**fail**"
    return "\n".join(
        [
            f"# {report['clips']:,} clips to one table, `{report['model']}`",
            "",
            f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; load {machine['load_before']} "
            f"before and {machine['load_after']} after.",
            "",
            "| processes | seconds | files a second | load before |",
            "|---:|---:|---:|---:|",
            *rows,
            "",
            f"Two processes are {report['ratio']:.2f} times as fast as one (medians; target {TARGET}); the tables are "
            f"{'the same' if report['same'] else '**not** the same'}: {verdict}.",
        ]
    )


def _rate(report: dict[str, Any], run: dict[str, Any]) -> str:
    return f"{report['clips'] / run['seconds']:.0f}"


if __name__ == "__main__":
    main()
