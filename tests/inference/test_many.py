"""Many recordings at once, and timelines by the recogniser."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ser
from ser.inference.artifact import ARTIFACTS
from ser.timeline.segments import timeline
from ser.types import AudioError, Failure, ParameterError, Waveform

SAMPLES = sorted((ARTIFACTS.parent / "samples").glob("*.flac"))
SHARP = ARTIFACTS.parent / "samples" / "sharp.flac"


@pytest.fixture(scope="module")
def small() -> ser.Recognizer:
    return ser.load("dense105")


# --- predict_many ---


@pytest.mark.slow
def test_answers_are_those_of_predict_in_their_order(small):
    sources = [*SAMPLES, SHARP.read_bytes(), io.BytesIO(SHARP.read_bytes()), Waveform(np.ones(16_000, "f4"), 16_000)]
    assert list(small.predict_many(sources)) == [small.predict(source) for source in sources]
    assert list(small.predict_many([])) == []


def test_each_recording_is_taken_only_when_it_is_asked_for(small):
    taken = []

    def endless() -> Iterator[Path]:
        while True:
            taken.append(SHARP)
            yield SHARP

    answers = small.predict_many(endless())
    assert taken == []
    assert next(answers) == next(answers) == small.predict(SHARP) and len(taken) == 2


def test_an_error_is_raised_in_its_place_and_the_next_call_goes_on(small, broken):
    answers = small.predict_many([SHARP, broken, SHARP])
    assert next(answers).file == str(SHARP)
    with pytest.raises(AudioError, match=r"broken\.wav: this is text, not sound"):
        next(answers)
    assert next(answers).file == str(SHARP) and list(answers) == []


def test_errors_as_values_keep_their_place_and_name(small, broken):
    found = list(small.predict_many([broken, SHARP, 3, Waveform(np.ones(9, "f4"), 8_000)], on_error="return"))
    refused, answered, not_a_source, wrong_rate = found
    assert isinstance(refused, Failure) and isinstance(refused.error, AudioError)
    assert refused.to_dict() == {"file": str(broken), "error": str(refused.error)}
    assert answered == small.predict(SHARP)
    assert isinstance(not_a_source, Failure) and "must be a path, bytes or a file" in str(not_a_source.error)
    assert (
        isinstance(wrong_rate, Failure)
        and "takes a Waveform at 16000 Hz" in str(wrong_rate.error)
        and wrong_rate.file is None
    )


@pytest.mark.parametrize(
    "one", [str(SHARP), SHARP, b"RIFF", io.BytesIO(), Waveform(np.ones(9, "f4"), 16_000)], ids=type
)
def test_a_single_recording_is_no_list(small, one):
    for method in (small.predict_many, small.calibrated):
        says = rf"{method.__name__} takes several recordings, found one {type(one).__name__}; put it into a list"
        with pytest.raises(ParameterError, match=says):
            method(one)


def test_an_unknown_way_with_errors_is_refused_before_anything_is_heard(small):
    with pytest.raises(ParameterError, match="on_error is 'raise' or 'return', found 'skip'"):
        small.predict_many([SHARP], on_error="skip")


# --- timeline ---


@pytest.mark.slow
def test_a_recogniser_gives_the_timeline_of_its_file(small):
    heard = []
    found = small.timeline(SHARP, progress=lambda done_s, whole_s: heard.append((done_s, whole_s)), jobs=1)
    assert isinstance(found, ser.Timeline) and found == timeline(SHARP, small)
    assert heard[-1] == (pytest.approx(found.duration_s), pytest.approx(found.duration_s))
