"""Wording of the page: titles, subtitles, doubts and sex."""

from __future__ import annotations

import pytest
from predictions import prediction

from ser.page import wording
from ser.types import REASONS


def test_wording_of_a_sure_answer():
    assert wording.title(prediction(happy=0.71)) == "Happy"
    assert wording.subtitle(prediction(happy=0.71)) == "fairly sure, 71 %"
    assert wording.subtitle(prediction(happy=0.95)) == "very sure, 95 %"


def test_wording_of_an_uncertain_answer():
    between = prediction("close_call", sad=0.48, calm=0.34)
    assert wording.title(between) == "Sad or calm"
    assert wording.subtitle(between) == "sad (48 %) or calm (34 %)"
    alone = prediction("clipped", angry=0.9)
    assert (wording.title(alone), wording.subtitle(alone)) == ("Perhaps angry", "not sure, 90 %")
    several = prediction("close_call", sad=0.38, calm=0.34, happy=0.2)
    assert wording.title(several) == "Unsure"
    assert wording.subtitle(several) == "sad (38 %), calm (34 %) or happy (20 %)"


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_its_sentence_and_advice(reason):
    [(problem, advice)] = wording.doubts(prediction(reason, sad=0.4), 0.6)
    assert problem.endswith(".") and advice.endswith(".")


@pytest.mark.parametrize(
    ("female", "expected"),
    [
        (0.96, ("sounds female", "96 %")),
        (0.02, ("sounds male", "98 %")),
        (0.55, ("could be either", "female 55 %")),
        (0.42, ("could be either", "male 58 %")),
    ],
)
def test_wording_of_the_sex(female, expected):
    assert wording.sex({"male": 1 - female, "female": female}) == expected
