"""The card script adds a model's reports to its folder, and no other model's."""

from __future__ import annotations

import json
import shutil

import pytest

from scripts import card
from ser.inference.artifact import ARTIFACTS, verify

SEEDS = {"1": {"uar": 0.5, "accuracy": 0.6}, "2": {"uar": 0.7, "accuracy": 0.6}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "reports").mkdir()
    monkeypatch.setattr(card, "ROOT", tmp_path)
    return shutil.copytree(ARTIFACTS / "voice", tmp_path / "voice")


def report(folder, name, content):
    (folder.parent / "reports" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.slow
def test_reports_of_the_model_are_taken_over(folder):
    before = verify(folder).manifest
    own = {"model": "voice", "with": 0.75, "without": 0.7, "interval": [0.02, 0.08]}
    report(folder, "own_voice", own)
    report(folder, "seeds", {"voice": SEEDS})
    card.complete(str(folder))
    manifest = verify(folder).manifest
    scores = {key: before["metrics"]["folds"][key] for key in ("uar", "accuracy")}
    assert manifest["metrics"]["calibrated"] == own
    assert manifest["metrics"]["folds"]["seeds"] == [scores, *SEEDS.values()]
    assert manifest["metrics"]["folds"]["uar_mean_of_seeds"] == pytest.approx((scores["uar"] + 1.2) / 3)
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == manifest["metrics"]
    text = " ".join((folder / "MODEL_CARD.md").read_text(encoding="utf-8").split())
    assert "+5.0 points, 95 % interval over speakers +2.0 to +8.0" in text
    written = {"metrics.json", "MODEL_CARD.md"}
    assert {name for name, hash in before["files"].items() if manifest["files"][name] != hash} <= written


@pytest.mark.slow
def test_reports_of_another_model_are_not(folder):
    before = verify(folder).manifest
    report(folder, "own_voice", {"model": "other", "with": 1.0, "without": 0.0, "interval": [1.0, 1.0]})
    report(folder, "robustness", {"model": "other"})
    report(folder, "seeds", {"other": SEEDS})
    card.complete(str(folder))
    assert verify(folder).manifest["metrics"] == before["metrics"]
