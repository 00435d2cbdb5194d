"""The command line: the table of commands, help, exit codes, and one sentence on stderr for what is refused."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from command_line import ROOT, main, program, run
from service_client import SAMPLES

import ser
from ser.cli import main as cli
from ser.cli.main import COMMANDS, import_command
from ser.sentences import SENTENCES

MISSING = [
    *("tensorflow", "keras", "librosa", "sklearn", "joblib", "matplotlib", "tqdm", "pooch", "pandas", "pyarrow"),
    *("sqlalchemy", "platformdirs", "fastapi", "uvicorn", "sounddevice", "faster_whisper", "speech_recognition"),
]


# --- Refused ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["predict", "a.wav", "--model", "gone"], "No model 'gone'"),
        (["info", "gone"], "No model 'gone'"),
        (["download", "gone"], "Unknown corpus 'gone'; known: ravdess"),
        (["download", "emodb"], "There is no archive of emodb"),
        (["evaluate", "--corpus", "gone", "--data", "."], "Unknown corpus 'gone'"),
        (["evaluate", "--corpus", "ravdess", "--data", "nowhere"], "No ravdess recordings in nowhere"),
        (["train", "--corpus", "table=nowhere", "--config", "smoke", "--name", "a"], "No table recordings in nowhere"),
        (["train", "--corpus", "table=.", "--config", "gone"], "Unknown configuration 'gone'"),
        (["train", "--corpus", "table=.", "--name", "../up"], "A model's name is made of letters"),
        (["train", "--corpus", "ravdess=nowhere", "--config", "dense105"], "No ravdess recordings in nowhere"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else "",
)
def test_refusals_are_one_sentence_on_stderr(monkeypatch, capsys, tmp_path, words, sentence):
    monkeypatch.chdir(tmp_path)
    code, out, err = main(monkeypatch, capsys, *words)
    assert code == 2 and out == ""
    assert err.startswith("ser: ") and err.count("\n") == 1 and sentence in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["predict"],
        ["predict", "a.wav", "--format", "xml"],
        ["evaluate", "--corpus", "ravdess"],
        ["evaluate", "--corpus", "ravdess", "--data", ".", "--protocol", "best"],
        ["evaluate", "--corpus", "ravdess", "--data", ".", "--labels", "nine"],
        ["train"],
        ["train", "--corpus", "ravdess"],
        ["train", "--corpus", "=x"],
        ["train", "--corpus", "table=.", "--labels", "nine"],
        ["listen"],
    ],
    ids=" ".join,
)
def test_wrong_words_are_exit_code_2_with_usage(words):
    result = run(*words)
    assert result.exit_code == 2 and "Usage" in result.stderr and result.stdout == ""


@pytest.mark.slow
def test_main_hands_on_the_exit_code(monkeypatch, capsys, folder):
    assert main(monkeypatch, capsys, "predict", folder, "-f", "json")[0] == 2
    assert main(monkeypatch, capsys, "predict", folder / "a.wav", "-f", "json")[0] == 0


# --- The program itself ---


@pytest.mark.slow
def test_program_answers_from_anywhere(folder):
    ran = program("predict", "a.wav", "-f", "json", cwd=folder)
    assert ran.returncode == 0 and ran.stderr == b""
    (row,) = json.loads(ran.stdout)
    expected = ser.load().predict(folder / "a.wav").to_dict()
    # The program computes on one thread, so sums may round otherwise than here.
    assert row["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
    assert (row["file"], row["label"], row["reasons"]) == ("a.wav", expected["label"], expected["reasons"])


@pytest.mark.slow
def test_program_refuses_an_unknown_model_without_traceback():
    ran = program("predict", "a.wav", "--model", "gone")
    assert ran.returncode == 2 and ran.stdout == b""
    assert (
        ran.stderr.startswith(b"ser: No model 'gone'") and b"dense105" in ran.stderr and b"Traceback" not in ran.stderr
    )


@pytest.mark.slow
def test_program_prints_what_the_terminal_cannot_show(folder):
    """An emoji where there is only ASCII, and a name that is no UTF-8."""
    name = os.fsdecode(b"caf\xe9.wav")
    shutil.copy(folder / "a.wav", folder / name)
    for encoding, format in (("ascii", "table"), ("utf-8:strict", "csv")):
        ran = program("predict", "-f", format, name, cwd=folder, PYTHONIOENCODING=encoding)
        assert ran.returncode == 0 and b"Traceback" not in ran.stderr and b"caf" in ran.stdout


@pytest.mark.slow
def test_program_writes_utf_8_into_pipes(monkeypatch):
    """Whatever the encoding of the machine; another only if it is asked for."""
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    ascii_machine = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    assert SENTENCES["pl"][0] in program("samples", "--language", "pl", **ascii_machine).stdout.decode()


NARROW = [
    *[(command, "--help") for command in COMMANDS],
    ("samples",),
    ("info",),
    ("info", "dense105"),
    ("predict", "Ж😀.flac", "-m", "dense105"),
    ("predict", "Ж😀.flac", "gone Ж😀.wav", "-m", "dense105"),
    ("predict", "Ж😀.flac", "-f", "csv", "-m", "dense105"),
    ("timeline", "Ж😀.flac", "-m", "dense105"),
    ("timeline", "Ж😀.flac", "-f", "srt", "-m", "dense105"),
    ("no Ж😀 command",),
    ("predict", "Ж😀.flac", "--model", "no Ж😀 model"),
]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_no_command_fails_on_a_narrow_encoding(encoding, folder, monkeypatch):
    """What stdout and stderr cannot encode is escaped, in tables, CSV, subtitles, help and errors."""
    shutil.copy(SAMPLES[0], folder / "Ж😀.flac")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    for words in NARROW:
        streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        monkeypatch.setattr(sys, "argv", ["ser", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        written = "".join(stream.buffer.getvalue().decode(encoding) for stream in streams)
        refused = any(word.startswith(("no ", "gone ")) for word in words)
        assert (ended.value.code or 0) == (2 if refused else 0) and written, words


# --- Help and version ---


def test_version():
    result = run("--version")
    assert result.exit_code == 0 and result.stdout.strip() == ser.__version__


@pytest.mark.parametrize("command", COMMANDS)
def test_paragraphs_of_help_fill_the_lines(command):
    paragraphs = import_command(command).help.split("\n\n")
    assert paragraphs[0] and not any("\n" in paragraph for paragraph in paragraphs)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(command, option):
    result = run(command, option)
    assert result.exit_code == 0 and "Usage" in result.stdout and len(result.stdout) > 300


def test_help_lists_the_commands():
    result = run("--help")
    assert result.exit_code == 0 and all(f" {name} " in result.stdout for name in COMMANDS)
    assert all(line in result.stdout for _, _, line in COMMANDS.values())


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS), ["history", "delete"]], ids=" ".join)
def test_help_says_no_types_that_say_nothing(words):
    assert not re.search(r"<(bool|str|list\[\w+\])>", run(*words, "--help").stdout)


@pytest.mark.slow
def test_the_help_of_all_imports_no_command():
    code = "from ser.cli.main import app; import sys\ntry: app(['--help'])\nexcept SystemExit: print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = set(ran.stdout.split())
    assert {name for name in modules if name.startswith("ser.")} <= {
        *("ser.cli", "ser.cli.main", "ser.cli.output", "ser.files", "ser.tables", "ser.types", "ser.extras")
    }


@pytest.mark.slow
def test_every_command_shows_its_help_without_the_extras():
    """The libraries of an extra are missed when they are used."""
    code = f"""
import sys
sys.modules.update(dict.fromkeys({MISSING}))
from ser.cli.main import app
for name in {[*COMMANDS]}:
    try: app([name, "--help"])
    except SystemExit as ended: assert not ended.code, name
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)


# --- A path instead of a command ---


@pytest.mark.slow
def test_a_path_is_short_for_predict(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for words in (["a.wav", "-f", "json"], ["below", "--format", "csv"], ["a.wav", "below"]):
        short, long = run(*words), run("predict", *words)
        assert (short.exit_code, short.stdout) == (long.exit_code, long.stdout) and short.exit_code == 0
    assert run("a.wav", "gone.wav").exit_code == 2


@pytest.mark.parametrize("name", ["gone.wav", "below/gone", "gone/"])
def test_a_file_that_is_missing_is_not_taken_for_a_command(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = run(name, "--format", "json")
    assert result.exit_code == 2 and "no such file" in json.loads(result.stdout)[0]["error"]


@pytest.mark.parametrize(
    ("words", "file", "reason"),
    [
        (["-"], "-", "the file is empty"),
        ([""], "", "The path is empty"),
        (["predict", ""], "", "The path is empty"),
    ],
    ids=str,
)
def test_what_is_no_command_is_predicted(words, file, reason):
    result = run(*words, "--format", "json", "--model", "dense105")
    (row,) = json.loads(result.stdout)
    assert (result.exit_code, row["file"]) == (2, file) and reason in row["error"]


def test_words_after_two_dashes_are_recordings(folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = run("--", "-gone.flac", "info")
    assert result.exit_code == 2 and all(f"{name}: no such file" in result.stdout for name in ("-gone.flac", "info"))


def test_a_command_is_no_path(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "samples").mkdir()
    assert "sentences" in json.loads(run("samples", "--format", "json").stdout)


@pytest.mark.parametrize(("word", "suggestion"), [("predcit", "Did you mean 'predict'?"), ("x" * 300, ""), ("\0", "")])
def test_a_mistyped_command_is_suggested(word, suggestion):
    result = run(word)
    message = " ".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2 and "No such command" in message and suggestion in message
