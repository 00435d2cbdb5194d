"""Scores under distortions: by the network that never heard the speaker, by hand, and as a program on recordings."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ser import metrics
from ser.datasets.corpora import load_corpus
from ser.datasets.synthetic import speak
from ser.evaluation.distortions import DISTORTIONS
from ser.evaluation.robustness import ALLOWED_LOSS, PLAIN, fold_of, robustness
from ser.inference.artifact import ARTIFACTS, verify
from ser.inference.recognizer import Recognizer
from ser.reporting.figures import robustness as drawn
from ser.reporting.model_card import robustness_table
from ser.types import EMOTIONS, ParameterError

pytestmark = pytest.mark.slow
SHIPPED = ARTIFACTS / "dense105"
PROGRAM = Path(__file__).resolve().parents[2] / "experiments" / "robustness.py"
CODES = {"01": "neutral", "05": "angry", "08": "surprised"}  # of emotions in the names of RAVDESS


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> Path:
    """Synthetic clips under RAVDESS names, so that two of the stored folds are asked."""
    folder = tmp_path_factory.mktemp("spoken") / "ravdess"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for actor in ("01", "08"):
        for code, emotion in CODES.items():
            said = speak(emotion, 130 if actor == "01" else 210, rng)
            sf.write(folder / f"03-01-{code}-01-01-01-{actor}.wav", said.samples, said.sample_rate)
    return folder


@pytest.fixture(scope="module")
def report(spoken) -> dict:
    return robustness(SHIPPED, spoken, jobs=1, progress=False)


def test_every_row_is_there_in_order(report):
    assert [row["name"] for row in report["rows"]] == [PLAIN, *DISTORTIONS]
    assert (report["clips"], report["speakers"], report["labels"]) == (6, 2, list(CODES.values()))
    assert set(DISTORTIONS) > set(ALLOWED_LOSS)
    assert json.loads(json.dumps(report))["rows"][0]["uar"] == report["rows"][0]["uar"]


def test_a_row_is_what_the_fold_networks_answer(report, spoken):
    artifact = verify(SHIPPED)
    folds = {speaker: fold for fold in artifact.manifest["folds"] for speaker in fold["test"]}
    clips, labels = load_corpus("ravdess", spoken).clips, report["labels"]
    found = [Recognizer(artifact, folds[clip.speaker]).predict(clip.path) for clip in clips]
    answer = np.array([np.argmax([one.probabilities[label] for label in labels]) for one in found])
    truth = np.array([labels.index(clip.emotion) for clip in clips])
    row = report["rows"][0]
    assert row["uar"] == metrics.uar(metrics.confusion_matrix(truth, answer, 3))
    assert row["uar_interval"] == metrics.speaker_interval(truth, answer, [clip.speaker for clip in clips], 3)
    assert row["uncertain"] == np.mean([one.uncertain for one in found])
    assert (row["lost"], row["lost_interval"], row["holds"]) == (0, (0, 0), None)


def test_what_is_lost_and_whether_it_holds(report):
    usual = report["rows"][0]["uar"]
    for row in report["rows"][1:]:
        assert row["lost"] == usual - row["uar"] and row["lost_interval"][0] <= row["lost"] <= row["lost_interval"][1]
        allowed = ALLOWED_LOSS.get(row["name"])
        assert row["allowed_loss"] == allowed and row["holds"] is (None if allowed is None else row["lost"] <= allowed)


def test_processes_change_nothing(report, spoken):
    assert robustness(SHIPPED, spoken, jobs=2, progress=False) == report


def test_every_nth_clip(spoken):
    every = robustness(SHIPPED, spoken, every=2, seed=1, jobs=1, progress=False)
    assert (every["clips"], every["seed"]) == (3, 1)


def test_a_speaker_that_every_network_was_trained_on_is_refused(tmp_path):
    artifact = verify(SHIPPED)
    assert fold_of(artifact, ["ravdess/01", "ravdess/08"]) == {"ravdess/01": "fold1", "ravdess/08": "fold3"}
    with pytest.raises(ParameterError, match="dense105 has no fold network that was not trained on emodb/03, x/1; use"):
        fold_of(artifact, ["ravdess/01", "x/1", "emodb/03"])
    with pytest.raises(ParameterError, match=r"No ravdess recordings"):
        robustness(SHIPPED, tmp_path, jobs=1, progress=False)


def test_table_and_picture_say_what_the_report_says(report):
    rows = [{**row, "holds": held} for row, held in zip_longest(report["rows"], (None, True, False))]
    text = robustness_table({**report, "rows": rows})
    assert len(text.splitlines()) == 2 + len(rows) and "| allowed |" in text
    assert text.count("| 3 |") == 1 and text.count("| 3: **fails** |") == 1
    (axes,) = drawn({**report, "rows": rows}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [PLAIN, *DISTORTIONS]
    assert [bar.get_width() for bar in axes.patches] == [100 * row["uar"] for row in rows]


@pytest.mark.data
def test_the_program_writes_its_report(ser_data, tmp_path):
    command = [sys.executable, str(PROGRAM), "--data", str(ser_data), "--model", "dense105", "--every", "480"]
    ran = subprocess.run([*command, "--write", str(tmp_path)], check=True, capture_output=True, text=True, cwd=tmp_path)
    report = json.loads((tmp_path / "robustness.json").read_text())
    assert (report["clips"], report["corpus"], set(report["labels"]) <= set(EMOTIONS)) == (3, "ravdess", True)
    text = (tmp_path / "robustness.md").read_text()
    assert robustness_table(report) in text and robustness_table(report) in ran.stdout
    assert (tmp_path / "robustness.png").stat().st_size > 5000


def test_the_program_refuses_in_a_sentence(tmp_path):
    command = [sys.executable, str(PROGRAM), "--data", str(tmp_path), "--model", "gone"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 1 and ran.stderr.startswith("No model 'gone'")
