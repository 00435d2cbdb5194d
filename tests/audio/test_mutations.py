"""A few hundred of the mutated recordings of `experiments.fuzz`, decoded here."""

from __future__ import annotations

import json
import subprocess
import sys

import dying
import pytest
from programs import ROOT

from experiments import fuzz
from experiments.fuzzing.formats import FORMATS, encoded, with_checksums
from experiments.fuzzing.mutations import mutated
from experiments.fuzzing.worker import ANSWERED, CUT_OFF, REFUSED, Outcome, observed

SEEDS = range(2)  # of each format


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_recordings_are_answered_or_refused(seed):
    outcomes = {name: observed(mutated(name, seed), timeline=seed == 0) for name in FORMATS}
    accepted = (ANSWERED, CUT_OFF, REFUSED)
    assert {name: outcome.result for name, outcome in outcomes.items() if outcome.result not in accepted} == {}
    assert max(outcome.cpu_s for outcome in outcomes.values()) < 2
    assert max(outcome.growth_mb for outcome in outcomes.values()) < 300


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_heard_intact(name):
    assert observed(encoded(name), timeline=True).result == ANSWERED


def test_there_are_enough_formats():
    assert len(FORMATS) >= 25


def test_name_and_seed_decide_every_byte():
    assert mutated("flac-pcm_16", 7) == mutated("flac-pcm_16", 7) != mutated("flac-pcm_16", 8)
    assert mutated("flac-pcm_16", 7) != mutated("wav-pcm_16", 7)


def test_ogg_checksums_are_those_of_the_format():
    whole = encoded("ogg-vorbis")
    assert with_checksums(whole[:22] + b"1234" + whole[26:]) == whole


def test_time_and_memory_have_limits():
    tally = fuzz.Tally()
    outcomes = [(REFUSED, 1.9, 299.0), (REFUSED, 2.1, 0.0), (ANSWERED, 0.0, 301.0), ("TypeError: x", 0.0, 0.0)]
    for seed, (result, cpu_s, growth_mb) in enumerate(outcomes):
        tally.add(("amr", seed), Outcome(result, cpu_s, growth_mb, 0.0))
    report = tally.to_dict()
    assert (report[REFUSED], report["failed"]) == (1, 3)
    assert {row["failure"]: row["examples"] for row in report["failures"]} == {
        "more than 2 s": ["amr:1"],
        "more than 300 MB": ["amr:2"],
        "TypeError: x": ["amr:3"],
    }


@pytest.mark.slow
def test_a_crash_is_counted_and_its_process_replaced(monkeypatch):
    monkeypatch.setattr(fuzz, "work", dying.work)
    found = [(file, outcome.result) for file, outcome in fuzz.outcomes(iter([("amr", 1)]), 1, [])]
    assert found == [(("amr", 1), "the process died (-9)")]


@pytest.mark.slow
def test_the_command_writes_its_report(tmp_path):
    command = [sys.executable, "-m", "experiments.fuzz", "--files", "40", "--jobs", "1", "--write", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=False, timeout=60, capture_output=True)
    report = json.loads((tmp_path / "fuzz.json").read_text(encoding="utf-8"))
    assert report["files"] == 40 == sum(report[key] for key in (ANSWERED, CUT_OFF, REFUSED, "failed"))
    assert report["slowest"]["s"] > 0 and report["formats"] == len(FORMATS)
    assert "| files | 40 |" in (tmp_path / "fuzz.md").read_text(encoding="utf-8")
