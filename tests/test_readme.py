"""The README's figures are those of the stored model and reports, and what it names is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tools.readme import ROOT, filled

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_figures_are_those_of_the_reports() -> None:
    assert filled(README) == README, "run: python -m tools.readme"


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_file_of_the_package_is_in_the_table() -> None:
    files = {f"ser/{path.name}" for path in Path(ROOT, "ser").glob("*.py") if not path.name.startswith("__")}
    assert {file for file in files if file not in README} == set()


def test_requirements_cover_the_package() -> None:
    names = {line.split("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=!~ ]", dependency)[0] for dependency in project["dependencies"]}
    assert wanted - names == set()
