"""The sentence for a library that is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ser.extras import advice, needs
from ser.types import ParameterError

ROOT = Path(__file__).parents[1]
METADATA = "Metadata-Version: 2.1\nName: voice-ser\nVersion: 0.1.0\n"


def test_a_missing_library_is_a_sentence():
    says = f"flying needs jetpack, which this installation lacks; {re.escape(advice('air'))}."
    with pytest.raises(ParameterError, match=says) as raised, needs("air", "flying"):
        import jetpack.engine  # noqa: F401
    assert isinstance(raised.value.__cause__, ModuleNotFoundError)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "file", "says"),
    [
        ("voice_ser.egg-info", "PKG-INFO", "pip install '.[air]' in the repository"),
        ("voice_ser-0.1.0.dist-info", "METADATA", "pip install 'voice-ser[air]'"),
    ],
)
def test_an_extra_is_asked_for_by_name_only_if_the_package_is_installed(tmp_path, folder, file, says):
    """An egg-info that a build left in the working folder is no installation."""
    (tmp_path / folder).mkdir()
    (tmp_path / folder / file).write_text(METADATA)
    code = f"import sys; sys.path.append({str(ROOT)!r}); from ser.extras import advice; print(advice('air'))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == says


def test_a_mistake_of_our_own_is_not_called_a_missing_library():
    with pytest.raises(ModuleNotFoundError, match=r"ser\.nowhere"), needs("air", "flying"):
        import ser.nowhere  # noqa: F401
