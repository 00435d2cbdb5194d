"""Which file may import which, and that a process that only answers stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import ser

ROOT = Path(ser.__file__).resolve().parents[1]
FILES = {path.stem: path for path in [*sorted((ROOT / "ser").glob("*.py")), ROOT / "app.py"]}

# From the bottom to the top; a file imports only from rows below its own.
ROWS = (
    ("__init__", "types", "sentences"),  # leaf: values, vocabulary, errors
    ("decode", "extras", "rows", "memory"),  # sound, what an installation may lack, tables
    ("audio", "dataframes"),
    ("spectra",),  # rooms
    ("published", "tracks"),
    ("functionals",),
    ("features", "speech", "augment", "scaler", "metrics", "novelty", "readers", "duplicates", "synthetic", "words"),
    ("datasets", "distort", "voice", "transformer"),
    ("sklearn", "splits", "download", "frames", "stretches", "recognisers"),
    ("manifest", "models"),  # store
    ("artifact",),
    ("predict", "view"),  # inference
    ("own_voice", "timeline"),
    ("writers", "history", "transcript"),
    ("configs", "table", "card", "figures", "claims", "standings", "enrolment"),  # work
    ("fit",),
    ("crossval",),
    ("train", "ensemble", "robustness", "export", "story"),
    ("leaderboard", "release", "evaluate"),
    ("printed",),
    ("refusals", "drift", "stream"),  # service
    ("gate", "workers", "meters", "answers"),
    ("upload", "access"),
    ("service",),
    ("live", "serve"),
    ("api",),
    ("microphone", "saved"),
    ("ledger", "sources", "results", "pools"),  # thousands of files
    ("monitor",),
    ("batch",),
    ("workbench", "cli_words"),  # doors
    ("cli_timeline", "cli_history", "cli_samples", "cli_batch", "cli_monitor"),
    ("cli_predict", "cli_record"),
    ("cli_live", "interactive"),
    ("cli", "app"),
    ("__main__",),
)
SOUND = {"decode", "audio", "spectra", "published", "tracks", "functionals", "features"}
ANSWERING = {"__init__", "types", *SOUND, "metrics", "novelty", "manifest", "artifact", "predict", "own_voice"}
ANSWERING |= {"speech", "timeline", "writers", "extras", "stretches", "recognisers", "transcript"}
ANSWERING |= {"words", "view", "app"}
SERVING = {"refusals", "drift", "stream", "gate", "workers", "meters", "answers", "upload", "access", "service"}
ANSWERING |= SERVING | {"live", "api", "serve"}
ANSWERING |= {"extras", "memory", "readers", "ledger", "sources", "rows", "results", "monitor"}
HEAVY = {"tensorflow", "keras", "librosa", "numba", "sklearn"}
LATE = HEAVY | {"noisereduce"}  # which models with noise reduction load, and no others
ADAPTERS = {"transformer": "sklearn"}  # files that subclass a heavy library's, and which file alone opens them, on use
UNPICKLERS = {"pickle", "joblib", "dill", "shelve"}
LIBRARIES = {"numpy", "scipy", "onnxruntime", "soundfile", "soxr", "av", "typer", "rich"}


def imported(nodes: Iterable[ast.AST], *, inside: bool) -> Iterator[str]:
    """Dotted names that are imported; with `inside` also those within functions and type-checking blocks."""
    for node in nodes:
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif inside or not (is_function or is_for_types):
            yield from imported(ast.iter_child_nodes(node), inside=inside)


def imports(name: str, *, inside: bool) -> set[str]:
    return set(imported(ast.parse(FILES[name].read_text(encoding="utf-8")).body, inside=inside))


def within(name: str) -> set[str]:
    """The files of this project that a file imports, anywhere in it.

    The package itself names its types for type checkers, and loads nothing before it is asked for.
    """
    parts = [found.split(".") for found in imports(name, inside=name != "__init__")]
    return {part[1] if len(part) > 1 and part[1] in FILES else "__init__" for part in parts if part[0] == "ser"}


def tops(name: str, *, inside: bool) -> set[str]:
    return {found.split(".")[0] for found in imports(name, inside=inside)}


def row_of(name: str) -> int:
    return next(number for number, row in enumerate(ROWS) if name in row)


def test_every_file_has_one_place():
    placed = [name for row in ROWS for name in row]
    assert sorted(placed) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_only_from_below(name):
    assert {other for other in within(name) if row_of(other) >= row_of(name)} == set()


@pytest.mark.parametrize("name", FILES)
def test_heavy_libraries_are_never_imported_at_the_top(name):
    assert not tops(name, inside=False) & LATE or name in ADAPTERS


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_is_opened_by_one_file_and_on_use(name):
    assert [other for other in FILES if name in within(other)] == [ADAPTERS[name]]
    assert f"ser.{name}" not in {found.rpartition(".")[0] for found in imports(ADAPTERS[name], inside=False)}


@pytest.mark.parametrize("name", sorted(ANSWERING))
def test_what_answers_knows_neither_heavy_libraries_nor_pickles(name):
    assert not tops(name, inside=True) & (HEAVY | UNPICKLERS)
    assert within(name) <= ANSWERING


def test_the_reader_of_imports_sees_them():
    """The rules above would also hold for a reader that finds nothing."""
    assert {"artifact", "audio", "features", "metrics", "novelty", "types"} <= within("predict")
    assert "keras" in tops("models", inside=True) and "keras" not in tops("models", inside=False)
    assert "librosa" in tops("augment", inside=True) and "sklearn" in tops("scaler", inside=True)
    assert "streamlit" in tops("app", inside=False)


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


def test_training_rooms_load_their_libraries_only_when_used():
    rooms = [name for name in FILES if name not in ("__init__", "__main__", "app", "view", *ADAPTERS)]
    assert not loaded_by("import " + ", ".join(f"ser.{name}" for name in rooms)) & LATE


def test_public_names():
    types = {"Failure", "Prediction", "Recognizer", "SerError", "Timeline"}
    assert set(ser.__all__) == types | {"load", "to_pandas"}
    assert all(hasattr(ser, name) for name in ser.__all__)
    assert ser.load.__module__ == "ser.predict" and ser.models.build.__module__ == "ser.models"
    with pytest.raises(AttributeError, match="module 'ser' has no attribute 'listen'"):
        _ = ser.listen
