"""Fixtures, and the rule that a skip is a failure where `SER_REQUIRE` names its mark."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

# Before NumPy is imported: two threads on two busy cores wait for each other more than they work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np


def _need(name: str, reason: str) -> None:
    """Skip with a reason, or fail where `SER_REQUIRE` lists `name`."""
    required = os.environ.get("SER_REQUIRE", "").split(",")
    (pytest.fail if name in required else pytest.skip)(reason)


@pytest.fixture(scope="session")
def ser_data() -> Path:
    """Folder of the corpora."""
    folder = os.environ.get("SER_DATA")
    if not folder or not Path(folder, "ravdess").is_dir():
        _need("data", f"SER_DATA must point to the corpora (found {folder!r})")
    return Path(str(folder))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the Chromium program."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        _need("browser", "Chromium is not installed (Debian: apt-get install chromium)")
    return str(found)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)
