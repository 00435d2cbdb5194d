"""The page in a real headless Chromium on the real server, with a microphone fed from a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np
import parselmouth
import pytest
import soundfile as sf
from page_server import DESKTOP, FLAGS, PHONE, ROOT, WAIT_MS, page_server, settle
from playwright.sync_api import expect, sync_playwright
from webm import webm

import ser
from ser.page import wording
from ser.page.sources import ENOUGH
from ser.page.texts import Texts

pytestmark = pytest.mark.browser

EN = Texts("en")
VOICE = ROOT / "samples" / "even.flac"
SPOKEN = sorted(path for path in VOICE.parent.glob("*.flac") if path.stem != "music")
FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
UPLOADER = "[class*=st-key-upload-] input[type=file]"
BARS = ".st-key-answer .bar"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with page_server(ROOT / "app.py") as address:
        yield address


@pytest.fixture(scope="module")
def microphone(tmp_path_factory) -> Path:
    """Write the microphone's input: a sentence, then a pause, with faint noise; Chromium loops it."""
    samples, rate = sf.read(VOICE)
    samples = np.concatenate([samples, np.zeros(3 * rate)])
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    sf.write(path, samples + 1e-4 * np.random.default_rng(0).standard_normal(len(samples)), rate)
    return path


@pytest.fixture(scope="module")
def browser(chromium, microphone):
    with sync_playwright() as driver:
        flags = [*FLAGS, *FAKE, f"--use-file-for-fake-audio-capture={microphone}"]
        yield driver.chromium.launch(executable_path=chromium, args=flags, timeout=WAIT_MS)


@pytest.fixture
def opened(browser, url):
    """Open the page as a new visitor, with a part of its address."""

    @contextmanager
    def open_page(viewport: dict[str, int] = DESKTOP, locale: str = "en-GB", query: str = ""):
        context = browser.new_context(viewport=viewport, locale=locale, accept_downloads=True)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{url}/{query}")
        page.locator(".st-key-example .bar, .st-key-answer").first.wait_for()
        yield page
        context.close()

    return open_page


def upload(page, *files: Path) -> None:
    page.locator(f"{UPLOADER}, .st-key-open-add button").first.wait_for(state="attached")
    if not page.locator(UPLOADER).count():
        page.locator(".st-key-open-add button").click()
    page.locator(UPLOADER).set_input_files(files)


def answered(page, name: str) -> str:
    """Wait for the answer to a recording and return its title."""
    expect(page.locator(".st-key-answer .file")).to_contain_text(re.compile(re.escape(name)), timeout=WAIT_MS)
    settle(page)
    return page.locator(".st-key-answer .headline h2").inner_text()


def open_part(page, name: str) -> None:
    page.locator(f".st-key-part-{name} summary").first.click()
    settle(page)


def stand_still(locator) -> None:
    """Wait until nothing above an element changes its height: what it opens would not move with it."""
    box = None
    while box != (box := locator.bounding_box()):
        locator.page.wait_for_timeout(500)


def downloaded(page, locator) -> bytes:
    with page.expect_download() as waited:
        locator.click()
    return Path(waited.value.path()).read_bytes()


def encoded(folder: Path) -> list[Path]:
    """Write one recording in five formats."""
    samples, rate = sf.read(VOICE)
    paths = [folder / f"voice.{ending}" for ending in ("wav", "mp3", "ogg", "m4a", "webm")]
    for path in paths[:3]:
        sf.write(path, samples, rate)
    as_int16 = np.round(32767 * np.repeat(samples, 3)).astype(np.int16)
    with av.open(str(paths[3]), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(as_int16[None], format="s16", layout="mono")
        frame.sample_rate = 48_000
        output.mux([packet for part in (frame, None) for packet in stream.encode(part)])
    paths[4].write_bytes(webm(as_int16[:, None]))
    return paths


def test_five_formats_at_once_then_replay_and_clear(opened, tmp_path):
    paths, model = encoded(tmp_path), ser.load()
    with opened() as page:
        upload(page, *paths)
        chips = page.locator(".chip")
        expect(chips).to_have_count(len(paths), timeout=WAIT_MS)
        for number, path in enumerate(paths):
            chips.nth(number).click()
            head = wording.headline(model.predict(path), EN)
            assert answered(page, path.name) == head.title
        assert not page.locator(".notice").count()
        broken = tmp_path / "<img src=x> **bold**.wav"
        broken.write_text("this is text in a file that claims to be a sound")
        upload(page, broken)
        alert = page.get_by_role("alert").filter(has_text="could not be used")
        alert.wait_for()
        assert broken.name in alert.inner_text() and not alert.locator("img, strong").count()
        expect(chips).to_have_count(len(paths), timeout=WAIT_MS)
        open_part(page, "visit")
        clear = page.get_by_role("button", name="Clear this visit")
        stand_still(clear)
        clear.click()
        page.locator(".st-key-visit-clear-yes button").click()
        page.locator(".st-key-example .bar").first.wait_for()
        assert not chips.count()


def test_recorder_live_and_my_voice(opened):
    with opened(PHONE) as page:
        page.locator(".recorder button.button").click()
        assert answered(page, "Recording 1")
        before = page.locator(BARS).first.inner_text()
        open_part(page, "source")
        for number in range(1, 4):
            page.get_by_text(f"Read aloud, {number} of 4").wait_for()
            page.locator(f".st-key-voice-{number - 1} .recorder button.button").click()
        page.get_by_text("Adapted to your voice, 3 recordings").wait_for()
        settle(page)
        assert page.locator(BARS).first.inner_text() != before
        expect(page.get_by_text("This answer: before")).to_be_visible(timeout=WAIT_MS)
        page.locator(".st-key-use button").click()  # off with one click
        expect(page.locator(BARS).first).to_have_text(re.compile(re.escape(before.split("\n")[-1])), timeout=WAIT_MS)
        open_part(page, "source")
        open_part(page, "live")
        live = page.locator(".st-key-part-live")
        live.locator("button.button").click()
        expect(live.locator(".now")).not_to_have_text("", timeout=WAIT_MS)
        page.wait_for_timeout(1500)
        live.locator("button.button").click()
        expect(page.locator(".chip")).to_have_count(2, timeout=WAIT_MS)
        assert answered(page, "Live 1")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_recording_that_ends_without_a_connection_arrives_later(opened):
    with opened(PHONE) as page:
        upload(page, VOICE)
        answered(page, VOICE.name)
        page.locator(".st-key-open-record button").click()
        page.locator(".recorder button.button").click()
        page.locator(".recorder[data-state=recording]").wait_for()
        page.context.set_offline(True)
        page.locator(".recorder[data-state=sending]").wait_for()
        page.context.set_offline(False)
        assert answered(page, "Recording 1")
        expect(page.locator(".chip")).to_have_count(2, timeout=WAIT_MS)  # the visit is intact


def test_adaptation_after_ten_and_its_profile(opened, tmp_path):
    with opened() as page:
        upload(page, *copies(tmp_path, ENOUGH))
        expect(page.locator(".chip")).to_have_count(ENOUGH, timeout=WAIT_MS)
        page.locator(".st-key-offer-adapt button").click()
        page.get_by_text(f"Adapted to this source, {ENOUGH} recordings").wait_for()
        open_part(page, "source")
        profile = downloaded(page, page.locator(".st-key-profile-down button").first)
        shares = page.locator(BARS).all_inner_texts()
    assert json.loads(profile)["clips"] == ENOUGH
    stored = tmp_path / "calls.profile"
    stored.write_bytes(profile)
    with opened() as page:
        upload(page, copies(tmp_path, ENOUGH)[-1])
        page.locator(BARS).first.wait_for()
        open_part(page, "source")
        page.locator(".st-key-profile-up input[type=file]").set_input_files(stored)
        page.get_by_text("recordings").first.wait_for()
        expect(page.locator(BARS)).to_have_text(shares, timeout=WAIT_MS, use_inner_text=True)


def copies(folder: Path, count: int) -> list[Path]:
    """Write the spoken samples again and again, each a little quieter."""
    paths = [folder / f"{number}.wav" for number in range(count)]
    for number, path in enumerate(paths):
        samples, rate = sf.read(SPOKEN[number % len(SPOKEN)])
        sf.write(path, samples * (1 - number / 50), rate)
    return paths


def test_timeline_report_and_a_link_to_a_sample(opened, tmp_path):
    long = tmp_path / "talk.flac"
    sf.write(long, np.concatenate([np.append(sf.read(path)[0], np.zeros(16_000)) for path in SPOKEN]), 16_000)
    hosts: set[str | None] = set()
    with opened(query="?sample=sharp") as page:
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        assert answered(page, "sharp.flac") == wording.headline(ser.load().predict(SPOKEN[2]), EN).title
        open_part(page, "why")
        page.locator(".st-key-part-why p").first.wait_for()
        open_part(page, "mood")
        page.locator(".st-key-part-mood svg, .st-key-part-mood img").first.wait_for()
        upload(page, long)
        page.locator(".player-rows > *").first.wait_for()
        open_part(page, "along")
        grid = tmp_path / "talk.TextGrid"
        grid.write_bytes(downloaded(page, page.get_by_role("button", name="TextGrid").first))
        assert parselmouth.Data.read(str(grid)).xmax == pytest.approx(sf.info(str(long)).duration, abs=0.1)
        report = downloaded(page, page.get_by_role("button", name="Report"))
        assert b"talk.flac" in report and b"<script" not in report
        open_part(page, "model")
        german = page.locator(".st-key-language").get_by_text("Deutsch")
        stand_still(german)
        german.click()
        page.get_by_text("Was das ist.").wait_for()
        assert not page.get_by_text("What this is.").count()
    assert hosts <= {"localhost", None}  # None: data and blob addresses


def test_the_other_recorder_is_answered(opened):
    with opened() as page:
        page.locator(".st-key-others summary").click()
        page.frame_locator("iframe[title*=audio_recorder]").locator("svg").click()
        assert answered(page, "Recording 1")


def test_oversize_file_is_refused(opened, tmp_path):
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(121 * 2**20)
    with opened() as page:
        upload(page, large)
        page.get_by_text("120.0MB or smaller").wait_for()
        assert not page.locator(".st-key-answer").count()


def test_what_a_phone_shows_of_a_spectrogram(opened):
    with opened(PHONE) as page:
        upload(page, VOICE)
        answered(page, VOICE.name)
        assert not page.locator(".js-plotly-plot").count()
        page.locator("[class*=st-key-spectrogram-] summary").click()
        page.locator(".st-key-spectrogram-chart .heatmaplayer image").wait_for()
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == PHONE["width"]
