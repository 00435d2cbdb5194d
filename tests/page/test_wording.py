"""Wording of the page: headlines, doubts, scales and scores."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest
from predictions import prediction

from ser.page import wording
from ser.page.texts import TEXTS, Texts
from ser.types import QUALITY, REASONS

EN, DE = Texts("en"), Texts("de")
SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("answer", "certainty", "title", "subtitle"),
    [
        (prediction(happy=0.95), "sure", "Happy", f"sure, 95{SPACE}%"),
        (prediction(happy=0.62), "probably", "Probably happy", f"62{SPACE}% likely"),
        (prediction("close_call", sad=0.71), "probably", "Probably sad", f"71{SPACE}% likely"),
        (prediction("clipped", angry=0.9), "probably", "Probably angry", f"90{SPACE}% likely"),
        (prediction("close_call", sad=0.48, calm=0.34), "two", "Sad or calm", "leaning to sad"),
        (prediction("close_call", sad=0.41, calm=0.4), "two", "Sad or calm", ""),
        (
            prediction("close_call", sad=0.28, fearful=0.24, disgust=0.2),
            "hard",
            "Hard to say",
            "sad, fearful or disgusted",
        ),
        (prediction("silent"), "none", "Silence", "nothing to judge"),
        (prediction("unlike_training", "close_call", sad=0.3), "none", "Not like speech", "so no emotion is named"),
    ],
)
def test_headline(answer, certainty, title, subtitle):
    head = wording.headline(answer, EN)
    assert (head.certainty, head.title, head.subtitle) == (certainty, title, subtitle)


@pytest.mark.parametrize("sure_from", [0.5, 0.9])
def test_headlines_have_no_cliff(sure_from):
    """Between a sure answer and none the words change one step at a time as the probability falls."""
    steps = ["sure", "probably", "two", "hard"]
    found = []
    for share in range(99, 14, -1):
        p = share / 100
        answer = prediction(*([] if p >= sure_from else ["close_call"]), sad=p, calm=(1 - p) / 3)
        found.append(steps.index(wording.certainty(answer)))
    assert found == sorted(found) and set(found) == {0, 1, 2, 3}


def test_too_little_sound_never_reads_as_enough():
    short = replace(prediction("too_short", sad=0.4), sound_s=0.499)
    assert wording.headline(short, EN).subtitle == f"0.4{SPACE}s of sound"
    [(problem, _)] = wording.doubts(short, EN)
    assert problem == f"Only 0.4{SPACE}s of sound; at least 0.5{SPACE}s is needed."


@pytest.mark.parametrize("cause", [*REASONS, *QUALITY])
@pytest.mark.parametrize("texts", [EN, DE])
def test_every_doubt_has_a_sentence_and_advice(cause, texts):
    doubtful = prediction(cause, sad=0.4) if cause in REASONS else replace(prediction(sad=0.4), quality=(cause,))
    [(problem, advice)] = wording.doubts(doubtful, texts)
    assert problem.endswith(".") and advice.endswith(".")


def test_doubts_name_causes_before_effects_and_do_not_contradict():
    doubtful = replace(prediction("cut_off", "clipped", "close_call", sad=0.4), quality=("hum",))
    problems = [problem for problem, _ in wording.doubts(doubtful, EN)]
    assert ["damaged" in problems[0], "hum" in problems[1], "too loud" in problems[2]] == [True] * 3
    assert "best fit, sad" in problems[3]
    unnamed = wording.doubts(prediction("unlike_training", "close_call", sad=0.4), EN)
    assert len(unnamed) == 1  # nothing about an emotion that is not named


@pytest.mark.parametrize(
    ("female", "expected"),
    [
        (0.96, "sounds female, very sure"),
        (0.02, "sounds male, very sure"),
        (0.8, "sounds female, fairly sure"),
        (0.62, "sounds female, not very sure"),
        (0.42, "could be either"),
    ],
)
def test_wording_of_the_sex(female, expected):
    assert wording.sex({"male": 1 - female, "female": female}, EN) == expected


@pytest.mark.parametrize(("strong", "expected"), [(0.1, "normal"), (0.5, "between"), (0.7, "rather"), (0.99, "strong")])
def test_wording_of_the_intensity(strong, expected):
    assert expected in wording.intensity(strong, EN)


def test_first_two_is_the_range_of_unseen_speakers_and_corpora():
    metrics = {"folds": {"top_two": 0.92}, "left_out": {"a": {"top_two": 0.57}, "b": {"top_two": 0.76}}}
    assert "6 to 9 of 10" in wording.first_two(metrics, EN)
    assert wording.first_two({"folds": {}}, EN) == ""


def test_numbers_are_written_as_the_language_does():
    assert (EN.number(3.46), DE.number(3.46)) == ("3.5", "3,5")
    assert EN.percent(0.999) == f"over 99{SPACE}%" and EN.percent(0.714) == f"71{SPACE}%"
    assert EN.seconds(618) == f"10{SPACE}min 18{SPACE}s" and DE.seconds(3.25) == f"3,2{SPACE}s"


def test_both_languages_have_every_text_with_the_same_values():
    def values(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert all(english and german for english, german in TEXTS.values())
    assert [key for key, (english, german) in TEXTS.items() if values(english) != values(german)] == []
    same = [key for key, (english, german) in TEXTS.items() if english == german and len(english.split()) > 2]
    assert same == []


def test_a_name_is_no_markdown():
    assert wording.as_markdown("**b** [x](y)") == r"\*\*b\*\* \[x\]\(y\)"
    assert wording.as_markdown("your voice") == "your voice"
