"""Adaptation of a recogniser to a source, and profiles: what they change, what they hold, and which are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.make import RATE, chords, noise, tone
from speech import SPOKEN

import ser
from ser.inference.adaptation import KEYS, MAX_BYTES, MIN_CLIPS, Profile, SourceMean, profile_of, share_of
from ser.inference.artifact import ARTIFACTS, find, manifest_digest, verify
from ser.metrics import softmax
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


def test_the_name_of_what_adapts_to_itself_is_refused(recognizer, source):
    with pytest.raises(ParameterError, match="'self' is the source of a recording that is adapted to itself"):
        recognizer.adapted(source, name="self")


def test_a_profile_would_lose_labels(recognizer, source):
    assert recognizer.calibrated(source).profile.source == "speaker"
    with pytest.raises(ParameterError, match="A profile holds no labels: calibrate without labels="):
        _ = recognizer.calibrated(source, ["sad"] * len(source)).profile


def test_a_share_of_the_mean_scores_is_taken_off(recognizer, adapted, source):
    manifest, analysis = recognizer.artifact.manifest, recognizer.analyse(ASKED)
    mean, n = np.mean([recognizer.analyse(clip).scores for clip in source], axis=0), len(source)
    scores = analysis.scores - n / (n + 5) * (mean - mean.mean())
    found = list(adapted.predict(ASKED).probabilities.values())
    temperature = manifest["temperature"] * manifest["adaptation"]["temperature_ratio"]
    np.testing.assert_allclose(found, softmax(scores / temperature), atol=1e-9)
    assert adapted.answer(analysis) == adapted.predict(ASKED)


def test_a_source_whose_answers_are_biased_gains(recognizer):
    """Three recordings of every mood, answered with one that the source always sounds like."""
    labels, n_labels = recognizer.labels, len(recognizer.labels)
    scores = np.log(softmax(4 * np.eye(n_labels) + 5 * np.eye(n_labels)[labels.index("sad")]))
    analysis = recognizer.analyse(ASKED)
    recordings = [replace(analysis, scores=each) for each in scores for _ in range(3)]
    mean = SourceMean()
    for recording in recordings:
        mean.add(recording.scores)
    adapted = recognizer.adapted_to(mean, "line")
    assert {recognizer.answer(recording).label for recording in recordings} == {"sad"}
    assert [adapted.answer(recording).label for recording in recordings[::3]] == list(labels)


def test_silence_is_not_adapted(recognizer, adapted, source):
    silence = Waveform(np.zeros(RATE, np.float32), RATE)
    labelled = recognizer.calibrated(source, ["sad"] * len(source))
    for each in (adapted, labelled):
        found = each.predict(silence)
        assert found.probabilities == recognizer.predict(silence).probabilities and found.reasons == ("silent",)


@pytest.mark.parametrize("name", ["dense105", "small"])
def test_every_model_adapts(name, source):
    plain = ser.load(name)
    adapted = plain.adapted(source)
    before, after = plain.predict(ASKED), adapted.predict(ASKED)
    assert after.adapted == ("source", len(source)) and after.probabilities != before.probabilities
    assert plain.with_profile(adapted.profile).predict(ASKED) == after


def test_the_networks_of_a_fold_adapt(source):
    artifact = verify(find("voice"))
    fold = ser.Recognizer(artifact, artifact.manifest["folds"][0])
    assert fold.adapted(source).predict(ASKED).probabilities != fold.predict(ASKED).probabilities


def test_silence_music_and_noise_do_not_count(recognizer, adapted, source):
    beep = tone(0.3, 440.0).astype(np.float32)
    others = [Waveform(samples, RATE) for samples in (np.zeros(RATE, np.float32), chords(), noise(3.0), beep)]
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


def test_a_speakers_bias_does_not_outlive_its_source(recognizer, source):
    labelled = recognizer.calibrated(source, ["sad"] * len(source))
    assert labelled.adapted(source).predict(ASKED) == recognizer.adapted(source).predict(ASKED)


def test_running_means_merge():
    scores = np.random.default_rng(0).normal(size=(5, 3))
    whole, left, right = SourceMean(), SourceMean(), SourceMean()
    for number, each in enumerate(scores):
        whole.add(each)
        (left if number < 2 else right).add(each)
    left.merge(right)
    left.merge(SourceMean())
    assert left.clips == whole.clips == 5
    np.testing.assert_allclose([left.mean, whole.mean], [scores.mean(axis=0)] * 2, rtol=1e-12)
    copied = whole.copy()
    copied.add(scores[0] + 9)
    np.testing.assert_allclose(whole.mean, scores.mean(axis=0), rtol=1e-12)
    assert (copied.clips, SourceMean().copy().clips) == (6, 0)


def test_the_share_grows_with_the_recordings_to_two_thirds():
    assert [share_of(clips) for clips in (1, 5, 10, 11, 1000)] == pytest.approx([1 / 6, 1 / 2, 2 / 3, 2 / 3, 2 / 3])


@pytest.mark.parametrize("clips", [1, 5, 10, 1000])
def test_the_correction_sums_to_0(clips):
    scores = np.array([-0.5, -1.0, -4.5])
    correction = SourceMean(clips, scores).correction
    np.testing.assert_allclose(correction, share_of(clips) * np.array([-1.5, -1.0, 2.5]), atol=1e-12)
    assert correction.sum() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(SourceMean(clips, scores + 7).correction, correction, atol=1e-12)


# --- Profiles ---


def test_a_profile_that_cannot_be_written_is_refused_with_a_sentence(adapted, tmp_path):
    with pytest.raises(ser.SerError, match=r"p\.profile cannot be written \(No such file or directory\)\. Choose"):
        adapted.profile.save(tmp_path / "missing" / "p.profile")
    assert list(tmp_path.iterdir()) == []


def test_a_profile_answers_as_what_it_was_saved_from(adapted, stored):
    for loaded in (ser.load(profile=stored), ser.load("voice", profile=str(stored))):
        assert loaded.predict(ASKED) == adapted.predict(ASKED) and loaded.adaptation == adapted.adaptation


def test_the_variable_names_a_profile(adapted, stored, monkeypatch):
    monkeypatch.setenv("SER_PROFILE", str(stored))
    assert ser.load().predict(ASKED) == adapted.predict(ASKED)


def test_a_profile_chooses_its_model(stored, monkeypatch):
    monkeypatch.delenv("SER_MODEL", raising=False)
    assert ser.load(profile=stored).name == "voice"


def test_a_profile_holds_one_number_a_label_and_no_sound(recognizer, adapted, stored, source):
    held = json.loads(stored.read_text())
    assert held.keys() == KEYS and stored.stat().st_size < 1000
    assert (held["model"], held["source"], held["clips"]) == ("voice", "line 3", len(source))
    assert held["version"] == manifest_digest(ARTIFACTS / "voice")
    mean = np.mean([recognizer.analyse(clip).scores for clip in source], axis=0)
    assert held["log_probabilities"] == pytest.approx(dict(zip(recognizer.labels, mean, strict=True)))


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
        ("schema", "ser-profile/9", "no ser-profile/2"),
        ("more", 1, "no ser-profile/2"),
        ("clips", 0, "the number of clips"),
        ("clips", 2.5, "the number of clips"),
        ("clips", True, "the number of clips"),
        ("clips", 10**400, "the number of clips"),
        ("source", "", "a name or date"),
        ("source", "a\x1b[2J", "a name or date"),
        ("model", 7, "a name or date"),
        ("log_probabilities", [-1.0, -2.0], "the log-probabilities do not fit"),
        ("log_probabilities", {"sad": "x"}, "the log-probabilities do not fit"),
        ("log_probabilities", {"sad": True}, "the log-probabilities do not fit"),
        ("log_probabilities", {"sad": [-1.0]}, "the log-probabilities do not fit"),
        ("log_probabilities", {"sad": -1.0, "happy": float("nan")}, "the log-probabilities do not fit"),
        ("log_probabilities", {"sad": float("-inf")}, "the log-probabilities do not fit"),
        ("log_probabilities", {"sad": -1e300}, "the log-probabilities do not fit"),
        ("log_probabilities", {"sad": -(10**400)}, "the log-probabilities do not fit"),
    ],
)
def test_a_damaged_profile_is_refused(stored, key, value, match):
    with pytest.raises(ser.types.ArtifactError, match=rf"mine is not a profile \(.*{match}"):
        profile_of(with_value(stored, key, value), "mine")


def test_a_profile_of_the_first_version_is_refused(stored):
    """It held mean features, which nothing is measured against any more."""
    held = json.loads(stored.read_text())
    del held["log_probabilities"]
    stored.write_text(json.dumps({**held, "schema": "ser-profile/1", "means": {"encoder-v1": [0.5] * 2048}}))
    with pytest.raises(ser.types.ArtifactError, match=r"line\.profile is not a profile \(no ser-profile/2\)\. Give"):
        ser.load(profile=stored)


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
    with pytest.raises(ser.types.ArtifactError, match="'line 3' is for the model voice"):
        ser.load("dense105", profile=stored)
    scores = json.loads(stored.read_text())["log_probabilities"]
    for key, value, match in (
        ("model", "other", "'line 3' is for the model other"),
        ("version", "0" * 64, "'line 3' is for another version of voice"),
        ("log_probabilities", {}, "'line 3' does not hold the labels of voice"),
        ("log_probabilities", {**scores, "bored": -1.0}, "'line 3' does not hold the labels of voice"),
        ("log_probabilities", dict(reversed(scores.items())), "'line 3' does not hold the labels of voice"),
    ):
        profile: Profile = profile_of(with_value(stored, key, value), "mine")
        with pytest.raises(ser.types.ArtifactError, match=match):
            recognizer.with_profile(profile)
