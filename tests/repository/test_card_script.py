"""The card script adds a model's reports to its folder, and no other model's."""

from __future__ import annotations

import json
import shutil

import pytest

from scripts import card
from ser.inference.artifact import ARTIFACTS, verify


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "reports").mkdir()
    monkeypatch.setattr(card, "ROOT", tmp_path)
    return shutil.copytree(ARTIFACTS / "voice", tmp_path / "voice")


def report(folder, name, content):
    (folder.parent / "reports" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.slow
def test_the_report_of_the_model_is_taken_over(folder):
    before = verify(folder).manifest
    lines = json.loads((ARTIFACTS.parent / "reports" / "robustness.json").read_text(encoding="utf-8"))
    report(folder, "robustness", lines | {"model": "voice"})
    explained = {"model": "voice", "explained": 0.7, "clips": 240, "actors": 20, "rows": []}
    report(folder, "explain", explained)
    card.complete(str(folder))
    manifest = verify(folder).manifest
    taken = {"robustness": lines | {"model": "voice"}, "explained": explained}
    assert manifest["metrics"] == before["metrics"] | taken
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == manifest["metrics"]
    assert "## Degraded recordings" in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    written = {"metrics.json", "MODEL_CARD.md"}
    assert {name for name, hash in before["files"].items() if manifest["files"][name] != hash} <= written


@pytest.mark.slow
def test_reports_of_another_model_are_not(folder):
    before = verify(folder).manifest
    report(folder, "robustness", {"model": "other"})
    report(folder, "explain", {"model": "other"})
    card.complete(str(folder))
    assert verify(folder).manifest["metrics"] == before["metrics"]
