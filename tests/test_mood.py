"""Valence and arousal, derived from the emotions: their places against the literature, and the answers' forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ser
from ser.tables import flat
from ser.types import EMOTIONS, PLACES, SILENT, Prediction, Segment, mood

# Angles on the circumplex of Russell (1980): pleasure 0, excitement 45, arousal 90, distress 135, displeasure 180,
# depression 225, sleepiness 270, relaxation 315 degrees.
SECTORS = {
    "happy": (0, 90),
    "surprised": (45, 90),
    "angry": (90, 180),
    "fearful": (90, 180),
    "disgust": (90, 180),
    "sad": (180, 270),
    "calm": (270, 360),
}
# Points of figure 4 of Russell (1980) as others have read them off; "afraid" and "astonished" are other words.
FIGURE = {
    "happy": (0.83, 0.53),
    "sad": (-0.65, -0.27),
    "angry": (-0.52, 0.58),
    "fearful": (-0.34, 0.64),
    "surprised": (0.16, 0.89),
}


def certain(label: str) -> dict[str, float]:
    return {emotion: float(emotion == label) for emotion in EMOTIONS}


def prediction(probabilities: dict[str, float], *reasons: str) -> Prediction:
    label = max(probabilities, key=probabilities.__getitem__)
    return Prediction(label, probabilities, reasons, 2.0, "voice", file="clip.wav")


def test_every_emotion_has_a_place_in_the_sector_of_the_literature():
    assert tuple(PLACES) == EMOTIONS and PLACES["neutral"] == (0, 0)
    for label, (least, most) in SECTORS.items():
        valence, arousal = PLACES[label]
        assert least <= math.degrees(math.atan2(arousal, valence)) % 360 <= most, label


def test_places_agree_with_another_study():
    ours, theirs = np.array([PLACES[label] for label in FIGURE]), np.array([*FIGURE.values()])
    assert np.corrcoef(ours[:, 0], theirs[:, 0])[0, 1] > 0.95 and np.corrcoef(ours[:, 1], theirs[:, 1])[0, 1] > 0.95


def test_order_of_valence_and_arousal():
    valence, arousal = ({label: place[axis] for label, place in PLACES.items()} for axis in (0, 1))
    assert valence["happy"] > valence["calm"] > valence["neutral"] > valence["angry"] > valence["sad"]
    assert min(arousal[label] for label in ("angry", "fearful", "happy", "surprised")) > arousal["neutral"]
    assert arousal["neutral"] > max(arousal["sad"], arousal["calm"])


def test_mood_is_the_expected_place():
    for label in EMOTIONS:
        assert mood(certain(label)) == PLACES[label]
    assert mood({"happy": 0.5, "sad": 0.5}) == pytest.approx((0.09, 0.12))
    assert mood(dict.fromkeys(EMOTIONS, 1 / 8)) == pytest.approx(np.mean([*PLACES.values()], axis=0))


def test_form_of_an_answer_and_of_a_segment():
    answer = prediction({**certain("calm"), "calm": 2 / 3, "sad": 1 / 3}).to_dict()
    assert (answer["valence"], answer["arousal"]) == (0.163333333, -0.296666667)
    segment = Segment(0.0, 2.0, "angry", certain("angry")).to_dict()
    assert (segment["valence"], segment["arousal"]) == PLACES["angry"]


def test_silence_has_no_mood():
    silent = prediction(dict.fromkeys(EMOTIONS, 1 / 8), SILENT)
    assert silent.mood is None and silent.to_dict()["valence"] is None and silent.to_dict()["arousal"] is None
    assert flat(silent.to_dict())["valence"] is None
    assert ser.to_pandas(silent)[["valence", "arousal"]].isna().all(axis=None)
