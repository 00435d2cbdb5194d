"""Fixtures of the tests that train."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ser.inference import artifact


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, eager: None) -> Iterator[Path]:
    """A temporary folder in which training writes its artifacts and its cache."""
    folder = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifact, "ARTIFACTS", folder / "artifacts")
        patch.setenv("SER_CACHE", str(folder / "cache"))
        patch.delenv("SER_MODEL", raising=False)
        yield folder
