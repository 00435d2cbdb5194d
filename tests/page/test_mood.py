"""The mood map: places and points, a path over time, words that say the same, and its look in Chromium."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from ser.page.parts.mood import HALF_X, HALF_Y, MAX_POINTS, SCALE_X, SCALE_Y, in_words, mood_html, path
from ser.page.texts import Texts
from ser.page.timeline import minutes
from ser.types import EMOTIONS, Mood, Prediction, Segment, Timeline, mood

ENGLISH, GERMAN = Texts("en"), Texts("de")
SHARES = dict(zip(EMOTIONS, (0.04, 0.02, 0.75, 0.01, 0.05, 0.04, 0.02, 0.07), strict=True))
HAPPY = Prediction("happy", SHARES, (), 3.0, "voice", file="clip.wav")


def only(label: str) -> dict[str, float]:
    return {emotion: float(emotion == label) for emotion in EMOTIONS}


def segments(*labels: str, channel: str | None = None) -> tuple[Segment, ...]:
    """One of two seconds for each label, with a second of silence behind it."""
    return tuple(Segment(3.0 * n, 3.0 * n + 2, label, only(label), channel=channel) for n, label in enumerate(labels))


def timeline(*parts: Segment, channels: tuple[str, ...] = ()) -> Timeline:
    return Timeline("talk.wav", 1 + max(part.end_s for part in parts), parts, EMOTIONS, "voice", channels=channels)


def drawing(html: str) -> ElementTree.Element:
    """Return the SVG, which must be well-formed."""
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", html, re.DOTALL)[0])


def dots(svg: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(dot.get("cx")), float(dot.get("cy"))) for dot in svg.iter("circle")]


def test_an_answer_is_a_point_and_every_emotion_has_emoji_and_name():
    svg = drawing(mood_html(HAPPY, ENGLISH))
    valence, arousal = mood(SHARES)
    assert dots(svg)[0] == pytest.approx((HALF_X + valence * SCALE_X, HALF_Y - arousal * SCALE_Y), abs=0.1)
    written = [text.text for text in svg.iter("text")]
    assert set("😐😌😄😢😠😨🤢😲") <= set(written) and {"happy", "disgusted", "pleasant", "high energy"} <= set(written)
    assert svg.get("role") == "img" and "pleasant, rather high energy. Valence 0.58, arousal 0.48" in svg.get(
        "aria-label"
    )


def test_it_says_that_it_is_derived_in_both_languages():
    assert "Derived from the emotions" in mood_html(HAPPY, ENGLISH)
    german = mood_html(HAPPY, GERMAN)
    assert "Aus den Emotionen abgeleitet" in german and "Valenz 0,58" in german and ">fröhlich<" in german


@pytest.mark.parametrize("reason", ["silent", "too_short", "unlike_training"])
def test_without_a_named_emotion_there_is_a_sentence(reason):
    html = mood_html(Prediction("happy", SHARES, (reason,), 3.0, "voice"), ENGLISH)
    assert "no place on the map" in html and "<svg" not in html


def test_a_timeline_is_a_path_in_order_of_time():
    talk = timeline(*segments("calm", "sad", "angry"))
    points = path(talk.segments)
    assert [point.mood for point in points] == [mood(only(label)) for label in ("calm", "sad", "angry")]
    assert [point.time_s for point in points] == [1, 4, 7]
    html = mood_html(talk, ENGLISH)
    assert len(dots(drawing(html))) == 3
    assert "start (pleasant, rather low energy)" in html and "end (unpleasant, high energy)" in html
    shades = [int(share) for share in re.findall(r"var\(--to\) (\d+)%", html)]
    assert min(shades) < 20 and max(shades) > 75


def test_a_long_path_is_averaged_and_weighted_by_time():
    many = segments(*["sad", "happy"] * 200)
    points = path(many)
    assert len(points) == MAX_POINTS and all(first.time_s < second.time_s for first, second in pairwise(points))
    assert all(abs(point.mood.valence - 0.09) < 0.2 for point in points)
    long, short = Segment(0, 9, "happy", only("happy")), Segment(9, 10, "sad", only("sad"))
    html = mood_html(timeline(long, short), ENGLISH)
    assert f"Valence {0.9 * 0.81 - 0.1 * 0.63:.2f}" in html


def test_channels_have_lines_of_their_own():
    call = timeline(
        *segments("calm", "sad", channel="left"),
        *segments("happy", "angry", channel="right"),
        channels=("left", "right"),
    )
    html = mood_html(call, GERMAN)
    assert html.count("stroke-dasharray") == 1 and "Durchgezogen: links; gestrichelt: rechts." in html


def test_silence_has_no_path():
    assert "no place on the map" in mood_html(Timeline("quiet.wav", 3.0, (), EMOTIONS, "voice"), ENGLISH)


def test_words_and_times():
    assert in_words(Mood(-0.6, 0.0), ENGLISH) == "unpleasant, medium energy"
    assert in_words(Mood(0.2, -0.2), GERMAN) == "eher angenehm, eher wenig Energie"
    assert [minutes(time_s) for time_s in (0, 62.9, 3662)] == ["0:00", "1:02", "1:01:02"]
