"""The command `timeline`: what is printed where, what is written, and what is refused before the work."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import soundfile as sf
import srt
from command_line import UNIX, piped, program
from golden.make import RATE
from typer.testing import CliRunner, Result

from ser.audio import sources
from ser.cli import output
from ser.cli.main import app
from ser.cli.output import save
from ser.cli.timeline import Format, clock
from ser.files import check_writable
from ser.inference.artifact import ARTIFACTS
from ser.timeline.formats import WRITERS, write
from ser.timeline.segments import timeline
from ser.types import EMOTIONS, ParameterError, Segment, Timeline

SHARP = ARTIFACTS.parent / "samples" / "sharp.flac"
MODEL = ("--model", "dense105")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """A wide terminal without colours."""
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["timeline", *map(str, words), *MODEL])


@pytest.fixture(scope="module")
def found():
    from ser.inference.recognizer import load

    return timeline(str(SHARP), load("dense105"))


@pytest.mark.slow
def test_standard_input_and_pipes(found):
    for format in ("json", "srt"):
        ran = CliRunner().invoke(app, ["timeline", "-", *MODEL, "-f", format], input=SHARP.read_bytes())
        assert ran.stdout == write(replace(found, file="-"), format)
    ran = program("timeline", "-", *MODEL, "-f", "json", stdin=SHARP.read_bytes())
    assert ran.stdout.decode() == write(replace(found, file="-"), "json")


@UNIX
@pytest.mark.slow
def test_a_pipe_of_the_shell(found):
    with piped(SHARP.read_bytes()) as pipe:
        assert run(pipe, "-f", "json").stdout == write(replace(found, file=pipe), "json")
    with piped(b"") as pipe, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "WRITER_S", 0.1)
        assert "nothing was written into this pipe within 0.1 s" in str(run(pipe).exception)


@pytest.mark.slow
def test_the_table_says_when_and_how(found):
    ran = run(SHARP)
    assert ran.exit_code == 0
    first = found.segments[0]
    assert f"0:00.{round(10 * first.start_s)} " in ran.stdout
    assert f" {first.label} " in ran.stdout and f"{first.confidence:.0%}" in ran.stdout
    assert "of speech in 0:04.6: " in ran.stdout
    assert ("close call: The likeliest emotion" in ran.stderr) is any(
        "close_call" in one.reasons for one in found.segments
    )


@pytest.mark.parametrize(("time_s", "shown"), [(22.34, "0:22.3"), (59.96, "1:00.0")])
@pytest.mark.parametrize(("more_s", "more"), [(0, ""), (3600, "1:0"), (36000, "10:0")])
def test_times_have_hours_only_if_the_recording_has(time_s, shown, more_s, more):
    assert clock(time_s + more_s, bool(more)) == more + shown


@pytest.mark.slow
def test_a_narrow_table_keeps_the_times(found, monkeypatch):
    monkeypatch.setattr(output.out, "width", 50)
    heading, *lines = run(SHARP).stdout.splitlines()
    assert heading.split() == ["from", "to", "sounds", "likely", "doubt"]
    assert [line.split()[:2] for line in lines if line[0].isdigit()][:-1] == [
        [clock(segment.start_s, False), clock(segment.end_s, False)] for segment in found.segments
    ]


@pytest.mark.slow
@pytest.mark.parametrize("format", WRITERS)
def test_every_format_is_what_the_writer_writes_and_nothing_else(found, format):
    ran = run(SHARP, "--format", format)
    written = write(found, format)
    assert ran.exit_code == 0
    assert ran.stdout_bytes == (written if isinstance(written, bytes) else written.encode())


def test_the_formats_are_the_table_and_all_writers():
    assert get_args(Format) == ("table", *WRITERS)


@pytest.mark.slow
def test_a_file_is_written_in_the_format_of_its_ending(found, tmp_path):
    place = tmp_path / "talk.srt"
    ran = run(SHARP, "--out", place)
    assert ran.exit_code == 0 and ran.stdout == "" and f"Written to {place}" in ran.stderr
    assert len(list(srt.parse(place.read_text(encoding="utf-8")))) == len(found.segments)
    assert [path.name for path in tmp_path.iterdir()] == ["talk.srt"]


@pytest.mark.slow
def test_the_named_format_wins_over_the_ending(found, tmp_path):
    assert run(SHARP, "--out", tmp_path / "talk.srt", "-f", "json").exit_code == 0
    assert json.loads((tmp_path / "talk.srt").read_text(encoding="utf-8")) == found.to_dict()


@pytest.mark.slow
def test_a_file_is_replaced_only_when_told_to(tmp_path):
    place = tmp_path / "talk.csv"
    place.write_text("mine")
    ran = run(SHARP, "--out", place)
    assert isinstance(ran.exception, ParameterError) and "exists already" in str(ran.exception)
    assert place.read_text() == "mine"
    assert run(SHARP, "--out", place, "--force").exit_code == 0
    assert place.read_text().startswith("file,start_s,end_s,label")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--out", "talk.mp3"), r"talk\.mp3: which --format\? Known endings: \.json"),
        (("--out", "talk.txt", "--format", "table"), "A table is for the screen"),
        (("--out", "nowhere/talk.csv"), "there is no folder nowhere"),
        (("--out", ".", "--force", "-f", "csv"), "exists already"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match=says):
        CliRunner().invoke(app, ["timeline", "not-even-looked-at.wav", *words], catch_exceptions=False)


@pytest.mark.slow
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    place = tmp_path / "talk.csv"
    place.write_text("mine")

    def full(path: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    ran = run(SHARP, "--out", place, "--force")
    assert "cannot be written (No space left on device)" in str(ran.exception)
    assert place.read_bytes() == b"mine" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("format", WRITERS)
def test_a_recording_whose_name_is_no_utf8_is_written_and_named(format, tmp_path, monkeypatch):
    name, made = "bad\udcff.flac", tmp_path / "made\udcff"
    found = Timeline(name, 1.0, (Segment(0.0, 1.0, "calm", dict.fromkeys(EMOTIONS, 0.125)),), EMOTIONS, "dense105")
    monkeypatch.setattr("ser.cli.timeline.load", lambda *_: SimpleNamespace(timeline=lambda *_, **__: found))
    ran = run(name, "--out", made, "--format", format)
    assert ran.exit_code == 0 and made.stat().st_size and r"made\udcff" in ran.stderr


@pytest.mark.parametrize("length", [249, 250, 255])
def test_the_longest_names_can_be_written(length, tmp_path):
    place = tmp_path / ("x" * (length - 4) + ".csv")
    check_writable(place, force=False)
    save(b"mine", place)
    assert [path.name for path in tmp_path.iterdir()] == [place.name] and place.read_bytes() == b"mine"


def test_a_folder_that_goes_away_meanwhile_is_a_sentence(tmp_path):
    with pytest.raises(ParameterError, match=r"talk\.csv cannot be written \(No such file or directory\)"):
        save(b"mine", tmp_path / "gone" / "talk.csv")


@pytest.mark.slow
def test_without_speech_it_says_so(tmp_path):
    sf.write(tmp_path / "quiet.wav", np.zeros(2 * RATE), RATE)
    assert "No speech was found in 0:02.0." in run(tmp_path / "quiet.wav").stdout


@pytest.mark.slow
def test_a_damaged_file_says_so_beside_its_first_part(tmp_path):
    whole = SHARP.read_bytes()
    (tmp_path / "half.flac").write_bytes(whole[: len(whole) // 2])
    ran = run(tmp_path / "half.flac", "-f", "json")
    assert "cut off: The file is damaged" in ran.stderr
    assert json.loads(ran.stdout)["segments"][-1]["uncertain"] is True


def test_the_recording_itself_is_never_replaced(tmp_path):
    recording = tmp_path / "talk.srt"
    recording.write_bytes(b"sound")
    (tmp_path / "link.srt").hardlink_to(recording)
    for place in (recording, tmp_path / "link.srt"):
        refused = run(recording, "--out", place, "--force")
        assert isinstance(refused.exception, ParameterError) and "never replaced" in str(refused.exception)
    assert recording.read_bytes() == b"sound"


@pytest.mark.parametrize(
    ("name", "found"), [("x" * 300 + ".srt", "File name too long"), ("file/x/y.srt", "there is no folder")]
)
def test_a_place_that_cannot_be_is_refused_before_the_work(name, found, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ParameterError, match=found):
        check_writable(tmp_path / name, force=False)


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    """The system's answer is put in its mouth: it lets root write everywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path or mode != os.W_OK)
    with pytest.raises(ParameterError, match=r"the folder .* cannot be written\. Choose another --out"):
        check_writable(tmp_path / "x.srt", force=False)
