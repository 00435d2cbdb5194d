"""The command line beside other programs: JSON of every command, exit codes, completion, pipes, terminals."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from ser.cli import main as cli
from ser.cli import output as printed
from ser.cli import workbench
from ser.cli.main import app
from ser.cli.output import Scores
from ser.inference.artifact import ARTIFACTS, known
from ser.inference.manifest import read_manifest
from ser.sentences import HINTS, SENTENCES
from ser.types import EMOTIONS, ParameterError

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
    asked = [["ser", "hist"], ["ser", "predict", "--model", ""], ["ser", "timeline", "a.wav", "--format", "t"]]
    calls = [
        f"COMP_WORDS=({' '.join(words[:-1])} '{words[-1]}') COMP_CWORD={len(words) - 1}; _ser_completion ser; "
        'echo "${COMPREPLY[@]}"'
        for words in asked
    ]
    completed = bash(f'eval "$(ser --show-completion)"; {"; ".join(calls)}', shell).splitlines()
    assert [line.split() for line in completed] == [["history"], [*known()], ["table", "textgrid"]]


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("words", [("samples",), ("info", "--format", "json"), ("predict", "gone.wav")])
def test_a_full_disk_behind_standard_output_says_so(words):
    command = [sys.executable, "-m", "ser", *words]
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    expected = "ser: Standard output, or a file, cannot be written (No space left on device); what stands there is not "
    assert ran.returncode == 2 and ran.stderr == f"{expected}whole. Make room, or write elsewhere.\n"


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


# --- JSON where it is not tested beside the command ---


def test_samples():
    found = json.loads(run("samples", "--format", "json").stdout)
    assert found["sentences"] == {language: list(sentences) for language, sentences in SENTENCES.items()}
    assert tuple(found["hints"]) == EMOTIONS
    one = run("samples", "--language", "pl")
    assert all(sentence in one.stdout for sentence in SENTENCES["pl"]) and SENTENCES["de"][0] not in one.stdout
    assert all(hint.split()[0] in one.stdout for hint in HINTS.values())
    unknown = run("samples", "--language", "xx")
    assert isinstance(unknown.exception, ParameterError) and "there are some in en, de" in str(unknown.exception)


def test_sentences_are_there_in_equal_number_and_once_each():
    assert {len(sentences) for sentences in SENTENCES.values()} == {4} and len(SENTENCES) == 8
    every = [sentence for sentences in SENTENCES.values() for sentence in sentences]
    assert len(set(every)) == len(every) and all(sentence.endswith(".") for sentence in every)


def test_train_tells_what_it_made(capsys):
    folder = ARTIFACTS / "dense105"
    workbench.print_trained(folder, Scores.json)
    expected = {"model": "dense105", "folder": str(folder), "metrics": read_manifest(folder)["metrics"]}
    assert json.loads(capsys.readouterr().out) == expected


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


# --- serve ---


@pytest.mark.service
def test_serve_tells_where_it_listens():
    words = ["serve", "--port", "0", "--model", "dense105", "--format", "json"]
    command = [sys.executable, "-m", "ser", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            told = json.loads(process.stdout.readline())
            assert (told["model"], told["workers"], told["pid"]) == ("dense105", 1, process.pid)
            # The socket listens already; the answer comes once the model is loaded.
            with urllib.request.urlopen(f"{told['url']}/health/ready", timeout=60) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b""


@UNIX
@pytest.mark.service
def test_workers_that_are_slow_to_start_are_waited_for(tmp_path):
    """uvicorn's own five seconds would end them, and those after them."""
    slow = "import sys, time\nif '--multiprocessing-fork' in sys.orig_argv:\n    time.sleep(6)\n"
    (tmp_path / "sitecustomize.py").write_text(slow)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    words = ["serve", "--port", "0", "--workers", "2", "--model", "dense105", "--format", "json"]
    command, pipe = [sys.executable, "-m", "ser", *words], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            url = json.loads(process.stdout.readline())["url"]
            with urllib.request.urlopen(f"{url}/health/ready", timeout=60) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert " died" not in process.communicate(timeout=60)[1]


@pytest.mark.service
def test_serve_says_that_a_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "ser", "serve", "--port", port, "--model", "dense105"]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    expected = f"ser: Cannot listen on 127.0.0.1:{port}: Address already in use. Choose another --port or --host.\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", expected)
