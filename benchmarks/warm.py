"""Times warm answers of this tree against those of an earlier revision, in turn.

`python benchmarks/warm.py --against REVISION` on an idle machine prints a table; `--write` also writes it into
`reports/`. Both sides live in processes of their own, with one thread each, and answer the same 3.5 s of sound from
memory, one after the other; the earlier one from a worktree of git that is removed at the end. The processor's time
counts, which other programs disturb least; on an idle machine it is that of the clock.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import soundfile as sf
from predict import THREADS, WARM_UP, speech_like
from reporting import ROOT, add_write, checked, publish, this_machine

REPORT = "warm_benchmark"
SIDES = ("before", "now")
MODELS = ("voice", "dense105")
FORMATS: dict[str, dict[str, Any]] = {
    "WAV": {"format": "WAV"},
    "FLAC": {"format": "FLAC"},
    "MP3": {"format": "MP3", "bitrate_mode": "VARIABLE", "compression_level": 0.4},
}
RATE = 48_000  # Hz
MOST = 1.03  # times as long as before

CHILD = """
import json, os, sys, time
import ser
from ser.inference.memory import tune_malloc
tune_malloc()  # as the service and the command line do
clips = [open(path, "rb").read() for path in sys.argv[1].split(os.pathsep)]
answer = [ser.load(name).predict for name in sys.argv[2].split(",")]
print("ready", flush=True)
for line in sys.stdin:
    model, clip = map(int, line.split())
    began = time.perf_counter(), time.thread_time()
    answer[model](clips[clip])
    print(*(1000 * (now - then) for now, then in zip((time.perf_counter(), time.thread_time()), began)), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--against", default="d157ec5", help="the earlier revision")
    parser.add_argument("--models", nargs="+", default=MODELS, help="names of models that both sides hold")
    parser.add_argument("--runs", type=int, default=100, help="answers of each side to take the median of")
    add_write(parser)
    options = parser.parse_args()
    report = measure(options.against, options.models, options.runs)
    publish(report, table(report), options.write, REPORT)


def measure(revision: str, models: list[str], runs: int) -> dict[str, Any]:
    """Return the report."""
    load_before = os.getloadavg()[0]
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paths = list(_clips(work))
        roots = {"before": stack.enter_context(_worktree(revision, work / "before")), "now": ROOT}
        sides = {side: stack.enter_context(_side(root, paths, models)) for side, root in roots.items()}
        times = {
            model: {kind: _in_turn(sides, f"{number} {clip}", runs) for clip, kind in enumerate(FORMATS)}
            for number, model in enumerate(models)
        }
    report: dict[str, Any] = {
        "machine": this_machine(load_before),
        "revision": revision,
        "runs": runs,
        "ms": times,
    }
    keys = [(model, kind) for model in models for kind in FORMATS]
    targets = [
        checked(report, f"{model}, {kind}", ("ms", model, kind, "ratio_processor"), MOST, "") for model, kind in keys
    ]
    return {**report, "targets": targets}


def _clips(work: Path) -> Iterator[Path]:
    """Write the clip in every format; yield the paths."""
    samples = sf.read(io.BytesIO(speech_like(RATE)), dtype="int16")[0]
    for kind, options in FORMATS.items():
        path = work / f"clip.{kind.lower()}"
        sf.write(path, samples, RATE, **options)
        yield path


@contextmanager
def _worktree(revision: str, folder: Path) -> Iterator[Path]:
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), revision], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


@contextmanager
def _side(root: Path, clips: list[Path], models: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process that answers when it is told to."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", CHILD, os.pathsep.join(map(str, clips)), ",".join(models)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, cwd=root, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit(f"{root}: the models could not be loaded.")
        yield process
        process.stdin.close()


def _in_turn(sides: dict[str, subprocess.Popen[str]], question: str, runs: int) -> dict[str, float]:
    """Return the median ms of both sides and their ratio, by the clock and by the processor's time."""
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for run in range(WARM_UP + runs):
        for side in SIDES if run % 2 else SIDES[::-1]:
            answer = _ask(sides[side], question)
            if run >= WARM_UP:
                found[side].append(answer)
    clock, processor = ({side: median(pair[which] for pair in found[side]) for side in SIDES} for which in (0, 1))
    return {
        **clock,
        "ratio": clock["now"] / clock["before"],
        **{f"{side}_processor": processor[side] for side in SIDES},
        "ratio_processor": processor["now"] / processor["before"],
    }


def _ask(process: subprocess.Popen[str], question: str) -> tuple[float, float]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(question + "\n")
    process.stdin.flush()
    clock, processor = map(float, process.stdout.readline().split())
    return clock, processor


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    machine = report["machine"]
    rows = [
        f"| `{model}`, {kind} | {ms['before_processor']:.2f} ms | {ms['now_processor']:.2f} ms | "
        f"{_change(ms['ratio_processor'])} | {_change(ms['ratio'])} | "
        f"{'pass' if ms['ratio_processor'] <= MOST else '**fail**'} |"
        for model, kinds in report["ms"].items()
        for kind, ms in kinds.items()
    ]
    return "\n".join(
        [
            f"# Warm answers, now and at {report['revision']}",
            "",
            f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; load {machine['load_before']} "
            f"before and {machine['load_after']} after. Medians of {report['runs']} answers of each side to 3.5 s at "
            f"{RATE // 1000} kHz from memory, in turn, one thread, in the processor's time; at most "
            f"{100 * (MOST - 1):.0f} % slower is wanted.",
            "",
            "| | before | now | change | by the clock | |",
            "|---|---:|---:|---:|---:|---|",
            *rows,
        ]
    )


def _change(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


if __name__ == "__main__":
    main()
