"""The prediction benchmark runs, compares the same computation, and reports all figures and targets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ser.inference.artifact import find

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "predict.py"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    """Run the smallest benchmark; return its report as JSON and as Markdown."""
    folder = tmp_path_factory.mktemp("reports")
    command = [sys.executable, str(PROGRAM), "--runs", "2", "--starts", "0", "--write", str(folder)]
    subprocess.run(command, check=True, timeout=300, cwd=folder)
    names = (folder / f"predict_benchmark.{ending}" for ending in ("json", "md"))
    text, page = (path.read_text(encoding="utf-8") for path in names)
    return json.loads(text), page


@pytest.mark.slow
def test_both_sides_compute_the_same(written):
    report, _ = written
    assert report["agreement"]["features"] <= 1
    assert report["agreement"]["probabilities"] <= 1e-3


@pytest.mark.slow
def test_the_report_holds_every_figure(written):
    report, _ = written
    assert report["model"] == "dense105" and report["default"]["model"] == find().name
    assert report["default"]["size"] > 0.1 and report["default"]["memory"] > 20
    assert report["machine"]["cpu"]
    assert report["machine"]["load_before"] >= 0
    assert set(report["warm"]) == {"48000", "16000"}
    for pair in (*report["warm"].values(), report["fresh"], report["fresh_empty_caches"]):
        assert pair["ratio"] == pytest.approx(pair["chain"] / pair["ours"])
        assert pair["ratio"] > 1
    assert 20 < report["memory"]["ours"] < report["memory"]["chain"]


@pytest.mark.slow
def test_every_target_is_checked(written):
    report, page = written
    assert len(report["targets"]) == 12
    for target in report["targets"]:
        reached = target["found"] >= target["limit"] if target["unit"] == "x" else target["found"] <= target["limit"]
        assert target["passed"] is reached
        assert f"| {target['name']} |" in page
