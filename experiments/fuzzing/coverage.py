"""Runs atheris on one target, from the committed corpus on: python -m experiments.fuzzing.coverage TARGET [OPTION ...].

Needs atheris (pip install atheris), which is none of the development tools: it has wheels for Linux only. Options are
those of libFuzzer, e.g. -max_total_time=60. What it finds goes to build/fuzz/TARGET, which git ignores; a file that
fails is named there crash-...
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ser", "python_multipart"]):
    from experiments.fuzzing.targets import TARGETS

from experiments.fuzzing.seeds import CORPUS

BUILD = Path(__file__).resolve().parents[2] / "build" / "fuzz"


def main(target: str, *options: str) -> None:
    found = BUILD / target
    found.mkdir(parents=True, exist_ok=True)
    arguments = [sys.argv[0], f"-artifact_prefix={found}/", "-timeout=10", "-rss_limit_mb=2048", *options]
    atheris.Setup([*arguments, str(found), str(CORPUS / target)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"Give a target: {', '.join(TARGETS)}.")
    main(*sys.argv[1:])
