"""The page's live mode without a browser: what its messages do."""

from __future__ import annotations

import base64
import gc
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import ser
from ser.audio.pcm import wav_header
from ser.inference.memory import freeze_loaded
from ser.page.live import Sessions, answer_data
from ser.page.recorder import RATE

ROOT = Path(__file__).resolve().parents[2]
STEP = RATE // 4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recognizer():
    return ser.load("small")


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    return sf.read(ROOT / "samples" / "sharp.flac", dtype="int16")[0][: 2 * RATE]


@pytest.fixture
def sessions(recognizer) -> Sessions:
    return Sessions(recognizer)


def message(samples: np.ndarray, start: int, stop: int, *, n: int = 1, id: str = "a", **rest: object) -> dict:
    pcm = base64.b64encode(samples[start:stop].astype("<i2").tobytes()).decode()
    return {"id": id, "n": n, "from": start, "pcm": pcm, **rest}


def test_steps_are_answered_and_the_end_by_all_sound(sessions, recognizer, spoken):
    for n, start in enumerate(range(0, len(spoken), STEP), 1):
        assert not sessions.take(message(spoken, start, start + STEP, n=n))
        told = sessions.answer()
        assert told["got"] == start + STEP and told["n"] == n and not told["done"]
        assert told["t_s"] == told["got"] / RATE and sum(told["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert sessions.take(message(spoken, len(spoken), len(spoken), n=99, end=True))
    wav = wav_header(RATE, 1, 2 * len(spoken)) + spoken.tobytes()
    assert sessions.session.wav == wav and sessions.answer()["done"]
    *live, last = sessions.session.answers
    assert len(live) == len(spoken) // STEP
    assert last == (len(spoken) / RATE, recognizer.predict(wav))
    assert sessions.answer() == {"id": "a", "n": 99, "got": len(spoken), "done": True, **answer_data(last)}


def test_messages_that_come_twice_or_leave_a_gap(sessions, spoken):
    sessions.take(message(spoken, 0, 2 * STEP))
    sessions.take(message(spoken, 0, 2 * STEP, n=2))  # the answer was late
    assert sessions.answer()["got"] == 2 * STEP and sessions.answer()["n"] == 2
    sessions.take(message(spoken, STEP, 3 * STEP))  # half of it is here
    assert sessions.answer()["got"] == 3 * STEP
    assert not sessions.take(message(spoken, 5 * STEP, 6 * STEP, n=7, end=True))  # the browser is told where to go on
    assert sessions.answer()["got"] == 3 * STEP and not sessions.answer()["done"]
    assert sessions.take(message(spoken, 3 * STEP, 6 * STEP, n=8, end=True))
    assert not sessions.take(message(spoken, 3 * STEP, 6 * STEP, n=9, end=True))
    assert sessions.answer()["n"] == 9 and sessions.answer()["done"]
    assert sessions.session.wav == wav_header(RATE, 1, 12 * STEP) + spoken[: 6 * STEP].tobytes()


def test_sound_that_piles_up_is_answered_once(sessions, spoken):
    sessions.take(message(spoken, 0, 7 * STEP))
    assert [answer.t_s for answer in sessions.session.answers] == [7 / 4]


def test_a_session_that_is_unknown_here_begins_again(sessions, spoken):
    sessions.take(message(spoken, 4 * STEP, 5 * STEP, n=5))
    assert sessions.answer() == {"id": "a", "n": 5, "got": 0, "done": False}
    sessions.take(message(spoken, 0, 5 * STEP, n=6))
    assert sessions.answer()["got"] == 5 * STEP


def test_discarded_and_empty_sessions(sessions, spoken):
    assert sessions.answer() is None
    sessions.take(message(spoken, 0, STEP))
    sessions.take({"id": "a", "discard": True})
    assert sessions.session is None and sessions.answer() is None
    assert sessions.take(message(spoken, 0, 0, end=True))
    assert sessions.session.wav is None and sessions.session.answers == []


def test_no_emotion_is_named_without_speech(sessions):
    noise = np.random.default_rng(0).normal(0, 3000, RATE).astype("int16")
    sessions.take(message(noise, 0, RATE))
    assert sessions.answer()["kind"] == "none"


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        "text",
        [],
        {"id": 3},
        {"id": "a"},
        {"id": "a", "n": 1, "from": 0, "pcm": "%"},
        {"id": "a", "n": 1, "from": "0", "pcm": "AAA="},
        {"id": "a", "n": None, "from": 0, "pcm": "AAA="},
        {"id": "a", "n": 1, "from": 0, "pcm": "AAAA"},  # one sample and a half
    ],
)
def test_foreign_messages_are_ignored(sessions, foreign):
    assert not sessions.take(foreign) and sessions.answer() is None


@pytest.mark.parametrize("start", [-4, 2**62])
def test_sound_from_nowhere_is_left_out(sessions, start):
    assert not sessions.take({"id": "a", "n": 1, "from": start, "pcm": "AAA=", "end": True})
    assert sessions.answer()["got"] == 0


def test_no_more_than_two_minutes_are_kept(sessions):
    minute = np.zeros(60 * RATE, "int16")
    for start in (0, 60 * RATE, 120 * RATE):
        pcm = base64.b64encode(minute.tobytes()).decode()
        sessions.take({"id": "a", "n": 1, "from": start, "pcm": pcm})
    assert sessions.answer()["got"] == 120 * RATE


def test_what_is_loaded_is_not_collected_after_every_run():
    freeze_loaded.cache_clear()
    try:
        freeze_loaded()
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
