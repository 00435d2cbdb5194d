"""What a process that only answers loads, and what `ser` offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ser

ROOT = Path(ser.__file__).resolve().parents[1]
HEAVY = {"tensorflow", "keras", "librosa", "numba", "sklearn"}
LATE = HEAVY | {"noisereduce"}  # which models with noise reduction load, and no others
UNPICKLERS = {"pickle", "joblib", "dill", "shelve"}
ADAPTERS = {"ser.features.transformer"}  # which subclasses a heavy library's class
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "ser").rglob("*.py")
    if not path.name.startswith("__")
}


def loaded_by(code: str) -> set[str]:
    """Modules in a fresh process after some code, by their first name."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True)
    return set(ran.stdout.split())


def test_bare_import_loads_next_to_nothing():
    loaded = loaded_by("import ser; ser.__version__")
    assert not loaded & (
        HEAVY | UNPICKLERS | {"numpy", "scipy", "onnxruntime", "soundfile", "soxr", "av", "typer", "rich"}
    )


def test_training_loads_its_libraries_only_when_used():
    modules = sorted(MODULES - ADAPTERS - {"ser.page.components"})
    assert not loaded_by("import " + ", ".join(modules)) & LATE


def test_public_names():
    types = {"Failure", "Prediction", "Recognizer", "SerError", "Timeline"}
    assert set(ser.__all__) == types | {"load", "to_pandas"}
    assert all(hasattr(ser, name) for name in ser.__all__)
    assert ser.load.__module__ == "ser.inference.recognizer" and ser.models.build.__module__ == "ser.models.registry"
    with pytest.raises(AttributeError, match="module 'ser' has no attribute 'listen'"):
        _ = ser.listen
