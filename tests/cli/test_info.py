"""The command `info`."""

from __future__ import annotations

import json

from command_line import main, run

import ser
from ser.inference import artifact
from ser.inference.artifact import ARTIFACTS
from ser.inference.manifest import read_manifest
from ser.types import EMOTIONS


def test_info():
    listed = run("info")
    assert listed.exit_code == 0 and "dense105: 8 emotions, UAR" in listed.stdout
    shown = run("info", "dense105")
    assert "🌆" not in shown.stdout and "Confusion matrix" not in shown.stdout
    assert shown.exit_code == 0 and "Model card" in shown.stdout and "non-commercial" in shown.stdout
    found = json.loads(run("info", "dense105", "-f", "json").stdout)
    assert found["version"] == ser.__version__ and found["models"][0]["name"] == "dense105"


def test_info_of_a_model_without_scores(tmp_path, monkeypatch):
    monkeypatch.setattr(artifact, "ARTIFACTS", tmp_path)
    manifest = read_manifest(ARTIFACTS / "dense105")
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "manifest.json").write_text(
        json.dumps({**manifest, "name": "young", "labels": list(EMOTIONS[2:6]), "metrics": {}})
    )
    for words in ([], ["young"]):
        result = run("info", *words)
        assert result.exit_code == 0, result.exception
        assert "young: 4 emotions (without neutral, calm, disgust, surprised), not scored" in result.stdout


def test_info_of_a_damaged_model(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(artifact, "ARTIFACTS", tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "manifest.json").write_text("[]")
    code, _, err = main(monkeypatch, capsys, "info")
    assert code == 2 and err.startswith("ser: bad/manifest.json: expected schema")
