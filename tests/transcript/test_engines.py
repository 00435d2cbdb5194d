"""Transcription engines: a tiny Whisper model that really runs, and Google on the loopback."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from speech import SAID, SHARP, VOICE, cut
from tiny_whisper import build

from ser.audio.vad import RATE
from ser.extras import advice
from ser.transcript.engines import GOOGLE, Google, Whisper
from ser.transcript.transcript import Transcript, transcribe
from ser.types import ArtifactError, ParameterError

# --- Whisper ---


@pytest.mark.slow
def test_the_environment_names_the_folder(tiny, monkeypatch):
    monkeypatch.setenv("SER_SPEECH_MODEL", str(tiny))
    assert transcribe(SHARP).text == SAID


@pytest.mark.slow
def test_the_language_is_detected_once_or_given(tmp_path, talk, tiny):
    german = build(tmp_path / "german", (" hallo",), "de")
    assert transcribe(talk, german).language == "de"
    assert transcribe(SHARP, Whisper(tiny, "pl")).language == "pl"
    whisper = Whisper(tiny)
    assert whisper.transcribe(VOICE, "de")[1] == "de"


@pytest.mark.slow
def test_languages_without_spaces_are_joined(tmp_path):
    transcript = transcribe(SHARP, build(tmp_path, ("\u4f60", "\u597d"), "zh"))
    assert (transcript.text, transcript.language) == ("\u4f60\u597d", "zh")
    assert [word.word for word in transcript.words] == ["\u4f60", "\u597d"]


def test_without_a_model_the_error_names_a_source():
    with pytest.raises(
        ParameterError, match=r"None is downloaded automatically.*hf download .*--speech-model FOLDER or SER"
    ):
        transcribe(SHARP)


def test_a_folder_that_is_not_a_model(tmp_path, tiny):
    with pytest.raises(ArtifactError, match=r"nowhere: no such folder.*`hf download"):
        Whisper(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match=r"is not a faster-whisper model: model\.bin, .*, tokenizer\.json missing"):
        Whisper(tmp_path)
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match=r": tokenizer\.json missing"):
        Whisper(tmp_path)


@pytest.mark.parametrize("file", ["model.bin", "tokenizer.json", "config.json", "vocabulary.json"])
def test_a_damaged_model(tmp_path, tiny, file):
    for part in tiny.iterdir():
        data = part.read_bytes()
        (tmp_path / part.name).write_bytes(data[: len(data) // 2] if part.name == file else data)
    with pytest.raises(ArtifactError, match=r"this speech model cannot be loaded \(.+\)\. Download it again"):
        Whisper(tmp_path)


def test_an_unknown_language_lists_the_known_ones(tiny):
    with pytest.raises(ParameterError, match=r"Unknown language of this speech model 'klingon'; known: af, .*, de, "):
        Whisper(tiny, "klingon")


@pytest.mark.parametrize(
    ("module", "ask"),
    [("faster_whisper", Whisper), ("speech_recognition", lambda _: Google(send_audio=True))],
)
def test_a_missing_library_is_named_with_its_extra(tiny, monkeypatch, module, ask):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ParameterError, match=f"needs {module}, which .*; {re.escape(advice('transcribe'))}"):
        ask(tiny)


# --- Google ---


@pytest.mark.service
def test_google_gets_utterances_and_their_words_are_spread(google, talk, sound):
    transcript = transcribe(talk, Google(send_audio=True, language="en-GB", endpoint=google.url))
    spoken = cut(sound, 15.0, 0.0)
    assert transcript.text == " ".join(["good morning to you"] * len(spoken)) and transcript.language == "en-GB"
    for chunk, (query, samples, rate) in zip(spoken, google.requests, strict=True):
        assert query["lang"] == ["en-GB"] and rate == RATE
        assert np.allclose(samples, chunk.samples, atol=1e-4)
    first, last = transcript.words[0], transcript.words[3]
    (start, end), *_ = spoken[0].utterances
    assert (first.start_s, last.end_s) == pytest.approx((start / RATE, end / RATE), abs=2e-3)
    assert transcript.words[1].end_s - transcript.words[1].start_s > last.end_s - last.start_s


@pytest.mark.service
def test_googles_key_comes_from_the_environment(google, monkeypatch):
    monkeypatch.setenv("SER_GOOGLE_KEY", "mine")
    transcribe(SHARP, Google(send_audio=True, endpoint=google.url))
    assert google.requests[0][0]["key"] == ["mine"]


@pytest.mark.service
def test_google_may_return_no_words(google):
    google.respond()
    assert transcribe(SHARP, Google(send_audio=True, endpoint=google.url)) == Transcript((), None)


@pytest.mark.service
@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (403, b"", r"could not be reached \(recognition request failed: Forbidden\).*SER_GOOGLE_KEY.*--speech-model"),
        (200, b"<html>Welcome to our hotel</html>", "did not return a transcript.*login page"),
        (200, b'{"error": 1}', "did not return a transcript"),
        (200, b"[1]", "did not return a transcript"),
    ],
)
def test_errors_of_google_or_a_proxy(google, status, body, says):
    google.status, google.body = status, body
    with pytest.raises(ParameterError, match=says):
        transcribe(SHARP, Google(send_audio=True, endpoint=google.url))


@pytest.mark.slow
def test_without_a_network():
    unreachable = Google(send_audio=True, endpoint="http://127.0.0.1:9/recognize")  # the discard port, unused
    with pytest.raises(
        ParameterError, match=r"could not be reached \(.*refused.*\)\. Check the network.*--speech-model"
    ):
        transcribe(SHARP, unreachable)


@pytest.mark.parametrize("agreed", [False, None, 1, "no"])
def test_google_needs_an_agreement(agreed):
    with pytest.raises(ParameterError, match=r"the sound would leave this machine\. Agree with --yes-send-audio"):
        Google(send_audio=agreed)


def test_audio_is_sent_encrypted():
    assert GOOGLE.startswith("https://")
