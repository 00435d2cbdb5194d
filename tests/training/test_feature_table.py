"""The cache of features: where it lies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ser.training.feature_table import cache_folder
from ser.types import ParameterError


@pytest.mark.skipif(sys.platform == "win32", reason="a user of Unix, in no list of users")
def test_a_user_without_a_home_names_the_cache(monkeypatch, tmp_path):
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("SER_CACHE", raising=False)
    with pytest.raises(ParameterError, match="Set SER_CACHE to a folder, or HOME"):
        cache_folder()
    monkeypatch.setenv("SER_CACHE", str(tmp_path))
    assert cache_folder() == Path(tmp_path)
