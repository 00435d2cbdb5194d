"""The command `adapt`, and the profiles that other commands take."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile as sf
from command_line import ROOT, UNIX, run
from golden.make import RATE, chords
from speech import SPOKEN

import ser
from ser.inference.adaptation import read_profile
from ser.types import ArtifactError, ParameterError

pytestmark = pytest.mark.slow
N = len(SPOKEN)


@pytest.fixture
def calls(tmp_path) -> Path:
    folder = tmp_path / "calls"
    folder.mkdir()
    for take, samples in enumerate(SPOKEN):
        sf.write(folder / f"{take}.wav", samples, RATE)
    return folder


def test_a_profile_is_written_and_used(calls, tmp_path):
    out, asked = tmp_path / "line.profile", calls / "0.wav"
    result = run("adapt", calls, "--out", out)
    assert result.exit_code == 0 and result.stdout == "" and f"Written to {out}: 'line', from {N}" in result.stderr
    expected = ser.load().adapted(sorted(calls.iterdir()), name="line").predict(asked).to_dict()
    answers = json.loads(run("predict", asked, "--profile", out, "--format", "json").stdout)
    assert answers[0]["adapted"] == {"source": "line", "clips": N} == expected["adapted"]
    assert answers[0]["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)


def test_tables_say_what_answers_are_adapted_to(calls, tmp_path):
    run("adapt", calls, "--out", tmp_path / "p", "--name", "line 3")
    for files in ([calls / "0.wav"], [calls]):
        shown = run("predict", *files, "--profile", tmp_path / "p").stdout
        assert shown.count(f"adapted to the source line 3, {N} recordings") == 1
    assert "adapted" not in run("predict", calls).stdout


def test_brackets_and_colons_in_a_name_are_text(calls, tmp_path):
    name, out = "line [/2] [red]x[/red] :smile:", tmp_path / "a :smile: [b].profile"
    assert f"Written to {out}:" in run("adapt", calls, "--out", out, "--name", name).stderr
    for command in (("predict", calls / "0.wav"), ("predict", calls), ("timeline", calls / "0.wav")):
        result = run(*command, "--profile", out)
        assert result.exit_code == 0 and f"adapted to the source {name}" in " ".join(result.stdout.split())


def test_a_profile_and_a_voice_are_refused_together(calls, tmp_path):
    run("adapt", calls, "--out", tmp_path / "p")
    result = run("predict", calls / "0.wav", "--profile", tmp_path / "p", "--voice", calls / "1.wav")
    assert isinstance(result.exception, ParameterError) and "--profile or --voice, not both" in str(result.exception)


def test_a_recording_is_never_replaced(calls, tmp_path):
    before = (calls / "0.wav").read_bytes()
    result = run("adapt", calls, "--out", calls / "0.wav", "--force")
    assert isinstance(result.exception, ParameterError) and "is the recording itself" in str(result.exception)
    assert (calls / "0.wav").read_bytes() == before


def test_a_folder_without_recordings_is_named_and_left_out(calls, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run("adapt", tmp_path / "empty", calls, "--out", tmp_path / "p")
    assert result.exit_code == 2 and read_profile(tmp_path / "p").clips == N
    assert f"ser: {tmp_path / 'empty'}: this folder holds no recordings" in result.stderr


def test_a_long_name_is_refused_before_the_recordings_are_heard(calls, tmp_path):
    result = run("adapt", calls / "missing.wav", "--out", tmp_path / "p", "--name", "x" * 120)
    assert isinstance(result.exception, ParameterError) and "1 to 100 printable" in str(result.exception)


def test_a_profile_of_any_model_names_it(calls, tmp_path):
    run("adapt", calls, "--out", tmp_path / "p", "--model", "dense105")
    expected = ser.load("dense105").adapted(sorted(calls.iterdir()), name="p").predict(calls / "0.wav").to_dict()
    (answer,) = json.loads(run("predict", calls / "0.wav", "--profile", tmp_path / "p", "-f", "json").stdout)
    assert (answer["model"], answer["adapted"]) == ("dense105", {"source": "p", "clips": N})
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)


def test_the_variable_is_the_default(calls, tmp_path, monkeypatch):
    run("adapt", calls, "--out", tmp_path / "p", "--name", "the line")
    monkeypatch.setenv("SER_PROFILE", str(tmp_path / "p"))
    (answer,) = json.loads(run("predict", calls / "0.wav", "-f", "json").stdout)
    assert answer["adapted"] == {"source": "the line", "clips": N}


def test_what_does_not_count_is_named(calls, tmp_path):
    sf.write(calls / "music.wav", chords(), RATE)
    (calls / "text.wav").write_text("no sound")
    result = run("adapt", calls, "--out", tmp_path / "p")
    assert result.exit_code == 2 and read_profile(tmp_path / "p").clips == N
    assert "text.wav: this is text" in result.stderr and "1 without speech do not count:" in result.stderr
    assert "music.wav" in result.stderr


@UNIX
def test_a_full_disk_leaves_no_profile(calls, tmp_path):
    """A limit of the file size simulates it."""
    command = [sys.executable, "-m", "ser", "adapt", str(calls), "--out", str(tmp_path / "p")]
    limited = ["bash", "-c", 'ulimit -f 0 && exec "$@"', "-", *command]
    ran = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and ran.stdout == "" and "Traceback" not in ran.stderr
    said = f"ser: {tmp_path / 'p'} cannot be written (File too large). Choose another file."
    assert ran.stderr.splitlines()[-1] == said
    assert [path.name for path in tmp_path.iterdir()] == ["calls"]


def test_what_a_folder_leaves_out_is_named(calls, tmp_path, monkeypatch):
    """The system's answer is put in its mouth: it lets root list everything."""
    (calls / "closed").mkdir()
    (calls / "notes.txt").write_text("no recording")

    def scandir(path: str, scan=os.scandir):
        if Path(path) == calls / "closed":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr("ser.audio.files.os.scandir", scandir)
    result = run("adapt", calls, "--out", tmp_path / "p")
    assert result.exit_code == 2 and read_profile(tmp_path / "p").clips == N
    assert f"ser: {calls / 'closed'}: Permission denied." in result.stderr and "passed over: 1 .txt\n" in result.stderr


def test_too_few_recordings_leave_nothing(calls, tmp_path):
    result = run("adapt", calls / "0.wav", calls / "1.wav", "--out", tmp_path / "p")
    assert isinstance(result.exception, ParameterError) and "found 2; ten do well" in str(result.exception)
    assert not (tmp_path / "p").exists()


def test_a_file_is_replaced_only_if_asked(calls, tmp_path):
    (tmp_path / "p").write_text("mine")
    assert "--force" in str(run("adapt", calls, "--out", tmp_path / "p").exception)
    assert (tmp_path / "p").read_text() == "mine"
    assert run("adapt", calls, "--out", tmp_path / "p", "--force").exit_code == 0
    assert read_profile(tmp_path / "p").clips == N


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["gone"], "found 0; ten do well"),
        (["calls", "--model", "gone"], "No model 'gone'"),
        (["calls", "--name", "a\nb"], "1 to 100 printable characters"),
    ],
)
def test_refusals_are_sentences(words, match, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("adapt", *words, "--out", "p")
    assert match in str(result.exception) and not Path("p").exists()


@pytest.mark.parametrize("command", ["predict", "timeline", "batch"])
def test_a_foreign_profile_is_refused_before_the_work(command, calls, tmp_path):
    (tmp_path / "p").write_text("{}")
    out = ["--out", tmp_path / "r"] if command == "batch" else []
    result = run(command, calls / "0.wav", *out, "--profile", tmp_path / "p")
    assert isinstance(result.exception, ArtifactError) and "is not a profile" in str(result.exception)
    assert result.stdout == "" and not (tmp_path / "r").exists()
