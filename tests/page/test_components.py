"""Components of the page: headline, doubts, bars, scales and spectrogram."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from predictions import prediction

from ser.page import components, wording
from ser.page.texts import Texts
from ser.types import COLOURS, EMOJI, EMOTIONS, REASONS, Waveform

EN = Texts("en")


def bars(html: str) -> list[tuple[str, int]]:
    """Return name and share in per cent of every bar."""
    pattern = r'class="bar" role="meter" aria-label="(\w+)".*?aria-valuenow="(\d+)"'
    return [(name, int(share)) for name, share in re.findall(pattern, html)]


def test_bars_are_sorted_and_unlikely_ones_are_folded():
    html = components.bars(prediction("close_call", sad=0.5, calm=0.3), EN)
    found = bars(html)
    assert [share for _, share in found] == sorted((share for _, share in found), reverse=True)
    assert {name for name, _ in found} == {wording.capitalised(EN.emotion(label)) for label in EMOTIONS}
    opened, folded = html.split("<details>")
    assert len(bars(opened)) == 3 and "5 more, together" in folded
    assert COLOURS["sad"] in opened and COLOURS["calm"] in opened  # the two that the headline names
    assert html.count("--a:var(--bar)") == 6


def test_one_unlikely_emotion_is_not_folded():
    even = prediction(happy=0.3)
    assert "<details>" not in components.bars(even, EN)


def test_a_ring_shows_what_the_headline_names():
    sure = components.headline(prediction(happy=0.95), EN)
    assert EMOJI["happy"] in sure and "?" not in sure
    two = components.headline(prediction("close_call", sad=0.45, calm=0.4), EN)
    assert EMOJI["sad"] in two and EMOJI["calm"] in two and COLOURS["sad"] in two and COLOURS["calm"] in two
    assert ">?<" in components.headline(prediction("silent"), EN)


def test_doubt_is_one_box_and_a_close_call_can_be_opened():
    metrics = {"folds": {"top_two": 0.9}}
    assert components.doubts(prediction(happy=0.95), metrics, EN) == ""
    close = components.doubts(prediction("close_call", sad=0.5), metrics, EN)
    assert close.startswith("<details") and "Why not sure?" in close and "in 9 of 10" in close
    damaged = components.doubts(prediction("cut_off", "close_call", sad=0.5), metrics, EN)
    assert damaged.startswith("<div") and damaged.count("<li>") == 2
    assert "of 10" not in components.doubts(prediction("silent"), metrics, EN)


def test_an_answer_about_a_stranger_says_how_many_such_answers_are_right():
    likely = replace(prediction("close_call", sad=0.97), sure_from=0.99)
    metrics = {"left_out_sure": {"reliability": [[0.5, 0.96, 0.99], [0.4, 0.71, 1.0], [500, 60, 29]]}}
    box = components.doubts(likely, metrics, EN)
    assert "no such answer is called sure" in box and "about 7 of 10 were right" in box
    known = replace(prediction("close_call", sad=0.5), sure_from=0.8)
    assert "clear enough from 80" in components.doubts(known, metrics, EN)
    assert "of 10" not in components.doubts(known, metrics, EN)


def test_scales_show_the_outputs_of_the_model_only():
    sure = prediction(happy=0.7)
    assert components.scales(sure, EN) == ""
    single = components.scales(replace(sure, intensity=0.72), EN)
    assert single.count('role="meter"') == 1
    assert all(part in single for part in ('aria-valuenow="72"', "--at:0.72", "rather strong"))
    both = components.scales(replace(sure, sex={"male": 0.04, "female": 0.96}, intensity=0.0), EN)
    assert both.count('role="meter"') == 2 and "sounds female" in both and "--at:0.96" in both


@pytest.mark.parametrize("reason", REASONS)
def test_scales_are_left_out_if_no_emotion_is_named(reason):
    doubtful = replace(prediction(reason, sad=0.4), sex={"male": 0.9, "female": 0.1}, intensity=0.5)
    assert (components.scales(doubtful, EN) == "") is (reason in ("silent", "too_short", "unlike_training"))


def test_messages_are_escaped():
    assert "<img" not in components.notice("x", "<img src=x>.wav: no sound")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 3.0, 60.0])
def test_spectrogram_shows_a_tone_at_its_pitch_and_stays_small(seconds):
    time = np.arange(int(16_000 * seconds)) / 16_000
    [heat] = components.spectrogram(Waveform(np.sin(2 * np.pi * 3000 * time).astype(np.float32), 16_000)).data
    loudest = heat.y[heat.z.mean(axis=1).argmax()]
    assert loudest == pytest.approx(3.0, abs=0.05)
    assert heat.z.size <= components.MAX_COLUMNS * 128
