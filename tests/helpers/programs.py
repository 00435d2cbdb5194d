"""Files of the repository, and the programs that tests hold them against."""

from __future__ import annotations

import os
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
    """The text of a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def loaded(path: Path) -> dict[str, Any]:
    """What a file of YAML holds."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tool(*names: str) -> str:
    """The first of these programs that is there; else a skip, or a failure where `SER_REQUIRE` names `service`."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        required = "service" in os.environ.get("SER_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)(f"{names[0]} is not installed (Debian: prometheus, docker-compose)")
    return str(found)


def of_environment(name: str) -> str:
    """A program that was installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def passes(*command: str | Path, cwd: Path = DEPLOY) -> str:
    """What a program prints that ends well; a test fails with what it says otherwise."""
    ran = subprocess.run(command, cwd=cwd, capture_output=True, check=False, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
