"""The page's recorder in a real headless Chromium, with a microphone fed from a file."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from playwright.sync_api import Page, expect, sync_playwright
from scipy.signal import correlate

import ser
from ser.audio.pcm import wav_header
from ser.page.recorder import MOST_BYTES, RATE, Inbox, wav_of
from ser.page.texts import Texts

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "ser" / "page" / "assets" / "recorder.js"
WAIT_MS = 60_000  # on cores that other tests share
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
DEVICE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SPOKEN_S, PAUSE_S = 1.6, 2.6
ZEROS_S = 0.05  # with which many devices begin
LATE_S = 0.4  # at most, of speech that a busy browser misses
PAGE = """
import json
from pathlib import Path
import streamlit as st
import ser
from ser.page import recorder
from ser.page.live import live, live_answers
from ser.page.texts import Texts

folder, query = Path({folder!r}), st.query_params
texts = Texts(query.get("lang", "en"))
recorder.LIMIT_S = float(query.get("limit", 120))
if "live" in query:
    wav = live(texts, st.cache_resource(ser.load)("small"))
else:
    wav = recorder.record(texts, compact="compact" in query)
if wav:
    st.session_state.count = st.session_state.get("count", 0) + 1
    (folder / "sound.wav").write_bytes(wav)
    answers = [(t_s, prediction.to_dict()) for t_s, prediction in live_answers()]
    (folder / "answers.json").write_text(json.dumps(answers))
    st.html(f'<p id="got">{{st.session_state.count}}</p>')
st.text_input("Text")
st.button("Run again")
st.button("Lose everything", on_click=st.session_state.clear)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("recorder")


@pytest.fixture(scope="module")
def url(folder) -> Iterator[str]:
    """Run a page with the recorder and nothing else."""
    script = folder / "page.py"
    script.write_text(PAGE.format(folder=str(folder)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless=true"]
    command += ["--server.address=127.0.0.1", f"--server.port={port}", "--server.fileWatcherType=none"]
    quiet, environment = subprocess.DEVNULL, {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet) as process:
        url = f"http://localhost:{port}"
        for _ in range(WAIT_MS // 50):
            assert process.poll() is None, "streamlit ended"
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield url
        process.terminate()


@pytest.fixture(scope="module")
def spoken(folder) -> np.ndarray:
    """What the microphone hears, again and again: zeros, a voice, and a pause with faint noise."""
    voice, rate = sf.read(ROOT / "samples" / "even.flac")
    assert rate == RATE
    start = int(np.flatnonzero(np.abs(voice) > 0.02)[0])
    sound = np.concatenate([voice[start : start + int(SPOKEN_S * RATE)], np.zeros(int(PAUSE_S * RATE))])
    sound += 1e-4 * np.random.default_rng(0).standard_normal(len(sound))
    sound = np.concatenate([np.zeros(int(ZEROS_S * RATE)), sound])
    sf.write(folder / "spoken.wav", sound, RATE)
    sf.write(folder / "silent.wav", np.zeros(RATE), RATE)
    return sound


@pytest.fixture(scope="module")
def launch(chromium):
    with sync_playwright() as driver:
        yield lambda *flags: driver.chromium.launch(executable_path=chromium, args=[*FLAGS, *flags], timeout=WAIT_MS)


@pytest.fixture(scope="module")
def browser(launch, folder, spoken):
    return launch(*DEVICE, f"--use-file-for-fake-audio-capture={folder / 'spoken.wav'}")


@pytest.fixture(scope="module")
def context(browser):
    return browser.new_context()


@pytest.fixture
def visit(context, url) -> Iterator[Callable[[str], Page]]:
    """Open the page with a query; it is closed after the test."""
    pages: list[Page] = []

    def visited(query: str = "") -> Page:
        pages.append(opened(context, f"{url}?{query}"))
        return pages[-1]

    yield visited
    pages[-1].close()


def opened(context, url: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(url)
    page.locator(".recorder .title").filter(has_text=re.compile(".")).wait_for()
    return page


def state(page: Page, name: str) -> None:
    page.locator(f".recorder[data-state={name}]").wait_for()


def problem(page: Page, name: str, language: str = "en") -> None:
    """Wait for a problem, and see that its words are there for eyes and screen readers."""
    page.locator(f".recorder[data-problem={name}]").wait_for()
    texts = Texts(language)
    expect(page.get_by_role("alert")).to_have_text(texts(f"recorder.{name}") + texts(f"recorder.{name}_help"))


# --- Recording ---


@pytest.mark.browser
def test_a_recording_that_ends_at_a_pause_is_what_was_said(visit, folder, spoken):
    page = visit()
    assert page.evaluate("document.documentElement.lang") == "en"
    page.get_by_role("button", name="Record", exact=True).click()
    state(page, "recording")
    expect(page.locator(".status")).to_have_text("Recording")
    expect(page.locator(".seconds")).to_have_text("0:01")
    assert float(page.locator(".recorder").evaluate("node => node.style.getPropertyValue('--level')")) > 0.2
    page.locator("#got").wait_for()
    state(page, "idle")
    sound, rate = sf.read(folder / "sound.wav")
    assert rate == RATE and sf.info(folder / "sound.wav").subtype == "PCM_16"
    assert len(sound) / rate == pytest.approx(SPOKEN_S + 1.5, abs=0.35)
    likeness, delay_s = likeness_of(sound, spoken)
    # The zeros at the start are left out; the microphone of a busy browser begins late.
    assert likeness > 0.95 and ZEROS_S - 0.02 <= delay_s < ZEROS_S + LATE_S
    page.get_by_text("Run again").click()
    expect(page.locator("#got")).to_have_count(0)  # it came once


def likeness_of(sound: np.ndarray, spoken: np.ndarray) -> tuple[float, float]:
    """Return the correlation of a recording with what was played, and where in that it begins, in seconds.

    The correlation is the median of quarters of a second, since a busy machine loses a few samples between them.
    """
    found = []
    for piece in np.split(sound[: RATE + RATE // 2], 6):
        at = int(np.argmax(correlate(spoken, piece, mode="valid")))
        found.append((np.corrcoef(spoken[at : at + len(piece)], piece)[0, 1], at / RATE))
    return float(np.median([likeness for likeness, _ in found])), found[0][1]


@pytest.mark.browser
def test_keys_and_the_remembered_switch(visit, url):
    page = visit()
    switch = page.get_by_role("switch", name="Stops when I pause")
    expect(switch).to_be_checked()
    page.get_by_text("Stops when I pause").click()
    page.get_by_label("Text").click()
    page.keyboard.press("Space")
    state(page, "idle")
    page.locator(".stMain").click(position={"x": 20, "y": 700})
    page.keyboard.press("Space")
    state(page, "recording")
    page.wait_for_timeout(300)
    page.keyboard.press("Escape")
    state(page, "idle")
    expect(page.locator(".status")).to_have_text("Discarded, nothing was kept.")
    page.goto(f"{url}?lang=de&compact")
    page.get_by_role("button", name="Aufnehmen", exact=True).focus()
    assert page.evaluate("[document.documentElement.lang, localStorage['ser-pause']].join()") == "de,off"
    expect(page.locator(".pause")).not_to_be_checked()
    assert page.locator(".recorder").bounding_box()["height"] <= 56
    page.keyboard.press("Space")
    state(page, "recording")
    page.wait_for_timeout(300)
    page.get_by_role("button", name="Aufnahme beenden").click()
    expect(page.locator("#got")).to_have_text("1")  # what was discarded never came
    page.evaluate("localStorage.clear()")


@pytest.mark.browser
def test_what_was_said_before_the_microphone_is_lost_is_kept(visit):
    page = visit()
    page.evaluate(
        """() => {
          const media = navigator.mediaDevices, open = media.getUserMedia.bind(media);
          media.getUserMedia = async wish => window.stream = await open(wish);
        }"""
    )
    page.locator(".button").click()
    expect(page.locator(".seconds")).to_have_text("0:01")
    page.evaluate("stream.getTracks()[0].dispatchEvent(new Event('ended'))")
    page.locator("#got").wait_for()
    problem(page, "lost")


@pytest.mark.browser
def test_a_recording_ends_at_the_limit(visit, folder):
    page = visit("limit=0.5")
    page.locator(".button").click()
    page.locator("#got").wait_for()
    problem(page, "limit")
    assert sf.info(folder / "sound.wav").frames == RATE / 2


# --- Live ---

IN_RECORDER = "document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot"
SHARES = f"[...{IN_RECORDER}.querySelectorAll('.bars li')].map(row => +row.style.getPropertyValue('--p'))"
LIVE_T = f"t_s => {IN_RECORDER}.querySelector('.recorder').dataset.liveT >= t_s"  # seconds that are answered


@pytest.mark.browser
def test_live_bars_move_and_the_last_answer_is_that_of_all_sound(visit, folder, capsys):
    page = visit("live")
    page.get_by_role("button", name="Listen live").click()
    shares, lags, t_s = set(), [], 0.5
    for _ in range(5):
        page.wait_for_function(LIVE_T, arg=t_s + 0.25)
        t_s = float(page.locator(".recorder").get_attribute("data-live-t"))
        shares.add(tuple(page.evaluate(SHARES)))
        lags.append(int(page.locator(".recorder").get_attribute("data-live-lag")))
    assert len(shares) > 2 and max(sum(bars) for bars in shares) == pytest.approx(1, abs=0.01)
    assert page.locator(".ribbon .sure, .ribbon .unsure, .ribbon .none").count() >= 4 * t_s
    with capsys.disabled():
        print(f"\nlive: from the last sound of a step to its bars {np.median(lags):.0f} ms (median of {len(lags)})")
    assert np.median(lags) < 5000  # on cores that other tests share; `benchmarks/page.py` measures
    page.get_by_role("button", name="Lose everything").click()  # as after a lost connection: all is sent again
    page.wait_for_function(LIVE_T, arg=t_s + 1)
    page.get_by_role("button", name="Stop the recording").click()
    expect(page.locator("#got")).to_have_text("1")
    state(page, "idle")
    sent_s = float(page.locator(".recorder").get_attribute("data-live-sent"))
    assert sent_s == pytest.approx(sf.info(folder / "sound.wav").duration, abs=0.01) and sent_s > t_s
    *live, (t_s, last) = json.loads((folder / "answers.json").read_text())
    assert live and t_s == pytest.approx(sent_s, abs=0.01)
    assert last == {**ser.load("small").predict(folder / "sound.wav").to_dict(), "file": None}
    page.get_by_text("Run again").click()
    expect(page.locator("#got")).to_have_count(0)


@pytest.mark.browser
def test_live_sound_that_is_discarded(visit):
    page = visit("live&lang=de")
    page.get_by_role("button", name="Live zuhören").click()
    page.wait_for_function(LIVE_T, arg=0.5)
    page.get_by_role("button", name="Verwerfen").click()
    state(page, "idle")
    expect(page.locator(".now")).to_have_text("Noch nichts gehört")
    page.wait_for_timeout(300)
    assert not page.locator("#got").count() and not any(page.evaluate(SHARES))


# --- Microphones that fail ---


@pytest.mark.browser
def test_a_microphone_that_is_not_allowed_then_muted_then_on_an_insecure_address(launch, url, folder, spoken):
    silence = f"--use-file-for-fake-audio-capture={folder / 'silent.wav'}"
    resolver = "--host-resolver-rules=MAP voice.test 127.0.0.1"
    context = launch(DEVICE[0], silence, "--deny-permission-prompts", resolver).new_context()
    page = opened(context, url)
    page.locator(".button").click()
    problem(page, "denied")
    state(page, "idle")
    context.grant_permissions(["microphone"])
    page.locator(".button").click()
    problem(page, "silent")
    state(page, "recording")  # it may be switched on yet
    page.locator(".button").click()
    state(page, "idle")
    problem(page, "silent")
    page.goto(f"{url.replace('localhost', 'voice.test')}?lang=de")
    problem(page, "insecure", "de")
    assert page.locator(".button").get_attribute("aria-disabled") == "true"
    assert not page.locator("#got").count()


@pytest.mark.browser
def test_no_microphone(launch, url):
    page = opened(launch(DEVICE[1]), url)
    page.locator(".button").click()
    problem(page, "missing")
    state(page, "idle")


# --- The script's functions, in the browser ---


@pytest.fixture(scope="module")
def module(context, url):
    """Evaluate a JavaScript function of the recorder's module and an argument."""
    page = context.new_page()
    page.goto(f"{url}/_stcore/health")
    page.evaluate(
        "async text => { window.recorder = await import(URL.createObjectURL("
        "new Blob([text], {type: 'text/javascript'}))); }",
        SCRIPT.read_text(),
    )
    return page.evaluate


@pytest.mark.browser
@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000, 8_000])
def test_resampling_in_blocks(module, rate):
    code = """([rate, hz, sizes]) => {
      const convert = recorder.resampler(rate, recorder.RATE), found = [];
      for (let at = 0, i = 0; at < rate; i++) {
        const size = sizes[i % sizes.length], step = 2 * Math.PI * hz / rate;
        found.push(...convert(Float32Array.from({length: size}, (_, k) => Math.sin(step * (at + k)))));
        at += size;
      }
      return found;
    }"""
    found = np.array(module(code, [rate, 1000, [1024, 128, 7]]))
    assert len(found) == pytest.approx(RATE, abs=0.1 * RATE)
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(found)) / RATE)
    assert np.abs(found - expected)[200:].max() < 2e-3
    if rate > 2 * 10_000:  # above half of 16 kHz: nothing may fold back
        assert np.abs(module(code, [rate, 10_000, [1024]]))[200:].max() < 1e-3


@pytest.mark.browser
def test_wav(module):
    samples = [0.0, 0.5, -0.5, 1.5, -1.5]
    wav = bytes(module("samples => [...recorder.wav(recorder.toPcm(samples))]", samples))
    pcm = np.array([0, 16384, -16383, 32767, -32768], "<i2").tobytes()
    assert wav == wav_header(RATE, 1, len(pcm)) + pcm
    assert wav_of(module("samples => recorder.base64(recorder.wav(recorder.toPcm(samples)))", samples)) == wav


@pytest.mark.browser
def test_pauses(module):
    code = """parts => {
      const isPause = recorder.pauseDetector();
      let time = 0;
      for (const [seconds, ...levels] of parts) for (let end = time + seconds; time < end - 1e-6;) {
        time += .02;
        const db = levels[Math.round(time / .02) % levels.length];
        if (isPause(db ?? -Infinity, .02)) return time;
      }
      return null;
    }"""
    voice = (-20, -22, -35, -18)  # dB
    assert module(code, [(2, *voice), (3, -70)]) == pytest.approx(3.5, abs=0.25)
    assert module(code, [(2, *voice), (3, None)]) == pytest.approx(3.5, abs=0.25)  # a gate sends digital zeros
    assert module(code, [(1, -48, -50), (2, *voice), (3, -48, -50)]) == pytest.approx(4.5, abs=0.25)  # noise
    assert module(code, [(0.05, None), (2, -75), (2, *voice), (3, -70)]) == pytest.approx(5.5, abs=0.25)
    assert module(code, [(1, *voice), (1, -70), (1, *voice), (1, -70), (1, *voice)]) is None  # short pauses
    assert module(code, [(0.05, None), (20, -75, -72)]) is None  # nothing was said yet
    assert module(code, [(20, None)]) is None
    assert module("() => recorder.leadingZeros(Int16Array.of(0, 0, 3, 0))") == 2
    assert module("() => recorder.leadingZeros(new Int16Array(4))") == 4


# --- What the browser sends ---

WAV = wav_header(RATE, 1, 4) + bytes(4)


def encoded(wav: bytes) -> str:
    return base64.b64encode(wav).decode()


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "%%%",
        "ä" * 80,
        encoded(b"text"),
        encoded(WAV[:44]),
        encoded(WAV + b"\0"),
        encoded(wav_header(48_000, 1, 4) + bytes(4)),
        encoded(wav_header(RATE, 1, MOST_BYTES + 2) + bytes(MOST_BYTES + 2)),
        "A" * (2 * MOST_BYTES),
    ],
    ids=range(11),
)
def test_anything_else_than_a_recording_is_ignored(text):
    inbox = Inbox()
    inbox.take({"id": "one", "wav": text})
    assert inbox.received == "one" and inbox.pop() is None  # the browser need not send it again


def test_a_recording_is_taken_once():
    inbox = Inbox()
    for payload in (None, [], {}, {"id": 3, "wav": encoded(WAV)}):
        inbox.take(payload)
        assert inbox == Inbox()
    inbox.take({"id": "one", "wav": encoded(WAV)})
    assert inbox.pop() == WAV and inbox.pop() is None
    inbox.take({"id": "one", "wav": encoded(WAV)})  # sent again, since the answer was late
    assert inbox.pop() is None
    inbox.take({"id": "two", "wav": encoded(WAV)})
    assert inbox.pop() == WAV
