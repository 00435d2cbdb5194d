"""Adaptation of a recogniser to a source, and profiles: what they change, what they hold, and which are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.make import RATE, chords, noise
from speech import SPOKEN

import ser
from ser.inference.adaptation import KEYS, MAX_BYTES, MIN_CLIPS, Profile, Reference, SourceMeans, profile_of
from ser.inference.artifact import ARTIFACTS, manifest_digest
from ser.types import Adaptation, AudioError, ParameterError, Waveform

pytestmark = pytest.mark.slow
ASKED = Waveform(SPOKEN[0], RATE)


@pytest.fixture(scope="module")
def recognizer() -> ser.Recognizer:
    return ser.load("voice")


@pytest.fixture(scope="module")
def source(recognizer) -> list[Waveform]:
    """Four recordings of speech, through a line that turns down what is high."""
    return [Waveform(np.convolve(each, np.ones(3) / 3, "same").astype(np.float32), RATE) for each in SPOKEN[1:]]


@pytest.fixture(scope="module")
def adapted(recognizer, source) -> ser.Recognizer:
    return recognizer.adapted(source, name="line 3")


@pytest.fixture
def stored(adapted, tmp_path) -> Path:
    adapted.profile.save(tmp_path / "line.profile")
    return tmp_path / "line.profile"


# --- Adapted answers ---


def test_an_adapted_recogniser_answers_differently_and_says_so(recognizer, adapted, source):
    before, after = recognizer.predict(ASKED), adapted.predict(ASKED)
    assert before.adapted is None and before.to_dict()["adapted"] is None
    assert after.adapted == ("line 3", len(source)) == adapted.adaptation
    assert after.to_dict()["adapted"] == {"source": "line 3", "clips": len(source)}
    assert after.probabilities != before.probabilities and after.sex == before.sex
    assert recognizer.predict(ASKED) == before and recognizer.adaptation is None


def test_the_shift_is_that_of_the_means(recognizer, adapted, source):
    analysis = recognizer.analyse(ASKED)
    (recipe,), reference = analysis.rows, recognizer._reference
    mean = np.mean([recognizer.analyse(clip).rows[recipe].mean(axis=0) for clip in source], axis=0)
    shift = len(source) / (len(source) + reference.prior_clips) * (mean - reference.means[recipe])
    np.testing.assert_allclose(adapted._shift[recipe], shift, rtol=1e-4, atol=1e-5)
    assert adapted.answer(analysis) == adapted.predict(ASKED)


def test_silence_music_and_noise_do_not_count(recognizer, adapted, source):
    others = [Waveform(samples, RATE) for samples in (np.zeros(RATE, np.float32), chords(), noise(3.0))]
    mixed = recognizer.adapted([*others, *source, *others], name="line 3")
    assert mixed.predict(ASKED) == adapted.predict(ASKED)
    with pytest.raises(ParameterError, match="at least 3 recordings that hold speech, found 2; ten do well"):
        recognizer.adapted([*others, *source[: MIN_CLIPS - 1]])


def test_the_order_of_the_clips_does_not_matter(recognizer, adapted, source):
    again = recognizer.adapted(iter(source[::-1]))
    assert again.predict(ASKED).probabilities == pytest.approx(adapted.predict(ASKED).probabilities, abs=1e-6)
    assert again.adaptation == Adaptation("source", len(source))


def test_what_cannot_be_adapted_to_is_refused(recognizer, source):
    with pytest.raises(ParameterError, match="adapted takes several recordings"):
        recognizer.adapted(source[0])
    with pytest.raises(ParameterError, match=r"1 to 100 printable characters, found 'a\\nb'"):
        recognizer.adapted(source, name="a\nb")
    with pytest.raises(ParameterError, match="1 to 100 printable characters, found ''"):
        recognizer.adapted(source, name="")
    with pytest.raises(AudioError):
        recognizer.adapted([*source, b"no sound"])
    with pytest.raises(ParameterError, match="dense105 cannot be calibrated to a voice or adapted to a source"):
        ser.load("dense105").adapted(source)


def test_a_speakers_bias_does_not_outlive_its_source(recognizer, source):
    labelled = recognizer.calibrated(source, ["sad"] * len(source))
    assert labelled.adapted(source).predict(ASKED) == recognizer.adapted(source).predict(ASKED)


def test_running_means_merge():
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    whole, left, right = SourceMeans(), SourceMeans(), SourceMeans()
    for number, row in enumerate(rows):
        whole.add({"a": row})
        (left if number < 2 else right).add({"a": row})
    left.merge(right)
    assert left.clips == whole.clips == 5
    np.testing.assert_allclose(left.means()["a"], rows.mean(axis=0), rtol=1e-6)
    copied = whole.copy()
    copied.add({"a": rows[0] + 9})
    np.testing.assert_allclose(whole.means()["a"], rows.mean(axis=0), rtol=1e-6)
    assert SourceMeans().means() == {}


def test_few_clips_count_less():
    reference = Reference({"a": np.array([1.0, 2.0], np.float32)}, prior_clips=5.0)
    np.testing.assert_allclose(reference.shift({"a": np.array([3.0, 2.0])}, 5)["a"], [1.0, 0.0])
    np.testing.assert_allclose(reference.shift({"a": np.array([3.0, 2.0])}, 45)["a"], [1.8, 0.0])


# --- Profiles ---


def test_a_profile_answers_as_what_it_was_saved_from(adapted, stored):
    for loaded in (ser.load(profile=stored), ser.load("voice", profile=str(stored))):
        assert loaded.predict(ASKED) == adapted.predict(ASKED) and loaded.adaptation == adapted.adaptation


def test_the_variable_names_a_profile(adapted, stored, monkeypatch):
    monkeypatch.setenv("SER_PROFILE", str(stored))
    assert ser.load().predict(ASKED) == adapted.predict(ASKED)


def test_a_profile_chooses_its_model(stored, monkeypatch):
    monkeypatch.delenv("SER_MODEL", raising=False)
    assert ser.load(profile=stored).name == "voice"


def test_a_profile_holds_means_and_no_more(recognizer, adapted, stored, source):
    held = json.loads(stored.read_text())
    assert held.keys() == KEYS and stored.stat().st_size < 100_000
    assert (held["model"], held["source"], held["clips"]) == ("voice", "line 3", len(source))
    assert held["version"] == manifest_digest(ARTIFACTS / "voice")
    (recipe,) = held["means"]
    assert np.shape(held["means"][recipe]) == recognizer.analyse(ASKED).rows[recipe].shape[1:]  # one vector, no time


def test_a_recogniser_without_a_source_has_no_profile(recognizer):
    with pytest.raises(ParameterError, match=r"voice is not adapted to a source\. Call adapted\(clips\) first"):
        _ = recognizer.profile


def with_value(stored: Path, key: str, value: Any) -> bytes:
    held = json.loads(stored.read_text())
    held[key] = value
    return json.dumps(held).encode()


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("schema", "ser-profile/9", "no ser-profile/1"),
        ("more", 1, "no ser-profile/1"),
        ("clips", 0, "the number of clips"),
        ("clips", 2.5, "the number of clips"),
        ("clips", True, "the number of clips"),
        ("source", "", "a name or date"),
        ("source", "a\x1b[2J", "a name or date"),
        ("model", 7, "a name or date"),
        ("means", [1, 2], "has no attribute 'items'"),
        ("means", {"encoder-v1": "x"}, "not finite numbers"),
        ("means", {"encoder-v1": [1.0, float("nan")]}, "not finite numbers"),
        ("means", {"encoder-v1": [1.0, [2.0]]}, "not finite numbers"),
        ("means", {"encoder-v1": [1e300]}, "too large"),
    ],
)
def test_a_damaged_profile_is_refused(stored, key, value, match):
    content, sentence = with_value(stored, key, value), rf"mine is not a profile \(.*{match}"
    with np.errstate(over="ignore"), pytest.raises(ser.types.ArtifactError, match=sentence):
        profile_of(content, "mine")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"RIFF....WAVE", b"[" * 100_000, b" " * (MAX_BYTES + 1), b"{}"])
def test_what_is_no_profile_is_refused(content, tmp_path):
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(ser.types.ArtifactError, match=r"foreign is not a profile \(.*Give the file that `ser adapt`"):
        ser.load(profile=path)


def test_half_a_profile_is_refused(stored):
    stored.write_bytes(stored.read_bytes()[:-200])
    with pytest.raises(ser.types.ArtifactError, match="is not a profile"):
        ser.load(profile=stored)


def test_a_missing_profile_is_refused(tmp_path):
    with pytest.raises(ser.types.ArtifactError, match=r"nowhere cannot be read \(No such file.*ser adapt FOLDER --out"):
        ser.load(profile=tmp_path / "nowhere")


def test_a_profile_of_another_model_is_refused(recognizer, stored):
    with pytest.raises(ParameterError, match="dense105 cannot be calibrated to a voice or adapted"):
        ser.load("dense105", profile=stored)
    for key, value, match in (
        ("model", "other", "'line 3' is for the model other"),
        ("version", "0" * 64, "'line 3' is for another version of voice"),
        ("means", {"encoder-v1": [1.0]}, "'line 3' does not hold the features of voice"),
        ("means", {}, "'line 3' does not hold the features of voice"),
    ):
        profile: Profile = profile_of(with_value(stored, key, value), "mine")
        with pytest.raises(ser.types.ArtifactError, match=match):
            recognizer.with_profile(profile)
