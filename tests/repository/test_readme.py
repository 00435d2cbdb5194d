"""The README's figures are those of the stored model and reports, and what it names is there."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_whisper import build
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from ser.cli.main import app
from scripts.readme import ROOT, filled

README = (ROOT / "README.md").read_text(encoding="utf-8")
SAMPLES = sorted((ROOT / "samples").glob("*.flac"))


@pytest.fixture
def recordings(tmp_path, monkeypatch) -> Path:
    """The working folder, with the recordings that the examples name."""
    for name, sample in zip(("clip.wav", "talk.flac", "a.wav", "b.wav", "c.wav"), SAMPLES, strict=False):
        shutil.copy(sample, tmp_path / name)
    shutil.copy(SAMPLES[0], tmp_path / "d.wav")
    shutil.copy(SAMPLES[0], tmp_path / "e.wav")
    shutil.copytree(ROOT / "samples", tmp_path / "folder")
    build(tmp_path / "FOLDER")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examples(*, learning: bool) -> list[str]:
    """The Python of the README, block by block: that which learns from a corpus, or the rest."""
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if ("sklearn" in block) is learning]


def test_python_examples_run_one_after_the_other(recordings, capsys) -> None:
    names: dict[str, object] = {}
    for example in examples(learning=False):
        exec(compile(example, "README.md", "exec"), names)
    assert {"answer", "table", "talk", "said", "mine"} <= names.keys()
    assert names["table"].error.count() == 1  # folder/make.py is no recording
    assert capsys.readouterr().out.startswith(names["answer"].label)


@pytest.mark.data
@pytest.mark.slow
def test_the_example_that_learns_runs(recordings, ser_data, capsys) -> None:
    """On a few clips of every emotion by three actors."""
    Path("data", "ravdess").mkdir(parents=True)
    for path in ser_data.joinpath("ravdess").rglob("03-01-*-01-01-??-0[1-3].*"):
        Path("data", "ravdess", path.name).symlink_to(path.resolve())
    (example,) = examples(learning=True)
    exec(compile(example, "README.md", "exec"), {})
    assert 1 / 8 < float(capsys.readouterr().out) < 1


def commands() -> list[list[str]]:
    """The command lines of the README, as words after `ser`."""
    return [shlex.split(line) for line in re.findall(r"^python -m ser (.+)$", README, re.MULTILINE)]


def test_every_command_has_an_example_and_every_example_is_understood() -> None:
    named = set()
    for words in commands():
        command, rest = get_command(app), list(words)
        while isinstance(command, TyperGroup):
            named.add(rest[0])
            command = command.commands[rest.pop(0)]
        assert command.make_context("ser", rest)  # raises for options and values that there are not
    assert {name for name, _ in every_command(get_command(app))} - named == set()


def every_command(group: TyperGroup) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield name, command
        if isinstance(command, TyperGroup):
            yield from every_command(command)


# Which would take long, need a cluster, or listen to a port or a microphone; tests of their own run them, on less.
LONG = {"batch", "monitor", "train", "evaluate", "leaderboard", "download", "export", "info", "serve", "record", "live"}


def test_command_examples_run_one_after_the_other(recordings, monkeypatch) -> None:
    monkeypatch.setenv("SER_DATABASE_URL", f"sqlite:///{recordings}/kept.sqlite")
    (recordings / "folder" / "make.py").unlink()
    ran = [words for words in commands() if words[0] not in LONG]
    for words in ran:
        result = CliRunner().invoke(app, words)
        assert (result.exit_code, result.exception) == (0, None), (words, result.output)
        assert result.output or words[0] == "timeline"  # of music, in which nobody speaks
    assert {words[0] for words in ran} >= {"predict", "timeline", "history", "samples"}
    assert (recordings / "talk.TextGrid").exists()


def test_figures_are_those_of_the_reports() -> None:
    assert filled(README) == README, "run: python -m scripts.readme"


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {f"#{re.sub('[^a-z0-9]+', '-', heading.lower())}" for heading in headings}
    assert [link for link in links if link not in anchors and not (ROOT / link).exists()] == []


def pinned(name: str) -> set[str]:
    """What a file of requirements pins, and the files that it names."""
    lines = (ROOT / name).read_text().splitlines()
    names = {line.split("==")[0].split("[")[0] for line in lines if "==" in line}
    return names.union(*(pinned(line.removeprefix("-r ")) for line in lines if line.startswith("-r ")))


def named(requirements: list[str]) -> set[str]:
    """The distributions of some requirements, without those that name our own extras."""
    return {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in requirements} - {"voice-ser"}


def test_requirements_cover_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert named(project["dependencies"]) - pinned("requirements.txt") == set()
    extras = {
        name: named(wanted) - pinned("requirements-dev.txt")
        for name, wanted in project["optional-dependencies"].items()
    }
    assert {name: lacking for name, lacking in extras.items() if lacking} == {}


def test_every_extra_is_in_the_readme() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra for extra in extras if f"| `{extra}` |" not in README} == set()
