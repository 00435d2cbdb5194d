"""The player in a real Chromium: it plays, seeks and shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from page_server import DESKTOP, FLAGS, PHONE, ROOT, WAIT_MS, page_server
from playwright.sync_api import Page, expect, sync_playwright

from ser.audio.envelope import Envelope, envelope
from ser.page.player import channel_name, segment_label
from ser.page.texts import Texts
from ser.types import EMOTIONS, Segment

PLAYED = "key => document.querySelector(`.st-key-player-${key} audio`).currentTime"
PAUSED = "key => document.querySelector(`.st-key-player-${key} audio`).paused"


# --- The envelope and the words ---


def test_envelope_holds_the_peak_of_each_stretch():
    samples = np.array([0.1, -0.2, 0.0, 0.4, -0.1, 0.1], np.float32)
    assert envelope(samples, 3) == pytest.approx([0.5, 1.0, 0.25])
    assert len(envelope(samples, 100)) == 6
    assert envelope(np.zeros(50, np.float32), 5).tolist() == [0] * 5


def test_envelope_of_blocks_is_that_of_all_samples(rng):
    samples = rng.standard_normal(16_000 * 3 + 77).astype(np.float32)
    whole, parts = Envelope(16_000), Envelope(16_000)
    whole.add(samples)
    for block in np.array_split(samples, 11):
        parts.add(block)
    assert np.array_equal(whole.peaks(20), parts.peaks(20))
    assert len(parts.peaks(20)) == 20 and parts.peaks(20).max() == 1
    assert Envelope(16_000).peaks(20).tolist() == [0]


def test_words_of_segments_and_channels():
    def segment(confidence: float, *reasons: str) -> Segment:
        rest = (1 - confidence) / 7
        return Segment(0, 1, "sad", {name: confidence if name == "sad" else rest for name in EMOTIONS}, reasons)

    english, german = Texts("en"), Texts("de")
    assert segment_label(segment(0.9), english) == "sad"
    assert segment_label(segment(0.56), english) == "sad, probably"
    assert segment_label(segment(0.6, "close_call"), english) == "sad, probably"
    assert segment_label(segment(0.4, "close_call"), german) == "traurig, unsicher"
    assert segment_label(segment(0.9, "unlike_training"), english) == "sad, unsure"
    assert [channel_name(name, german) for name in ("left", "3")] == ["links", "Kanal 3"]


# --- In the browser ---


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator:
    with sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=chromium, args=FLAGS, timeout=WAIT_MS)


@pytest.fixture(scope="module")
def url(chromium) -> Iterator[str]:
    with page_server(ROOT / "tests" / "helpers" / "player_page.py") as address:
        yield address


@pytest.fixture(scope="module")
def opened(browser, url):
    """Open the page in a new window; at the end, no error may have appeared in any console."""
    errors = []

    def opened(viewport: dict[str, int] = DESKTOP, theme: str = "light", language: str = "en") -> Page:
        page = browser.new_page(viewport=viewport, color_scheme=theme)
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}/?language={language}")
        page.get_by_text("end of the page").wait_for()
        page.locator(".st-key-player-call .player-ribbons i").first.wait_for()
        return page

    yield opened
    assert errors == []


@pytest.fixture(scope="module")
def page(opened) -> Page:
    """The page on a desktop; every test has a player of its own."""
    return opened()


def player_of(page: Page, key: str):
    return page.locator(f".st-key-player-{key} .ser-player")


def until(page: Page, condition: str, key: str) -> None:
    page.wait_for_function(
        f"key => {{ const at = ({PLAYED})(key), paused = ({PAUSED})(key); return {condition}; }}", arg=key
    )


@pytest.mark.browser
def test_plays_and_seeks(page):
    player = player_of(page, "short")
    track, button = player.get_by_role("slider"), player.locator(".player-toggle")
    expect(page.locator(".st-key-player-short audio")).to_be_hidden()
    box = track.bounding_box()
    duration_s = float(track.get_attribute("aria-valuemax"))
    track.click(position={"x": box["width"] / 2, "y": 20})
    assert page.evaluate(PLAYED, "short") == pytest.approx(duration_s / 2, abs=0.05)
    for key, moved_s in (("ArrowLeft", -1), ("ArrowRight", 1), ("Home", -duration_s), ("Shift+ArrowRight", duration_s)):
        before_s = page.evaluate(PLAYED, "short")
        track.press(key)
        wanted_s = min(max(before_s + moved_s, 0), duration_s)
        assert page.evaluate(PLAYED, "short") == pytest.approx(wanted_s, abs=0.06), key
    track.press("Home")
    track.press("Space")
    until(page, "!paused && at > 0.1", "short")
    assert button.get_attribute("aria-label") == "Pause"
    assert player.locator(".player-foot [data-part=time]").inner_text() == track.get_attribute("aria-valuetext")
    button.click()
    until(page, "paused", "short")
    page.mouse.move(box["x"] + 5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 90, steps=3)
    page.mouse.up()
    assert page.evaluate(PLAYED, "short") == pytest.approx(0.8 * duration_s, abs=0.05)


@pytest.mark.browser
def test_plays_a_stretch_once_for_each_id(page):
    page.emulate_media(reduced_motion="reduce")
    for _ in range(2):
        page.get_by_role("button", name="Play a stretch").click()
        until(page, "!paused && at >= 0.5", "short")
        until(page, "paused && at >= 1 && at < 1.3", "short")
    page.get_by_role("button", name="Rerun").click()
    page.wait_for_timeout(300)
    until(page, "paused && at >= 1 && at < 1.3", "short")


@pytest.mark.browser
def test_drives_a_replaced_sound_from_its_start(page):
    player = player_of(page, "replaced")
    player.get_by_role("slider").press("ArrowRight")
    page.get_by_role("button", name="Other sound").click()
    expect(player.locator(".player-foot [data-part=time]")).to_have_text("0:00 / 1:38")
    player.locator(".player-toggle").click()
    until(page, "!paused && at > 0.1", "replaced")


@pytest.mark.browser
def test_ribbon_and_rows_play_their_segment(page):
    player = player_of(page, "long")
    player.locator(".player-ribbons i").nth(2).click()
    until(page, "!paused && at >= 11 && at < 12", "long")
    expect(player.locator("[aria-current] time")).to_have_text("0:11")
    player.get_by_role("button", name="Later minute").click()
    row = player.locator(".player-row").first
    expect(row).to_contain_text("1:01")
    row.get_by_role("button").click()
    until(page, "!paused && at >= 61 && at < 62", "long")
    until(page, "paused && at >= 65 && at < 65.3", "long")
    player.locator(".player-ribbons i").nth(10).click()
    current = player.locator("[aria-current]")
    expect(current).to_contain_text("0:51")
    shown, row = player.locator(".player-rows").bounding_box(), current.bounding_box()
    assert shown["y"] <= row["y"] and row["y"] + row["height"] <= shown["y"] + shown["height"] + 1
    call = player_of(page, "call")
    assert call.locator(".player-ribbons > div").count() == 2
    assert call.locator(".player-labels span").all_inner_texts() == ["left", "right"]
    call.locator(".player-toggle").click()
    until(page, "!paused", "call")


@pytest.mark.browser
def test_without_sound_it_is_a_picture(page):
    player = player_of(page, "gone")
    assert player.get_by_role("img").count() == 1 and not player.get_by_role("button").count()
    assert player.locator(".player-all path").first.get_attribute("d").startswith("M")


@pytest.mark.browser
def test_on_a_phone_in_german(opened):
    page = opened(PHONE, "dark", "de")
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == PHONE["width"]
    for button in page.locator(".ser-player button").all():
        if button.is_visible():
            box = button.bounding_box()
            assert min(box["width"], box["height"]) >= 44
    assert player_of(page, "short").locator(".player-toggle").get_attribute("aria-label") == "Abspielen"
