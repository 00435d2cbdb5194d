"""Decode many mutated recordings of all formats, and count what is not an answer or an `AudioError`.

Run: python -m experiments.fuzz [--files 100000] [--seed 0] [--jobs 2] [--write]
     python -m experiments.fuzz --rebuild FORMAT:SEED >FILE

Processes decode the files; this one watches them. A file fails if its process dies, if it takes more than 2 s of
processor time or does not come back, if memory grows by more than 300 MB, if any other exception than `AudioError` is
raised, or if samples are returned that are no finite float32. Ends with status 1 if a file failed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Any

from tqdm import tqdm

from benchmarks.reporting import add_write, publish, this_machine
from experiments.fuzzing.formats import FORMATS
from experiments.fuzzing.mutations import mutated
from experiments.fuzzing.worker import ANSWERED, CUT_OFF, REFUSED, Outcome, work

MAX_S = 2.0  # of processor time: other programs on the machine do not count
MAX_GROWTH_MB = 300.0
LOST_S = 20.0  # without an answer, after which a process is ended
START_S = 120.0
SEEDS_PER_RUN = 10**9
EXAMPLES = 5  # of the files that failed alike
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
File = tuple[str, int]


def main() -> None:
    options = _options()
    if options.rebuild:
        name, _, seed = options.rebuild.rpartition(":")
        sys.stdout.buffer.write(mutated(name, int(seed)))
        return
    report = fuzz(options.files, options.seed, options.jobs)
    publish(report, table(report), options.write, "fuzz")
    raise SystemExit(bool(report["failures"]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000, help="how many; default: 100,000")
    parser.add_argument("--seed", type=int, default=0, help="another one makes other files")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--rebuild", metavar="FORMAT:SEED", help="write one file to standard output instead")
    add_write(parser)
    return parser.parse_args()


# --- The processes ---


class Worker:
    """A process that decodes; `file` is what it has to decode, `resident_mb` its memory at the start and now."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.file: File | None = None
        self.resident_mb: list[float] = []
        self._due = time.monotonic() + START_S

    def give(self, file: File) -> None:
        self.file, self._due = file, time.monotonic() + LOST_S
        self.connection.send(file)

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self._due

    def receive(self) -> Outcome:
        """Return the outcome of its file; if the process died or is late, end it and say so."""
        try:
            if self.is_late and not self.connection.poll():
                return self._lost(f"no answer within {LOST_S:g} s")
            outcome = self.connection.recv()
        except (EOFError, ConnectionError):
            self._process.join(1)
            return self._lost(f"the process died ({self._process.exitcode})")
        self.resident_mb = [*self.resident_mb[:1], outcome.resident_mb]
        return outcome

    def _lost(self, how: str) -> Outcome:
        self.end()
        if self.file is None:
            raise SystemExit(f"A process did not start: {how}.")
        return Outcome(how, 0.0, 0.0, 0.0)

    @property
    def is_alive(self) -> bool:
        return not self.connection.closed

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def outcomes(files: Iterator[File], jobs: int, left_mb: list[float]) -> Iterator[tuple[File, Outcome]]:
    """Yield every file with its outcome; a lost process is replaced. `left_mb` gets how far each one's memory grew."""
    workers = [Worker() for _ in range(jobs)]
    while workers:
        ready = wait([worker.connection for worker in workers], timeout=1)
        for worker in [worker for worker in workers if worker.connection in ready or worker.is_late]:
            outcome = worker.receive()
            if worker.file:
                yield worker.file, outcome
            if not worker.is_alive:
                workers[workers.index(worker)] = Worker()
            elif file := next(files, None):
                worker.give(file)
            else:
                workers.remove(worker)
                worker.end()
                left_mb.append(worker.resident_mb[-1] - worker.resident_mb[0])


def fuzz(n_files: int, seed: int, jobs: int) -> dict[str, Any]:
    """Return the report."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    began, load_before = time.monotonic(), os.getloadavg()[0]
    files = ((FORMATS[i % len(FORMATS)], seed * SEEDS_PER_RUN + i) for i in range(n_files))
    tally, left_mb = Tally(), [0.0]
    for file, outcome in tqdm(outcomes(files, jobs, left_mb), total=n_files, unit="file"):
        tally.add(file, outcome)
    return {
        "machine": this_machine(load_before),
        "seed": seed,
        "formats": len(FORMATS),
        "minutes": round((time.monotonic() - began) / 60, 2),
        **tally.to_dict(),
        "left_mb": round(max(left_mb), 1),
    }


class Tally:
    """What became of all files."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: dict[str, list[str]] = {}
        self.slowest, self.largest = (0.0, ""), (0.0, "")

    def add(self, file: File, outcome: Outcome) -> None:
        label = "{}:{}".format(*file)
        self.slowest = max(self.slowest, (outcome.cpu_s, label))
        self.largest = max(self.largest, (outcome.growth_mb, label))
        failure = None if outcome.result in (ANSWERED, CUT_OFF, REFUSED) else outcome.result
        failure = f"more than {MAX_S:g} s" if outcome.cpu_s > MAX_S else failure
        failure = f"more than {MAX_GROWTH_MB:g} MB" if outcome.growth_mb > MAX_GROWTH_MB else failure
        self.counts["failed" if failure else outcome.result] += 1
        if failure:
            self.failures.setdefault(failure, []).append(label)

    def to_dict(self) -> dict[str, Any]:
        failures = [
            {"failure": failure, "files": len(labels), "examples": labels[:EXAMPLES]}
            for failure, labels in sorted(self.failures.items())
        ]
        return {
            "files": self.counts.total(),
            **{result: self.counts[result] for result in (ANSWERED, CUT_OFF, REFUSED, "failed")},
            "slowest": {"s": round(self.slowest[0], 3), "file": self.slowest[1]},
            "largest_growth": {"mb": round(self.largest[0], 1), "file": self.largest[1]},
            "failures": failures,
        }


# --- The table ---


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    machine, slowest, largest = report["machine"], report["slowest"], report["largest_growth"]
    lines = [
        "# Mutated recordings",
        "",
        f"`python -m experiments.fuzz --files {report['files']} --seed {report['seed']}`: {report['minutes']} minutes; "
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}. "
        "`--rebuild FORMAT:SEED` writes any of the files.",
        "",
        "| | |",
        "|---|---:|",
        f"| files | {report['files']:,} |",
        f"| formats | {report['formats']} |",
        f"| answered | {report[ANSWERED]:,} |",
        f"| answered up to the damage (`cut_off`) | {report[CUT_OFF]:,} |",
        f"| refused with a sentence (`AudioError`) | {report[REFUSED]:,} |",
        f"| failed: crash, hang, memory, other exception | {report['failed']:,} |",
        f"| slowest, processor time (at most {MAX_S:g} s) | {slowest['s']} s, `{slowest['file']}` |",
        f"| largest growth of memory (at most {MAX_GROWTH_MB:g} MB) | {largest['mb']} MB, `{largest['file']}` |",
        f"| memory that a process kept at its end | {report['left_mb']} MB |",
    ]
    if report["failures"]:
        rows = report["failures"]
        lines += ["", "| failure | files | among them |", "|---|---:|---|"]
        lines += [f"| {row['failure']} | {row['files']:,} | {', '.join(row['examples'])} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
