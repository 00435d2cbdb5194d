"""The command `predict`: files, folders, standard input, models, own voices and what is printed."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from command_line import UNIX, WAV, main, piped, run
from golden.make import RATE, voice
from rich.cells import cell_len

import ser
from ser.audio import files
from ser.cli import output
from ser.cli.interactive import GREETING
from ser.inference.artifact import ARTIFACTS
from ser.service.app import create_app
from ser.types import EMOJI, EMOTIONS, NOTICE, REASONS, SerError


@pytest.mark.slow
def test_json_is_the_prediction(folder):
    result = run("predict", folder / "a.wav", "--format", "json")
    assert result.exit_code == 0 and result.stderr == ""
    assert json.loads(result.stdout) == [ser.load().predict(folder / "a.wav").to_dict()]


@pytest.mark.slow
def test_csv_holds_the_same_numbers(folder):
    result = run("predict", folder / "a.wav", folder / "broken.wav", "-f", "csv")
    good, bad = csv.DictReader(io.StringIO(result.stdout))
    expected = ser.load().predict(folder / "a.wav").to_dict()
    assert {emotion: float(good[emotion]) for emotion in EMOTIONS} == expected["probabilities"]
    assert good["label"] == expected["label"] and float(good["confidence"]) == expected["confidence"]
    assert good["reasons"].split() == expected["reasons"] and good["error"] == ""
    assert bad["file"].endswith("broken.wav") and "this is text" in bad["error"] and bad["label"] == ""
    assert result.exit_code == 2


@pytest.mark.slow
def test_table_is_for_people(folder):
    result = run("predict", folder / "a.wav")
    expected = ser.load().predict(folder / "a.wav")
    assert result.exit_code == 0
    for word in ("a.wav", expected.label, f"{expected.confidence:.0%}"):
        assert word in result.stdout
    for reason in expected.reasons:
        assert reason.replace("_", " ") in result.stdout


@pytest.mark.slow
def test_a_single_answer_about_a_long_recording_names_the_command_timeline(folder, tmp_path):
    assert "timeline" not in run("predict", folder / "a.wav", "-m", "dense105").stderr
    samples, rate = sf.read(folder / "a.wav")
    sf.write(tmp_path / "long.wav", np.resize(samples, 21 * rate), rate)
    result = run("predict", tmp_path / "long.wav", "-m", "dense105")
    assert "one answer for 21 s: `ser timeline`" in result.stderr and "timeline" not in result.stdout


@pytest.mark.slow
def test_a_failing_file_stays_in_the_list_and_the_others_are_answered(folder):
    names = [folder / "a.wav", folder / "broken.wav", folder / "gone.wav", folder / "below" / "b.flac"]
    for format in ("json", "csv", "table"):
        result = run("predict", *names, "-f", format)
        assert result.exit_code == 2 and "Traceback" not in result.output
        places = [result.stdout.index(name.name) for name in names]
        assert places == sorted(places)
    rows = json.loads(run("predict", *names, "-f", "json").stdout)
    assert [row["file"] for row in rows] == [str(name) for name in names]
    assert ["error" in row for row in rows] == [False, True, True, False]
    assert rows[1].keys() == {"file", "error"}
    assert "this is text, not sound. Accepted: WAV" in rows[1]["error"] and "no such file" in rows[2]["error"]


@pytest.mark.slow
def test_a_folder_is_walked(folder):
    result = run("predict", folder, "-f", "json")
    rows = json.loads(result.stdout)
    assert [Path(row["file"]).relative_to(folder).as_posix() for row in rows] == ["a.wav", "below/b.flac", "broken.wav"]
    assert result.exit_code == 2 and result.stderr == "passed over: 1 .txt\n"
    (folder / "broken.wav").unlink()
    (folder / "below" / "b.pdf").write_bytes(b"%PDF")
    result = run("predict", folder, folder / "below")
    assert result.exit_code == 0 and "passed over: 2 .pdf, 1 .txt\n" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["below", "."])
def test_a_folder_that_may_not_be_listed_hides_no_other(folder, closed, monkeypatch):
    """The system's answer is put in its mouth: it lets root list everything."""

    def scandir(path: str, scan=os.scandir):
        if Path(path) == folder / closed:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(files.os, "scandir", scandir)
    result = run("predict", folder, "-f", "json")
    *rows, last = json.loads(result.stdout)
    answered = ["a.wav", "broken.wav"] if closed == "below" else []
    assert result.exit_code == 2 and [Path(row["file"]).name for row in rows] == answered
    assert last["error"] == f"{folder / closed}: Permission denied. Check its name and rights."


@pytest.mark.slow
def test_a_folder_without_sound_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to hear")
    result = run("predict", tmp_path, "-f", "json")
    (row,) = json.loads(result.stdout)
    assert (
        row["file"] == str(tmp_path)
        and "this folder holds no recordings (passed over: 1 .txt). Folders are searched by endings" in row["error"]
        and result.exit_code == 2
    )


@pytest.mark.slow
def test_standard_input(folder):
    (row,) = json.loads(run("predict", "-", "-f", "json", stdin=WAV.getvalue()).stdout)
    assert row == {**ser.load().predict(WAV.getvalue()).to_dict(), "file": "-"}
    empty = run("predict", "-", "-f", "json", stdin=b"")
    assert empty.exit_code == 2 and "empty (0 bytes)" in json.loads(empty.stdout)[0]["error"]


@UNIX
@pytest.mark.slow
def test_a_pipe_of_the_shell(folder):
    with piped(WAV.getvalue()) as pipe:
        good, bad = json.loads(run("predict", pipe, folder / "broken.wav", "-f", "json").stdout)
    assert good == {**ser.load().predict(WAV.getvalue()).to_dict(), "file": pipe} and "error" in bad


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x" * 300, "", "[red]bold[/red].wav", "a\nb.wav", "ä😀.wav"], ids=ascii)
def test_names_that_cannot_be_opened_are_errors_in_the_list(name, folder):
    for format in ("json", "csv", "table"):
        result = run("predict", name, folder / "a.wav", "-f", format)
        assert result.exit_code == 2 and "a.wav" in result.stdout
    rows = json.loads(run("predict", name, folder / "a.wav", "-f", "json").stdout)
    assert rows[0].keys() == {"file", "error"} and rows[0]["file"] == name and "label" in rows[1]


@pytest.mark.slow
def test_brackets_in_a_name_are_no_markup(folder):
    shutil.copy(folder / "a.wav", folder / "[red]x.wav")
    assert "[red]x.wav" in run("predict", folder / "[red]x.wav").stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a[1].wav", "{x}.wav", "{x,y}.wav", "[b]/c.wav", "*.wav"])
def test_brackets_and_braces_in_a_name_are_no_pattern(name, folder):
    (folder / name).parent.mkdir(exist_ok=True)
    shutil.copy(folder / "a.wav", folder / name)
    for given in {folder / name, (folder / name).parent} - {folder}:
        (row,) = json.loads(run("predict", given, "-f", "json").stdout)
        assert row["file"] == str(folder / name) and "label" in row


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
def test_pipes_and_apple_double_files_are_not_waited_for(tmp_path):
    shutil.copy(ARTIFACTS.parent / "samples" / "sharp.flac", tmp_path / "a.flac")
    (tmp_path / "._a.flac").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    for name in ("b.mp3", "._b.mp3"):
        os.mkfifo(tmp_path / name)
    good, pipe, asked = json.loads(run("predict", tmp_path, tmp_path / "._a.flac", "-f", "json").stdout)
    assert "label" in good and "not a regular file" in pipe["error"] and "not a known recording" in asked["error"]


@pytest.mark.slow
def test_model_by_name_folder_and_environment(folder, monkeypatch):
    for model in ("dense105", ARTIFACTS / "dense105"):
        (row,) = json.loads(run("predict", folder / "a.wav", "-m", model, "-f", "json").stdout)
        assert row["model"] == "dense105"
    monkeypatch.setenv("SER_MODEL", "gone")
    assert isinstance(run("predict", folder / "a.wav").exception, SerError)


@pytest.mark.slow
def test_sex_and_intensity_where_the_model_says_them(folder):
    expected = ser.load("voice").predict(folder / "a.wav")
    sex, likely = max(expected.sex.items(), key=lambda item: item[1])
    numbers = expected.to_dict()
    asked = ["predict", folder / "a.wav", folder / "broken.wav", "-m", "voice"]
    good, bad = csv.DictReader(io.StringIO(run(*asked, "-f", "csv").stdout))
    assert {name: float(good[f"sex_{name}"]) for name in expected.sex} == numbers["sex"]
    assert float(good["intensity"]) == numbers["intensity"]
    assert bad["sex_male"] == bad["sex_female"] == bad["intensity"] == ""
    heading, answer, failed, why = run(*asked).stdout.strip().splitlines()
    assert failed.split()[-2:] == ["no", "answer"]
    assert why.startswith(f"{folder / 'broken.wav'}: this is text, not sound")
    assert heading.split() == ["file", "sounds", "likely", "next", "sex", "intensity", "doubt"]
    assert f"{sex} {likely:.0%}" in answer and f" {expected.intensity:.0%} " in f"{answer} "


@pytest.mark.slow
def test_neither_column_where_the_model_does_not_say(folder):
    asked = ["predict", folder / "a.wav", "-m", "dense105"]
    assert run(*asked, folder / "a.wav").stdout.split("\n")[0].split() == ["file", "sounds", "likely", "next", "doubt"]
    assert "sex" not in run(*asked).stdout
    (row,) = csv.DictReader(io.StringIO(run(*asked, "-f", "csv").stdout))
    assert row["sex_male"] == row["sex_female"] == row["intensity"] == ""


@pytest.mark.slow
def test_one_file_is_shown_with_all_emotions(folder):
    """The likeliest first, each with a bar whose length is its probability; then sex, intensity and doubt."""
    expected = ser.load("voice").predict(folder / "a.wav")
    shown = run("predict", folder / "a.wav", "-m", "voice")
    name, *bars = shown.stdout.strip().splitlines()
    ranked = sorted(expected.probabilities.items(), key=lambda item: -item[1])
    assert name == str(folder / "a.wav") and shown.exit_code == 0
    for line, (label, share) in zip(bars, ranked, strict=False):
        assert line.split()[:2] == [EMOJI[label], label] and line.split()[-1] == f"{share:.0%}"
        assert abs(line.count("━") - output.BAR_WIDTH * share) <= 1
    sex, likely = max(expected.sex.items(), key=lambda item: item[1])
    rest = [f"sex {sex} {likely:.0%}, intensity {expected.intensity:.0%}"]
    rest += [f"in doubt: {output.in_words(expected.reasons)}"] if expected.reasons else []
    rest += [f"likely: {', '.join(expected.top)}"] if "close_call" in expected.reasons else []
    assert bars[len(ranked) :] == rest
    for reason in expected.reasons:
        assert f"{output.in_words([reason])}: {REASONS[reason]}" in shown.stderr


@pytest.mark.slow
def test_a_narrow_table_shortens_names_in_the_middle(folder, monkeypatch):
    monkeypatch.setattr(output.out, "width", 50)
    long = folder / f"begin-{'x' * 60}-end.wav"
    (folder / "a.wav").rename(long)
    (folder / "broken.wav").unlink()
    shown = run("predict", folder)
    heading, *_ = shown.stdout.splitlines()
    assert heading.split() == ["file", "sounds", "likely", "doubt"] and shown.exit_code == 0
    assert re.search(r"^\S+…\S+-end\.wav +\S+ \w+ +\d+%", shown.stdout, re.MULTILINE)
    assert all(cell_len(line) <= 50 for line in shown.stdout.splitlines())


def test_a_narrow_table_shortens_names_by_their_folder_first(folder, monkeypatch):
    monkeypatch.setattr(output.out, "width", 66)
    paths = [folder / f"begins-alike-{number}.wav" for number in (1, 2)]
    for path in paths:
        path.write_bytes((folder / "a.wav").read_bytes())
    lines = run("predict", *paths).stdout.splitlines()
    names = [line.split()[0] for line in lines if line.startswith("…")]
    assert names == [f"…/{path.name}" for path in paths]


@pytest.mark.parametrize("text", ["clip.wav", "a-long-name-of-a-recording.wav", "日本語の録音ファイル.wav", "", "ab"])
def test_shorten_keeps_both_ends_and_fits(text):
    for width in range(3, 40):
        short = output.shorten(text, width)
        assert cell_len(short) <= width and (short == text) is (cell_len(text) <= width)
        if short != text:
            head, tail = short.split("…")
            assert text.startswith(head) and text.endswith(tail) and cell_len(tail) >= cell_len(head)


@pytest.mark.slow
def test_errors_in_a_folder_name_the_folder(folder):
    (folder / "below" / "broken.wav").write_bytes(b"only words")
    shown = run("predict", folder)
    for path in (folder / "broken.wav", folder / "below" / "broken.wav"):
        assert f"\n{path}: this is text, not sound" in shown.stdout


@pytest.mark.slow
def test_silence_has_no_sex(tmp_path):
    sf.write(tmp_path / "silent.wav", 0 * voice(1.0), RATE)
    for format in ("json", "csv"):
        assert run("predict", tmp_path / "silent.wav", "-m", "voice", "-f", format).exit_code == 0
    silent = tmp_path / "silent.wav"
    assert run("predict", silent, "-m", "voice").stdout == f"{silent}\nnothing\nin doubt: silent\n"
    heading, first, _ = run("predict", silent, silent, "-m", "voice").stdout.strip().split("\n")
    assert heading.split() == ["file", "sounds", "likely", "next", "doubt"] and first.split()[1:] == [
        "nothing",
        "silent",
    ]


def test_every_door_says_the_same_of_a_doubt(capsys, monkeypatch):
    """One line a reason however narrow the terminal is, in the order of `REASONS`."""
    monkeypatch.setenv("COLUMNS", "20")
    output.print_reasons({"cut_off", "too_short"})
    told = capsys.readouterr().err
    assert told == f"too short: {REASONS['too_short']}\ncut off: {REASONS['cut_off']}\n"


def test_every_door_says_what_the_estimate_is_not(folder):
    told = " ".join(run("--help").stdout.replace("│", " ").split())
    assert NOTICE in told and NOTICE in GREETING and NOTICE in create_app().description


@pytest.mark.slow
@pytest.mark.parametrize("model", ["voice", "dense105"])
def test_calibrated_to_a_voice(folder, model):
    own = [folder / "below" / "b.flac", folder / "a.wav"]
    (row,) = json.loads(run("predict", folder / "a.wav", "-m", model, "-f", "json", *voices(own)).stdout)
    plain = ser.load(model)
    assert row == plain.calibrated(own).predict(folder / "a.wav").to_dict()
    assert row["probabilities"] != plain.predict(folder / "a.wav").probabilities


def voices(paths: list[Path]) -> list[object]:
    return [word for path in paths for word in ("--voice", path)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        (["a.wav", "gone.wav"], "gone.wav: no such file"),
        (["a.wav", "broken.wav"], "broken.wav: this is text, not sound"),
        (["silent.wav"], "at least one recording of the voice that is not silent"),
    ],
    ids=["gone", "broken", "silent"],
)
def test_voices_that_are_refused(monkeypatch, capsys, folder, own, sentence):
    sf.write(folder / "silent.wav", 0 * voice(1.0), RATE)
    asked = ["predict", folder / "a.wav", "--model", "voice", *voices([folder / name for name in own])]
    code, out, err = main(monkeypatch, capsys, *asked)
    assert code == 2 and out == "" and err.startswith("ser: ") and err.count("\n") == 1 and sentence in err
