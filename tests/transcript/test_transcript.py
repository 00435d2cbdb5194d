"""What was said: stretches of speech, a tiny Whisper model that really runs, a Google on the loopback, and no more."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import parselmouth
import pytest
import soundfile as sf
import srt
import webvtt
from parselmouth.praat import call
from tiny_whisper import build
from typer.testing import CliRunner, Result

from ser.audio.vad import RATE, SpeechFinder
from ser.cli.main import app
from ser.extras import advice
from ser.inference.artifact import ARTIFACTS
from ser.tables import to_pandas
from ser.timeline.formats import write
from ser.timeline.segments import timeline
from ser.transcript import engines as recognisers
from ser.transcript.chunks import Stretch, stretches
from ser.transcript.engines import GOOGLE, Google, Whisper
from ser.transcript.transcript import Transcript, transcribe, with_words
from ser.types import EMOTIONS, ArtifactError, ParameterError, Segment, Timeline, Word

ROOT = ARTIFACTS.parent
SHARP = ROOT / "samples" / "sharp.flac"
SAID = "well, hello there"
VOICE = sf.read(SHARP, dtype="float32")[0]
QUIET = ("SER_SPEECH_MODEL", "SER_GOOGLE_KEY", "SER_MODEL")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """A wide terminal without colours, and nothing named by the environment."""
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("speech") / "tiny")


@pytest.fixture(scope="session")
def talk(tmp_path_factory) -> Path:
    """The same voice four times, after 1, 1, 4 and 8 s of silence."""
    parts = [np.concatenate([np.zeros(round(pause_s * RATE), np.float32), VOICE]) for pause_s in (1, 1, 4, 8)]
    path = tmp_path_factory.mktemp("talk") / "talk.flac"
    sf.write(path, np.concatenate(parts), RATE)
    return path


# --- Stretches ---


def cut(sound: np.ndarray, longest_s: float, pause_s: float, block_s: float = 5.0) -> list[Stretch]:
    return list(stretches(in_blocks(sound, block_s), longest_s, pause_s))


def in_blocks(sound: np.ndarray, block_s: float) -> Iterator[np.ndarray]:
    length = round(block_s * RATE)
    yield from (sound[start : start + length] for start in range(0, len(sound), length))


def told(found: list[Stretch]) -> list[tuple[int, int, tuple[tuple[int, int], ...]]]:
    return [(one.start, len(one.samples), one.utterances) for one in found]


@pytest.fixture(scope="module")
def sound(talk) -> np.ndarray:
    return sf.read(talk, dtype="float32")[0]


@pytest.mark.parametrize(("longest_s", "pause_s"), [(30.0, 2.0), (12.0, 2.0), (3.0, 0.0)])
def test_stretches_are_the_same_for_every_block(sound, longest_s, pause_s):
    expected = cut(sound, longest_s, pause_s)
    for block_s in (0.05, 1.0, 100.0):
        assert told(cut(sound, longest_s, pause_s, block_s)) == told(expected)
    for one in expected:
        assert np.array_equal(one.samples, sound[one.start : one.start + len(one.samples)])
        assert len(one.samples) <= longest_s * RATE
        assert (one.utterances[0][0], one.utterances[-1][1]) == (one.start, one.start + len(one.samples))


def test_stretches_hold_what_is_spoken_and_join_over_short_pauses(sound):
    finder = SpeechFinder(RATE)
    spoken = [(span.start, span.end) for span in (*finder.push(sound), *finder.finish()) if span.over]
    found = cut(sound, 30.0, 2.0)
    assert [one for stretch in found for one in stretch.utterances] == spoken
    pauses = [(second - first) / RATE for (_, first), (second, _) in pairwise(spoken)]
    assert len(found) == 1 + sum(pause > 2 for pause in pauses) == 3
    assert len(cut(sound, 30.0, 0.0)) == len(spoken)


def test_speech_without_a_pause_is_cut_where_it_is_quiet():
    tone = np.abs(VOICE).max() / 5 * np.sin(np.arange(round(0.3 * RATE)) / 3).astype(np.float32)
    loud = VOICE[round(0.6 * RATE) : round(3.2 * RATE)] + np.resize(tone, round(2.6 * RATE))
    gap = round(0.1 * RATE)
    loud[-gap:] = 0  # the only quiet in each turn of 2.6 s
    found = cut(np.tile(loud, 8), 6.0, 2.0)
    cuts = [one.start + len(one.samples) for one in found[:-1]]
    assert len(cuts) >= 3 and all(place % len(loud) >= len(loud) - gap for place in cuts)
    assert [second.start for _, second in pairwise(found)] == cuts


def test_a_stretch_is_handed_on_long_before_the_recording_ends():
    taken = []

    def blocks() -> Iterator[np.ndarray]:
        for number, block in enumerate(in_blocks(np.concatenate([VOICE, np.zeros(60 * RATE, np.float32)]), 1.0)):
            taken.append(number)
            yield block

    next(stretches(blocks(), 10.0, 2.0))
    assert len(taken) < 15


@pytest.mark.parametrize("spoken", [True, False])
def test_memory_does_not_grow_with_the_recording(spoken):
    """Two minutes of speech without a pause, or of silence after a word, would be 7.7 MB."""
    loud = VOICE[round(0.6 * RATE) : round(3.2 * RATE)]
    second = loud[:RATE] if spoken else np.zeros(RATE, np.float32)
    blocks = iter([VOICE, *[second] * 120])
    tracemalloc.start()
    n_found = sum(1 for _ in stretches(blocks, 3.0, 1.0))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_found >= (30 if spoken else 1) and most < 2.5e6


# --- A Whisper model on this machine ---


def test_words_with_times(tiny):
    found = transcribe(SHARP, tiny)
    assert (found.text, found.language) == (SAID, "en")
    assert [word.word for word in found.words] == ["well,", "hello", "there"]
    assert all(first.end_s <= second.start_s for first, second in pairwise(found.words))
    (spoken,) = cut(VOICE, 30.0, 2.0)
    for word in found.words:
        assert spoken.start / RATE <= word.start_s + 1e-3 < word.end_s <= len(VOICE) / RATE
    assert found.to_dict() == {"text": SAID, "words": [word.to_dict() for word in found.words]}
    assert found.to_dict()["words"][0].keys() == {"word", "start_s", "end_s"}


def test_every_source_and_block_gives_the_same_words(tiny, talk):
    whisper = Whisper(tiny)
    found = transcribe(str(talk), whisper)
    assert found.text == " ".join([SAID] * 3)
    assert found == transcribe(talk.read_bytes(), whisper, block_s=1.0)
    with talk.open("rb") as file:
        assert found == transcribe(file, whisper, block_s=60.0)


def test_words_lie_where_somebody_speaks(tiny, talk, sound):
    spoken = [(start / RATE, end / RATE) for one in cut(sound, 30.0, 2.0) for start, end in one.utterances]
    for word in transcribe(talk, tiny).words:
        assert any(start_s - 1e-3 <= word.start_s and word.end_s <= end_s + 1e-3 for start_s, end_s in spoken)


def test_the_environment_names_the_folder(tiny, monkeypatch):
    monkeypatch.setenv("SER_SPEECH_MODEL", str(tiny))
    assert transcribe(SHARP).text == SAID


def test_the_language_is_heard_once_or_given(tmp_path, talk, tiny):
    german = build(tmp_path / "german", (" hallo",), "de")
    assert transcribe(talk, german).language == "de"
    assert transcribe(SHARP, Whisper(tiny, "pl")).language == "pl"
    whisper = Whisper(tiny)
    assert whisper.hear(VOICE, "de")[1] == "de"


def test_languages_without_spaces_are_joined(tmp_path):
    found = transcribe(SHARP, build(tmp_path, ("\u4f60", "\u597d"), "zh"))
    assert (found.text, found.language) == ("\u4f60\u597d", "zh")
    assert [word.word for word in found.words] == ["\u4f60", "\u597d"]


def test_where_nobody_speaks_nothing_is_said(tiny, tmp_path):
    sf.write(tmp_path / "quiet.wav", np.zeros(3 * RATE), RATE)
    assert transcribe(tmp_path / "quiet.wav", tiny) == Transcript((), None)
    assert transcribe(tmp_path / "quiet.wav", tiny).to_dict() == {"text": "", "words": []}


def test_a_model_that_hears_nothing_gives_an_empty_text(tmp_path):
    assert transcribe(SHARP, build(tmp_path, ())) == Transcript((), None)


def test_a_damaged_recording_is_written_down_as_far_as_it_goes(tiny):
    whole = SHARP.read_bytes()
    assert transcribe(whole[: len(whole) // 2], tiny).text == SAID


def test_progress_is_told_and_stops_the_work(tiny, talk):
    seen: list[tuple[float, float | None]] = []
    transcribe(talk, tiny, progress=lambda done_s, whole_s: seen.append((done_s, whole_s)))
    length_s = sf.info(talk).duration
    assert seen == sorted(seen) and seen[-1] == pytest.approx((length_s, length_s))

    def stop(done_s: float, whole_s: float | None) -> None:
        if done_s > 20:
            raise KeyboardInterrupt

    asked = []

    class Counting(Whisper):
        def hear(self, samples, language):
            asked.append(len(samples))
            return super().hear(samples, language)

    with pytest.raises(KeyboardInterrupt):
        transcribe(talk, Counting(tiny), progress=stop)
    assert len(asked) == 1  # of three


# --- What is refused ---


def test_without_a_model_it_says_where_to_get_one():
    with pytest.raises(
        ParameterError, match=r"None is downloaded by itself.*hf download .*--speech-model FOLDER or SER"
    ):
        transcribe(SHARP)


def test_a_folder_that_is_no_model(tmp_path, tiny):
    with pytest.raises(ArtifactError, match=r"nowhere: there is no such folder.*`hf download"):
        Whisper(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match=r"is no speech model.*: model\.bin, config\.json, tokenizer\.json missing"):
        Whisper(tmp_path)
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match=r": tokenizer\.json missing"):
        Whisper(tmp_path)


@pytest.mark.parametrize("file", ["model.bin", "tokenizer.json", "config.json", "vocabulary.json"])
def test_a_damaged_model(tmp_path, tiny, file):
    for part in tiny.iterdir():
        whole = part.read_bytes()
        (tmp_path / part.name).write_bytes(whole[: len(whole) // 2] if part.name == file else whole)
    with pytest.raises(ArtifactError, match=r"this speech model cannot be loaded \(.+\)\. Fetch it again"):
        Whisper(tmp_path)


def test_an_unknown_language_lists_the_known_ones(tiny):
    with pytest.raises(ParameterError, match=r"does not know the language 'klingon'; known: af, .*, de, "):
        Whisper(tiny, "klingon")


@pytest.mark.parametrize(
    ("module", "ask"),
    [("faster_whisper", Whisper), ("speech_recognition", lambda _: Google(send_audio=True))],
)
def test_a_missing_library_says_what_to_install(tiny, monkeypatch, module, ask):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ParameterError, match=f"needs {module}, which .*; {re.escape(advice('transcribe'))}"):
        ask(tiny)


# --- Google, on the loopback ---


class Loopback(HTTPServer):
    """Answers as Google's address does, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[tuple[dict[str, list[str]], np.ndarray, int]] = []
        self.status, self.body = 200, b""
        self.url = f"http://127.0.0.1:{self.server_port}/recognize"

    def say(self, *texts: str) -> None:
        alternatives = [{"transcript": text, "confidence": 0.9} for text in texts]
        found = [{"alternative": alternatives, "final": True}] if texts else []
        self.body = b'{"result":[]}\n' + json.dumps({"result": found, "result_index": 0}).encode()


class _Answer(BaseHTTPRequestHandler):
    server: Loopback

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "audio/x-flac; rate=16000"
        self.server.asked.append((parse_qs(urlsplit(self.path).query), *sf.read(io.BytesIO(body))))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *words: object) -> None:
        """Keeps the tests' output clean."""


@pytest.fixture
def google(monkeypatch) -> Iterator[Loopback]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Loopback() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        server.say("good morning to you")
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.service
def test_google_hears_utterances_and_their_words_are_spread(google, talk, sound):
    found = transcribe(talk, Google(send_audio=True, language="en-GB", endpoint=google.url))
    spoken = cut(sound, 15.0, 0.0)
    assert found.text == " ".join(["good morning to you"] * len(spoken)) and found.language == "en-GB"
    for one, (query, heard, rate) in zip(spoken, google.asked, strict=True):
        assert query["lang"] == ["en-GB"] and rate == RATE
        assert np.allclose(heard, one.samples, atol=1e-4)
    first, last = found.words[0], found.words[3]
    (start, end), *_ = spoken[0].utterances
    assert (first.start_s, last.end_s) == pytest.approx((start / RATE, end / RATE), abs=2e-3)
    assert found.words[1].end_s - found.words[1].start_s > last.end_s - last.start_s


@pytest.mark.service
def test_googles_key_comes_from_the_environment(google, monkeypatch):
    monkeypatch.setenv("SER_GOOGLE_KEY", "mine")
    transcribe(SHARP, Google(send_audio=True, endpoint=google.url))
    assert google.asked[0][0]["key"] == ["mine"]


@pytest.mark.service
def test_google_may_hear_no_words(google):
    google.say()
    assert transcribe(SHARP, Google(send_audio=True, endpoint=google.url)) == Transcript((), None)


@pytest.mark.service
@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (403, b"", r"could not be asked \(recognition request failed: Forbidden\).*SER_GOOGLE_KEY.*--speech-model"),
        (200, b"<html>Welcome to our hotel</html>", "answered something that is no transcript.*login page"),
        (200, b'{"error": 1}', "answered something that is no transcript"),
        (200, b"[1]", "answered something that is no transcript"),
    ],
)
def test_what_google_refuses_or_another_answers(google, status, body, says):
    google.status, google.body = status, body
    with pytest.raises(ParameterError, match=says):
        transcribe(SHARP, Google(send_audio=True, endpoint=google.url))


def test_without_a_network_it_says_so():
    nobody = Google(send_audio=True, endpoint="http://127.0.0.1:9/recognize")  # the discard port: nobody listens
    with pytest.raises(ParameterError, match=r"could not be asked \(.*refused.*\)\. Check the network.*--speech-model"):
        transcribe(SHARP, nobody)


@pytest.mark.parametrize("agreed", [False, None, 1, "no"])
def test_google_hears_nothing_without_a_yes(agreed):
    with pytest.raises(ParameterError, match=r"the sound would leave this machine\. Agree with --yes-send-audio"):
        Google(send_audio=agreed)


def test_what_is_sent_is_encrypted():
    assert GOOGLE.startswith("https://")


# --- Words in a timeline ---


def segment(start_s: float, end_s: float, label: str = "calm") -> Segment:
    return Segment(start_s, end_s, label, dict.fromkeys(EMOTIONS, 1 / 8))


SEGMENTS = (segment(1.0, 3.0), segment(3.0, 5.0, "sad"), segment(8.0, 9.0))
WORDS = (
    Word("A", 0.9, 1.2),
    Word('"b"', 2.7, 3.2),
    Word("<c", 2.9, 3.4),
    Word("&", 3.0, 3.3),
    Word("e", 5.0, 5.6),  # in a pause, nearer to what stands before it
    Word("f", 7.0, 7.5),
)
SPOKEN = with_words(Timeline("talk.wav", 10.0, SEGMENTS, EMOTIONS, "voice"), Transcript(WORDS, "en"))
TEXTS = ['A "b"', "<c & e", "f"]


def test_each_segment_gets_the_words_whose_middle_lies_in_it():
    assert [one.text for one in SPOKEN.segments] == TEXTS
    assert SPOKEN.text == 'A "b" <c & e f'
    assert [word for one in SPOKEN.segments for word in one.words or ()] == list(WORDS)


def test_words_stand_in_the_answer_only_when_asked_for():
    before = Timeline("talk.wav", 10.0, SEGMENTS, EMOTIONS, "voice")
    assert "text" not in before.to_dict() and not {"text", "words"} & before.to_dict()["segments"][0].keys()
    after = SPOKEN.to_dict()
    assert {**after, "segments": None} == {**before.to_dict(), "segments": None, "text": SPOKEN.text}
    assert after["segments"][0] == {
        **before.to_dict()["segments"][0],
        "text": 'A "b"',
        "words": [{"word": "A", "start_s": 0.9, "end_s": 1.2}, {"word": '"b"', "start_s": 2.7, "end_s": 3.2}],
    }


def test_without_speech_the_text_is_empty():
    silent = with_words(Timeline("a.wav", 1.0, (), EMOTIONS, "voice"), Transcript())
    assert silent.to_dict()["text"] == "" and silent.segments == ()
    deaf = with_words(Timeline("a.wav", 10.0, SEGMENTS, EMOTIONS, "voice"), Transcript())
    assert [one["words"] for one in deaf.to_dict()["segments"]] == [[], [], []]
    assert [one.content for one in srt.parse(write(deaf, "srt"))] == ["😌 calm 12%", "😢 sad 12%", "😌 calm 12%"]


def test_the_model_and_the_timeline_agree_where_speech_is(tiny, talk):
    found = with_words(timeline(talk, load_small()), transcribe(talk, tiny))
    assert found.text == " ".join([SAID] * 3)
    words = [(one, word) for one in found.segments for word in one.words or ()]
    assert len(words) == 9
    assert all(one.start_s <= word.middle_s <= one.end_s for one, word in words)


def load_small():
    from ser.inference.recognizer import load

    return load("dense105")


# --- Files with words, read back ---


def test_subtitles_hold_the_words():
    captions = ["😌 calm 12%", "😢 sad 12%", "😌 calm 12%"]
    expected = [f"{caption}\n{text}" for caption, text in zip(captions, TEXTS, strict=True)]
    assert [one.content for one in srt.parse(write(SPOKEN, "srt"))] == expected
    assert "\n&lt;c &amp; e\n" in write(SPOKEN, "vtt")
    assert [cue.text.splitlines()[0] for cue in webvtt.from_string(write(SPOKEN, "vtt"))] == captions


def test_csv_and_audacity_hold_the_words():
    table = pd.read_csv(io.StringIO(write(SPOKEN, "csv")))
    assert list(table["text"]) == TEXTS and list(table.columns)[-1] == "text"
    labels = list(csv.reader(io.StringIO(write(SPOKEN, "audacity")), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [row[2] for row in labels] == ['calm 12%: A "b"', "sad 12%: <c & e", "calm 12%: f"]


def test_pandas_gets_a_column():
    table = to_pandas(SPOKEN)
    assert list(table["text"]) == TEXTS and table["text"].dtype == "string"
    assert "text" not in to_pandas(Timeline("talk.wav", 10.0, SEGMENTS, EMOTIONS, "voice")).columns


def test_textgrid_has_a_tier_of_words(tmp_path):
    path = tmp_path / "talk.TextGrid"
    path.write_text(write(SPOKEN, "textgrid"), encoding="utf-8")
    grid = parselmouth.read(str(path))
    assert call(grid, "Get tier name", 4) == "words"
    places = range(1, call(grid, "Get number of intervals", 4) + 1)
    get = ("Get start time of interval", "Get end time of interval", "Get label of interval")
    found = [tuple(call(grid, what, 4, place) for what in get) for place in places]
    # The fourth word lies within the third, the third begins before the second ends.
    assert [one for one in found if one[2]] == [
        (0.9, 1.2, "A"),
        (2.7, 3.2, '"b"'),
        (3.2, 3.4, "<c &"),
        (5.0, 5.6, "e"),
        (7.0, 7.5, "f"),
    ]
    assert found[0][0] == 0 and found[-1][1] == 10
    assert all(first[1] == second[0] for first, second in pairwise(found))


# --- The command line ---


def run(*words: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [*map(str, words), "--model", "dense105"], input=stdin)


def test_the_timeline_with_words(tiny, talk):
    ran = run("timeline", talk, "--words", "--speech-model", tiny, "--format", "json")
    assert ran.exit_code == 0
    found = with_words(timeline(str(talk), load_small()), transcribe(talk, tiny))
    assert json.loads(ran.stdout) == found.to_dict()
    assert SAID in run("timeline", SHARP, "--speech-model", tiny).stdout
    without = json.loads(run("timeline", SHARP, "--format", "json").stdout)
    assert "text" not in without and "words" not in without["segments"][0]


def test_an_answer_with_words(tiny, monkeypatch):
    monkeypatch.setenv("SER_SPEECH_MODEL", str(tiny))
    (row,) = json.loads(run("predict", SHARP, "--words", "-f", "json").stdout)
    assert row == {**load_small().predict(str(SHARP)).to_dict(), **transcribe(SHARP, tiny).to_dict()}
    (plain,) = json.loads(run("predict", SHARP, "-f", "json").stdout)
    assert not {"text", "words"} & plain.keys()
    (row,) = csv.DictReader(io.StringIO(run("predict", "-", "--words", "-f", "csv", stdin=SHARP.read_bytes()).stdout))
    assert row["text"] == SAID
    table = run("predict", SHARP, "gone.wav", "--words")
    assert SAID in table.stdout and "no such file" in table.stdout and table.exit_code == 2


def test_kept_answers_hold_no_words(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATABASE_URL", f"sqlite:///{tmp_path}/history.db")
    ran = run("predict", SHARP, "--speech-model", tiny, "--keep")
    assert ran.exit_code == 0 and SAID in ran.stdout
    (kept,) = json.loads(CliRunner().invoke(app, ["history", "list", "-f", "json"]).stdout)
    assert kept["label"] and not {"text", "words"} & kept.keys() and SAID not in json.dumps(kept)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--words",), "Which speech model"),
        (("--speech-model", "nowhere"), "there is no such folder"),
        (("--google",), "Agree with --yes-send-audio"),
        (("--google", "--yes-send-audio", "--speech-model", "x"), "not both"),
        (("--words", "--yes-send-audio"), "is about --google"),
        (("--language", "de"), "add --words"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "timeline"])
def test_what_cannot_be_is_refused_before_the_work(command, words, says):
    ran = CliRunner().invoke(app, [command, "not-even-looked-at.wav", *words])
    assert isinstance(ran.exception, ParameterError | ArtifactError) and says in str(ran.exception)


@pytest.mark.service
def test_google_by_the_command_line(google, monkeypatch):
    monkeypatch.setattr(recognisers, "GOOGLE", google.url)
    (row,) = json.loads(
        run("predict", SHARP, "--google", "--yes-send-audio", "--language", "de-DE", "-f", "json").stdout
    )
    assert row["text"] == "good morning to you" and google.asked[0][0]["lang"] == ["de-DE"]


@pytest.mark.service
def test_a_network_that_is_gone_is_an_error_of_the_file(monkeypatch):
    monkeypatch.setattr(recognisers, "GOOGLE", "http://127.0.0.1:9/recognize")
    ran = run("predict", SHARP, "--google", "--yes-send-audio", "-f", "json")
    assert ran.exit_code == 2 and "Check the network" in json.loads(ran.stdout)[0]["error"]


WATCHED = """
import sys
opened = []
sys.addaudithook(lambda event, words: opened.append(event) if event.startswith("socket.") else None)
from ser.cli import main as cli
from ser.transcript import engines as recognisers
recognisers.GOOGLE = "http://127.0.0.1:9/recognize"
try:
    cli.main()
except SystemExit as stop:
    code = stop.code
else:
    code = 0
print("sockets:", sorted(set(opened)), "exit:", code, file=sys.stderr)
"""


def watched(*words: str) -> str:
    """The last line on stderr of a program whose sockets are counted."""
    command = [sys.executable, "-c", WATCHED, "predict", str(SHARP), "--model", "dense105", *words]
    ran = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return ran.stderr.splitlines()[-1]


@pytest.mark.service
def test_no_socket_is_opened_without_a_yes(tiny):
    assert watched("--google") == "sockets: [] exit: 2"
    assert watched("--speech-model", str(tiny)) == "sockets: [] exit: 0"
    agreed = watched("--google", "--yes-send-audio")
    assert "socket.connect" in agreed and agreed.endswith("exit: 2")


@pytest.mark.service
def test_on_a_terminal_it_asks_and_takes_enter_for_no():
    pty = pytest.importorskip("pty", exc_type=ImportError)  # Windows has none
    command = [sys.executable, "-m", "ser", "predict", str(SHARP), "--google"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as program:
        os.close(theirs)
        heard = b""
        while b"Send it? [y/n] (n)" not in heard:
            heard += os.read(ours, 1024)
        os.write(ours, b"\n")
        assert program.wait(60) == 2
        assert program.stdout is not None and program.stdout.read() == b""
    while b"--speech-model" not in heard:
        heard += os.read(ours, 1024)
    os.close(ours)
    assert b"the sound would leave this machine" in b" ".join(heard.split())
