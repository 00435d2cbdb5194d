"""Many recordings at once, timelines by the recogniser, and both as pandas tables."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ser
from ser.extras import advice
from ser.inference.artifact import ARTIFACTS
from ser.timeline.segments import timeline
from ser.types import EMOTIONS, AudioError, Failure, ParameterError, Timeline, Waveform

SAMPLES = sorted((ARTIFACTS.parent / "samples").glob("*.flac"))
SHARP = ARTIFACTS.parent / "samples" / "sharp.flac"
ENDS = ["uncertain", "reasons", "sex_male", "sex_female", "intensity", "duration_s", "model", "error"]


@pytest.fixture(scope="module")
def voice() -> ser.Recognizer:
    return ser.load("voice")


@pytest.fixture(scope="module")
def small() -> ser.Recognizer:
    return ser.load("dense105")


@pytest.fixture
def broken(tmp_path) -> Path:
    path = tmp_path / "broken.wav"
    path.write_bytes(b"no sound at all")
    return path


# --- predict_many ---


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


def test_a_recogniser_gives_the_timeline_of_its_file(small):
    heard = []
    found = small.timeline(SHARP, progress=lambda done_s, whole_s: heard.append((done_s, whole_s)), jobs=1)
    assert isinstance(found, ser.Timeline) and found == timeline(SHARP, small)
    assert heard[-1] == (pytest.approx(found.duration_s), pytest.approx(found.duration_s))


# --- pandas ---


def test_answers_as_a_table(voice, broken):
    answers = list(voice.predict_many([SHARP, broken], on_error="return"))
    table = ser.to_pandas(answers)
    assert list(table.columns) == ["file", "label", "confidence", *EMOTIONS, *ENDS]
    first, answer = table.iloc[0], voice.predict(SHARP)
    assert (first.file, first.label) == (str(SHARP), answer.label)
    assert {label: first[label] for label in EMOTIONS} == pytest.approx(answer.probabilities, rel=1e-8)
    assert (first.sex_male, first.sex_female) == pytest.approx((answer.sex["male"], answer.sex["female"]), rel=1e-8)
    assert (first.uncertain, first.reasons) == (answer.uncertain, " ".join(answer.reasons))
    assert (first.intensity, first.model) == (pytest.approx(answer.intensity, rel=1e-8), "voice")
    assert first.duration_s == answer.duration_s
    refused = table.iloc[1].dropna()
    assert refused.to_dict() == {"file": str(broken), "error": str(answers[1].error)}


def test_the_types_of_columns_do_not_depend_on_failures(voice, broken):
    whole, part, lost = (
        ser.to_pandas(voice.predict_many(sources, on_error="return"))
        for sources in ([SHARP], [SHARP, broken], [broken])
    )
    assert (whole.dtypes == part.dtypes).all() and (whole.dtypes[lost.columns] == lost.dtypes).all()
    assert str(whole.uncertain.dtype) == "boolean" and whole.confidence.dtype == float
    assert part[part.error.isna()].equals(whole)


def test_what_a_model_does_not_say_is_missing(small):
    table = ser.to_pandas(small.predict(SHARP))
    assert table[["sex_male", "sex_female", "intensity", "error"]].isna().all(axis=None)
    assert len(table) == 1 and table[list(EMOTIONS)].sum(axis=1).item() == pytest.approx(1)


def test_timelines_as_a_table(small):
    found = [small.timeline(path) for path in SAMPLES]
    table = ser.to_pandas(found)
    assert list(table.columns) == ["file", "start_s", "end_s", "label", "confidence", *EMOTIONS, *ENDS[:2], "model"]
    segments = [(one.file, *part.to_dict().values()) for one in found for part in one.segments]
    assert len(segments) >= len(SAMPLES) - 1  # one of them is music
    told = table[["file", "start_s", "end_s", "label", "confidence", "uncertain"]].itertuples(index=False, name=None)
    assert list(told) == [(*told[:5], told[6]) for told in segments]
    assert ser.to_pandas(found[0]).equals(table[table.file == found[0].file].reset_index(drop=True))


def test_empty_tables_keep_their_columns():
    nobody = Timeline("quiet.wav", 3.0, (), ("happy", "sad"), "mine")
    assert list(ser.to_pandas(nobody).columns[4:8]) == ["confidence", "happy", "sad", "uncertain"]
    assert list(ser.to_pandas([]).columns) == ["file", "label", "confidence", *ENDS]
    assert len(ser.to_pandas([])) == len(ser.to_pandas(nobody)) == 0


def test_other_things_are_refused(small):
    answer = small.predict(SHARP)
    with pytest.raises(
        ParameterError, match=r"answers of predict, or timelines, not both .* found Prediction, Timeline"
    ):
        ser.to_pandas([answer, Timeline("a", 1.0, (), ("happy", "sad"), "mine")])
    with pytest.raises(ParameterError, match="found Prediction, dict"):
        ser.to_pandas([answer, answer.to_dict()])


def test_pandas_is_loaded_only_when_used_and_missing_is_a_sentence():
    code = """
import sys
import ser
answer = ser.load("dense105").predict(sys.argv[1])
assert "pandas" not in sys.modules
sys.modules["pandas"] = None  # as if it were not installed
ser.to_pandas(answer)
"""
    command = [sys.executable, "-c", code, SHARP]
    ran = subprocess.run(command, cwd=ARTIFACTS.parent, check=False, capture_output=True, text=True)
    says = f"ParameterError: to_pandas needs pandas, which this installation lacks; {advice('pandas')}."
    assert ran.stderr.splitlines()[-1].endswith(says)
