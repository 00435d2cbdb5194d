"""README and docs: their examples run, their figures are those of models and reports, and what they name exists."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_whisper import build
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

import ser
from scripts.readme import PAGES, ROOT, figures, filled
from ser.cli.main import app

TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
README = TEXTS["README.md"]
SAMPLES = sorted((ROOT / "samples").glob("*.flac"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def recordings(tmp_path, monkeypatch) -> Path:
    """The working folder, with the recordings that the examples name."""
    for name, sample in zip(("clip.wav", "talk.flac", "a.wav", "b.wav", "c.wav"), SAMPLES, strict=False):
        shutil.copy(sample, tmp_path / name)
    shutil.copy(SAMPLES[0], tmp_path / "d.wav")
    shutil.copy(SAMPLES[0], tmp_path / "e.wav")
    shutil.copytree(ROOT / "samples", tmp_path / "folder")
    shutil.copytree(ROOT / "samples", tmp_path / "calls", ignore=shutil.ignore_patterns("*.py"))
    build(tmp_path / "FOLDER")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- Python ---


def examples(text: str, *, learning: bool = False) -> list[str]:
    """Return the blocks of Python of a page: those that train on a corpus, or the others."""
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if ("sklearn" in block) is learning]


@pytest.mark.slow
@pytest.mark.parametrize("page", [name for name, text in TEXTS.items() if examples(text)])
def test_python_examples_run_one_after_the_other(page, recordings, capsys) -> None:
    names: dict[str, Any] = {}
    for example in examples(TEXTS[page]):
        exec(compile(example, page, "exec"), names)
    assert capsys.readouterr().out.startswith(names["answer"].label)
    if "table" in names:
        assert names["table"].error.count() == 1  # folder/make.py is no recording


@pytest.mark.data
@pytest.mark.slow
def test_the_example_that_trains_runs(recordings, ser_data, capsys) -> None:
    """Run it on a few clips of every emotion by three actors."""
    Path("data", "ravdess").mkdir(parents=True)
    for path in ser_data.joinpath("ravdess").rglob("03-01-*-01-01-??-0[1-3].*"):
        Path("data", "ravdess", path.name).symlink_to(path.resolve())
    (example,) = [block for text in TEXTS.values() for block in examples(text, learning=True)]
    exec(compile(example, "python.md", "exec"), {})
    assert 1 / 8 < float(capsys.readouterr().out) < 1


# --- Commands ---


def commands() -> list[list[str]]:
    """Return the command lines in blocks and tables of all pages, as words after `ser`."""
    text = "\n".join(TEXTS.values())
    return [shlex.split(line) for line in re.findall(r"^(?:\| `)?ser ([^`\n]+)(?:`|$)", text, re.MULTILINE)]


def resolved(group: TyperGroup, words: list[str]) -> tuple[str, Any, list[str]]:
    """Return the name of the command that the first word names, the command, and the words behind it."""
    return group.resolve_command(group.make_context("ser", [], resilient_parsing=True), words)


def every_command(group: TyperGroup) -> Iterator[str]:
    for name in group.commands:
        yield name
        if isinstance(command := resolved(group, [name])[1], TyperGroup):
            yield from every_command(command)


@pytest.mark.slow
def test_every_command_has_an_example_and_every_example_is_understood() -> None:
    named = set()
    for words in commands():
        command, rest = get_command(app), list(words)
        while isinstance(command, TyperGroup):
            name, command, rest = resolved(command, rest)
            named.add(name)
        assert command.make_context("ser", rest)  # raises for options and values that do not exist
    assert set(every_command(get_command(app))) - named == set()


# They take long, need a cluster, or listen to a port or a microphone; tests of their own run them, on less.
LONG = {
    "batch",
    "monitor",
    "train",
    "evaluate",
    "leaderboard",
    "download",
    "export",
    "info",
    "serve",
    "record",
    "live",
    "encoder",
}


@pytest.mark.slow
def test_command_examples_run_one_after_the_other(recordings, monkeypatch) -> None:
    monkeypatch.setenv("SER_DATABASE_URL", f"sqlite:///{recordings}/kept.sqlite")
    (recordings / "folder" / "make.py").unlink()
    ran = list(map(shlex.split, dict.fromkeys(shlex.join(words) for words in commands() if words[0] not in LONG)))
    for words in sorted(ran, key=lambda words: words[0] == "history"):  # once answers are stored
        result = CliRunner().invoke(app, words)
        assert (result.exit_code, result.exception) == (0, None), (words, result.output)
        assert result.output or words[0] == "timeline"  # of music, without speech
    assert {words[0] for words in ran} >= {"predict", "timeline", "history", "samples"}
    assert (recordings / "talk.TextGrid").exists()


# --- Figures, links, extras ---


def test_figures_are_those_of_models_and_reports() -> None:
    for page in PAGES:
        assert filled(page) == TEXTS[page.name], "run: python -m scripts.readme"
    assert [name for name in figures() if not any(f"<!-- {name} -->" in text for text in TEXTS.values())] == []


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub("[^a-z0-9]+", "-", heading.lower()).strip("-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "experiments" / "log.md"], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page) -> None:
    text = page.read_text(encoding="utf-8")
    for link in (link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_tree_of_the_docs_is_that_of_the_code() -> None:
    """Every package and module at the top of `ser/` is in the tree, but the short names and the entry point."""
    paths = (ROOT / "ser").glob("[a-z]*")
    names = {path.name if path.suffix else f"{path.name}/" for path in paths if (path / "__init__.py").exists()}
    names |= {path.name for path in (ROOT / "ser").glob("[a-z]*.py")} - {"api.py", "train.py"}
    (tree,) = re.findall(r"^app\.py.*?^```", TEXTS["develop.md"], re.MULTILINE | re.DOTALL)
    assert {name for name in names if not re.search(rf"(?<![\w/]){re.escape(name)}", tree)} == set()
    paths = re.findall(
        r"`((?:ser|tests|deploy|scripts|experiments|benchmarks|reports)/[\w./]+)`", "".join(TEXTS.values())
    )
    assert paths and {path for path in paths if not (ROOT / path).exists()} == set()


def pinned(name: str) -> set[str]:
    """Return what a file of requirements pins, and the files that it includes."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    names = {line.split("==")[0].split("[")[0] for line in lines if "==" in line}
    return names.union(*(pinned(line.removeprefix("-r ")) for line in lines if line.startswith("-r ")))


def named(requirements: list[str]) -> set[str]:
    """Return the distributions of some requirements, those of our own extras included."""
    names = {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in requirements} - {"voice-ser"}
    own = {extra for requirement in requirements for extra in re.findall(r"^voice-ser\[(\w+)\]", requirement)}
    return names.union(*(named(PROJECT["optional-dependencies"][extra]) for extra in own))


def lacking(file: str) -> set[str]:
    """Return the extras of which a file of requirements does not pin every library."""
    extras = PROJECT["optional-dependencies"].items()
    return {extra for extra, requirements in extras if named(requirements) - pinned(file)}


def test_requirements_cover_the_package() -> None:
    assert named(PROJECT["dependencies"]) - pinned("requirements.txt") == set()
    assert lacking("requirements-dev.txt") == set()


def test_the_readme_describes_every_extra_and_which_requirements_lack() -> None:
    assert {extra for extra in PROJECT["optional-dependencies"] if f"| `{extra}` |" not in README} == set()
    (said,) = re.findall(r"It lacks libraries of the extras(.*?):", README, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", said)) == lacking("requirements.txt")


# --- The API reference ---

PUBLIC = {
    "ser": set(ser.__all__),
    "ser/audio": {"load_waveform"},
    "ser/features": {"RECIPES", "recipe"},
    "ser/models": {"build", "ARCHITECTURES"},
    "ser/datasets": {"load_corpus"},
    "ser/train": {"train"},
    "ser/sklearn": {"VoiceFeatures"},
    "ser/timeline": {"timeline"},
    "ser/transcript": {"transcribe"},
    "ser/batch": {"batch"},
    "ser/history": {"History"},
    "ser/api": {"create_app"},
}


@pytest.mark.slow
def test_the_reference_is_built_of_every_public_name_without_tensorflow(tmp_path) -> None:
    code = (
        "import pathlib, sys; from scripts.reference import build; build(pathlib.Path(sys.argv[1])); "
        "print(sorted(name for name in ('keras', 'tensorflow') if sys.modules.get(name)))"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, check=True, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
    for page, names in PUBLIC.items():
        text = (tmp_path / f"{page}.html").read_text(encoding="utf-8")
        assert {name for name in names if f'<section id="{name}">' not in text} == set(), page
        assert all(
            f"`{page.replace('/', '.')}{':' if page == 'ser/api' else '.'}{name}`" in TEXTS["python.md"]
            for name in names
        ), page
