"""Components of the page: scales, bars, waveform and spectrogram."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from predictions import prediction

from ser.page import components
from ser.types import EMOJI, EMOTIONS, REASONS, Waveform


def test_scales_show_the_outputs_of_the_model_only():
    sure = prediction(happy=0.7)
    assert components.scales(sure) == ""
    single = components.scales(replace(sure, intensity=0.62))
    assert single.count('role="meter"') == 1
    assert all(part in single for part in ('aria-valuenow="62"', "--at:0.62", "62 %"))
    both = components.scales(replace(sure, sex={"male": 0.04, "female": 0.96}, intensity=0.0))
    assert both.count('role="meter"') == 2 and "Voice sounds female" in both and "--at:0.96" in both and "0 %" in both


@pytest.mark.parametrize("reason", REASONS)
def test_scales_are_left_out_if_no_emotion_is_named(reason):
    doubtful = replace(prediction(reason, sad=0.4), sex={"male": 0.9, "female": 0.1}, intensity=0.5)
    assert (components.scales(doubtful) == "") is (reason in ("silent", "too_short", "unlike_training"))


def test_bars_are_sorted_from_0_to_100_with_names_and_numbers():
    figure = components.bars(prediction(sad=0.4, calm=0.3))
    rail, values = figure.data
    assert list(values.x) == sorted(values.x) and len(values.x) == len(EMOTIONS)
    assert values.y[-1] == "sad" and rail.text[-1].strip() == "<b>40 %</b>"
    assert tuple(figure.layout.xaxis.range) == (0, 100)
    names = [annotation.text for annotation in figure.layout.annotations]
    assert all(any(EMOJI[e] in name and e.capitalize() in name for name in names) for e in EMOTIONS)


def test_trimmed_ends_are_grey():
    samples = np.ones(48_000, np.float32)
    answer = components.Answer("x", Waveform(samples, 16_000), b"", prediction(sad=0.9))
    [strokes] = components.sound(answer).data
    used = (strokes.x >= 0.5) & (strokes.x <= 2.5)
    assert set(strokes.marker.color[~used]) == {components.GREY}
    assert components.GREY not in strokes.marker.color[used]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 3.0, 60.0])
def test_spectrogram_shows_a_tone_at_its_pitch_and_stays_small(seconds):
    time = np.arange(int(16_000 * seconds)) / 16_000
    [heat] = components.spectrogram(Waveform(np.sin(2 * np.pi * 3000 * time).astype(np.float32), 16_000)).data
    loudest = heat.y[heat.z.mean(axis=1).argmax()]
    assert loudest == pytest.approx(3.0, abs=0.05)
    assert heat.z.size <= components.MAX_COLUMNS * 128
