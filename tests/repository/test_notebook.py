"""The notebook runs from top to bottom, on synthetic and on real recordings, and only calls `ser`."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path
from pydoc import locate
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from ser.datasets.splits import RAVDESS_FOLDS
from ser.inference.artifact import ARTIFACTS

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "train.ipynb"
PICTURES = 10
ACTORS = set().union(*RAVDESS_FOLDS[:3])
# In this process: compiling takes longer than the few steps, and worker processes compile.
EAGER = """
import sys
from functools import partial

import tensorflow as tf

sys.path.insert(0, "..")
from ser.training import train

tf.config.run_functions_eagerly(True)
train.train = partial(train.train, jobs=1)
"""


def execute(monkeypatch: pytest.MonkeyPatch, cache: Path, first: str = "") -> Any:
    """Execute the notebook after a cell with the code `first`, with all its files in `cache`."""
    monkeypatch.setenv("SER_CACHE", str(cache))
    monkeypatch.setenv("TMPDIR", str(cache))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(first))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    return notebook


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(notebook: Any) -> str:
    return "".join(output.text for output in outputs(notebook) if output.get("name") == "stdout")


def pictures(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def code(notebook: Any) -> list[str]:
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return [re.sub(r"^%.*$", "", source, flags=re.MULTILINE) for source in cells]


def imported(sources: list[str]) -> set[str]:
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


@pytest.mark.slow
def test_it_runs_on_what_is_there(monkeypatch, tmp_path):
    """On real voices if there are some, else on synthetic ones: both would take two minutes more."""
    data = os.environ.get("SER_DATA")
    if data:
        check_real_voices(monkeypatch, tmp_path, Path(data))
    else:
        check_synthetic_voices(monkeypatch, tmp_path)


def check_synthetic_voices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = sorted(ARTIFACTS.iterdir())
    notebook = execute(monkeypatch, tmp_path, EAGER)
    said = printed(notebook)
    assert "speech: 64 clips, 4 speakers, 8 emotions" in said
    assert "128 rows of 105 features" in said
    assert "by speaker: passes" in said
    assert "random split: Split 'random' leaks: a speaker is on both sides" in said
    assert {"manifest.json", "model.onnx", "model.keras"} <= set(said.split())
    assert re.search(r"this run \(smoke\): UAR \d+\.\d% on unseen speakers .* inflated by shared speakers", said)
    assert pictures(notebook) == PICTURES
    assert sorted(ARTIFACTS.iterdir()) == before


def check_real_voices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ser_data: Path) -> None:
    """On one sentence at normal intensity by the actors of three published folds."""
    folder = tmp_path / "data" / "ravdess"
    folder.mkdir(parents=True)
    for path in ser_data.joinpath("ravdess").rglob("03-01-??-01-01-??-??.*"):
        if int(path.stem[-2:]) in ACTORS:
            (folder / path.name).symlink_to(path.resolve())
    monkeypatch.setenv("SER_DATA", str(folder.parent))
    notebook = execute(monkeypatch, tmp_path, EAGER)
    said = printed(notebook)
    assert "ravdess: 192 clips, 12 speakers, 8 emotions" in said
    reached = re.search(r"this run \(smoke\): UAR (\d+\.\d)%", said)
    assert reached
    assert float(reached[1]) > 20  # guessing gives 12.5
    assert pictures(notebook) == PICTURES


def test_its_text_names_what_exists_in_plain_words():
    text = "\n".join(cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells)
    named = re.findall(r"`(ser(?:\.\w+)+)`", text)
    assert "ser.training.configs.CONFIGS" in named
    assert [name for name in named if locate(name) is None] == []
    assert re.findall(r"\b(?:story|by chance|heard|nobody|somebody|workshop)\b", text) == []


@pytest.mark.slow
def test_it_only_calls_ser():
    sources = code(nbformat.read(NOTEBOOK, as_version=4))
    assert imported(sources) <= {"ser", "numpy", "os", "pathlib", "sys", "tempfile", "warnings"}
    functions = (ast.FunctionDef, ast.Lambda, ast.ClassDef)
    assert not [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, functions)]


@pytest.mark.slow
def test_what_is_committed_is_small_and_names_no_machine():
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert len(text) < 600_000
    assert not re.search(r"/(home|root|work|tmp|Users|usr)/", text)
    assert not [
        output for output in outputs(notebook) if output.output_type == "error" or output.get("name") == "stderr"
    ]
