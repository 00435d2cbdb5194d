"""The report: its contents, escaped names, both languages, and that a browser loads nothing for it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

import ser
from ser.inference.artifact import find
from ser.inference.manifest import read_manifest
from ser.page.parts.report import report
from ser.page.texts import Texts
from ser.page.visit import Recording
from ser.types import EMOTIONS, SELF, Adaptation, Prediction, Segment, Timeline, Word

ENGLISH, GERMAN = Texts("en"), Texts("de")
SHARES = dict(zip(EMOTIONS, (0.04, 0.02, 0.45, 0.31, 0.05, 0.04, 0.02, 0.07), strict=True))
ANSWER = Prediction(
    "happy",
    SHARES,
    ("close_call",),
    3.5,
    "voice",
    used_s=(0.5, 3.0),
    sound_s=2.5,
    sex={"male": 0.03, "female": 0.97},
    intensity=0.7,
    file="clip.wav",
    quality=("hum",),
)
EVIL = '<img src=x onerror="alert(1)"> & Söhne.wav'


@pytest.fixture(scope="module")
def manifest() -> dict:
    return read_manifest(find("voice"))


def recording(name: str = "clip.wav", duration_s: float = 3.5, note: str = "") -> Recording:
    peaks = np.abs(np.sin(np.arange(300) / 9))
    return Recording(name, "file", duration_s, peaks, note=note, time=datetime(2026, 11, 27, 9, 5).astimezone())


def timeline(n_segments: int = 3, **values: object) -> Timeline:
    parts = tuple(
        Segment(7.0 * n, 7.0 * n + 5, EMOTIONS[n % 8], SHARES, ("close_call",) if n % 2 else ())
        for n in range(n_segments)
    )
    return replace(Timeline("talk.wav", 7.0 * n_segments, parts, EMOTIONS, "voice"), **values)


class Reader(HTMLParser):
    """Collects the elements, their attributes and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        if self.elements[-1:] != ["style"]:
            self.text += data


def test_an_answer(manifest):
    page = Reader(report(recording(note="tired <i>voice</i>"), ANSWER, manifest, ENGLISH))
    for part in (
        "Happy or sad",
        "45\N{NO-BREAK SPACE}%",
        "2026-11-27, 09:05",
        "clip.wav",
        "mains hum",
        "sounds female",
    ):
        assert part in page.text
    assert "tired <i>voice</i>" in page.text and "Mood map" in page.text and "Derived from the emotions" in page.text
    uar = 100 * manifest["metrics"]["folds"]["uar"]
    assert f"{uar:.0f}\N{NO-BREAK SPACE}%" in page.text and "voice, ser" in page.text and ser.__version__ in page.text
    assert "Article 5(1)(f)" in page.text and "no ground for judging anyone" in page.text
    assert page.elements.count("svg") == 2


def test_a_timeline(manifest):
    segments = tuple(
        replace(segment, words=(Word("so", segment.start_s, segment.end_s),)) for segment in timeline().segments
    )
    talk = timeline(segments=segments, text="so so so", adapted=Adaptation(SELF, 12), cut_off=True)
    page = Reader(report(recording("talk.wav", 21), talk, manifest, ENGLISH))
    assert page.elements.count("tr") == 4 and "Adapted to this recording's own speech" in page.text
    for part in (
        "Mostly neutral (33\N{NO-BREAK SPACE}%)",
        "0:07–0:12",
        "calm, unsure",
        "below the limit",
        "damaged",
        "so",
    ):
        assert part in page.text


def test_channels(manifest):
    parts = tuple(replace(part, channel=("left", "right")[n % 2]) for n, part in enumerate(timeline().segments))
    call = timeline(segments=parts, channels=("left", "right"))
    page = report(recording("call.wav", 21), call, manifest, GERMAN)
    assert "Bänder von oben: links und rechts" in page and '<td class="">rechts</td>' in page


@pytest.mark.parametrize("reason", ["silent", "too_short", "unlike_training"])
def test_no_emotion_is_named_where_there_is_none(manifest, reason):
    page = Reader(report(recording(), replace(ANSWER, reasons=(reason,), quality=()), manifest, ENGLISH))
    assert "No emotion is named" in page.text and "45" not in page.text and "Mood map" not in page.text


def test_a_recording_without_speech_or_sound(manifest):
    page = Reader(report(recording(), timeline(0, duration_s=2.5), manifest, GERMAN))
    assert "Es wurde keine Sprache gefunden" in page.text
    empty = replace(recording(), peaks=np.zeros(0), duration_s=0.0)
    assert "Silence" in report(empty, replace(ANSWER, reasons=("silent",), duration_s=0.0), manifest, ENGLISH)


def test_names_are_text_and_nothing_is_loaded_or_run(manifest):
    page = Reader(report(recording(EVIL, note=EVIL), ANSWER, manifest, GERMAN))
    assert page.text.count(EVIL) == 3  # title, header, note
    assert not {"img", "script", "link", "iframe", "object", "a"} & set(page.elements)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_a_report_of_an_hour_is_small(manifest):
    assert len(report(recording(duration_s=3500), timeline(500), manifest, ENGLISH)) < 300_000


@pytest.mark.browser
def test_in_a_browser(chromium, manifest, tmp_path):
    path = tmp_path / "report.html"
    talk = timeline(20, channels=())
    path.write_text(report(recording(EVIL, 140), talk, manifest, GERMAN), encoding="utf-8")
    single = tmp_path / "answer.html"
    single.write_text(report(recording(), ANSWER, manifest, GERMAN), encoding="utf-8")
    requests, problems = [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for theme in ("light", "dark"):
            page = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=theme).new_page()
            page.on("request", lambda request: requests.append(request.url))
            page.on("console", lambda message: problems.append(message.text))
            page.on("pageerror", lambda error: problems.append(str(error)))
            for file in (path, single):
                page.goto(file.as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") == 390
                assert page.evaluate("document.documentElement.lang") == "de"
                assert "Eine Schätzung, wie eine Stimme" in page.locator("main").inner_text()
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert background == {"light": "rgb(247, 245, 241)", "dark": "rgb(19, 17, 26)"}[theme]
        browser.close()
    assert requests == [file.as_uri() for _ in range(2) for file in (path, single)] and problems == []


def test_the_scores_are_those_of_the_models_that_were_scored(manifest):
    bare = json.loads(json.dumps({**manifest, "metrics": {}}))
    page = Reader(report(recording(), ANSWER, bare, ENGLISH))
    assert "unseen actors" not in page.text and "Model, and how good it is" in page.text
