"""Fixtures, and the rule that a skip is a failure where `SER_REQUIRE` names its mark."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before NumPy is imported: pytest has a process for each core, so more threads only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

import numpy as np

# The files that take longest, longest first: what is begun last leaves a core idle at the end.
LONGEST = (
    "repository/test_notebook",
    "page/test_browser",
    "page/test_recorder",
    "page/test_whole",
    "page/test_timeline",
    "service/test_server",
    "training/test_train",
    "page/test_visit_page",
    "page/test_player",
    "batch/test_run",
    "repository/test_package",
    "cli/test_microphone",
    "cli/test_train",
    "repository/test_benchmarks",
    "evaluation/test_leaderboard",
    "models/test_registry",
    "training/test_export",
    "training/test_train_ensemble",
    "batch/test_adaptation",
    "service/test_routes",
    "timeline/test_segments",
    "inference/test_adaptation",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get("/".join(item.path.parts[-2:]), len(order)))


def _need(name: str, reason: str) -> None:
    """Skip with a reason, or fail where `SER_REQUIRE` lists `name`."""
    required = os.environ.get("SER_REQUIRE", "").split(",")
    (pytest.fail if name in required else pytest.skip)(reason)


@pytest.fixture(autouse=True)
def same_main() -> Iterator[None]:
    """Put `__main__` back: AppTest leaves its script there, which processes that are started later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def need() -> Callable[[str, str], None]:
    """Skips a test with a reason, or fails it where `SER_REQUIRE` lists the mark."""
    return _need


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


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Path of the Prometheus program."""
    found = shutil.which("prometheus")
    if found is None:
        _need("service", "Prometheus is not installed (Debian: apt-get install prometheus)")
    return str(found)


@pytest.fixture(scope="session")
def curl() -> str:
    """Path of the program curl."""
    found = shutil.which("curl")
    if found is None:
        _need("service", "curl is not installed (Debian: apt-get install curl)")
    return str(found)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file that is no recording."""
    path = tmp_path / "broken.wav"
    path.write_bytes(b"no sound at all")
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)


@pytest.fixture(scope="module")
def eager() -> Iterator[None]:
    """Training without compiled graphs: for the few steps of a test, compiling takes ten times as long as learning."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
