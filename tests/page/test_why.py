"""The part "Why": dots on scales, sentences in both languages, and the marks of the player."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, chords

import ser
from ser.inference.explain import Explanation, Group, Stretch
from ser.page.parts.why import explanation_of, html, known_marks, marks
from ser.page.texts import Texts
from ser.page.visit import Recording
from ser.types import PHRASES

ENGLISH, GERMAN = Texts("en"), Texts("de")
GROUPS = (Group("pitch", "higher", 1.0, 0.31), Group("tempo", "lower", -3.4, 0.1))
STRETCHES = (Stretch(1.9, 2.3, 0.3), Stretch(0.5, 0.75, 0.12))
FULL = Explanation("fearful", 0.57, GROUPS, STRETCHES)


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", text)).strip()


def test_each_property_is_a_dot_on_a_scale():
    shown = html(FULL, ENGLISH)
    assert re.findall(r"--at:([\d.]+)", shown) == ["0.75", "0.00"]  # of -2 to 2 standard deviations
    assert re.findall(r'aria-valuetext="(.*?)"', shown) == ["high", "slow"]
    assert "Pitch high low neutral voice high Without that, “fearful” would have 26 % in place of 57 %." in words(shown)
    assert "Tempo and pauses slow slow neutral voice quick" in words(shown)


def test_stretches_are_named_in_order_of_time_and_marked():
    assert marks(FULL) == ((0.5, 0.75), (1.9, 2.3))
    said = words(html(FULL, ENGLISH))
    assert "Marked in the waveform: 0.5 to 0.8 s and 1.9 to 2.3 s." in said
    assert "Without 1.9 to 2.3 s, “fearful” would have 27 % in place of 57 %." in said
    assert "Marked" not in html(replace(FULL, stretches=()), ENGLISH)


def test_german_has_its_words_and_numbers():
    said = words(html(FULL, GERMAN))
    assert "Tonhöhe hoch tief neutrale Stimme hoch Ohne das läge „ängstlich“ bei 26 % statt 57 %." in said
    assert "0,5 bis 0,8 s und 1,9 bis 2,3 s" in said


@pytest.mark.parametrize("texts", [ENGLISH, GERMAN])
def test_every_property_has_words_in_both_directions(texts):
    for name, phrases in PHRASES.items():
        for direction in phrases:
            shown = html(Explanation("sad", 0.5, (Group(name, direction, 1.0, 0.2),)), texts)
            assert texts(f"why.{name}.{direction}") in shown


def test_the_speakers_own_voice_is_said():
    assert "your usual voice" in html(replace(FULL, reference="speaker"), ENGLISH)


def test_nothing_stands_out_and_a_sound_that_is_gone():
    assert "Nothing stands out clearly." in html(Explanation("sad", 0.5), ENGLISH)
    assert "no longer in memory" in html(None, ENGLISH)


@pytest.mark.slow
def test_an_explanation_is_computed_once():
    file, known = io.BytesIO(), {}
    sf.write(file, chords(), RATE, format="WAV")
    recording = Recording("a.wav", "file", 3.0, np.zeros(1), sound=file.getvalue())
    recognizer = ser.load("dense105")
    assert known_marks(recording, recognizer, "sad", known) == ()
    first = explanation_of(recording, recognizer, "sad", known)
    assert first is not None and first.label == "sad"
    assert known_marks(recording, recognizer, "sad", known) == marks(first)
    assert explanation_of(replace(recording, sound=None), recognizer, "sad", known) is first
    assert explanation_of(replace(recording, sound=None, id="other"), recognizer, "sad", known) is None
