"""The page in a real headless Chromium on the real server, with a microphone fed from a file."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile as sf
from playwright.sync_api import expect, sync_playwright

import ser
from ser.page import wording

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
VOICE = ROOT / "samples" / "even.flac"
SPOKEN = sorted(path for path in VOICE.parent.glob("*.flac") if path.stem != "music")
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
]
MAX_RSS = 400e6
WAIT_MS = 90_000  # on cores that other tests share
# Not a number until the browser has read the file's header.
DURATION = """audio => audio.readyState ? audio.duration
    : new Promise(resolve => audio.onloadedmetadata = () => resolve(audio.duration))"""

# Text with a contrast below WCAG's 4.5 to 1.
LOW_CONTRAST = """
() => {
  const ink = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    ink.clearRect(0, 0, 1, 1); ink.fillStyle = colour; ink.fillRect(0, 0, 1, 1);
    return [...ink.getImageData(0, 0, 1, 1).data];
  };
  const light = colour => colour.slice(0, 3).map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = rgba(getComputedStyle(node).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const shown = [...document.querySelectorAll(
    'h1, h2, h3, .top p, .how, .how b, .sure, .eyebrow, .file, .doubts b, .doubts span, .notice p, .notice b, footer p,'
    + ' footer b, .version, .scale span, .scale b, .ready, .stCheckbox p, summary p,'
    + ' [role=tab], .stButton p, .stFileUploader label p, .js-plotly-plot text')]
    .filter(node => node.checkVisibility() && node.textContent.trim() && !node.closest('.st-key-example'));
  const ratio = node => {
    const style = getComputedStyle(node);
    const pair = [light(rgba(node instanceof SVGElement ? style.fill : style.color)), light(behind(node))];
    return (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
  };
  return shown.filter(node => ratio(node) < 4.5).map(node => `${node.textContent.trim()}: ${ratio(node).toFixed(1)}`);
}
"""

# Elements without a name for screen readers.
UNNAMED = """
() => [...document.querySelectorAll('button, input, iframe, img, audio, .js-plotly-plot')]
  .filter(node => node.checkVisibility() && !node.closest('[aria-hidden=true]'))
  .filter(node => node.tagName !== 'AUDIO' && !(node.getAttribute('aria-label') || node.title || node.alt
    || node.textContent.trim() || node.labels?.length || node.closest('[aria-label]')))
  .map(node => node.outerHTML.slice(0, 160))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen]:
    """Run `streamlit run app.py` on a free port, stored as `.url`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
    command += ["--server.address=127.0.0.1", f"--server.port={port}", "--server.fileWatcherType=none"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        process.url = f"http://localhost:{port}"
        wait_until_healthy(process)
        yield process
        process.terminate()


def wait_until_healthy(process: subprocess.Popen) -> None:
    for _ in range(WAIT_MS // 100):
        assert process.poll() is None, "streamlit ended"
        try:
            with urllib.request.urlopen(f"{process.url}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"streamlit did not answer within {WAIT_MS} ms")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> Path:
    """Write the microphone's input: a sentence, then a pause, with faint noise; Chromium loops it."""
    samples, rate = sf.read(VOICE)
    samples = np.concatenate([samples, np.zeros(3 * rate)])
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    sf.write(path, samples + 1e-4 * np.random.default_rng(0).standard_normal(len(samples)), rate)
    return path


@pytest.fixture(scope="module")
def launch(chromium):
    """Start Chromium with additional flags; all are closed at the end."""
    with sync_playwright() as driver:
        yield lambda *flags: driver.chromium.launch(executable_path=chromium, args=[*FLAGS, *flags], timeout=WAIT_MS)


@pytest.fixture(scope="module")
def browser(launch, spoken):
    return launch("--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={spoken}")


@pytest.fixture
def visit(browser, server):
    """Open the page; it is closed after the test."""
    contexts = []

    def opened(viewport: dict[str, int] = DESKTOP, theme: str = "light"):
        contexts.append(browser.new_context(viewport=viewport, color_scheme=theme))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(server.url)
        page.locator(".st-key-example .js-plotly-plot").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()


def upload(page, path: Path | str) -> None:
    page.locator(".st-key-upload input[type=file]").set_input_files(path)


def answered(page, name: str) -> str:
    """Wait for the answer to a recording and return its title."""
    expect(page.locator(".file")).to_have_text(re.compile(re.escape(name)), timeout=WAIT_MS)
    page.locator("[data-test-script-state=notRunning]").wait_for()
    for part in (".headline", ".st-key-bars .js-plotly-plot", ".st-key-sound .js-plotly-plot"):
        expect(page.locator(part)).to_have_count(1, timeout=WAIT_MS)  # replaced parts disappear a moment later
    return page.locator(".headline h2").inner_text()


def test_upload_of_a_sample(visit):
    page = visit()
    upload(page, VOICE)
    prediction = ser.load().predict(VOICE)
    assert answered(page, VOICE.name) == wording.title(prediction)
    assert page.locator(".sure").inner_text().replace("\N{NO-BREAK SPACE}", " ") == wording.subtitle(prediction)
    shown = page.locator(".st-key-bars .js-plotly-plot").inner_text()
    assert all(emotion.capitalize() in shown for emotion in prediction.probabilities)
    assert wording.percent(prediction.confidence) in shown
    assert page.locator(".stAudio").evaluate(DURATION) == pytest.approx(prediction.duration_s, abs=0.05)


@pytest.mark.data
def test_upload_of_a_real_recording(visit, ser_data):
    recording = sorted((ser_data / "ravdess").rglob("03-01-05-02-*"))[0]
    page = visit()
    upload(page, recording)
    assert answered(page, recording.name) == wording.title(ser.load().predict(recording))


def test_recording_that_stops_at_a_pause(visit):
    page = visit()
    page.get_by_role("tab", name="Record").click()
    page.frame_locator("iframe[title*=audio_recorder]").locator("svg").click()
    assert answered(page, "your recording")


def test_recording_that_is_stopped_by_hand(visit):
    page = visit()
    page.get_by_role("tab", name="Record").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Stop recording").wait_for()
    page.wait_for_timeout(3500)
    page.get_by_role("button", name="Stop recording").click()
    assert answered(page, ".wav")


def test_denied_microphone_shows_how_to_allow_it(launch, server):
    page = launch("--deny-permission-prompts").new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(server.url)
    page.get_by_role("tab", name="Record").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.locator(".stAudioInput").get_by_text("allow access").wait_for()
    page.get_by_text("The microphone does not start?").click()
    expect(page.get_by_text("If it was denied before")).to_be_visible(timeout=WAIT_MS)


def test_address_without_microphone_shows_a_notice(launch, server):
    page = launch("--host-resolver-rules=MAP voice.test 127.0.0.1").new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(server.url.replace("localhost", "voice.test"))
    page.get_by_role("tab", name="Record").click()
    expect(page.get_by_role("alert").filter(has_text="No microphone on this address")).to_be_visible(timeout=WAIT_MS)


def test_samples_without_a_microphone(visit):
    page = visit()
    page.get_by_role("tab", name="Samples").click()
    page.get_by_role("button", name="Music").click()
    assert answered(page, "music.flac") == "Not like speech"


def test_spectrogram_on_demand(visit):
    page = visit()
    upload(page, VOICE)
    answered(page, VOICE.name)
    assert not page.locator(".st-key-spectrogram-chart").count()
    page.get_by_text("Spectrogram").click()
    page.locator(".st-key-spectrogram-chart .heatmaplayer image").wait_for()


def test_broken_file_leaves_the_input_ready(visit, tmp_path):
    broken = tmp_path / "<img src=x> **bold** www.example.com.wav"
    broken.write_text("this is text in a file that claims to be a sound")
    page = visit()
    upload(page, broken)
    alert = page.get_by_role("alert").filter(has_text="could not be heard")
    alert.wait_for()
    assert broken.name in alert.inner_text()
    assert not alert.locator("img, strong, a").count()
    upload(page, VOICE)
    assert answered(page, VOICE.name)


def test_oversize_file_is_refused(visit, tmp_path):
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(26 * 2**20))
    page = visit()
    upload(page, large)
    page.locator(".st-key-upload").get_by_text("25.0MB or smaller").wait_for()
    assert not page.locator(".st-key-answer").count()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_phone(visit, theme):
    page = visit(PHONE, theme)
    for tab in ("Record", "Samples", "Upload"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == PHONE["width"]
    upload(page, VOICE)
    answered(page, VOICE.name)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == PHONE["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_and_named_in_every_state(visit, theme, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_text("no sound")
    page = visit(theme=theme)
    for path in (None, VOICE, ROOT / "samples" / "music.flac", broken):
        if path:
            upload(page, path)
        if path == broken:
            page.get_by_role("alert").filter(has_text="could not be heard").wait_for()
        elif path:
            answered(page, path.name)
        for tab in ("Record", "Samples", "Upload"):
            page.get_by_role("tab", name=tab).click()
            assert page.evaluate(LOW_CONTRAST) == []
            assert page.evaluate(UNNAMED) == []
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize(("viewport", "theme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_enrolment(visit, viewport, theme, tmp_path):
    silent = tmp_path / "silent.wav"
    sf.write(silent, np.zeros(16_000), 16_000)
    page = visit(viewport, theme)
    upload(page, VOICE)
    answered(page, VOICE.name)
    plain = bars(page)
    assert page.get_by_role("meter").count() == 2
    page.locator("summary").get_by_text("Your own voice").click()
    page.locator(".st-key-voice input[type=file]").set_input_files([*SPOKEN, silent])
    switch = page.get_by_role("switch", name=f"Adjusted to your voice, from {len(SPOKEN)} recordings")
    expect(switch).to_be_checked(timeout=WAIT_MS)
    page.get_by_role("alert").filter(has_text="silent.wav: The recording is 1.0 s long and holds no sound.").wait_for()
    answered(page, VOICE.name)
    assert bars(page) != plain
    assert page.evaluate(LOW_CONTRAST) == [] and page.evaluate(UNNAMED) == []
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == viewport["width"]
    page.get_by_text("Adjusted to your voice").click()
    expect(page.locator(".st-key-bars .js-plotly-plot")).to_have_text([plain], timeout=WAIT_MS)
    expect(switch).not_to_be_checked()


def bars(page) -> str:
    return page.locator(".st-key-bars .js-plotly-plot").text_content()


def test_too_large_a_recording_of_an_enrolment_is_refused(visit, tmp_path):
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(6 * 2**20))
    page = visit()
    page.locator("summary").get_by_text("Your own voice").click()
    page.locator(".st-key-voice input[type=file]").set_input_files(large)
    expect(page.locator(".st-key-voice").get_by_text("5.0MB or smaller")).to_be_visible(timeout=WAIT_MS)


def test_no_other_host_is_contacted(browser, server):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    hosts: set[str | None] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.goto(server.url)
    page.locator(".st-key-example .js-plotly-plot").wait_for()
    upload(page, VOICE)
    answered(page, VOICE.name)
    context.close()
    assert hosts <= {"localhost", None}  # None: data and blob addresses


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_twenty_answers_stay_in_bounded_memory(visit, server, tmp_path):
    samples, rate = sf.read(VOICE)
    page = visit()
    for i in range(20):
        path = tmp_path / f"{i}.wav"
        repeats = 30 if i == 10 else 1  # one of nearly two minutes among them
        sf.write(path, np.tile(samples, repeats) * (1 - i / 100), rate)
        upload(page, path)
        answered(page, path.name)
    memory = resident_bytes(server.pid)
    assert memory < MAX_RSS, f"{memory / 1e6:.0f} MB"


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
