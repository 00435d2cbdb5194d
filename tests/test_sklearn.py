"""`VoiceFeatures`: its numbers, errors, and use in pipelines and searches by speaker."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.audio.loading import load_waveform
from ser.datasets.corpora import load_corpus
from ser.extras import advice
from ser.features.preprocessing import windows
from ser.features.recipes import RECIPES
from ser.inference.artifact import ARTIFACTS
from ser.types import AudioError, ParameterError, Waveform

pytestmark = pytest.mark.slow

ROOT = ARTIFACTS.parent
SAMPLES = [str(path) for path in sorted((ROOT / "samples").glob("*.flac"))]
VOICE105 = RECIPES["voice105-v1"]


@pytest.fixture(scope="module")
def VoiceFeatures():
    from ser.sklearn import VoiceFeatures

    return VoiceFeatures


@pytest.fixture(scope="module")
def clips(ser_data):
    """Return the clips of two emotions by three actors."""
    clips = load_corpus("ravdess", ser_data).clips
    return [clip for clip in clips if clip.speaker[-2:] in ("01", "08", "24") and clip.emotion in ("sad", "angry")]


# --- Output ---


@pytest.mark.parametrize("name", [name for name, made in RECIPES.items() if len(made.shape) == 1 and not made.encoder])
def test_rows_are_the_features_of_the_recipe(VoiceFeatures, name):
    made = RECIPES[name]
    transformer = VoiceFeatures(recipe=name)
    rows = transformer.fit_transform(SAMPLES[:2])
    expected = [made.of(load_waveform(path, made.sample_rate)).mean(axis=0) for path in SAMPLES[:2]]
    assert rows.dtype == np.float32 and rows.shape == (2, *made.shape)
    np.testing.assert_array_equal(rows, expected)
    assert tuple(transformer.get_feature_names_out()) == made.feature_names


def test_longer_sound_is_the_mean_of_its_windows(VoiceFeatures, rng):
    samples = rng.normal(size=round(8 * VOICE105.sample_rate)).astype(np.float32)
    parts = windows(samples / np.abs(samples).max(), round(VOICE105.window_s * VOICE105.sample_rate))
    expected = np.mean([VOICE105.extract(part) for part in parts], axis=0)
    assert len(parts) == 4
    np.testing.assert_allclose(VoiceFeatures().transform([samples])[0], expected, rtol=1e-4, atol=1e-4)


def test_every_kind_of_source_gives_the_same_features(VoiceFeatures):
    data, waveform = Path(SAMPLES[0]).read_bytes(), load_waveform(SAMPLES[0], VOICE105.sample_rate)
    kinds = [SAMPLES[0], Path(SAMPLES[0]), data, io.BytesIO(data), waveform, waveform.samples]
    rows = VoiceFeatures().transform(kinds)
    assert (rows == rows[0]).all()
    assert (VoiceFeatures().transform(np.array(SAMPLES[:1])) == rows[:1]).all()
    assert (VoiceFeatures().fit_transform(iter(SAMPLES[:1])) == rows[:1]).all()


def test_arrays_are_resampled_from_their_rate(VoiceFeatures):
    samples, rate = soundfile.read(SAMPLES[0], dtype="int16")
    assert rate != 22_050
    right, wrong = (VoiceFeatures(sample_rate=given).transform([samples])[0] for given in (rate, 22_050))
    np.testing.assert_allclose(right, VoiceFeatures().transform(SAMPLES[:1])[0], rtol=1e-3, atol=1e-3)
    assert np.abs(wrong - right).max() > 1


def test_arrays_of_two_channels_and_any_type(VoiceFeatures, rng):
    samples = rng.normal(scale=3000, size=9000).astype(np.int16)
    arrays = [samples, samples.astype(np.int64), samples / 32768, np.stack([samples, samples])]
    rows = VoiceFeatures().transform(arrays)
    np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), rtol=1e-3, atol=1e-3)


def test_no_recordings_are_no_rows(VoiceFeatures):
    assert VoiceFeatures().fit_transform([]).shape == (0, 105)


def test_a_table_with_named_columns(VoiceFeatures):
    table = VoiceFeatures().set_output(transform="pandas").fit_transform(SAMPLES[:1])
    assert tuple(table.columns) == VOICE105.feature_names


# --- Errors ---


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"recipe": "voice104"}, "Unknown recipe 'voice104'; known: voice105-v1"),
        (
            {"recipe": "voice-frames-v1"},
            r"voice-frames-v1 returns arrays of shape \(201, 101\), not a vector; recipes that return one: voice105-v1",
        ),
        ({"recipe": "encoder-v1"}, "encoder-v1 needs a model's encoder"),
        ({"sample_rate": 4000}, "sample_rate must be an integer from 8000 to 192000 Hz, got 4000"),
        ({"sample_rate": "16000"}, "got '16000'"),
        ({"sample_rate": 16_000.5}, "got 16000.5"),
        ({"sample_rate": True}, "got True"),
    ],
)
def test_parameters_are_checked_when_used(VoiceFeatures, parameters, says):
    transformer = VoiceFeatures(**parameters)
    for use in (transformer.fit, transformer.transform):
        with pytest.raises(ParameterError, match=says):
            use(SAMPLES[:1])


SINGLE = (SAMPLES[0], Path(SAMPLES[0]), b"RIFF", io.BytesIO(), np.ones(9), Waveform(np.ones(9, "f4"), 16_000), None)


@pytest.mark.parametrize("source", SINGLE, ids=lambda source: type(source).__name__)
def test_a_single_recording_is_not_a_list(VoiceFeatures, source):
    for use in (VoiceFeatures().fit, VoiceFeatures().transform):
        with pytest.raises(ParameterError, match=rf"a list of recordings, got one {type(source).__name__}; put it"):
            use(source)


def test_a_table_is_not_a_list(VoiceFeatures):
    import pandas as pd

    table = pd.DataFrame({"path": SAMPLES[:1]})
    with pytest.raises(ParameterError, match="got a table; select its column"):
        VoiceFeatures().fit(table)
    assert VoiceFeatures().fit_transform(table["path"]).shape == (1, 105)


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ("gone.wav", AudioError, r"gone\.wav: no such file"),
        (np.ones((9, 9)), ParameterError, r"Samples of shape \(9, 9\); accepted are"),
        (np.array(["a.wav"]), ParameterError, r"Samples of type <U5; accepted are"),
        (np.empty(0), AudioError, "the array is empty"),
        (np.full(9000, np.nan), AudioError, "9,000 of 9,000 samples are not finite"),
        (np.full(9000, 1e300), AudioError, "9,000 of 9,000 samples are not finite"),
        (np.ones(121 * 16_000, "f4"), AudioError, r"121\.0 s long; accepted are up to 120 s"),
        (Waveform(np.ones(9, "f4"), 8_000), ParameterError, "voice105-v1 needs audio at 16000 Hz, got 8000 Hz"),
        (3, ParameterError, "must be a path, bytes or a file opened in binary mode, found int"),
    ],
)
def test_errors_name_the_index_of_the_recording(VoiceFeatures, wrong, error, says):
    with pytest.raises(error, match=rf"^Recording 1: .*{says}"):
        VoiceFeatures().transform([SAMPLES[0], wrong])


# --- Conventions of scikit-learn ---


def test_tags_say_that_input_is_no_matrix_and_fit_is_optional(VoiceFeatures):
    from sklearn.utils import get_tags

    tags = get_tags(VoiceFeatures())
    assert tags.input_tags.string and not tags.input_tags.two_d_array and not tags.requires_fit


def test_checks_of_scikit_learn(VoiceFeatures, monkeypatch):
    """The checks pass matrices of numbers, whose rows are samples here."""
    from sklearn.utils.estimator_checks import check_estimator

    def tags(self):
        changed = original(self)
        changed.input_tags.two_d_array = True
        return changed

    original = VoiceFeatures.__sklearn_tags__
    monkeypatch.setattr(VoiceFeatures, "__sklearn_tags__", tags)
    sparse = {"check_estimator_sparse_tag": "recordings are only checked in transform"}
    results = check_estimator(VoiceFeatures(), expected_failed_checks=sparse, on_skip=None)
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(sparse)
    assert sum(result["status"] == "passed" for result in results) > 30


def test_clone_and_pickle_keep_the_parameters(VoiceFeatures):
    from sklearn.base import clone

    made = VoiceFeatures("functionals-v1", sample_rate=44_100)
    stored = pickle.dumps(made)
    assert clone(made).get_params() == pickle.loads(stored).get_params() == made.get_params()
    assert b"ser.sklearn" in stored and b"transformer" not in stored


@pytest.mark.data
def test_a_search_by_speaker(VoiceFeatures, clips):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    paths, emotions = [clip.path for clip in clips], [clip.emotion for clip in clips]
    assert len(clips) == 3 * 2 * 8
    pipeline = make_pipeline(VoiceFeatures(), StandardScaler(), LogisticRegression())
    grid = {"voicefeatures__recipe": ["voice105-v1", "functionals-v1"], "logisticregression__C": [0.1]}
    search = GridSearchCV(pipeline, grid, cv=GroupKFold(3), error_score="raise")
    search.fit(paths, emotions, groups=[clip.speaker for clip in clips])
    assert search.best_score_ > 0.8 and search.best_estimator_.score(paths, emotions) > 0.95
    assert search.cv_results_["mean_test_score"].min() < search.best_score_
    rows = VoiceFeatures(search.best_params_["voicefeatures__recipe"]).transform(paths)
    by_hand = LogisticRegression(C=0.1).fit(StandardScaler().fit_transform(rows), emotions)
    np.testing.assert_allclose(search.best_estimator_[-1].coef_, by_hand.coef_, atol=1e-5)


def test_loaded_only_when_used_and_missing_is_a_sentence():
    code = """
import sys
import ser.sklearn
assert not [name for name in sys.modules if name.split(".")[0] == "sklearn"]
assert not hasattr(ser.sklearn, "Voices")
sys.modules["sklearn"] = None  # as if it were not installed
from ser.sklearn import VoiceFeatures
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    says = f"VoiceFeatures needs sklearn, which this installation lacks; {advice('sklearn')}."
    assert ran.stderr.splitlines()[-1].endswith(says)
