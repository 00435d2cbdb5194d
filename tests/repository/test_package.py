"""The wheel: its files, and that it predicts in an environment with its dependencies only."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import ser
from ser.inference.artifact import ARTIFACTS, known, new_folder
from ser.inference.manifest import needed, read_manifest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("dense105", "small", "voice")
SAMPLE = ROOT / "samples" / "sharp.flac"
HEAVY = {"tensorflow", "tensorflow-cpu", "keras", "librosa", "numba", "scikit-learn", "pandas", "streamlit", "fastapi"}
CODE = {".py", ".js", ".css"}
MAX_BYTES = 30 * 10**6
PROGRAM = """
import ser

reveal_type(ser.load().predict("x.wav").label)
reveal_type(ser.load)
answer: ser.Prediction = ser.load("voice").calibrated(["a.wav"]).predict(b"RIFF")
for answer_or_failure in ser.load().predict_many(["a.wav"], on_error="return"):
    reveal_type(answer_or_failure)
ser.to_pandas(ser.load().predict_many(["a.wav"]))
start_s: float = ser.load().timeline("talk.flac").segments[0].start_s
wrong: int = answer.confidence
"""


@dataclass(frozen=True)
class Built:
    """Files of `python -m build`: the source distribution, and the wheel built from it."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("ser", "artifacts"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "tests").mkdir()
    shutil.copy(__file__, source / "tests")
    (source / "artifacts" / "mine").mkdir()  # a model trained by the user
    shutil.copy(ARTIFACTS / "dense105" / "manifest.json", source / "artifacts" / "mine")
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, source], check=True, capture_output=True)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="module")
def bare(built, tmp_path_factory) -> Path:
    """Create an environment with the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--disable-pip-version-check", "-q"]
    pinned = ["--no-compile", "-c", ROOT / "requirements.txt"]
    subprocess.run([*pip, "install", *pinned, built.wheel], check=True, capture_output=True)
    return folder


@pytest.fixture
def run(bare, tmp_path):
    """Return a function that runs a program of that environment in an empty folder, without our settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SER_", "PYTHON"))}

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [bare / "bin" / program, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=env, check=False, capture_output=True, text=True)

    return run


# --- Files ---


@pytest.mark.service
def test_wheel_holds_the_code_and_what_predicting_needs(built):
    with zipfile.ZipFile(built.wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ser").rglob("*.*") if path.suffix in CODE}
    wanted |= {"ser/py.typed", "ser/inference/neutral_voice.json", "ser/artifacts/LICENSE"}
    for model in MODELS:
        files = needed(read_manifest(ARTIFACTS / model)) | {"manifest.json", "MODEL_CARD.md"}
        wanted |= {f"ser/artifacts/{model}/{file}" for file in files}
    assert names == wanted
    assert built.wheel.stat().st_size < MAX_BYTES and built.wheel.name.startswith("voice_ser-")


@pytest.mark.service
def test_source_distribution_holds_the_wheels_files_and_no_tests(built):
    with tarfile.open(built.sdist) as file:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in file.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "artifacts/LICENSE", "artifacts/voice/outer.onnx"} <= names
    assert not [name for name in names if name.startswith(("tests", "artifacts/mine")) or "/folds" in name]
    assert built.sdist.stat().st_size < MAX_BYTES


def test_every_model_of_the_repository_is_packed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    tracked = [name for name in MODELS if f"ser.artifacts.{name}" in project["packages"]]
    assert tracked == list(MODELS) and set(MODELS) <= set(known())
    assert {f"ser.artifacts.{name}" for name in MODELS} <= set(project["package-data"])


# --- In a bare environment ---


@pytest.mark.service
def test_predictions_are_those_of_the_repository(run, tmp_path):
    shutil.copy(SAMPLE, tmp_path / "clip.flac")
    for model in MODELS:
        ran = run("ser", "predict", "clip.flac", "--model", model, "--format", "json")
        expected = ser.load(model).predict(SAMPLE).to_dict()
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout) == [{**expected, "file": "clip.flac"}]
    assert ser.load().name in run("python", "-m", "ser", "info").stdout
    assert [path.name for path in tmp_path.iterdir()] == ["clip.flac"]


@pytest.mark.service
def test_no_training_library_is_installed(run):
    listed = "from importlib.metadata import distributions as d; print(*(x.metadata['Name'].lower() for x in d()))"
    names = set(run("python", "-c", listed).stdout.split())
    assert {"voice-ser", "numpy", "onnxruntime", "soundfile"} <= names and not names & HEAVY
    licence = "from importlib.metadata import metadata as m; print(m('voice-ser')['License-Expression'])"
    assert run("python", "-c", licence).stdout == "MIT AND CC-BY-NC-SA-4.0\n"


@pytest.mark.service
def test_a_missing_library_is_named_with_its_extra(run, tmp_path):
    clips = [(emotion, speaker, take) for emotion in ("sad", "angry") for speaker in "abcd" for take in "12"]
    for emotion, speaker, take in clips:
        shutil.copy(SAMPLE, tmp_path / f"{emotion}-{speaker}-{take}.flac")
    rows = [f"{emotion}-{speaker}-{take}.flac\t{emotion}\t{speaker}" for emotion, speaker, take in clips]
    (tmp_path / "table.tsv").write_text("\n".join(["path\temotion\tspeaker", *rows]) + "\n")
    for arguments, says in (
        (("batch", ".", "--out", "r"), r"batch needs \w+, .*pip install 'voice-ser\[batch\]'\."),
        (("serve",), r"serve needs \w+, which this installation lacks; pip install 'voice-ser\[api\]'\."),
        (("train", "--corpus", "table=."), r"train needs \w+, .*pip install 'voice-ser\[train\]'\."),
        (("history", "list"), r"history needs \w+, .*pip install 'voice-ser\[history\]'\."),
        (("record",), r"the microphone needs \w+, .*pip install 'voice-ser\[record\]'\."),
        (("predict", "a", "--google", "--yes-send-audio"), r".* needs \w+, .*pip install 'voice-ser\[transcribe\]'\."),
        (("export", "--format", "keras"), r"keras needs keras, joblib, .*pip install 'voice-ser\[export\]'\."),
        (("export", "--format", "onnx"), "No recordings to check with .*name a folder of them as --check"),
    ):
        ran = run("ser", *arguments)
        assert (ran.returncode, ran.stdout) == (2, ""), arguments
        assert re.fullmatch(rf"ser: {says}.*\n", ran.stderr), ran.stderr


@pytest.mark.service
@pytest.mark.data
def test_scores_by_folds_say_that_their_graphs_are_in_the_repository(run, ser_data):
    ran = run("ser", "evaluate", "--corpus", "ravdess", "--data", str(ser_data), "--protocol", "folds")
    assert ran.returncode == 2 and ran.stdout == ""
    assert "networks of its 'folds' protocol come with the repository, not with the installed package" in ran.stderr
    assert "Score it in a clone." in ran.stderr


@pytest.mark.service
def test_a_new_model_goes_into_the_working_folder(run, tmp_path):
    ran = run("python", "-c", "from ser.inference.artifact import new_folder; print(new_folder('mine'))")
    assert ran.stdout == f"{Path('artifacts', 'mine')}\n"
    assert new_folder("mine") == ROOT / "artifacts" / "mine"


@pytest.mark.service
def test_types_reach_the_user(bare, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    options = ["--strict", "--python-executable", bare / "bin" / "python", "--cache-dir", tmp_path / "cache"]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *options, program.name],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    lines = [line.split(": ", 1)[1] for line in ran.stdout.splitlines()[:-1]]
    assert lines[0] == 'note: Revealed type is "str"' and "-> ser.inference.recognizer.Recognizer" in lines[1], (
        ran.stdout
    )
    assert lines[2] == 'note: Revealed type is "ser.types.Prediction | ser.types.Failure"', ran.stdout
    assert len(lines) == 4 and "Incompatible types in assignment" in lines[3], ran.stdout
