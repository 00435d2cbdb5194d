"""Long recordings on the page: analysed in a thread, shown as a timeline; the whole of it in a real Chromium."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
import parselmouth
import pytest
import soundfile as sf
from page_server import FLAGS, PHONE, ROOT, WAIT_MS, page_server
from playwright.sync_api import Page, expect, sync_playwright
from streamlit.testing.v1 import AppTest

import ser
from ser.page import listening as listening_module
from ser.page import timeline as view
from ser.page.listening import Listening, is_call
from ser.page.texts import Texts
from ser.page.visit import Recording
from ser.types import EMOTIONS, SELF, Adaptation, AudioError, Segment, Timeline

RATE = 16_000
PAGE = ROOT / "tests" / "helpers" / "timeline_page.py"
SPOKEN = [sf.read(path)[0] for path in sorted((ROOT / "samples").glob("*.flac")) if path.stem != "music"]
# Not a number until the browser has read the file's header.
DURATION = """audio => audio.readyState ? audio.duration
    : new Promise(resolve => audio.onloadedmetadata = () => resolve(audio.duration))"""
ENGLISH, GERMAN = Texts("en"), Texts("de")


def speech(duration_s: float) -> np.ndarray:
    """The samples, spoken over and over with half a second between them."""
    once = np.concatenate([part for samples in SPOKEN for part in (samples, np.zeros(RATE // 2))])
    return np.resize(once, round(duration_s * RATE))


def call(duration_s: float) -> np.ndarray:
    """Two channels (n, 2) that speak in turn, every three seconds."""
    turns = (np.arange(round(duration_s * RATE)) // (3 * RATE)) % 2
    return np.stack([speech(duration_s) * (turns == side) for side in (0, 1)], axis=1)


def coded(samples: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, RATE, format=options.pop("format", "FLAC"), **options)
    return file.getvalue()


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def recognizer() -> ser.Recognizer:
    return ser.load("dense105")


@pytest.fixture
def made() -> Timeline:
    """Ten minutes, a third of them sad, a sixth calm, the rest silence; the calm is unsure."""

    def segment(start_s: float, end_s: float, label: str, *reasons: str) -> Segment:
        probabilities = {name: 0.86 if name == label else 0.02 for name in EMOTIONS}
        return Segment(start_s, end_s, label, probabilities, reasons)

    segments = (segment(10, 210, "sad"), segment(300, 400, "calm", "close_call"))
    return Timeline("<b>.wav", 618.0, segments, EMOTIONS, "voice", adapted=Adaptation(SELF, 60))


# --- The thread ---


def test_long_recording_becomes_timeline_envelope_and_sound(recognizer):
    data = coded(speech(14), format="OGG")
    listening = Listening(data, recognizer, name="talk.ogg", kind="microphone")
    found = listening.take()
    assert listening.ended and listening.done_s == pytest.approx(14, abs=0.1)
    assert isinstance(found, Recording) and (found.name, found.kind) == ("talk.ogg", "microphone")
    assert found.model == recognizer.name
    assert found.timeline == replace(recognizer.timeline(data), file="talk.ogg")
    sound, rate = sf.read(io.BytesIO(found.sound))
    assert (rate, found.mime) == (RATE, "audio/flac") and len(sound) / rate == pytest.approx(found.duration_s)
    assert len(found.peaks) == pytest.approx(14 / 0.05, abs=1) and found.peaks.max() == 1


def test_two_sides_of_a_call_are_heard_apart_or_as_one(recognizer):
    found = Listening(coded(call(14)), recognizer, name="call.flac").take()
    assert found.timeline.channels == ("left", "right") and view.is_stereo(found)
    mixed = Listening(found.sound, recognizer, name=found.name, channels="mix", again=found).take()
    assert not mixed.timeline.channels and mixed.timeline.segments
    assert (mixed.id, mixed.sound) == (found.id, found.sound)


def test_only_channels_that_speak_in_turn_are_a_call(rng):
    one = speech(8)
    wide = np.stack([one, 0.8 * np.roll(one, 40) + 1e-3 * rng.standard_normal(len(one))], axis=1)
    assert is_call(coded(call(8)))
    for samples in (one, wide, np.stack([one, 0 * one], axis=1), np.zeros((RATE, 2))):
        assert not is_call(coded(samples))


def test_stop_keeps_what_is_done(recognizer):
    stopping = Stopping(recognizer)
    stopping.listening.set_result(Listening(coded(speech(60)), stopping, name="talk.flac"))
    found = stopping.listening.result().take()
    assert found.timeline.stopped and 0 < found.duration_s < 60


class Stopping:
    """A recogniser that stops the listening at its first window."""

    def __init__(self, recognizer: ser.Recognizer) -> None:
        self._recognizer = recognizer
        self.listening: Future[Listening] = Future()

    def __getattr__(self, name: str):
        return getattr(self._recognizer, name)

    def analyse(self, source):
        self.listening.result().stop()
        return self._recognizer.analyse(source)


def test_work_ends_if_the_page_is_gone(recognizer, monkeypatch):
    monkeypatch.setattr(listening_module, "AWAY_S", -1.0)
    listening = Listening(coded(speech(60)), recognizer, name="talk.flac")
    assert listening.take().timeline.stopped


def test_third_recording_waits_and_can_be_stopped_before_it_begins(recognizer):
    for _ in range(2):
        listening_module.TURNS.acquire()
    try:
        listening = Listening(coded(speech(14)), recognizer, name="talk.flac")
        assert listening.waiting and "waiting" in view.progress(listening, ENGLISH)
        listening.stop()
        assert listening.take() is None
    finally:
        listening_module.TURNS.release(2)


def test_refusals_are_returned_and_faults_raised(recognizer):
    refused = Listening(b"no sound", recognizer, name="broken.wav").take()
    assert isinstance(refused, AudioError)
    with pytest.raises(AttributeError):
        Listening(coded(speech(1)), object(), name="talk.flac").take()


# --- The words and pictures ---


def test_headline_says_what_it_mostly_is(made):
    english, german = (plain(view.headline(made, texts)) for texts in (ENGLISH, GERMAN))
    assert "<h2>Mostly sad (67 %)</h2>" in english
    assert "10 min 18 s long, 5 min of speech, adapted to this recording." in english
    assert "<h2>Überwiegend traurig (67 %)</h2>" in german
    probabilities = dict.fromkeys(EMOTIONS, 0.125)
    doubtful = (*made.segments, Segment(400, 500, "calm", probabilities, ("close_call",)))
    assert "of speech, 25 % of it unsure" in plain(view.headline(replace(made, segments=doubtful), ENGLISH))
    thirds = tuple(Segment(100 * i, 100 * i + 80, label, probabilities) for i, label in enumerate(EMOTIONS[:4]))
    mixed = plain(view.headline(replace(made, segments=thirds), ENGLISH))
    assert "<h2>Mixed, most often neutral (25 %), calm (25 %) and happy (25 %)</h2>" in mixed
    none = replace(made, segments=(), adapted=None)
    assert "No speech found" in view.headline(none, ENGLISH)
    sides = tuple(
        replace(segment, channel=name) for segment, name in zip(made.segments, ("left", "right"), strict=True)
    )
    both = replace(made, segments=sides, channels=("left", "right"), adapted=Adaptation("<room>", 12))
    text = plain(view.headline(both, ENGLISH))
    assert "Left mostly sad (100 %); right mostly calm (100 %)" in text and "adapted to &lt;room&gt;" in text


def test_notices_name_an_early_end(made):
    assert view.notices(made, ENGLISH) == ""
    assert "You stopped at 10" in plain(view.notices(replace(made, stopped=True), ENGLISH))
    assert "beschädigt" in view.notices(replace(made, cut_off=True), GERMAN)


def test_progress_counts_minutes(recognizer):
    listening = Listening(b"no sound", recognizer, name="<i>.wav")
    listening.take()
    for done_s, length_s, words in ((250, 618, "4 of 10 min"), (250, None, "4 min so far"), (30, 90, "0.5 of 1.5 min")):
        listening.done_s, listening.length_s = done_s, length_s
        assert words in view.progress(listening, ENGLISH) and "<i>" not in view.progress(listening, ENGLISH)
    listening.stop()
    assert "hält an" in view.progress(listening, GERMAN)


def test_probabilities_over_time_are_blank_without_speech(made):
    mean = view.probabilities_over_time(made)
    total = mean.sum(axis=1)
    spoken = total > 0
    assert np.allclose(total[spoken], 1) and 0 < spoken.mean() < 0.6
    assert EMOTIONS[mean[len(mean) // 4].argmax()] == "sad"
    shapes = ElementTree.fromstring(view.area(made))
    assert len(shapes) == 8 and all(shape.get("d").count("M") == 2 for shape in shapes)
    assert view.area(replace(made, segments=())).count('d=""') == 8


def test_summary_shows_what_was_heard(made):
    text = plain(view.summary(made, ENGLISH))
    assert "67 %" in text and "angry</span>" not in text and "<img" in text
    assert [view.minutes(time_s) for time_s in (5, 62, 3600)] == ["0:05", "1:02", "1:00:00"]


# --- The states ---


@pytest.fixture
def shown(tmp_path):
    """Return the page after a file has been analysed."""

    def shown(data: bytes, language: str = "en") -> AppTest:
        path = tmp_path / "talk.flac"
        path.write_bytes(data)
        page = AppTest.from_file(str(PAGE), default_timeout=60)
        page.query_params.update({"file": str(path), "language": language})
        page.run()
        if page.session_state.listening:  # not ended in the first run already
            page.session_state.listening.take()
        page.run()
        assert not page.exception
        return page

    return shown


def test_states_of_the_page(shown):
    page = shown(coded(np.zeros(13 * RATE)), "de")
    assert "Keine Sprache gefunden" in html_of(page) and not page.get("download_button")
    assert "no sound" not in html_of(page)
    damaged = shown(coded(speech(20), format="WAV", subtype="PCM_16")[: 15 * RATE * 2])
    assert "damaged or incomplete" in html_of(damaged)
    assert [button.proto.label for button in damaged.get("download_button")] == list(view.TITLES.values())
    assert "not sound" in shown(b"this is text").error[0].value


def html_of(page: AppTest) -> str:
    return plain("".join(each.proto.body for each in page.get("html")))


# --- In the browser ---


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator:
    with sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=chromium, args=FLAGS, timeout=WAIT_MS)


@pytest.fixture(scope="module")
def url(chromium) -> Iterator[str]:
    with page_server(PAGE) as address:
        yield address


@pytest.fixture
def opened(browser, url, tmp_path):
    """Open the page on a file; it is closed after the test, in which no error may appear in the console."""
    pages, errors = [], []

    def opened(name: str, samples: np.ndarray, language: str = "en", **options) -> Page:
        path: Path = tmp_path / name
        sf.write(path, samples, RATE)
        pages.append(page := browser.new_page(**options))
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}/?file={quote(str(path))}&language={language}")
        return page

    yield opened
    for page in pages:
        page.close()
    assert errors == []


@pytest.mark.browser
def test_ten_minutes(opened, tmp_path):
    page = opened("ten.wav", speech(600))
    page.locator(".listening span", has_text="of 10 min").wait_for()
    page.get_by_role("button", name="Rerun").click()  # does not disturb it
    expect(page.locator(".timeline-head")).to_contain_text("10\N{NO-BREAK SPACE}min long", timeout=WAIT_MS)
    page.locator(".player-ribbons i").nth(50).wait_for(state="attached")
    page.get_by_role("button", name="Later minute").click()
    row = page.locator(".player-row").first
    row.get_by_role("button").click()
    page.wait_for_function("() => document.querySelector('audio').currentTime >= 60")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="TextGrid").click()
    waiting.value.save_as(tmp_path / "ten.TextGrid")
    tiers = parselmouth.read(str(tmp_path / "ten.TextGrid"))
    assert waiting.value.suggested_filename == "ten.TextGrid"
    assert tiers.xmax == pytest.approx(600) and parselmouth.praat.call(tiers, "Get number of tiers") == 3


@pytest.mark.browser
def test_stop_half_way_keeps_the_part(opened):
    page = opened("ten.wav", speech(600), viewport=PHONE)
    page.locator(".listening span", has_text=re.compile(r"^[2-8] of 10 min")).wait_for()
    stop = page.get_by_role("button", name="Stop")
    assert stop.bounding_box()["height"] >= 44
    stop.click()
    expect(page.locator(".doubts")).to_contain_text("You stopped at", timeout=WAIT_MS)
    duration_s = page.locator("audio").evaluate(DURATION)
    assert 120 <= duration_s < 590
    page.locator(".player-row").nth(3).wait_for(state="attached")
    assert page.get_by_role("slider").get_attribute("aria-valuemax") == f"{duration_s:.1f}"


@pytest.mark.browser
def test_call_has_two_ribbons(opened):
    page = opened("call.wav", call(24), "de", viewport=PHONE, color_scheme="dark")
    expect(page.locator(".player-ribbons > div")).to_have_count(2, timeout=WAIT_MS)
    assert page.locator(".player-labels span").all_inner_texts() == ["links", "rechts"]
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == PHONE["width"]
    assert not [box for box in map(size, page.locator("button:visible").all()) if min(box) < 44]
    page.get_by_text("Jede Seite des Gesprächs für sich").click()
    expect(page.locator(".player-ribbons > div")).to_have_count(1, timeout=WAIT_MS)
    page.get_by_text("Jede Seite des Gesprächs für sich").click()
    expect(page.locator(".player-ribbons > div")).to_have_count(2, timeout=WAIT_MS)


def size(element) -> tuple[float, float]:
    box = element.bounding_box()
    return box["width"], box["height"]
