"""Adaptation of a visit: to a voice, to its recordings, by a profile; label sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from predictions import prediction

import ser
from ser.page.sources import FEWEST, Sources
from ser.page.visit import Recording, Visit, restricted
from ser.types import ArtifactError, ParameterError

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "samples").glob("*.flac"))


@pytest.fixture(scope="module")
def model():
    return ser.load()


@pytest.fixture(scope="module")
def recordings(model):
    analyses = [model.analyse(path) for path in SAMPLES]
    return [
        Recording(path.name, "file", analysis.duration_s, np.ones(3), analysis)
        for path, analysis in zip(SAMPLES, analyses, strict=True)
    ]


def test_a_voice_is_in_use_from_three_recordings_on_and_can_be_forgotten(model, recordings):
    sources, spoken = Sources(), [each for each in recordings if each.name != "music.flac"]
    assert sources.chosen(model) is model
    for number, recording in enumerate(spoken[:FEWEST], start=1):
        assert sources.add_to_voice(model, recording.id, recording.analysis)
        assert (sources.chosen(model) is not model) is (number == FEWEST)
    expected = model.calibrated_to([each.analysis for each in spoken[:FEWEST]]).answer(spoken[3].analysis)
    assert sources.chosen(model).answer(spoken[3].analysis) == expected
    sources.forget_voice()
    assert sources.chosen(model) is model and not sources.voice


def test_music_does_not_describe_a_voice(model, recordings):
    sources = Sources()
    [music] = [each for each in recordings if each.name == "music.flac"]
    assert not sources.add_to_voice(model, music.id, music.analysis)
    assert not sources.voice


def test_recordings_of_one_source_and_its_profile_give_the_same_answers(model, recordings):
    sources, visit = Sources(), Visit()
    for recording in recordings:
        visit.add(recording)
    sources.chosen(model)
    sources.adapt_to(model, visit)
    adapted = sources.chosen(model)
    assert adapted.adaptation.clips == len(recordings) - 1  # without the music
    again = Sources()
    again.chosen(model)
    again.add_profile(model, adapted.profile.to_json().encode(), "calls.profile")
    first, second = (each.chosen(model).answer(recordings[0].analysis) for each in (sources, again))
    assert first.probabilities == pytest.approx(second.probabilities, abs=1e-6)
    sources.use(None)
    assert sources.chosen(model) is model


def test_foreign_profiles_are_refused_and_leave_what_is_in_use(model, recordings):
    sources = Sources()
    sources.chosen(model)
    sources.adapt_to(model, recordings)
    adapted = sources.chosen(model)
    for content in (b"no profile", b"{}", adapted.profile.to_json().replace('"voice"', '"other"').encode()):
        with pytest.raises(ArtifactError):
            sources.add_profile(model, content, "x.profile")
    assert sources.chosen(model) is adapted


def test_too_few_recordings_are_refused(model, recordings):
    with pytest.raises(ParameterError, match="at least 3"):
        Sources().adapt_to(model, recordings[:2])


def test_another_model_forgets_what_belongs_to_the_first(model, recordings):
    sources = Sources()
    sources.chosen(model)
    sources.adapt_to(model, recordings)
    small = ser.load("small")
    assert sources.chosen(small) is small and not sources.recognizers


def test_an_answer_among_fewer_labels_sums_to_one():
    answer = restricted(prediction("close_call", calm=0.5, sad=0.3), "four")
    assert set(answer.probabilities) == {"happy", "sad", "angry", "fearful"} and answer.label == "sad"
    assert sum(answer.probabilities.values()) == pytest.approx(1) and answer.reasons == ("close_call",)
    assert restricted(prediction(sad=0.95), "four").reasons == ()
    closer = restricted(prediction("close_call", neutral=0.5, sad=0.49), "four")
    assert closer.probabilities["sad"] > closer.sure_from and closer.reasons == ("close_call",)  # no surer than before
    assert restricted(prediction(neutral=0.95), "four").reasons == ("close_call",)  # another emotion than the answer's
    assert restricted(prediction(sad=0.95), "eight") == prediction(sad=0.95)
    silent = replace(prediction("silent"), reasons=("silent",))
    assert restricted(silent, "six").reasons == ("silent",)
