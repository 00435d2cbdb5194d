"""Import rules, the libraries that a process loads, and the public names."""

from __future__ import annotations

import ast
import shutil
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
    """Return the top-level modules in a fresh process after some code."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True)
    return set(ran.stdout.split())


def lint_imports(config: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo", "--config", config]
    return subprocess.run(command, cwd=cwd, capture_output=True, check=False, text=True)


@pytest.mark.slow
def test_imports_keep_both_contracts():
    assert lint_imports("pyproject.toml", ROOT).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("timeline/segments", "from ser.inference.recognizer import load", "Imports point down BROKEN"),
        ("page/wording", "from ser.reporting.model_card import card", "Answering knows no training BROKEN"),
        ("audio/vad", "import sklearn", "Answering knows no training BROKEN"),
    ],
)
def test_a_planted_import_breaks_a_contract(tmp_path, module, line, contract):
    shutil.copytree(ROOT / "ser", tmp_path / "ser")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "ser" / f"{module}.py"
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    ran = lint_imports("pyproject.toml", tmp_path)
    assert ran.returncode == 1 and contract in ran.stdout, ran.stdout + ran.stderr


def test_every_package_says_what_is_in_it():
    for path in (ROOT / "ser").rglob("__init__.py"):
        assert len(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]) > 20, path


def test_no_folder_is_too_full():
    folders = {path.parent for path in (ROOT / "ser").rglob("*.py")}
    assert {folder.name: n for folder in folders if (n := len(list(folder.glob("*.py")))) > 20} == {}


def test_bare_import_loads_next_to_nothing():
    loaded = loaded_by("import ser; ser.__version__")
    assert not loaded & (
        HEAVY | UNPICKLERS | {"numpy", "scipy", "onnxruntime", "soundfile", "soxr", "av", "typer", "rich"}
    )


@pytest.mark.slow
def test_training_loads_its_libraries_only_when_used():
    modules = sorted(MODULES - ADAPTERS - {"ser.page.components"})
    assert not loaded_by("import " + ", ".join(modules)) & LATE


def test_public_names():
    types = {"Failure", "Prediction", "Recognizer", "SerError", "Timeline"}
    assert set(ser.__all__) == types | {"load", "predict", "to_pandas"}
    assert all(hasattr(ser, name) for name in ser.__all__) and set(dir(ser)) == {*ser.__all__, "__version__"}
    assert ser.load.__module__ == "ser.inference.recognizer" and ser.models.build.__module__ == "ser.models.registry"
    with pytest.raises(AttributeError, match="module 'ser' has no attribute 'listen'"):
        _ = ser.listen
