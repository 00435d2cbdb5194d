"""Loads the service: two workers, clients that send requests without a pause, 3.5 s at 16 kHz each.

`python benchmarks/service.py` on an idle machine of two cores prints a table; `--write` also writes it into `reports/`.
The load comes from wrk (Debian: apt-get install wrk); its share of the processor is reported, as is that of all other
processes.
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
from reporting import ROOT, add_write, checked, publish

REPORT = "service_benchmark"
RATE = 16_000  # Hz
RUN = "import sys; from ser.service.server import serve; serve('127.0.0.1', 0, int(sys.argv[1]), sys.argv[2])"
PERCENTILES = (50, 90, 99, 99.9)
WARM_UP_S = 5

# Name in the table, keys of the figure, and unit; "answers/s" must reach the limit, others stay below.
FIGURES = (
    ("answers", ("answers_per_s",), "answers/s"),
    ("99 % of the answers", ("latency_ms", "99"), "ms"),
    ("errors", ("errors", "all"), ""),
    ("growth of the workers' memory", ("memory_mb", "growth"), "MB"),
)
# Clients, and the limits of the figures; other models are measured without limits.
LOADS = {"dense105": (32, (150, 250, 0, 10)), "voice": (16, (30, 1000, 0, 10))}

# Makes wrk print its counts as JSON.
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
    publish(report, table(report), options.write, f"{REPORT}_{options.model}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", default="voice", help="a model's name; default: voice")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, help="default: 16 for voice, else 32")
    parser.add_argument("--seconds", type=int, default=600, help="of load; the targets are for 600")
    add_write(parser)
    options = parser.parse_args()
    options.clients = options.clients or LOADS.get(options.model, LOADS["dense105"])[0]
    return options


def measure(model: str, workers: int, clients: int, seconds: int) -> dict[str, Any]:
    """Return the report."""
    if shutil.which("wrk") is None:
        raise SystemExit("The load comes from wrk, which is not installed (Debian: apt-get install wrk).")
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work, service(Path(work), workers, model) as (process, url):
        clip = Path(work, "clip.wav")
        clip.write_bytes(speech_like(RATE))
        load(clip, url, clients, WARM_UP_S)
        alone = load(clip, url, 1, WARM_UP_S)
        with watched(process) as seen:
            result = load(clip, url, clients, seconds)
        version = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.splitlines()[0]
    report = {
        "model": model,
        "workers": workers,
        "clients": clients,
        "seconds": seconds,
        "load_program": version.split(" Copyright")[0].split(" [")[0],
        "machine": {"cores": os.cpu_count(), "load_before": load_before, "load_after": os.getloadavg()[0]},
        "alone_ms": alone["latency_ms"],
        **result,
        "processor": _shares(seen, result["load_cpu_s"]),
        "memory_mb": memory(seen),
    }
    report["service_ms_per_answer"] = 1000 * report["processor"]["service_s"] / max(result["answers"], 1)
    _, limits = LOADS.get(model, (clients, ()))
    targets = [(name, keys, limit, unit) for (name, keys, unit), limit in zip(FIGURES, limits, strict=False)]
    report["targets"] = [checked(report, *target) for target in targets]
    return report


@contextmanager
def service(work: Path, workers: int, model: str) -> Iterator[tuple[psutil.Process, str]]:
    """Run a service on a free port; yield its first process and its address."""
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
    """Run wrk; return its counts and its processor time."""
    script = clip.with_name("post.lua")
    script.write_text(SCRIPT.format(clip=clip, percentiles=", ".join(map(str, PERCENTILES))))
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout=10s", "-s", str(script), f"{url}/predict"]
    before = _children_s()
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    counts = json.loads(next(line for line in ran.stdout.splitlines() if line.startswith("{")))
    errors = {kind: counts[kind] for kind in ("connect", "read", "write", "status", "timeout")}
    return {
        "answers": counts["answers"],
        "answers_per_s": counts["answers"] / counts["us"] * 1e6,
        "latency_ms": {name: counts[name] / 1000 for name in (*(f"{p:g}" for p in PERCENTILES), "max")},
        "errors": {**errors, "all": sum(errors.values())},
        "load_cpu_s": _children_s() - before,
    }


def _children_s() -> float:
    """Return the processor time of ended child processes: of wrk, since the service still runs."""
    times = os.times()
    return times.children_user + times.children_system


@contextmanager
def watched(process: psutil.Process) -> Iterator[list[dict[str, Any]]]:
    """Yield a list that grows by the service's memory and all processor times, once a second."""
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
    processes = [process, *process.children()]
    machine = psutil.cpu_times()
    return {
        "mb": [process.memory_full_info().uss / 2**20 for process in processes],
        "files": sum(process.num_fds() for process in processes),
        "service_s": sum(sum(process.cpu_times()[:2]) for process in processes),
        "idle_s": machine.idle + machine.iowait,
        "all_s": sum(machine[:8]),
    }


def _shares(seen: list[dict[str, Any]], load_s: float) -> dict[str, float]:
    """Return the shares of processor time: the service, the load program, idle, other processes."""
    spent = {key: seen[-1][key] - seen[0][key] for key in ("service_s", "idle_s", "all_s")}
    total = spent["all_s"]
    shares = {"service": spent["service_s"] / total, "load": load_s / total, "idle": spent["idle_s"] / total}
    return {"service_s": spent["service_s"], **shares, "others": max(0.0, 1 - sum(shares.values()))}


def memory(seen: list[dict[str, Any]]) -> dict[str, float]:
    """Return the memory of the service's processes after the first tenth of the load, at its end, and the growth."""
    totals = [sum(look["mb"]) for look in seen]
    tenth = max(1, len(totals) // 10)
    first, last = median(totals[tenth : 2 * tenth]), median(totals[-tenth:])
    return {"first": first, "last": last, "growth": last - first}


# --- The table ---


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
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
