"""Times decoding in a process of its own (`SER_ISOLATE=1`) against decoding in this one, warm, and its start.

`python benchmarks/isolation.py` on an idle machine prints a table; `--write` also writes it into `reports/`.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from statistics import median
from typing import Any

import numpy as np
import soundfile as sf
from reporting import ROOT, add_write, publish, this_machine

# Seconds, rate (Hz) and format of a recording.
KINDS = (
    (3.5, 16_000, "WAV"),
    (3.5, 48_000, "WAV"),
    (3.5, 16_000, "FLAC"),
    (3.5, 48_000, "MP3"),
    (120.0, 16_000, "WAV"),
)
LIMIT_MS = 5.0  # more for an answer to 3.5 s would not be worth it
RUNS, LONG_RUNS = 60, 15


def main() -> None:
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add_write(parser)
    options = parser.parse_args()
    report = measure()
    publish(report, table(report), options.write, "isolation_benchmark")


def recording(seconds: float, rate: int, format: str) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).standard_normal(round(seconds * rate))
    sf.write(file, 0.1 * noise, rate, format=format)
    return file.getvalue()


def measure() -> dict[str, Any]:
    """Return the milliseconds of both ways, taken in turn."""
    from ser.audio import load_waveform
    from ser.audio.isolation import VARIABLE

    load_before, rows = os.getloadavg()[0], []
    os.environ[VARIABLE] = "1"
    began = time.perf_counter()
    load_waveform(recording(*KINDS[0]))
    start_ms = 1000 * (time.perf_counter() - began)
    for kind in KINDS:
        data, times = recording(*kind), {"0": [], "1": []}
        for _ in range(RUNS if kind[0] < 10 else LONG_RUNS):
            for value, measured in times.items():
                os.environ[VARIABLE] = value
                began = time.perf_counter()
                load_waveform(data)
                measured.append(1000 * (time.perf_counter() - began))
        here, isolated = (median(measured) for measured in times.values())
        rows.append({"s": kind[0], "rate": kind[1], "format": kind[2], "here_ms": here, "isolated_ms": isolated})
    return {"machine": this_machine(load_before), "start_ms": start_ms, "rows": rows}


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    machine = report["machine"]
    lines = [
        "# Decoding in a process of its own",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; load {machine['load_before']} "
        f"before and {machine['load_after']} after. Medians, both ways in turn. The first recording of a process waits "
        f"{report['start_ms']:.0f} ms for its start.",
        "",
        "| recording | in this process | in one of its own | more |",
        "|---|---:|---:|---:|",
    ]
    for row in report["rows"]:
        here, isolated = row["here_ms"], row["isolated_ms"]
        name = f"{row['s']:g} s, {row['rate'] / 1000:g} kHz, {row['format']}"
        lines.append(f"| {name} | {here:.2f} ms | {isolated:.2f} ms | {isolated - here:.2f} ms |")
    worst = max(row["isolated_ms"] - row["here_ms"] for row in report["rows"] if row["s"] < 10)
    verdict = "pass" if worst <= LIMIT_MS else "**fail**"
    return "\n".join([*lines, "", f"At most {LIMIT_MS:g} ms more for 3.5 s: {worst:.2f} ms, {verdict}."])


if __name__ == "__main__":
    main()
