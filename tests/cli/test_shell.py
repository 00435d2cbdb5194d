"""The command line beside other programs: JSON of every command, exit codes, completion, pipes, terminals."""

from __future__ import annotations

import errno
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from ser.cli import main as cli
from ser.cli import output as printed
from ser.cli.main import app
from ser.inference.artifact import ARTIFACTS, known

pytestmark = pytest.mark.slow
ROOT = ARTIFACTS.parent
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="a shell as Unix knows it")
SAMPLE = ROOT / "samples" / "even.flac"


@pytest.fixture
def shell(tmp_path) -> dict[str, str]:
    """Environment of a shell that knows a program `ser`."""
    program = tmp_path / "bin" / "ser"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ser "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def bash(script: str, environment: dict[str, str]) -> str:
    command = ["bash", "--norc", "-c", script]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stderr == ""
    return ran.stdout


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


# --- Shells ---


@UNIX
def test_a_shell_completes_commands_models_and_formats(shell):
    asked = {
        "ser hist": ["history"],
        "ser predict --model ": [*known()],
        "ser timeline a.wav --format t": ["table", "textgrid"],
        "ser train --config sequence": ["sequence", "sequence_mixed"],
        f"ser {SAMPLE} --mod": ["--model"],
        "ser info d": ["dense105"],
    }
    calls = [
        f"COMP_WORDS=({' '.join(words[:-1])} '{words[-1]}') COMP_CWORD={len(words) - 1}; _ser_completion ser; "
        'echo "${COMPREPLY[@]}"'
        for words in (line.split(" ") for line in asked)
    ]
    completed = bash(f'eval "$(ser --show-completion)"; {"; ".join(calls)}', shell).splitlines()
    assert [line.split() for line in completed] == [*asked.values()]


@UNIX
def test_without_a_command_or_a_terminal_it_helps(shell):
    told = subprocess.run(["ser"], env=shell, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "Usage: ser" in told.stdout + told.stderr and "predict" in told.stdout + told.stderr


def test_help_ends_with_the_exit_codes():
    ended = " ".join(run("--help").stdout.split("Exit codes:")[1].split())
    assert all(f"{code} " in ended for code in (0, 1, 2, 130))


@UNIX
def test_a_reader_that_leaves_is_exit_code_1_without_traceback(shell):
    script = f"ser predict {SAMPLE} --format json 2> errors | true; echo ${{PIPESTATUS[0]}}; cat errors"
    assert bash(f"cd {Path(shell['PATH'].split(':')[0])}; {script}", shell).split() == ["1"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which even root cannot make one")
def test_without_a_home_or_temporary_folder_only_the_history_is_refused():
    names = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "SER_CACHE")
    nowhere = {**os.environ, **dict.fromkeys(names, "/proc/none")}
    nowhere.pop("SER_DATABASE_URL", None)
    command = [sys.executable, "-m", "ser", "predict", str(SAMPLE), "--model", "dense105", "--format", "json"]
    for words, code, said in (((), 0, ""), (("--keep",), 2, "ser: The folder /proc/none/ser cannot be made")):
        ran = subprocess.run([*command, *words], cwd=ROOT, env=nowhere, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr[: len(said)]) == (code, said) and "Traceback" not in ran.stderr
        assert ('"label"' in ran.stdout) is (code == 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("words", [("samples",), ("info", "--format", "json"), ("predict", "gone.wav")])
def test_a_full_disk_behind_standard_output_says_so(words):
    command = [sys.executable, "-m", "ser", *words]
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    expected = "ser: Standard output, or a file, cannot be written (No space left on device); its content is "
    assert ran.returncode == 2 and ran.stderr == f"{expected}incomplete. Make room, or write elsewhere.\n"


def test_a_full_disk_behind_a_file_names_it(monkeypatch, capsys):
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "corpus.zip")

    monkeypatch.setattr(cli, "app", full)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err == "ser: corpus.zip cannot be written (No space left on device). Make room.\n"


@UNIX
def test_an_interrupt_while_libraries_are_read_ends_it_without_traceback():
    code = (
        "import runpy, sys\n"
        "class Impatient:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Impatient())\n"
        "runpy.run_module('ser', run_name='__main__')"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "ser: stopped.\n")


@UNIX
@pytest.mark.parametrize("words", [("history", "delete", "--all"), ("predict", SAMPLE, "--google")])
def test_nobody_answers_on_a_standard_input_that_was_closed(words, tmp_path):
    command = shlex.join([sys.executable, "-m", "ser", *map(str, words)])
    environment = {**os.environ, "SER_DATABASE_URL": f"sqlite:///{tmp_path}/kept.sqlite"}
    ran = subprocess.run(
        ["sh", "-c", f"{command} <&-"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1) and ran.stderr.startswith("ser: ")


@UNIX
def test_standard_input_that_was_closed_is_an_empty_recording():
    command = f"{sys.executable} -m ser predict - --format json <&-"
    ran = subprocess.run(command, cwd=ROOT, shell=True, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "the file is empty (0 bytes)" in json.loads(ran.stdout)[0]["error"]


@UNIX
def test_a_name_cannot_command_the_terminal(tmp_path):
    """A title set, a line turned around, a line of its own: shown as what they are. Programs get the name as it is."""
    name = "x\x1b]0;mine\x07\u202egpj\nser: all is well.wav"
    shown = r"x\x1b]0;mine\x07\u202egpj\nser: all is well.wav"
    (tmp_path / name).write_text("no sound")
    ran = run("predict", tmp_path)
    assert f"{shown}: this is text, not sound" in " ".join(ran.stdout.split())
    assert not set("\x1b\x07\u202e") & set(ran.stdout)
    assert json.loads(run("predict", tmp_path, "--format", "json").stdout)[0]["file"] == str(tmp_path / name)
    command = [sys.executable, "-m", "ser", "timeline", name]
    refused = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert refused.stderr.startswith(f"ser: {shown}: this is text") and refused.stderr.count("\n") == 1


def test_why_a_file_was_not_answered_is_one_sentence_even_on_a_narrow_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(printed, "out", Console(width=60))
    for name in ("a.wav", "quite-a-long-name-of-a-recording.wav"):
        (tmp_path / name).write_text("no sound")
    said = " ".join(
        run("predict", SAMPLE, tmp_path / "a.wav", tmp_path / "quite-a-long-name-of-a-recording.wav").stdout.split()
    )
    for name in ("a.wav", "quite-a-long-name-of-a-recording.wav"):
        assert (
            f"{name}: this is text, not sound. Accepted: WAV, FLAC, OGG, MP3, M4A, WebM and most other recordings."
            in said
        )


# --- download and export ---


def test_download_tells_where_the_corpus_lies(tmp_path):
    place = tmp_path / "ravdess"
    place.mkdir()
    (place / "there.wav").touch()
    result = run("download", "ravdess", "--to", tmp_path, "--format", "json")
    assert json.loads(result.stdout) == {"corpus": "ravdess", "folder": str(place)}
    assert run("download", "ravdess", "--to", tmp_path).stdout == f"{place}\n"


def test_export_reports_on_standard_output(tmp_path):
    result = run("export", "--model", "dense105", "--format", "onnx", "--out", tmp_path, "--report", "-")
    found = json.loads(result.stdout)
    assert (found["model"], found["format"]) == ("dense105", "onnx") and result.exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == [branch["file"] for branch in found["branches"]]
