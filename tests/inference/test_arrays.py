"""Samples as arrays, the module's `predict`, and recognisers that are pickled or copied."""

from __future__ import annotations

import io
import json
import multiprocessing
import pickle
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import joblib
import numpy as np
import pytest
import soundfile as sf
from starlette.datastructures import UploadFile

import ser
from ser.inference.artifact import ARTIFACTS, find, verify
from ser.inference.recognizer import Recognizer
from ser.types import ArtifactError, AudioError, ParameterError, Waveform

ROOT = ARTIFACTS.parent
CLIP = ROOT / "samples" / "sharp.flac"
RATE = 16_000


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return ser.load("voice")


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return sf.read(CLIP, dtype="int16")[0]


def as_wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    subtype = {"int16": "PCM_16", "int32": "PCM_32", "float64": "DOUBLE"}.get(str(samples.dtype), "FLOAT")
    sf.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


# --- Arrays ---


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_samples_are_answered_as_their_wav(recognizer, samples, dtype):
    array = samples if dtype == "int16" else samples.astype("int32") * 2**16 if dtype == "int32" else samples / 2**15
    array = array.astype(dtype)
    expected = recognizer.predict(as_wav(array)).probabilities
    assert recognizer.predict(array, sample_rate=RATE).probabilities == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_samples_of_any_rate_are_resampled(recognizer, samples, rate):
    expected = recognizer.predict(as_wav(samples, rate)).probabilities
    assert recognizer.predict(samples, sample_rate=rate).probabilities == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1], ids=["channels first", "channels last"])
def test_channels_are_mixed_down(recognizer, samples, axis):
    expected = recognizer.predict(samples, sample_rate=RATE).probabilities
    stereo = np.stack([samples, samples], axis=axis)
    assert recognizer.predict(stereo, sample_rate=RATE).probabilities == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("array", "options", "error", "says"),
    [
        (np.zeros(RATE, "f4"), {}, ParameterError, "sample_rate"),
        (np.zeros(RATE, "f4"), {"sample_rate": "16k"}, ParameterError, "sample_rate"),
        (np.zeros(RATE, "c8"), {"sample_rate": RATE}, ParameterError, "complex"),
        (np.zeros((2, 2, RATE), "f4"), {"sample_rate": RATE}, ParameterError, "shape"),
        (np.zeros(0, "f4"), {"sample_rate": RATE}, AudioError, "sample"),
        (np.full(RATE, np.nan, "f4"), {"sample_rate": RATE}, AudioError, "not finite"),
        (np.zeros(RATE, "f4"), {"sample_rate": 500}, ParameterError, "8,000 to 192,000 Hz"),
        (np.zeros(130 * 8000, "f4"), {"sample_rate": 8000}, AudioError, "120 s"),
    ],
)
def test_samples_that_cannot_be_answered_are_refused_with_a_sentence(recognizer, array, options, error, says):
    with pytest.raises(error, match=says):
        recognizer.predict(array, **options)


def test_a_rate_for_a_file_is_refused(recognizer):
    with pytest.raises(ParameterError, match="sample_rate is for samples as a NumPy array; str has its own"):
        recognizer.predict(str(CLIP), sample_rate=RATE)


def test_a_file_that_cannot_be_read_is_refused(recognizer, tmp_path):
    closed, upload = io.BytesIO(CLIP.read_bytes()), UploadFile(io.BytesIO(), filename="a.flac")
    closed.close()
    upload.file.close()
    with (tmp_path / "a.wav").open("wb") as writing:
        for source in (closed, upload, writing):
            with pytest.raises(ParameterError, match=r"The file is closed, or open for writing only\."):
                recognizer.predict(source)


@pytest.mark.parametrize("model", [3, 0, b"voice", ["voice"]])
def test_a_model_is_a_name_or_a_folder(model):
    with pytest.raises(ParameterError, match="A model is given by its name or its folder, found"):
        ser.load(model)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["int16", "stereo"])
def test_a_waveform_of_another_form_is_converted(recognizer, samples, change):
    wrong = samples if change == "int16" else np.stack([samples, samples]) / np.float32(2**15)
    expected = recognizer.predict(samples, sample_rate=RATE).probabilities
    assert recognizer.predict(Waveform(wrong, RATE)).probabilities == pytest.approx(expected, abs=1e-6)


def test_a_waveform_that_is_not_finite_is_refused(recognizer):
    with pytest.raises(AudioError, match="not finite"):
        recognizer.predict(Waveform(np.full(RATE, np.nan, np.float32), RATE))


@pytest.mark.slow
def test_an_upload_of_fastapi_is_answered(recognizer):
    upload = UploadFile(io.BytesIO(CLIP.read_bytes()), filename="mine.flac")
    prediction = recognizer.predict(upload)
    assert prediction.file == "mine.flac"
    assert prediction.probabilities == recognizer.predict(CLIP).probabilities


# --- The module ---


@pytest.mark.slow
def test_the_module_predicts_with_the_default_model_loaded_once(monkeypatch):
    assert ser.predict(str(CLIP)) == ser.load().predict(str(CLIP))
    monkeypatch.setenv("SER_MODEL", "no such model")
    assert ser.predict(str(CLIP)).model == "voice"


def test_dir_lists_the_public_names():
    assert set(ser.__all__) <= set(dir(ser)) and not {"Any", "TYPE_CHECKING"} & set(dir(ser))


@pytest.mark.slow
def test_json_numbers_have_at_most_nine_digits(recognizer):
    def numbers(value):
        if isinstance(value, dict | list):
            return [n for part in (value.values() if isinstance(value, dict) else value) for n in numbers(part)]
        return [value] if isinstance(value, Decimal) else []

    for answer in (recognizer.predict(CLIP), recognizer.timeline(str(CLIP))):
        found = numbers(json.loads(json.dumps(answer.to_dict()), parse_float=Decimal))
        assert found and max(len(number.normalize().as_tuple().digits) for number in found) <= 9


# --- Copies ---


@pytest.mark.slow
def test_a_pickled_recognizer_answers_the_same(recognizer):
    calibrated = recognizer.calibrated([CLIP])
    for original in (recognizer, calibrated):
        stored = pickle.dumps(original)
        assert len(stored) < 20_000  # names and a few numbers, no graphs
        assert pickle.loads(stored).predict(CLIP) == original.predict(CLIP)


@pytest.mark.slow
def test_a_pickled_fold_stays_a_fold():
    artifact = verify(find("dense105"))
    fold = Recognizer(artifact, artifact.manifest["folds"][0])
    assert pickle.loads(pickle.dumps(fold)).predict(CLIP) == fold.predict(CLIP) != ser.load("dense105").predict(CLIP)


def test_a_model_by_its_folder_is_pickled_by_its_folder(tmp_path):
    (tmp_path / "mine").symlink_to(find("dense105"))
    assert pickle.loads(pickle.dumps(ser.load(tmp_path / "mine"))).predict(CLIP).model == "dense105"


def test_another_version_of_the_model_is_refused(recognizer):
    state = {**recognizer.__getstate__(), "digest": "0" * 64}
    with pytest.raises(ArtifactError, match="'voice' here is another version than that of the pickled recogniser"):
        object.__new__(Recognizer).__setstate__(state)


@pytest.mark.slow
def test_deep_copies_share_the_graphs(recognizer):
    twin = deepcopy(recognizer)
    assert twin is not recognizer and twin.predict(CLIP) == recognizer.predict(CLIP)


@pytest.mark.slow
def test_processes_take_a_recognizer(recognizer):
    expected = recognizer.predict(str(CLIP))
    assert joblib.Parallel(2)(joblib.delayed(recognizer.predict)(str(CLIP)) for _ in range(2)) == [expected] * 2
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(recognizer.predict, [str(CLIP)]) == [expected]


@pytest.mark.slow
def test_import_is_quick():
    """`import ser` takes at most 0.1 s, the best of five."""
    code = "import time; t = time.perf_counter(); import ser; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True) for _ in range(5)]
    assert min(float(run.stdout) for run in runs) < 0.1


def test_a_prediction_without_heads_has_none_in_json(recognizer):
    bare = replace(recognizer.predict(CLIP), sex=None, intensity=None).to_dict()
    assert bare["sex"] is None and bare["intensity"] is None and Path(bare["file"]).name == "sharp.flac"
