"""Transcripts: words with times, in timelines, in files of every format, and by the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import parselmouth
import pytest
import soundfile as sf
import srt
import webvtt
from command_line import UNIX, piped
from parselmouth.praat import call
from speech import SAID, SHARP, VOICE, cut
from tiny_whisper import build
from typer.testing import CliRunner, Result

from ser.audio.vad import RATE
from ser.cli.main import app
from ser.inference.artifact import ARTIFACTS
from ser.tables import to_pandas
from ser.timeline.formats import write
from ser.timeline.segments import timeline
from ser.transcript import engines
from ser.transcript.engines import Whisper
from ser.transcript.transcript import Transcript, transcribe, with_words
from ser.types import EMOTIONS, ArtifactError, ParameterError, Segment, Timeline, Word

ROOT = ARTIFACTS.parent


# --- Words of a recording ---


@pytest.mark.slow
def test_words_with_times(tiny):
    transcript = transcribe(SHARP, tiny)
    assert (transcript.text, transcript.language) == (SAID, "en")
    assert [word.word for word in transcript.words] == ["well,", "hello", "there"]
    assert all(first.end_s <= second.start_s for first, second in pairwise(transcript.words))
    (spoken,) = cut(VOICE, 30.0, 2.0)
    for word in transcript.words:
        assert spoken.start / RATE <= word.start_s + 1e-3 < word.end_s <= len(VOICE) / RATE
    assert transcript.to_dict() == {"text": SAID, "words": [word.to_dict() for word in transcript.words]}
    assert transcript.to_dict()["words"][0].keys() == {"word", "start_s", "end_s"}


@pytest.mark.slow
def test_every_source_and_block_gives_the_same_words(tiny, talk):
    whisper = Whisper(tiny)
    transcript = transcribe(str(talk), whisper)
    assert transcript.text == " ".join([SAID] * 3)
    assert transcript == transcribe(talk.read_bytes(), whisper, block_s=1.0)
    with talk.open("rb") as file:
        assert transcript == transcribe(file, whisper, block_s=60.0)


@pytest.mark.slow
def test_words_lie_within_the_utterances(tiny, talk, sound):
    spoken = [(start / RATE, end / RATE) for chunk in cut(sound, 30.0, 2.0) for start, end in chunk.utterances]
    for word in transcribe(talk, tiny).words:
        assert any(start_s - 1e-3 <= word.start_s and word.end_s <= end_s + 1e-3 for start_s, end_s in spoken)


@pytest.mark.slow
def test_silence_has_no_words(tiny, tmp_path):
    sf.write(tmp_path / "quiet.wav", np.zeros(3 * RATE), RATE)
    assert transcribe(tmp_path / "quiet.wav", tiny) == Transcript((), None)
    assert transcribe(tmp_path / "quiet.wav", tiny).to_dict() == {"text": "", "words": []}


@pytest.mark.slow
def test_a_model_without_words_gives_an_empty_text(tmp_path):
    assert transcribe(SHARP, build(tmp_path, ())) == Transcript((), None)


@pytest.mark.slow
def test_a_damaged_recording_is_transcribed_up_to_the_damage(tiny):
    data = SHARP.read_bytes()
    assert transcribe(data[: len(data) // 2], tiny).text == SAID


@pytest.mark.slow
def test_progress_is_reported_and_can_stop_the_work(tiny, talk):
    seen: list[tuple[float, float | None]] = []
    transcribe(talk, tiny, progress=lambda done_s, length_s: seen.append((done_s, length_s)))
    length_s = sf.info(talk).duration
    assert seen == sorted(seen) and seen[-1] == pytest.approx((length_s, length_s))

    def stop(done_s: float, length_s: float | None) -> None:
        if done_s > 20:
            raise KeyboardInterrupt

    requests = []

    class Counting(Whisper):
        def transcribe(self, samples, language):
            requests.append(len(samples))
            return super().transcribe(samples, language)

    with pytest.raises(KeyboardInterrupt):
        transcribe(talk, Counting(tiny), progress=stop)
    assert len(requests) == 1  # of three


# --- Words in a timeline ---


def segment(start_s: float, end_s: float, label: str = "calm") -> Segment:
    return Segment(start_s, end_s, label, dict.fromkeys(EMOTIONS, 1 / 8))


SEGMENTS = (segment(1.0, 3.0), segment(3.0, 5.0, "sad"), segment(8.0, 9.0))
WORDS = (
    Word("A", 0.9, 1.2),
    Word('"b"', 2.7, 3.2),
    Word("<c", 2.9, 3.4),
    Word("&", 3.0, 3.3),
    Word("e", 5.0, 5.6),  # in a pause, nearer to the segment before
    Word("f", 7.0, 7.5),
)
SPOKEN = with_words(Timeline("talk.wav", 10.0, SEGMENTS, EMOTIONS, "voice"), Transcript(WORDS, "en"))
TEXTS = ['A "b"', "<c & e", "f"]


def test_each_segment_gets_the_words_whose_middle_lies_in_it():
    assert [segment.text for segment in SPOKEN.segments] == TEXTS
    assert SPOKEN.text == 'A "b" <c & e f'
    assert [word for segment in SPOKEN.segments for word in segment.words or ()] == list(WORDS)


def test_words_are_in_the_timeline_only_if_transcribed():
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
    wordless = with_words(Timeline("a.wav", 10.0, SEGMENTS, EMOTIONS, "voice"), Transcript())
    assert [segment["words"] for segment in wordless.to_dict()["segments"]] == [[], [], []]
    assert [cue.content for cue in srt.parse(write(wordless, "srt"))] == ["😌 calm 12%", "😢 sad 12%", "😌 calm 12%"]


@pytest.mark.slow
def test_timeline_and_transcript_agree_on_the_speech(tiny, talk):
    spoken = with_words(timeline(talk, load_small()), transcribe(talk, tiny))
    assert spoken.text == " ".join([SAID] * 3)
    pairs = [(segment, word) for segment in spoken.segments for word in segment.words or ()]
    assert len(pairs) == 9
    assert all(segment.start_s <= word.middle_s <= segment.end_s for segment, word in pairs)


def load_small():
    from ser.inference.recognizer import load

    return load("dense105")


# --- Files with words, read back ---


def test_subtitles_hold_the_words():
    captions = ["😌 calm 12%", "😢 sad 12%", "😌 calm 12%"]
    expected = [f"{caption}\n{text}" for caption, text in zip(captions, TEXTS, strict=True)]
    assert [cue.content for cue in srt.parse(write(SPOKEN, "srt"))] == expected
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
    indices = range(1, call(grid, "Get number of intervals", 4) + 1)
    get = ("Get start time of interval", "Get end time of interval", "Get label of interval")
    intervals = [tuple(call(grid, what, 4, index) for what in get) for index in indices]
    # The fourth word lies within the third, the third begins before the second ends.
    assert [interval for interval in intervals if interval[2]] == [
        (0.9, 1.2, "A"),
        (2.7, 3.2, '"b"'),
        (3.2, 3.4, "<c &"),
        (5.0, 5.6, "e"),
        (7.0, 7.5, "f"),
    ]
    assert intervals[0][0] == 0 and intervals[-1][1] == 10
    assert all(first[1] == second[0] for first, second in pairwise(intervals))


# --- The command line ---


def run(*words: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [*map(str, words), "--model", "dense105"], input=stdin)


@pytest.mark.slow
def test_the_timeline_with_words(tiny, talk):
    ran = run("timeline", talk, "--words", "--speech-model", tiny, "--format", "json")
    assert ran.exit_code == 0
    spoken = with_words(timeline(str(talk), load_small()), transcribe(talk, tiny))
    assert json.loads(ran.stdout) == spoken.to_dict()
    assert SAID in run("timeline", SHARP, "--speech-model", tiny).stdout
    without = json.loads(run("timeline", SHARP, "--format", "json").stdout)
    assert "text" not in without and "words" not in without["segments"][0]


@UNIX
@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict", "timeline"])
def test_a_pipe_is_read_once_for_emotions_and_words(tiny, command):
    with piped(SHARP.read_bytes()) as pipe:
        ran = run(command, pipe, "--speech-model", tiny, "-f", "json")
    answer = json.loads(ran.stdout)
    (answer,) = answer if command == "predict" else [answer]
    assert (answer["file"], answer["text"]) == (pipe, SAID)


@pytest.mark.slow
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


@pytest.mark.slow
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
        (("--speech-model", "nowhere"), "no such folder"),
        (("--google",), "Agree with --yes-send-audio"),
        (("--google", "--yes-send-audio", "--speech-model", "x"), "not both"),
        (("--words", "--yes-send-audio"), "belongs to --google"),
        (("--language", "de"), "add --words"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "timeline"])
def test_invalid_options_are_refused_before_the_work(command, words, says):
    ran = CliRunner().invoke(app, [command, "not-even-looked-at.wav", *words])
    assert isinstance(ran.exception, ParameterError | ArtifactError) and says in str(ran.exception)


@pytest.mark.service
def test_google_by_the_command_line(google, monkeypatch):
    monkeypatch.setattr(engines, "GOOGLE", google.url)
    (row,) = json.loads(
        run("predict", SHARP, "--google", "--yes-send-audio", "--language", "de-DE", "-f", "json").stdout
    )
    assert row["text"] == "good morning to you" and google.requests[0][0]["lang"] == ["de-DE"]


@pytest.mark.service
def test_a_network_that_is_gone_is_an_error_of_the_file(monkeypatch):
    monkeypatch.setattr(engines, "GOOGLE", "http://127.0.0.1:9/recognize")
    ran = run("predict", SHARP, "--google", "--yes-send-audio", "-f", "json")
    assert ran.exit_code == 2 and "Check the network" in json.loads(ran.stdout)[0]["error"]


WATCHED = """
import sys
opened = []
sys.addaudithook(lambda event, words: opened.append(event) if event.startswith("socket.") else None)
from ser.cli import main as cli
from ser.transcript import engines as engines
engines.GOOGLE = "http://127.0.0.1:9/recognize"
try:
    cli.main()
except SystemExit as stop:
    code = stop.code
else:
    code = 0
print("sockets:", sorted(set(opened)), "exit:", code, file=sys.stderr)
"""


def watched(*words: str) -> str:
    """Return the last line on stderr of a program whose sockets are counted."""
    command = [sys.executable, "-c", WATCHED, "predict", str(SHARP), "--model", "dense105", *words]
    ran = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return ran.stderr.splitlines()[-1]


@pytest.mark.service
def test_no_socket_is_opened_without_an_agreement(tiny):
    assert watched("--google") == "sockets: [] exit: 2"
    assert watched("--speech-model", str(tiny)) == "sockets: [] exit: 0"
    agreed = watched("--google", "--yes-send-audio")
    assert "socket.connect" in agreed and agreed.endswith("exit: 2")


@pytest.mark.service
def test_on_a_terminal_the_default_answer_is_no():
    pty = pytest.importorskip("pty", exc_type=ImportError)  # Windows has none
    command = [sys.executable, "-m", "ser", "predict", str(SHARP), "--google"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as program:
        os.close(theirs)
        output = b""
        while b"Send it? [y/n] (n)" not in output:
            output += os.read(ours, 1024)
        os.write(ours, b"\n")
        assert program.wait(60) == 2
        assert program.stdout is not None and program.stdout.read() == b""
    while b"--speech-model" not in output:
        output += os.read(ours, 1024)
    os.close(ours)
    assert b"the sound would leave this machine" in b" ".join(output.split())
