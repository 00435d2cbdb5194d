"""The conversation of `ser` without a command: the lines of a pipe, and paths in every form."""

from __future__ import annotations

import sys

import pytest
from command_line import ROOT
from typer.testing import CliRunner, Result

from ser.cli import main as cli
from ser.cli.interactive import GREETING, PROMPT, paths
from ser.types import ParameterError

SPOKEN = ROOT / "samples" / "sharp.flac"


def piped(lines: str | bytes) -> Result:
    return CliRunner().invoke(cli.app, [], input=lines, env={"SER_MODEL": "dense105", "COLUMNS": "200"})


@pytest.mark.slow
def test_every_line_of_a_pipe_is_answered_until_quit():
    found = piped(f"list\n'{SPOKEN}'\nsamples\nlist\nquit\n{SPOKEN}\n")
    assert (found.exit_code, found.stdout.count("sharp.flac")) == (0, 2) and "No predictions yet." in found.stderr
    assert "The bus stops" in found.stdout and PROMPT not in found.output and "Enter records" not in found.output
    assert piped("quit").output == ""


@pytest.mark.parametrize("line", ["gone.wav", "-", "~nobody-of-that-name/clip.wav"])
def test_a_pipe_goes_on_after_what_is_refused_and_ends_with_2(line):
    found = piped(f"{line}\n{SPOKEN}")
    assert found.exit_code == 2 and "no such file" in found.stdout and "sharp.flac" in found.stdout


def test_a_pipe_hears_why_there_is_no_microphone(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    found = piped(f"\n{SPOKEN}\n")
    assert found.exit_code == 2 and "needs sounddevice" in found.stderr and "sharp.flac" in found.stdout


def test_a_recording_in_a_pipe_is_no_conversation():
    for sound in (SPOKEN.read_bytes(), b"\xff\xfb\x90\x64"):
        with pytest.raises(ParameterError, match=r"no lines of text\. .* ser predict -"):
            raise piped(sound).exception


@pytest.mark.parametrize("word", ["help", "?"])
def test_help_says_what_can_be_typed(word):
    assert piped(f"{word}\nquit\n").stderr.split() == GREETING.split()


@pytest.mark.parametrize("form", ["{}", '"{}"', "'{}'", "file://{}"])
def test_a_path_is_typed_or_quoted(form, tmp_path):
    (tmp_path / "my clip (1).wav").touch()
    path = str(tmp_path / "my clip (1).wav")
    assert paths(form.format(path)) == [path]


@pytest.mark.parametrize("form", ["predict {}", "predict  '{}'"])
def test_the_word_predict_may_stand_before_a_path(form, tmp_path, monkeypatch):
    (tmp_path / "my clip.wav").touch()
    assert paths(form.format(tmp_path / "my clip.wav")) == [str(tmp_path / "my clip.wav")]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "predict me.wav").touch()
    assert paths("predict me.wav") == ["predict me.wav"] and paths("predict") == ["predict"]


def test_a_path_is_dragged_into_the_terminal(tmp_path):
    path = tmp_path / "it's my clip (1).wav"
    path.touch()
    other = tmp_path / "b.wav"
    other.touch()
    dragged = str(path).replace("'", r"\'").replace(" ", r"\ ").replace("(", r"\(").replace(")", r"\)")
    assert paths(dragged) == paths(path.as_uri()) == [str(path)] and "%20" in path.as_uri()
    assert paths(f"{dragged} '{other}'") == [str(path), str(other)]


@pytest.mark.parametrize("line", ["gone.wav", "a gone clip.wav", r"C:\clips\gone.wav", "it's gone.wav", "file://[gone"])
def test_a_path_that_does_not_exist_stays_as_it_is(line):
    assert paths(line) == [line]


@pytest.mark.slow
def test_a_dragged_file_is_predicted(tmp_path):
    path = tmp_path / "my clip.flac"
    path.write_bytes(SPOKEN.read_bytes())
    escaped = str(path).replace(" ", r"\ ")
    shown = piped(f'{escaped}\n{path.as_uri()}\n"{path}"\n')
    assert shown.exit_code == 0 and shown.stdout.count("my clip.flac") == 3
