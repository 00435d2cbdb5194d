"""The leaderboard: rows that merge, tables that hold its numbers, and a small run that is killed and resumed."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import ser
from ser.cli.main import app
from ser.datasets.corpora import load_corpus
from ser.evaluation import leaderboard
from ser.evaluation.evaluate import evaluate
from ser.evaluation.leaderboard import merged
from ser.inference import artifact
from ser.inference.artifact import known
from ser.reporting import leaderboard as standings
from ser.reporting.published_scores import ANCHORS, DESIGNS, LISTENERS
from ser.training import cross_validation
from ser.training.configs import CONFIGS
from ser.types import EMOTIONS, LABEL_SETS, ParameterError

ROOT = Path(ser.__file__).parents[1]


def row(name: str, kind: str = "design", uar: float | None = 0.5, labels=EMOTIONS, **more: Any) -> dict[str, Any]:
    """A row with made-up scores."""
    scores = lambda value: {"uar": value, "accuracy": value + 0.011, "macro_f1": value - 0.012}  # noqa: E731
    folds = uar and {
        **scores(uar),
        "uar_interval": [uar - 0.043, uar + 0.047],
        "neutral_calm_merged": {"accuracy": uar + 0.033, "uar": uar + 0.02},
    }
    design = DESIGNS.get(name, {"title": name, "claim": None})
    measured = {
        "parameters": 69_480,
        "trainable": 69_096,
        "bytes": 301_000,
        "ms": 4.26,
        "minutes": 5.34,
        "epochs": 50,
        "ended": "epochs",
    }
    row = {"name": name, "kind": kind, **design, "labels": list(labels), "left_out": {}, "folds": folds}
    return {**row, "random": scores(0.61), **measured, **more}


def board(*rows: dict[str, Any]) -> dict[str, Any]:
    about = {"corpus": "ravdess", "clips": 1440, "speakers": 24, "created": "2026-11-21T05:08:15+00:00"}
    return {**about, "index_sha256": "", "listeners": LISTENERS, "anchors": ANCHORS, "rows": list(rows)}


def numbers(text: str) -> list[str]:
    return re.findall(r"\d[\d,.]*\d|\d", text)


# --- Rows ---


def test_ours_come_first_the_best_on_top_then_designs_by_name_then_the_doubled_corpus():
    rows: list[dict[str, Any]] = []
    for new in (
        row("design_b"),
        row("design_e-doubled", "doubled", None),
        row("dense105", "ours", 0.51),
        row("design_a", uar=0.3),
        row("voice", "ours", 0.78),
    ):
        rows = merged(rows, new)
    assert [row["name"] for row in rows] == ["voice", "dense105", "design_a", "design_b", "design_e-doubled"]


def test_a_row_takes_the_place_of_the_one_with_its_name():
    rows = merged([row("voice", "ours", 0.7), row("design_a")], row("voice", "ours", 0.75))
    assert [(row["name"], row["folds"]["uar"]) for row in rows] == [("voice", 0.75), ("design_a", 0.5)]


def test_an_unknown_model_is_refused_before_any_work(tmp_path):
    choice = ", ".join([*known(), *(name for name in CONFIGS if name not in known())])
    with pytest.raises(ParameterError, match=f"Unknown model 'vioce'; known: {re.escape(choice)}"):
        leaderboard.leaderboard(tmp_path / "nowhere", ["dense105", "vioce"], out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_it_too(tmp_path):
    result = CliRunner().invoke(app, ["leaderboard", "--data", str(tmp_path), "--models", "vioce"])
    assert isinstance(result.exception, ParameterError) and "'vioce'; known: " in str(result.exception)


def test_what_the_artifact_says_is_what_the_row_says():
    model = artifact.verify(known()["dense105"])
    told = model.manifest["metrics"]
    made = leaderboard._row("dense105", model.labels, folds=told["folds"], random=told["random"])
    assert made["kind"] == "ours" and made["claim"] is None and made["labels"] == list(EMOTIONS)
    for protocol in ("folds", "random"):
        assert made[protocol]["uar"] == told[protocol]["uar"] and "confusion" not in made[protocol]


# --- Tables and picture ---


def cells(table: str, system: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {system} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_of_scores():
    table = standings.scores_table(board(row("voice", "ours", 0.7704), row("design_b", labels=LABEL_SETS["four"])))
    assert cells(table, "**voice**") == [
        *("**voice**", "8 (12.5)", "**77.0** [72.7, 81.7]", "78.1", "75.8", "80.3", "61.0", "62.1", "none stated"),
    ]
    b = cells(table, DESIGNS["design_b"]["title"])
    assert b[1] == "4 (25.0)" and b[5] == "–" and b[-1].startswith("80.0 to 85.0 (")
    assert cells(table, "human listeners")[5] == "**62.4**"
    assert {line.count("|") for line in table.splitlines()} == {10}


def test_the_doubled_corpus_has_only_a_random_split():
    table = standings.scores_table(board(row("design_e", "doubled", None, paths=2880)))
    found = cells(table, "E: CNN service, doubled corpus (2,880 paths)")
    assert found[2:] == ["–", "–", "–", "–", "61.0", "62.1", "83.7 (random, 2,880 paths)"]


def test_left_out_corpora_stand_where_they_are_known():
    emodb = {"uar": 0.612, "labels": list(EMOTIONS[:6]), "adapted_20": 0.7}
    heard = {"emodb": emodb, "nemo": {"uar": 0.52, "labels": list(EMOTIONS[:5])}}
    one, other = row("voice", "ours", left_out=heard), row("dense105", "ours", left_out={"nemo": heard["nemo"]})
    alone, adapted = standings.left_out_tables(board(one, other, row("design_a"))).split("\n\n### ")
    head, *rows = alone.splitlines()[2:]
    assert alone.startswith("### Alone") and head == "| system | emodb | nemo | mean |" and len(rows) == 3
    assert cells(alone, "**voice**")[1:] == ["61.2 (6 labels)", "52.0 (5 labels)", "56.6"]
    assert cells(alone, "**dense105**")[1:] == ["–", "52.0 (5 labels)", "52.0"]
    assert adapted.startswith("With 20 clips of the corpus") and len(adapted.splitlines()) == 5
    assert cells(adapted, "**voice**")[1:] == ["70.0", "–", "70.0"]
    assert "Unseen corpora" in standings.markdown(board(one))
    assert "Unseen corpora" not in standings.markdown(board(row("design_a")))


def test_costs():
    table = standings.costs_table(board(row("voice", "ours", minutes=None, ended=None), row("design_a")))
    assert cells(table, "**voice**")[1:] == ["69,480 (69,096)", "0.30", "4.3", "–", "50", "–"]
    assert cells(table, DESIGNS["design_a"]["title"])[1:] == ["69,480 (69,096)", "0.30", "4.3", "5.3", "50", "epochs"]


def test_our_own_run_by_the_protocol_of_the_anchors():
    found = {"uar": 0.5, "uar_interval": [0.4, 0.625], "accuracy": 0.55}
    table = standings.anchors_table({**board(), "one_out": {"mine": found}})
    assert "| **mine** | no | **50.0** [40.0, 62.5] | 55.0 | – | leave one actor out |" in table
    assert "leave one actor out | `experiments/one_out.py`" not in standings.anchors_table(board())


def test_anchors_carry_their_protocol():
    table = standings.anchors_table(board())
    assert len(table.splitlines()) == 2 + len(ANCHORS) + 1
    assert all(anchor["protocol"] in table and anchor["source"] in table for anchor in ANCHORS)
    assert cells(table, "XLS-R 300M, frozen")[1:6] == ["yes", "**81.9** [77.8, 85.9]", "–", "–", "leave one actor out"]


def test_a_changed_number_in_the_board_changes_the_text():
    """No number of a row is typed."""
    one = standings.markdown(board(row("design_a", uar=0.5)))
    other = standings.markdown(board(row("design_a", uar=0.25)))
    assert set(numbers(one)) - set(numbers(other)) >= {"50.0", "45.7", "54.7", "51.1", "48.8", "53.3"}


@pytest.mark.slow
def test_three_files_are_written_whole(tmp_path):
    shown = board(row("voice", "ours", 0.77), row("design_b", labels=LABEL_SETS["four"]), row("x", "doubled", None))
    standings.write(tmp_path / "out", shown)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"leaderboard.{end}" for end in ("json", "md", "png")
    }
    assert json.loads((tmp_path / "out" / "leaderboard.json").read_text()) == shown
    assert (tmp_path / "out" / "leaderboard.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_the_picture_shows_every_score():
    shown = board(row("voice", "ours", 0.771), row("design_a", uar=0.432), row("design_e", "doubled", None, paths=2880))
    texts = {text.get_text() for text in standings.picture(shown).axes[0].texts}
    assert {"77.1", "43.2", "61.0", "85.3", "voice", "8 emotions", "2,880 paths, every recording twice"} <= texts
    assert {"human listeners 62.4", "Whisper-large 75.3", "XLS-R 81.9", "ResLSTM 62.3"} <= texts


@pytest.mark.parametrize("file", sorted((ROOT / "reports").glob("leaderboard.json")))
def test_the_stored_tables_are_those_of_the_stored_board(file):
    assert file.with_suffix(".md").read_text(encoding="utf-8") == standings.markdown(json.loads(file.read_text()))


# --- A small run ---

ACTORS = ("01", "11", "04", "10")  # of two published folds
N_FITS = 2 * (2 + 1) + 2  # inner and outer, of the folds and the random split; of the doubled corpus


@pytest.fixture(scope="module")
def few(ser_data, tmp_path_factory) -> Path:
    """Every second take of one sentence by four actors."""
    folder = tmp_path_factory.mktemp("few")
    for actor in ACTORS:
        for file in sorted(Path(ser_data, "ravdess", f"Actor_{actor}").glob("03-01-??-01-01-??-*")):
            (folder / file.name).symlink_to(file)
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(leaderboard, "DOUBLED_DESIGN", "smoke")
    monkeypatch.setitem(CONFIGS, "smoke", replace(CONFIGS["smoke"], copies=0, epochs=1))
    return tmp_path


def sent(tasks: Iterable[Callable[[], None]], jobs: int) -> Iterator[None]:
    """Run tasks as worker processes receive them, pickled, without the half minute in which those start and compile."""
    assert jobs == 2
    return (pickle.loads(pickle.dumps(task))() for task in tasks)


@pytest.mark.slow
@pytest.mark.data
def test_a_run_that_breaks_off_goes_on_where_it_was(few, home, eager, monkeypatch, ser_data):
    """In this process, where `tests/training/test_train.py` kills a training, but with tasks as workers get them."""
    fits = []
    real = cross_validation.fit

    def fit(*args, **options):
        fits.append(1)
        if len(fits) == 3:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(cross_validation, "fit", fit)
    monkeypatch.setattr("ser.training.ensemble.in_parallel", sent)
    with pytest.raises(KeyboardInterrupt):
        leaderboard.leaderboard(few, ["smoke"], out=home / "out", jobs=2, progress=False)
    finished = {path: path.read_bytes() for path in (home / "cache" / "work").rglob("done.json")}
    assert len(finished) == 2 and not (home / "out").exists()
    found = leaderboard.leaderboard(few, ["smoke"], resume=True, out=home / "out", jobs=2, progress=False)
    assert len(fits) == N_FITS + 1
    assert {path: path.read_bytes() for path in finished} == finished
    check_rows(found, home)
    check_unseen(few, home, Path(ser_data, "emotiontts_kr"), found["rows"])
    assert len(fits) == N_FITS + 1
    words = ["--data", str(few), "--models", "dense105", "--out", str(home / "out"), "--format", "json"]
    result = CliRunner().invoke(app, ["leaderboard", *words])
    stored = json.loads((home / "out" / "leaderboard.json").read_text())
    assert json.loads(result.stdout)["rows"] == stored["rows"] and "fold" not in result.stderr
    assert [row["name"] for row in stored["rows"]] == ["dense105", "smoke", "smoke-doubled"]
    shipped = stored["rows"][0]  # scored on these clips, not on those of its card
    assert (shipped["folds"]["clips"], shipped["folds"]["speakers"]) == (64, 4)
    assert shipped["folds"]["uar"] == evaluate("ravdess", few, "dense105", progress=False)["uar"]
    tested = set(known_test_clips("dense105")) & {f"ravdess/{path.stem[-2:]}/{path.stem}" for path in few.iterdir()}
    assert shipped["random"]["clips"] == len(tested) > 0


def check_unseen(few: Path, home: Path, corpus: Path, rows: list[dict[str, Any]]) -> None:
    """Add another corpus to the row that stands, by the network of the random split that is there."""
    options: dict[str, Any] = {"out": home / "out", "progress": False, "only_unseen": True, "resume": True, "jobs": 2}
    with pytest.raises(ParameterError, match="Unknown row of the leaderboard 'design_a'; known: smoke, smoke-doubled"):
        leaderboard.leaderboard(few, ["design_a"], **options)
    found = leaderboard.leaderboard(few, ["smoke"], unseen=[("emotiontts", str(corpus))], **options)["rows"]
    scores = found[0].pop("left_out")
    assert set(scores) == {"emotiontts"} and 0 <= scores["emotiontts"]["uar"] <= 1
    known = ("adapted_10", "adapted_20", "calibrated")
    assert all(0 <= scores["emotiontts"][key] <= 1 for key in known)
    assert found[0].pop("asked_random_uar") == rows[0]["random"]["uar"]
    stood = json.loads(json.dumps(rows))
    assert {key for key, value in found[0].items() if value != stood[0][key]} == set() and found[1:] == stood[1:]
    text = (home / "out" / "leaderboard.md").read_text(encoding="utf-8")
    assert "were trained anew for this table; their UAR" in text


def known_test_clips(name: str) -> list[str]:
    return artifact.verify(known()[name]).manifest["random"]["test"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["dense105", "voice"])
def test_the_manifest_is_asked_about_the_same_clips_only(ser_data, few, name):
    model = artifact.verify(known()[name])
    clips = load_corpus("ravdess", ser_data).clips
    for protocol in ("folds", "random"):
        scores = leaderboard._artifact_scores(model, clips, ser_data, protocol, False)
        assert scores == model.manifest["metrics"][protocol]
    assert not leaderboard._scored_on(model, load_corpus("ravdess", few).clips)
    other_take = [replace(clips[0], path="another.wav"), *clips[1:]]
    assert not leaderboard._scored_on(model, other_take)


def check_rows(found: dict[str, Any], home: Path) -> None:
    row, doubled = found["rows"]
    assert row["name"] == row["title"] == "smoke" and doubled["kind"] == "doubled"
    assert (row["folds"]["clips"], row["folds"]["speakers"], row["random"]["clips"]) == (64, 4, 13)
    assert (doubled["folds"], doubled["paths"], doubled["random"]["clips"]) == (None, 128, 26)
    for measured in (row, doubled):
        assert measured["parameters"] == 230_856 > measured["trainable"]
        assert measured["epochs"] == 1 and measured["ended"] == "epochs"
        assert 900_000 < measured["bytes"] < 1_000_000 and 0 < measured["ms"] < 1000 and measured["minutes"] > 0
    low, high = row["folds"]["uar_interval"]
    assert low <= row["folds"]["uar"] <= high and np.isfinite(row["folds"]["macro_f1"])
