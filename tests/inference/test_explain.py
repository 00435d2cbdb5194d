"""Explanations: properties that are hidden one by one, stretches of time, and what no explanation is given for."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from command_line import run
from golden.make import RATE, chords, noise, tone
from speech import SHARP, SPOKEN

import ser
from ser.features.preprocessing import prepare
from ser.features.voice_measures import MEASURES, VoiceMeasures, measure
from ser.inference.explain import (
    MOST_GROUPS,
    MOST_STRETCHES,
    Explanation,
    Group,
    Hidden,
    Stretch,
    best_groups,
    explain,
    measures_of,
    named_stretches,
    neutral_voice,
)
from ser.inference.hiding import attenuate, average_noise, change, cut_out, replace_by_noise, resynthesise
from ser.types import PHRASES, ParameterError, Prediction, Waveform

pytestmark = pytest.mark.slow
SOUND = prepare(SPOKEN[0], RATE).samples


@pytest.fixture(scope="module")
def measured() -> VoiceMeasures:
    found = measure(SOUND)
    assert found is not None
    return found


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.square(samples).mean()))


# --- Measures and alterations ---


@pytest.mark.parametrize(
    ("name", "by", "within"),
    [
        ("pitch", 3, 0.3),
        ("pitch", -4, 0.3),
        ("pitch_movement", 2, 0.6),
        ("pitch_movement", -2, 0.6),
        ("tempo", 1, 0.5),
        ("brightness", 4, 1.5),
        ("brightness", -4, 2.5),
        ("voice_quality", -3, 1.5),
    ],
)
def test_a_property_is_changed_and_the_pitch_only_if_it_is_meant(measured, name, by, within):
    after = measure(change(SOUND, measured, name, by))
    assert after[name] - measured[name] == pytest.approx(by, abs=within)
    assert name == "pitch" or after["pitch"] == pytest.approx(measured["pitch"], abs=0.3)


def test_loudness_movement_is_flattened(measured):
    assert (
        measure(change(SOUND, measured, "loudness_movement", -3))["loudness_movement"] < measured["loudness_movement"]
    )


def test_sound_that_is_added_up_unchanged_stays(measured):
    difference = resynthesise(SOUND, measured) - SOUND
    assert level_db(difference) < level_db(SOUND) - 60
    assert len(resynthesise(SOUND, measured, speed=2.0)) == len(SOUND) // 2


def test_what_has_no_voice_has_no_measures():
    assert measure(noise(1.0)) is None
    assert measures_of(Waveform(np.zeros(RATE, np.float32), RATE)) is None
    assert measures_of(Waveform(SPOKEN[0], 8000)) is None


def test_a_stretch_is_hidden_and_the_rest_stays():
    start, end = 8000, 11_200
    quiet, other, cut = (
        attenuate(SOUND, start, end),
        replace_by_noise(SOUND, start, end, average_noise(SOUND)),
        cut_out(SOUND, start, end),
    )
    for hidden in (quiet, other):
        assert (hidden[:start] == SOUND[:start]).all() and (hidden[end:] == SOUND[end:]).all()
    inner = slice(start + 200, end - 200)
    assert level_db(quiet[inner]) == pytest.approx(level_db(SOUND[inner]) - 30, abs=0.1)
    assert level_db(other[inner]) == pytest.approx(level_db(SOUND[inner]), abs=3)
    assert abs(np.corrcoef(other[inner], SOUND[inner])[0, 1]) < 0.2
    assert len(SOUND) - len(cut) == end - start + 160 and (cut[-2000:] == SOUND[-2000:]).all()
    assert len(cut_out(SOUND, 0, end)) == len(SOUND) - end


# --- What is named ---


class Toy:
    """A model with two labels, whose probability of "angry" is a known function of the sound."""

    labels = ("angry", "neutral")
    sample_rate = RATE

    def __init__(self, angry: Callable[[np.ndarray], float]) -> None:
        self._angry = angry

    def probabilities_of(self, samples: np.ndarray) -> np.ndarray:
        share = float(np.clip(self._angry(samples), 0.01, 0.99))
        return np.array([share, 1 - share])

    def predict(self, source: Waveform, /) -> Prediction:
        probabilities = dict(zip(self.labels, self.probabilities_of(source.samples).tolist(), strict=True))
        prepared = prepare(source.samples, RATE)
        used_s = prepared.start / RATE, prepared.end / RATE
        sex = {"male": 0.1, "female": 0.9}
        label = max(probabilities, key=probabilities.__getitem__)
        return Prediction(label, probabilities, (), source.duration_s, "toy", used_s=used_s, sex=sex)


def angry_if_high(samples: np.ndarray) -> float:
    found = measures_of(Waveform(samples, RATE))
    return 0.0 if found is None else (found["pitch"] - neutral_voice()["female"]["pitch"]["mean"]) / 5


def angry_if_shrill(samples: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return 10 * power[int(5000 / RATE * len(samples)) :].sum() / power.sum()


def test_a_raised_voice_is_named_as_high(measured):
    step = neutral_voice()["female"]["pitch"]["mean"] + 5 - measured["pitch"]
    raised = Waveform(change(SOUND, measured, "pitch", step), RATE)
    explained = explain(Toy(angry_if_high), raised)
    assert explained.label == "angry" and explained.checked
    first = explained.groups[0]
    assert (first.name, first.direction) == ("pitch", "higher") and first.z > 1 and first.effect > 0.5
    assert len(explained.groups) == 1


def test_the_speakers_own_voice_takes_the_place_of_the_neutral_one(measured):
    step = neutral_voice()["female"]["pitch"]["mean"] + 5 - measured["pitch"]
    raised = Waveform(change(SOUND, measured, "pitch", step), RATE)
    explained = explain(Toy(angry_if_high), raised, own=[raised, raised])
    assert explained.reference == "speaker" and not explained.groups
    lower = explain(Toy(angry_if_high), raised, own=[Waveform(SPOKEN[0], RATE)])
    assert lower.reference == "speaker" and lower.groups[0].name == "pitch"


def test_an_odd_stretch_is_named():
    odd = SOUND.copy()
    odd[16_000:20_000] += tone(0.25, 6000.0, 0.3)
    explained = explain(Toy(angry_if_shrill), Waveform(odd, RATE))
    assert explained.label == "angry" and 1 <= len(explained.stretches) <= MOST_STRETCHES
    for stretch in explained.stretches:
        assert stretch.start_s < 1.25 and stretch.end_s > 1.0 and stretch.effect > 0.1


def test_nothing_is_named_if_nothing_matters():
    explained = explain(Toy(lambda samples: 0.9), Waveform(SPOKEN[0], RATE))
    assert not explained.checked and explained.to_dict()["groups"] == [] == explained.to_dict()["stretches"]


def test_stretches_are_named_only_far_above_the_others():
    def tried(effects: list[float]) -> list[Hidden]:
        return [Hidden(10 * k, 10 * k + 20, np.full(2, effect)) for k, effect in enumerate(effects)]

    assert named_stretches(tried([0.2] * 9)) == []
    assert [hidden.start for hidden in named_stretches(tried([0, 0, 0, 0.1, 0.4, 0.1, 0, 0, 0.01]))] == [40]
    assert [hidden.start for hidden in named_stretches(tried([0, 0.4, 0, 0, 0, 0, 0.5, 0.0, 0, 0]))] == [60, 10]
    assert named_stretches(tried([0, 0, 0.04, 0, 0, 0])) == []
    assert named_stretches(tried([0.9])) == []


def test_at_most_three_properties_are_named():
    groups = [Group(name, "higher", 1.0, effect) for effect, name in enumerate(MEASURES)]
    assert [group.effect for group in best_groups(groups)] == [5, 4, 3] and MOST_GROUPS == 3


# --- The real models ---


def test_a_recognizer_explains_its_answer():
    recognizer = ser.load("voice")
    explained, answer = recognizer.explain(SHARP), recognizer.predict(SHARP)
    assert explained.label == answer.label and explained.confidence == pytest.approx(answer.confidence, abs=0.02)
    assert explained == recognizer.explain(SHARP.read_bytes())
    assert recognizer.predict(SHARP) == answer


def test_probabilities_of_samples_are_those_of_the_answer():
    for name in ("voice", "dense105"):
        recognizer = ser.load(name)
        expected = recognizer.predict(Waveform(SPOKEN[0], RATE)).probabilities
        np.testing.assert_allclose(recognizer.probabilities_of(SPOKEN[0]), [*expected.values()], rtol=1e-6)
    np.testing.assert_allclose(recognizer.probabilities_of(np.zeros(RATE, np.float32)), 1 / 8)


def test_silence_music_and_too_little_sound_are_not_explained():
    recognizer = ser.load("voice")
    for samples in (np.zeros(RATE, np.float32), chords(), SPOKEN[0][20_000:24_000]):
        explained = recognizer.explain(samples, sample_rate=RATE)
        assert not explained.checked and explained.reference == "training"


def test_arguments_are_checked():
    recognizer = ser.load("dense105")
    with pytest.raises(ParameterError, match="explain's baseline takes several recordings"):
        recognizer.explain(SHARP, baseline=SHARP)
    with pytest.raises(ParameterError, match="Unknown label 'bored'"):
        recognizer.explain(SHARP, label="bored")


def test_the_stored_voices_cover_all_measures():
    stored = neutral_voice()
    assert PHRASES.keys() == MEASURES.keys() == stored["speaker_sd"].keys()
    for kind in ("female", "male", "any"):
        assert stored[kind].keys() == MEASURES.keys()
        assert all(each["sd"] > 0 for each in stored[kind].values())
    assert stored["female"]["pitch"]["mean"] > stored["male"]["pitch"]["mean"] + 5


# --- The command line ---


def test_the_command_line_adds_a_key_to_json():
    plain, explained = (
        json.loads(run("predict", SHARP, "-m", "dense105", "-f", "json", *more).stdout)[0]
        for more in ((), ("--explain",))
    )
    found = explained.pop("explanation")
    assert explained == plain
    assert found == ser.load("dense105").explain(SHARP).to_dict()
    assert found.keys() == {"groups", "stretches", "checked", "reference"}


def test_the_table_says_why(monkeypatch):
    group, stretch = Group("pitch", "higher", 1.84, 0.31), Stretch(0.5, 0.7, 0.12)
    answers = iter([Explanation("sad", 0.6, (group,), (stretch,), "speaker"), Explanation("sad", 0.6)])
    monkeypatch.setattr(ser.Recognizer, "explain", lambda *args, **more: next(answers))
    said = run("predict", SHARP, "-m", "dense105", "--explain").stdout
    assert "why: high pitch (+1.8 sd from the speaker's own), without it -31 points" in said
    assert "why: 0.5 to 0.7 s, without it -12 points" in said
    assert "why: nothing stands out clearly" in run("predict", SHARP, "-m", "dense105", "--explain").stdout
    assert "why:" not in run("predict", SHARP, "-m", "dense105").stdout
