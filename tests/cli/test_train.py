"""The command `train`, and what it writes as `evaluate` scores it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile as sf
from command_line import ROOT, run
from golden.make import RATE, voice
from typer.testing import Result

from ser.cli import output
from ser.cli.train import KNOWN, print_trained
from ser.evaluation.evaluate import evaluate
from ser.inference import artifact
from ser.inference.artifact import ARTIFACTS
from ser.inference.manifest import read_manifest
from ser.training.configs import CONFIGS


def table(folder: Path, *speakers: str) -> Path:
    """Two takes of three emotions by each speaker."""
    folder.mkdir()
    lines = ["path\temotion\tspeaker"]
    for k, speaker in enumerate(speakers):
        for emotion, pitch_hz in (("neutral", 120.0), ("calm", 160.0), ("happy", 240.0)):
            for seed in (1, 2):
                name = f"{speaker}-{emotion}-{seed}.wav"
                sf.write(folder / name, voice(0.6, pitch_hz * (1 + 0.05 * k), seed), RATE)
                lines.append(f"{name}\t{emotion}\t{speaker}")
    (folder / "table.tsv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def six(tmp_path_factory, eager) -> tuple[Result, Path]:
    """A training with noise reduction on six labels, to which one of the corpus' three does not belong; its model."""
    home = tmp_path_factory.mktemp("home")
    corpus = f"table={table(home / 'heard', 'ana', 'ben', 'cleo')}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifact, "ARTIFACTS", home / "artifacts")
        patch.setenv("SER_CACHE", str(home / "cache"))
        patch.setitem(CONFIGS, "smoke", replace(CONFIGS["smoke"], copies=0, epochs=1))
        words = ("train", "--corpus", corpus, "--config", "smoke", "--name", "a", "--labels", "six", "--reduce-noise")
        return run(*words, "--jobs", 1), home / "artifacts" / "a"


@pytest.mark.slow
def test_train_takes_labels_and_noise_reduction(six):
    result, model = six
    assert result.exit_code == 0, result.exception
    manifest = read_manifest(model)
    config = manifest["training"]["config"]
    assert (config["labels"], config["reduce_noise"]) == ("six", True) and manifest["reduce_noise"] is True
    assert manifest["labels"] == ["neutral", "happy"] and manifest["training"]["clips"] == 12
    assert [corpus["excluded"] for corpus in manifest["training"]["corpora"].values()] == [{"calm": 6}]
    assert f"{100 * manifest['metrics']['folds']['uar']:.1f} %" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["folds", "random", "all"])
def test_evaluate_leaves_out_what_the_model_does_not_learn(six, tmp_path, monkeypatch, protocol):
    """Networks are trained anew, in this process: the speakers are new."""
    monkeypatch.setattr("ser.evaluation.evaluate.JOBS", 1)
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    other = table(tmp_path / "other", "dora", "emil", "fay")
    found = evaluate("table", other, six[1], protocol, progress=False)
    assert found["labels"] == ["neutral", "happy"] and found["excluded"] == {"calm": 6}
    assert found["clips"] == sum(map(sum, found["confusion"])) == (2 if protocol == "random" else 12)


def test_train_tells_what_it_made(capsys):
    folder = ARTIFACTS / "dense105"
    print_trained(folder, "json")
    expected = {"model": "dense105", "folder": str(folder), "metrics": read_manifest(folder)["metrics"]}
    assert json.loads(capsys.readouterr().out) == expected


def test_the_result_is_a_table():
    """No Markdown: the rows of the protocols under the names of the scores."""
    manifest = read_manifest(ARTIFACTS / "dense105")
    with output.out.capture() as captured:
        print_trained(ARTIFACTS / "dense105", "table")
    shown = captured.get()
    assert "|" not in shown and "**" not in shown
    for protocol in ("folds", "random"):
        assert f"{100 * manifest['metrics'][protocol]['uar']:.1f} %" in shown
    assert [word in shown for word in ("protocol", "UAR", "accuracy", "macro F1", "unseen speakers")] == [True] * 5


def test_configurations_are_listed_and_completed():
    shown = run("train", "--help").stdout
    assert all(name in shown for name in KNOWN)


@pytest.mark.slow
def test_tensorflow_starts_without_notes():
    code = "from ser.training.fit import import_keras; print(import_keras().backend.backend())"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("tensorflow\n", "")
