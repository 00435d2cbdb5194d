"""Tables of predictions and timelines: columns, types and missing values; other things are refused."""

from __future__ import annotations

import csv
import io
import subprocess
import sys

import pandas as pd
import pytest

import ser
from ser.extras import advice
from ser.inference.artifact import ARTIFACTS
from ser.tables import flat, to_csv
from ser.types import EMOTIONS, AudioError, Failure, ParameterError, Timeline

SAMPLES = sorted((ARTIFACTS.parent / "samples").glob("*.flac"))
SHARP = ARTIFACTS.parent / "samples" / "sharp.flac"
ADAPTED = ["adapted_source", "adapted_clips"]
HEADS = ["sex_male", "sex_female", "intensity"]
END = ["error", "valence", "arousal"]
LAST = ["uncertain", "reasons", "quality", "top", *HEADS, "duration_s", "model", *ADAPTED, "channel", "track", *END]


@pytest.fixture(scope="module")
def voice() -> ser.Recognizer:
    return ser.load("voice")


@pytest.fixture(scope="module")
def small() -> ser.Recognizer:
    return ser.load("dense105")


@pytest.mark.slow
def test_predictions_as_a_table(voice, broken):
    results = list(voice.predict_many([SHARP, broken], on_error="return"))
    table = ser.to_pandas(results)
    assert list(table.columns) == ["file", "label", "confidence", *EMOTIONS, *LAST]
    first, prediction = table.iloc[0], voice.predict(SHARP)
    assert (first.file, first.label) == (str(SHARP), prediction.label)
    assert {label: first[label] for label in EMOTIONS} == pytest.approx(prediction.probabilities, rel=1e-8)
    assert {"male": first.sex_male, "female": first.sex_female} == pytest.approx(prediction.sex, rel=1e-8)
    assert (first.uncertain, first.reasons) == (prediction.uncertain, " ".join(prediction.reasons))
    assert first.intensity == pytest.approx(prediction.intensity, rel=1e-8)
    assert (first.valence, first.arousal) == pytest.approx(prediction.mood, rel=1e-8)
    assert (first.duration_s, first.model) == (prediction.duration_s, "voice")
    assert table.iloc[1].dropna().to_dict() == {"file": str(broken), "error": str(results[1].error)}


def test_a_name_that_is_no_utf8_is_escaped():
    failure = Failure("bad\udcff.wav", AudioError("bad\udcff.wav: no such file."))
    assert flat(failure.to_dict()) == {"file": r"bad\udcff.wav", "error": r"bad\udcff.wav: no such file."}


@pytest.mark.slow
def test_the_types_of_columns_do_not_depend_on_failures(voice, broken):
    intact, mixed, failed = (
        ser.to_pandas(voice.predict_many(sources, on_error="return"))
        for sources in ([SHARP], [SHARP, broken], [broken])
    )
    assert (intact.dtypes == mixed.dtypes).all() and (intact.dtypes[failed.columns] == failed.dtypes).all()
    assert str(intact.uncertain.dtype) == "boolean" and intact.confidence.dtype == float
    assert mixed[mixed.error.isna()].equals(intact)


def test_outputs_that_a_model_lacks_are_missing(small):
    table = ser.to_pandas(small.predict(SHARP))
    assert table[["sex_male", "sex_female", "intensity", "error"]].isna().all(axis=None)
    assert len(table) == 1 and table[list(EMOTIONS)].sum(axis=1).item() == pytest.approx(1)


@pytest.mark.slow
def test_timelines_as_a_table(small):
    timelines = [small.timeline(path) for path in SAMPLES]
    table = ser.to_pandas(timelines)
    first_columns = ["file", "start_s", "end_s", "label", "confidence"]
    assert list(table.columns) == [*first_columns, *EMOTIONS, *LAST[:2], "top", "model", *ADAPTED, "channel", *END[1:]]
    segments = [(timeline.file, *part.to_dict().values()) for timeline in timelines for part in timeline.segments]
    assert len(segments) >= len(SAMPLES) - 1  # one of them is music
    rows = table[["file", "start_s", "end_s", "label", "confidence", "uncertain"]].itertuples(index=False, name=None)
    assert list(rows) == [(*values[:5], values[6]) for values in segments]
    first = timelines[0]
    assert ser.to_pandas(first).equals(table[table.file == first.file].reset_index(drop=True))


def test_empty_tables_keep_their_columns():
    silent = Timeline("quiet.wav", 3.0, (), ("happy", "sad"), "mine")
    assert list(ser.to_pandas(silent).columns[4:8]) == ["confidence", "happy", "sad", "uncertain"]
    assert list(ser.to_pandas([]).columns) == ["file", "label", "confidence", *LAST]
    assert len(ser.to_pandas([])) == len(ser.to_pandas(silent)) == 0


def test_other_things_are_refused(small):
    prediction = small.predict(SHARP)
    with pytest.raises(ParameterError, match=r"either answers of predict or timelines, .* found Prediction, Timeline"):
        ser.to_pandas([prediction, Timeline("a", 1.0, (), ("happy", "sad"), "mine")])
    with pytest.raises(ParameterError, match="found Prediction, dict"):
        ser.to_pandas([prediction, prediction.to_dict()])


@pytest.mark.slow
def test_pandas_is_loaded_only_when_used_and_named_if_missing():
    code = """
import sys
import ser
prediction = ser.load("dense105").predict(sys.argv[1])
assert "pandas" not in sys.modules
sys.modules["pandas"] = None  # as if it were not installed
ser.to_pandas(prediction)
"""
    command = [sys.executable, "-c", code, SHARP]
    process = subprocess.run(command, cwd=ARTIFACTS.parent, check=False, capture_output=True, text=True)
    sentence = f"ParameterError: to_pandas needs pandas, which this installation lacks; {advice('pandas')}."
    assert process.stderr.splitlines()[-1].endswith(sentence)


def test_line_ends_in_a_name_stay_inside_the_cell():
    names = ["a\rb.wav", "c\nd.wav", 'e"f,g.wav']
    text = to_csv([{"file": name, "label": "sad", "other": 1} for name in names], ["file", "label"])
    assert [row["file"] for row in csv.DictReader(io.StringIO(text, newline=""))] == names
    assert pd.read_csv(io.StringIO(text, newline="")).file.tolist() == names
