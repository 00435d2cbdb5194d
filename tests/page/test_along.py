"""Downloads: files of an answer and a timeline, lines that give the same answer, links to samples; and words."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from tiny_whisper import build

import ser
from ser.api import create_app
from ser.page.intake import listen
from ser.page.parts.along import (
    as_timeline,
    curl_line,
    downloads,
    file_stem,
    profile_file,
    python_lines,
    sample_of,
)
from ser.page.parts.spoken import hear_words, words_of
from ser.page.texts import Texts
from ser.page.visit import Recording, Visit
from ser.transcript.engines import Whisper
from ser.types import SELF, Adaptation, ParameterError, Prediction, Timeline

ENGLISH, GERMAN = Texts("en"), Texts("de")
ROOT = Path(__file__).resolve().parents[2]
SAMPLES = {path.stem: path for path in sorted((ROOT / "samples").glob("*.flac"))}
EVEN = SAMPLES["even"]


@pytest.fixture(scope="module")
def recognizer() -> ser.Recognizer:
    return ser.load("dense105")


@pytest.fixture(scope="module")
def recording(recognizer) -> Recording:
    return listen(recognizer, EVEN.read_bytes(), EVEN.name, "sample")


@pytest.fixture(scope="module")
def answer(recognizer, recording) -> Prediction:
    return recognizer.answer(recording.analysis)


@pytest.fixture(scope="module")
def talk(recognizer) -> Timeline:
    return recognizer.timeline(EVEN)


def contents(recording, answer, recognizer, texts=ENGLISH) -> dict[str, tuple[str, str]]:
    """Return name and text of each file by its key."""
    made = list(downloads(recording, answer, recognizer, texts))
    return {file.key: (file.name, file.make().decode("utf-8", "replace")) for file in made}


@pytest.fixture(scope="module")
def speech_model(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("speech") / "model")


# --- Files ---


def test_files_of_an_answer(recording, answer, recognizer):
    files = contents(recording, answer, recognizer)
    assert {key: name for key, (name, _) in files.items()} == {
        "html": "even.html",
        "csv": "even.csv",
        "json": "even.json",
        "srt": "even.srt",
        "vtt": "even.vtt",
        "textgrid": "even.TextGrid",
        "audacity": "even.txt",
    }
    assert json.loads(files["json"][1]) == {**answer.to_dict(), "file": "even.flac"}
    (row,) = csv.DictReader(io.StringIO(files["csv"][1]))
    assert row["label"] == answer.label and float(row["valence"]) == pytest.approx(answer.mood.valence)
    assert files["srt"][1].startswith("1\n00:00:0") and answer.label in files["srt"][1]
    assert files["html"][1].startswith("<!DOCTYPE html>") and files["textgrid"][1].startswith(
        'File type = "ooTextFile"'
    )


def test_words_are_in_the_files(recording, answer, recognizer):
    files = contents(replace(recording, text="so <be> it"), answer, recognizer)
    assert json.loads(files["json"][1])["text"] == "so <be> it" and "so &lt;be&gt; it" in files["html"][1]
    assert next(csv.DictReader(io.StringIO(files["csv"][1])))["text"] == "so <be> it"


def test_files_of_a_timeline(recording, talk, recognizer):
    files = contents(recording, talk, recognizer, GERMAN)
    assert json.loads(files["json"][1]) == {**talk.to_dict(), "file": "even.flac"}
    assert len(list(csv.DictReader(io.StringIO(files["csv"][1])))) == len(talk.segments)
    assert 'lang="de"' in files["html"][1] and "sound" not in files


def test_without_an_emotion_there_are_no_subtitles(recognizer):
    music = listen(recognizer, SAMPLES["music"].read_bytes(), "music.flac", "sample")
    prediction = replace(recognizer.answer(music.analysis), reasons=("unlike_training",))
    assert as_timeline(prediction) is None
    assert set(contents(music, prediction, recognizer)) == {"html", "csv", "json"}


def test_the_sound_of_the_microphone_can_be_taken_along(recording, answer, recognizer):
    spoken = replace(recording, kind="microphone", name="Recording 1")
    (sound,) = (file for file in downloads(spoken, answer, recognizer, ENGLISH) if file.key == "sound")
    assert (sound.name, sound.make()) == ("Recording 1.wav", recording.sound)
    assert "'Recording 1.wav'" in python_lines(spoken, answer)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a/b\\c: d?.wav", "b-c- d"), ("..", "recording"), ("x" * 300 + ".wav", "x" * 80), ("Gespräch.m4a", "Gespräch")],
)
def test_names_of_files_can_be_stored_everywhere(name, stem):
    assert file_stem(name) == stem


# --- Lines ---


def output(code: str) -> dict:
    """Run lines that print a dictionary, and return it."""
    assert len(code.splitlines()) == 2
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    return eval(printed.getvalue(), {})


def test_the_lines_of_python_give_the_same_answer(recording, answer, talk, tmp_path, monkeypatch):
    shutil.copy(EVEN, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert output(python_lines(recording, answer)) == answer.to_dict()
    assert output(python_lines(recording, talk)) == {**talk.to_dict(), "file": "even.flac"}


def test_the_lines_name_the_profile_of_an_adapted_answer(tmp_path, monkeypatch):
    voice = ser.load("voice")
    mine = voice.calibrated([path for stem, path in SAMPLES.items() if stem != "music"])
    heard = listen(voice, EVEN.read_bytes(), EVEN.name, "sample")
    adapted = mine.answer(heard.analysis)
    shutil.copy(EVEN, tmp_path)
    monkeypatch.chdir(tmp_path)
    mine.profile.save(tmp_path / "voice.profile")
    again = output(python_lines(heard, adapted))
    assert again["probabilities"] == pytest.approx(adapted.probabilities, abs=1e-6)
    assert again["adapted"] == adapted.to_dict()["adapted"] and again["label"] == adapted.label
    assert profile_file(Adaptation("calls", 9)) == "calls.profile" and profile_file(Adaptation(SELF, 9)) is None


@pytest.fixture(scope="module")
def routes() -> dict[str, set[str]]:
    """Names of the query parameters of every route of the service."""
    paths = create_app().openapi()["paths"]
    return {
        path: {parameter["name"] for parameter in methods["post"].get("parameters", ())}
        for path, methods in paths.items()
        if "post" in methods
    }


def test_the_curl_line_is_understood_by_the_service(recording, answer, talk, routes):
    call = replace(talk, channels=("left", "right"), track=2)
    right = replace(answer, channel="right", track=3)
    for result, path, query in (
        (answer, "/predict", {"model": ["dense105"]}),
        (right, "/predict", {"model": ["dense105"], "channels": ["right"], "track": ["3"]}),
        (talk, "/timeline", {"model": ["dense105"], "adapt": ["none"]}),
        (
            replace(call, adapted=Adaptation(SELF, 12)),
            "/timeline",
            {"model": ["dense105"], "channels": ["each"], "track": ["2"]},
        ),
    ):
        command, option, field, address = shlex.split(curl_line(recording, result))
        assert (command, option, field) == ("curl", "-F", "file=@even.flac")
        assert urlsplit(address).path == path and parse_qs(urlsplit(address).query) == query
        assert query.keys() <= routes[path]


def test_any_name_of_a_file_is_quoted(recording, answer):
    evil = replace(recording, name='a\'; rm -rf $HOME, "b".wav', kind="file")
    words = shlex.split(curl_line(evil, answer))
    assert words[2] == r'file=@"a' + "'" + r'; rm -rf $HOME, \"b\".wav"' and len(words) == 4
    compile(python_lines(evil, answer), "lines", "exec")
    assert repr(evil.name) in python_lines(evil, answer)


# --- Samples ---


def test_a_link_names_a_sample():
    assert sample_of({}, SAMPLES, ENGLISH) is None and sample_of({"other": "even"}, SAMPLES, ENGLISH) is None
    assert sample_of({"sample": "even"}, SAMPLES, ENGLISH) == EVEN
    with pytest.raises(ParameterError, match=r"no sample “\.\./app”\. There are: even, music"):
        sample_of({"sample": "../app"}, SAMPLES, ENGLISH)
    with pytest.raises(ParameterError, match="Es gibt kein Beispiel „sad“"):
        sample_of({"sample": "sad"}, SAMPLES, GERMAN)


# --- On the page ---


def page(language: str = "en") -> None:
    import streamlit as st

    from ser.page.parts.along import take_along
    from ser.page.parts.mood import mood_map
    from ser.page.parts.spoken import show_words
    from ser.page.texts import Texts

    texts, state = Texts(language), st.session_state
    visit = state.visit
    recording = visit.current
    answer = recording.timeline or state.recognizer.answer(recording.analysis)
    show_words(visit, recording, texts)
    mood_map(answer, texts)
    take_along(recording, answer, state.recognizer, texts)


def opened(recording: Recording, recognizer, language: str = "en") -> AppTest:
    test = AppTest.from_function(page, kwargs={"language": language}, default_timeout=30)
    test.session_state.visit = visit = Visit()
    test.session_state.recognizer = recognizer
    visit.add(recording)
    return test.run()


def test_downloads_and_lines_are_shown(recording, answer, recognizer, monkeypatch):
    monkeypatch.delenv("SER_SPEECH_MODEL", raising=False)
    test = opened(recording, recognizer, "de")
    assert not test.exception
    assert [button.label for button in test.get("download_button")][:3] == ["Bericht", "CSV", "JSON"]
    assert [code.value for code in test.code] == [python_lines(recording, answer), curl_line(recording, answer)]
    shown = " ".join(html.proto.body for html in test.get("html"))
    assert "SER_SPEECH_MODEL" in shown and not test.button
    assert "<svg" in test.markdown[0].value


def test_words_are_shown_once_there_is_a_model(recording, recognizer, speech_model, monkeypatch):
    monkeypatch.setenv("SER_SPEECH_MODEL", str(speech_model))
    test = opened(recording, recognizer)
    test.button[0].click().run()
    assert not test.exception
    assert test.session_state.visit.current.text == "well, hello there"
    assert "well, hello there" in " ".join(html.proto.body for html in test.get("html"))


def test_a_speech_model_that_is_missing_leaves_the_page_usable(recording, recognizer, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_SPEECH_MODEL", str(tmp_path / "none"))
    test = opened(recording, recognizer)
    test.button[0].click().run()
    assert not test.exception and "no such folder" in " ".join(html.proto.body for html in test.get("html"))
    assert test.get("download_button")


def test_words_of_a_timeline_stand_in_its_segments(recording, talk, speech_model):
    visit = Visit()
    long = replace(recording, analysis=None, timeline=talk)
    visit.add(long)
    hear_words(visit, long, Whisper(speech_model))
    heard = visit[long.id]
    assert words_of(long) is None and words_of(heard) == "well, hello there"
    assert "hello" in " ".join(segment.text for segment in heard.timeline.segments)
    assert np.array_equal(heard.peaks, long.peaks)
