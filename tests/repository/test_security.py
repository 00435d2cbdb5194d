"""SECURITY.md names tests that exist."""

from __future__ import annotations

import ast
import re

from programs import ROOT, content


def functions(file: str) -> set[str]:
    """Return the names of the test functions of a file."""
    return {node.name for node in ast.walk(ast.parse(content(file))) if isinstance(node, ast.FunctionDef)}


def test_every_named_test_exists():
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", content("SECURITY.md")))
    assert len(named) > 30
    files = {file: functions(file) for file, _ in named if (ROOT / file).is_file()}
    assert {f"{file}::{name}" for file, name in named if name not in files.get(file, ())} == set()


def test_every_threat_has_its_tests():
    rows = [line for line in content("SECURITY.md").splitlines() if line.startswith("| ")]
    assert [row for row in rows if "::" not in row and "shown by" not in row] == []


def test_every_file_and_command_it_names_exists():
    paths = re.findall(r"`((?:tests|ser|reports|docs|deploy)/[\w./-]+)`", content("SECURITY.md"))
    modules = [
        f"{name.replace('.', '/')}.py" for name in re.findall(r"python -m (experiments[\w.]+)", content("SECURITY.md"))
    ]
    assert paths and modules and {path for path in [*paths, *modules] if not (ROOT / path).exists()} == set()


def test_no_wait_or_duration_follows_the_clock_on_the_wall():
    """A clock that is set while a service runs would end sessions early, or never."""
    wall = re.compile(r"\btime\.time\(|\btime_ns\(|from time import .*\btime\b")
    assert [str(path) for path in (ROOT / "ser").rglob("*.py") if wall.search(path.read_text(encoding="utf-8"))] == []
    assert "time.monotonic(" in (ROOT / "ser/audio/sources.py").read_text(encoding="utf-8")
