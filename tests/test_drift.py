"""Drift between two tables: the index is the textbook's, all forms read alike, other files are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from ser.cli import output as printed
from ser.cli.main import app
from ser.cli.output import print_csv
from ser.drift import _by_chance, compare, stability_index, tally
from ser.tables import part_path, to_parquet
from ser.types import EMOTIONS, ParameterError, Prediction


def answers(n_files: int, happy: float = 0.5, sure: float = 0.9, reasons: tuple[str, ...] = ()) -> list[dict]:
    """Make predictions, a share of them happy and the others sad, and an error."""
    labels = ["happy"] * round(n_files * happy) + ["sad"] * (n_files - round(n_files * happy))
    rows = [_answer(label, sure, reasons) for label in labels]
    return [*rows, {"file": "bad.wav", "error": "no, sound"}]


def _answer(label: str, sure: float, reasons: tuple[str, ...]) -> dict:
    probabilities = {name: sure if name == label else (1 - sure) / 7 for name in EMOTIONS}
    sex = {"male": 0.2, "female": 0.8}
    return Prediction(label, probabilities, reasons, 1.0, "voice", sex=sex, intensity=0.3, file="a.wav").to_dict()


@pytest.fixture
def stored(tmp_path, capsys):
    """Return a function that writes rows to a file or folder by the ending of its name."""

    def store(name: str, rows: list[dict]) -> Path:
        path = tmp_path / name
        if path.suffix == ".json":
            path.write_text(json.dumps(rows))
        elif path.suffix == ".csv":
            print_csv(rows, EMOTIONS)
            path.write_text(capsys.readouterr().out)
        else:
            path.mkdir()
            for number, first in enumerate(range(0, len(rows), 100)):
                part_path(path, number).write_bytes(to_parquet(rows[first : first + 100], EMOTIONS))
        return path

    return store


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["monitor", *map(str, words)])


@pytest.mark.slow
def test_every_form_counts_alike(stored):
    rows = answers(150, 0.6, reasons=("close_call", "unlike_training")) + answers(50, 0.0, reasons=("silent",))
    parquet, *others = [tally(stored(name, rows)) for name in ("r.parquet", "r.csv", "r.json")]
    assert others == [parquet, parquet]
    assert parquet.shares() == {
        "models": ["voice"],
        "answered": 200,
        "failed": 2,
        "silent": 50,
        "labels": {"happy": 0.6, "sad": 0.4},
        "confidence": pytest.approx(0.9),
        "uncertain": 1.0,
    }
    assert parquet.bins["features"] == {"unlike_training": 150}, "silence is left out"
    assert tally(part_path(Path(stored("one", rows)), 0)).answered == 100


@pytest.mark.slow
def test_the_index_is_the_textbooks(stored):
    report = compare(stored("a.json", answers(200, 0.5, 0.9)), stored("b.parquet", answers(400, 0.7, 0.5)))
    drift = report["drift"]
    expected = sum((new - old) * math.log(new / old) for old, new in ((0.5, 0.7), (0.5, 0.3)))
    assert drift["label"]["psi"] == pytest.approx(expected)
    assert drift["label"]["verdict"] == "moderate" and drift["confidence"]["verdict"] == "large"
    assert drift["features"] == {"psi": 0.0, "by_chance": 0.0, "verdict": "stable"}
    assert report["before"]["confidence"] == pytest.approx(0.9) and report["after"]["labels"]["happy"] == 0.7


def test_a_table_has_no_drift_from_itself_and_order_does_not_matter(stored):
    a, b = stored("a.json", answers(200, 0.5, 0.9)), stored("b.json", answers(200, 0.9, 0.3))
    assert {entry["psi"] for entry in compare(a, a)["drift"].values()} == {0.0}
    forward, backward = compare(a, b)["drift"], compare(b, a)["drift"]
    assert all(forward[name]["psi"] == pytest.approx(backward[name]["psi"]) for name in forward)


def test_a_label_of_only_one_table_counts(stored):
    a, b = stored("a.json", answers(200, 1.0)), stored("b.json", answers(200, 0.0))
    assert compare(a, b)["drift"]["label"]["psi"] > 10


def test_chance_stays_under_its_bound_in_95_of_100_samples(rng):
    draws = rng.multinomial(300, [0.4, 0.3, 0.2, 0.1], size=(2000, 2))
    counted = [[dict(zip("0123", row, strict=True)) for row in pair] for pair in draws]
    indices = [stability_index({name: n / 300 for name, n in old.items()}, new) for old, new in counted]
    assert np.mean(np.array(indices, float) < _by_chance(4, 300, 300)) == pytest.approx(0.95, abs=0.015)


@pytest.mark.slow
def test_few_answers_are_not_judged(stored):
    few, many = stored("few.json", answers(99)), stored("many.json", answers(100))
    assert compare(few, many)["drift"]["label"]["psi"] is None
    assert compare(many, few)["drift"]["confidence"]["verdict"] == "too few answers (under 100)"
    assert run(few, many).exit_code == 0
    refused = run(few, many, "--fail-above", 0.25)
    assert isinstance(refused.exception, ParameterError)
    assert "too few answers (under 100)" in refused.stdout  # the comparison is printed all the same
    assert "99 predictions that are not silent are too few" in str(refused.exception)
    silent = stored("silent.json", answers(99) + answers(50, 0.0, reasons=("silent",)))
    assert str(run(many, silent, "--fail-above", 0.25).exception) == str(refused.exception)


@pytest.mark.slow
def test_the_command_answers_yes_or_no(stored, monkeypatch):
    monkeypatch.setattr(printed.out, "width", 200)
    a, b = stored("a.csv", answers(200, 0.5)), stored("b.csv", answers(200, 0.7))
    ran = run(a, b, "--format", "json")
    assert ran.exit_code == 0 and json.loads(ran.stdout) == compare(a, b)
    assert run(a, b, "--fail-above", 0.2).exit_code == 0
    ran = run(a, b, "--fail-above", 0.1)
    assert ran.exit_code == 1 and "moderate" in ran.stdout and "70.0%" in ran.stdout


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("gone", None, "gone cannot be read"),
        ("gone.csv", None, "gone.csv cannot be read"),
        ("x.csv", "a,b\n1,2\n", "x.csv holds no answers"),
        ("x.csv", "hello\n", "x.csv holds no answers .*no column label, confidence"),
        ("x.csv", "", "x.csv holds no answers"),
        ("x.csv", "label,confidence,uncertain,reasons,model,error\nsad,sure,,,,\n", "x.csv holds no answers"),
        ("x.json", "{", "x.json holds no answers"),
        ("x.json", '{"label": "sad"}', "x.json holds no answers"),
        ("x.json", '[{"label": "sad"}]', "x.json holds no answers"),
        ("x.wav", "no table", "x.wav holds no answers"),
    ],
)
def test_other_files_are_refused(name, text, match, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ParameterError, match=match):
        compare(tmp_path / name, tmp_path / name)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="holds no answers"):
        tally(tmp_path)
