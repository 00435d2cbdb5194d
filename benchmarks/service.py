"""Loads the service: two workers, 32 clients that ask without a pause, 3.5 s of sound at 16 kHz each time.

`python benchmarks/service.py` on an idle machine of two cores prints a table; `--write` also puts it into `reports/`.
The load comes from wrk (Debian: apt-get install wrk), whose own share of the processor is measured and reported, as
is that of everything else that runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from predict import speech_like
from reporting import ROOT, add_write, tell

REPORT = "service_benchmark"
RATE = 16_000  # Hz
RUN = "import sys; from ser.service.server import serve; serve('127.0.0.1', 0, int(sys.argv[1]), sys.argv[2])"
PERCENTILES = (50, 90, 99, 99.9)
WARM_UP_S = 5

# Name in the table, where the figure stands, its limit, its unit; "answers/s" must reach it, others stay below.
TARGETS = (
    ("answers", ("answers_per_s",), 150, "answers/s"),
    ("99 % of the answers", ("latency_ms", "99"), 250, "ms"),
    ("errors", ("errors", "all"), 0, ""),
    ("growth of the workers' memory", ("memory_mb", "growth"), 10, "MB"),
)

# wrk counts; this has it print what it counted.
SCRIPT = """
local file = io.open("{clip}", "rb")
wrk.method, wrk.body = "POST", file:read("*all")
wrk.headers["Content-Type"] = "audio/wav"
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{{"answers": %d, "us": %d, "connect": %d, "read": %d, "write": %d, "status": %d, ' ..
    '"timeout": %d, "max": %f', summary.requests, summary.duration, errors.connect, errors.read, errors.write,
    errors.status, errors.timeout, latency.max))
  for _, p in ipairs({{{percentiles}}}) do io.write(string.format(', "%g": %f', p, latency:percentile(p))) end
  io.write("}}\\n")
end
"""


def main() -> None:
    options = _options()
    report = measure(options.model, options.workers, options.clients, options.seconds)
    tell(report, table(report), options.write, REPORT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", default="dense105", help="a model's name; default: dense105")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=600, help="of load; the targets are for 600")
    add_write(parser)
    return parser.parse_args()


def measure(model: str, workers: int, clients: int, seconds: int) -> dict[str, Any]:
    """Everything the report holds."""
    if shutil.which("wrk") is None:
        raise SystemExit("The load comes from wrk, which is not installed (Debian: apt-get install wrk).")
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work, service(Path(work), workers, model) as (process, url):
        clip = Path(work, "clip.wav")
        clip.write_bytes(speech_like(RATE))
        load(clip, url, clients, WARM_UP_S)
        alone = load(clip, url, 1, WARM_UP_S)
        with watched(process) as seen:
            found = load(clip, url, clients, seconds)
        version = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.splitlines()[0]
    report = {
        "model": model,
        "workers": workers,
        "clients": clients,
        "seconds": seconds,
        "load_program": version.split(" Copyright")[0].split(" [")[0],
        "machine": {"cores": os.cpu_count(), "load_before": load_before, "load_after": os.getloadavg()[0]},
        "alone_ms": alone["latency_ms"],
        **found,
        "processor": _shares(seen, found["load_cpu_s"]),
        "memory_mb": _memory(seen),
    }
    report["service_ms_per_answer"] = 1000 * report["processor"]["service_s"] / max(found["answers"], 1)
    report["targets"] = [_judged(report, *target) for target in TARGETS]
    return report


@contextmanager
def service(work: Path, workers: int, model: str) -> Iterator[tuple[psutil.Process, str]]:
    """A service of its own on a free port: its first process and its address."""
    log = work / "log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as errors:
        process = subprocess.Popen([sys.executable, "-c", RUN, str(workers), model], stderr=errors, env=environment)
    try:
        while log.read_text().count("Application startup complete") < workers:
            if process.poll() is not None:
                raise SystemExit(f"The service did not start:\n{log.read_text()}")
            time.sleep(0.1)
        lines = map(json.loads, log.read_text().splitlines())
        yield psutil.Process(process.pid), next(line["url"] for line in lines if line["event"] == "listening")
    finally:
        process.terminate()
        process.wait()


def load(clip: Path, url: str, clients: int, seconds: int) -> dict[str, Any]:
    """What wrk counts when so many clients ask for so long, and the processor time it takes itself."""
    script = clip.with_name("post.lua")
    script.write_text(SCRIPT.format(clip=clip, percentiles=", ".join(map(str, PERCENTILES))))
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout=10s", "-s", str(script), f"{url}/predict"]
    before = _children_s()
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(next(line for line in ran.stdout.splitlines() if line.startswith("{")))
    errors = {kind: told[kind] for kind in ("connect", "read", "write", "status", "timeout")}
    return {
        "answers": told["answers"],
        "answers_per_s": told["answers"] / told["us"] * 1e6,
        "latency_ms": {name: told[name] / 1000 for name in (*(f"{p:g}" for p in PERCENTILES), "max")},
        "errors": {**errors, "all": sum(errors.values())},
        "load_cpu_s": _children_s() - before,
    }


def _children_s() -> float:
    """Processor time of processes that have ended: of wrk, since the service goes on."""
    times = os.times()
    return times.children_user + times.children_system


@contextmanager
def watched(process: psutil.Process) -> Iterator[list[dict[str, Any]]]:
    """A list that grows by the workers' memory and everyone's processor time, once a second."""
    seen: list[dict[str, Any]] = [_look(process)]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1):
            seen.append(_look(process))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
        seen.append(_look(process))


def _look(process: psutil.Process) -> dict[str, Any]:
    everyone = [process, *process.children()]
    machine = psutil.cpu_times()
    return {
        "mb": [one.memory_full_info().uss / 2**20 for one in everyone],
        "service_s": sum(sum(one.cpu_times()[:2]) for one in everyone),
        "idle_s": machine.idle + machine.iowait,
        "all_s": sum(machine[:8]),
    }


def _shares(seen: list[dict[str, Any]], load_s: float) -> dict[str, float]:
    """Who had the processor: the service, the load program, nobody, and everything else."""
    spent = {key: seen[-1][key] - seen[0][key] for key in ("service_s", "idle_s", "all_s")}
    total = spent["all_s"]
    shares = {"service": spent["service_s"] / total, "load": load_s / total, "idle": spent["idle_s"] / total}
    return {"service_s": spent["service_s"], **shares, "others": max(0.0, 1 - sum(shares.values()))}


def _memory(seen: list[dict[str, Any]]) -> dict[str, float]:
    """Memory of its own processes alone: after the first tenth of the load, at its end, and the growth."""
    totals = [sum(look["mb"]) for look in seen]
    tenth = max(1, len(totals) // 10)
    first, last = median(totals[tenth : 2 * tenth]), median(totals[-tenth:])
    return {"first": first, "last": last, "growth": last - first}


def _judged(report: dict[str, Any], name: str, where: tuple[str, ...], limit: float, unit: str) -> dict[str, Any]:
    found: Any = report
    for key in where:
        found = found[key]
    passed = found >= limit if unit == "answers/s" else found <= limit
    return {"name": name, "found": found, "limit": limit, "unit": unit, "passed": bool(passed)}


# --- The table ---


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    machine, shares, memory = report["machine"], report["processor"], report["memory_mb"]
    latency = ", ".join(f"{name} % {ms:.0f} ms" for name, ms in report["latency_ms"].items() if name != "max")
    lines = [
        f"# The service under load, `{report['model']}`",
        "",
        f"{report['workers']} workers, {report['clients']} clients, {report['seconds']} s, 3.5 s of sound at 16 kHz "
        f"each time; {machine['cores']} cores; load {machine['load_before']:.1f} before and "
        f"{machine['load_after']:.1f} after.",
        "",
        f"{report['answers']} answers, {report['answers_per_s']:.0f} a second; {latency}, "
        f"longest {report['latency_ms']['max']:.0f} ms; one client alone: {report['alone_ms']['50']:.1f} ms (median), "
        f"{report['alone_ms']['99']:.1f} ms (99 %).",
        "",
        f"Of the processor the service had {shares['service']:.0%}, the load program ({report['load_program']}) "
        f"{shares['load']:.0%}, other work on this machine {shares['others']:.0%}; {shares['idle']:.0%} was idle. An "
        f"answer cost the service {report['service_ms_per_answer']:.2f} ms of processor time. Memory of all its "
        f"processes: {memory['first']:.0f} MB early, {memory['last']:.0f} MB at the end.",
        "",
        "| target | limit | found | |",
        "|---|---:|---:|---|",
        *map(_target, report["targets"]),
    ]
    return "\n".join(lines)


def _target(target: dict[str, Any]) -> str:
    bound = "at least" if target["unit"] == "answers/s" else "at most"
    unit = f" {target['unit']}".rstrip()
    verdict = "pass" if target["passed"] else "**fail**"
    return f"| {target['name']} | {bound} {target['limit']:g}{unit} | {target['found']:.3g}{unit} | {verdict} |"


if __name__ == "__main__":
    main()
