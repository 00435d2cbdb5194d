"""Shared by all benchmarks: the option --write, the two files of a report, and the description of the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LEAST = ("x", "answers/s")  # units of which more is better


def add_write(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", type=Path, nargs="?", const=ROOT / "reports", help="folder; default: reports/")


def publish(report: dict[str, Any], table: str, folder: Path | None, name: str) -> None:
    """Print the table; if a folder is given, write the report there as JSON and the table as Markdown."""
    print(table)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (folder / f"{name}.md").write_text(table + "\n", encoding="utf-8")


def checked(report: dict[str, Any], name: str, keys: tuple[str, ...], limit: float, unit: str) -> dict[str, Any]:
    """Return a target's row: the value under `keys` of a report against its limit, the least one for `LEAST` units."""
    value: Any = report
    for key in keys:
        value = value[key]
    passed = value >= limit if unit in LEAST else value <= limit
    return {"name": name, "found": value, "limit": limit, "unit": unit, "passed": bool(passed)}


def this_machine(load_before: float) -> dict[str, Any]:
    """Return processor, cores, Python, and the load before and after."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
    }
