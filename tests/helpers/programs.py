"""Files of the repository, and the programs that check them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import ser

ROOT = Path(ser.__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"


def content(name: str) -> str:
    """Return the text of a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def locked(name: str) -> dict[str, set[str]]:
    """Return the versions that a lock file allows of every library: more than one if they depend on the system."""
    versions: dict[str, set[str]] = {}
    for library, version in re.findall(r"^([\w.-]+)==([^\s;]+)", content(name), re.MULTILINE):
        versions.setdefault(library, set()).add(version)
    return versions


def loaded(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tool(*names: str) -> str:
    """Return the first installed program; without one skip, or fail if `SER_REQUIRE` names `service`."""
    path = next((path for name in names if (path := shutil.which(name))), None)
    if path is None:
        required = "service" in os.environ.get("SER_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)(f"{names[0]} is not installed (Debian: prometheus, docker-compose)")
    return str(path)


def of_environment(name: str) -> str:
    """Return a program of this Python's environment."""
    return str(Path(sys.executable).with_name(name))


def passes(*command: str | Path, cwd: Path = DEPLOY) -> str:
    """Run a program that must succeed; return its output."""
    ran = subprocess.run(command, cwd=cwd, capture_output=True, check=False, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
