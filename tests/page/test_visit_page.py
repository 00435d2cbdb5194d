"""This visit on the page: its states by AppTest; the strip, the table and the question of a reload in Chromium."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from page_server import DESKTOP, FLAGS, PHONE, ROOT, WAIT_MS, page_server
from playwright.sync_api import Page, expect, sync_playwright
from streamlit.testing.v1 import AppTest

import ser
from ser.history import History
from ser.page.intake import listen
from ser.page.visit import Recording, Visit
from ser.types import EMOTIONS, Segment, Timeline

SCRIPT = ROOT / "tests" / "helpers" / "visit_page.py"
EVEN, SHARP, MUSIC = (ROOT / "samples" / f"{name}.flac" for name in ("even", "sharp", "music"))

# Everything that can be clicked or typed into, in shadow trees as well, with a side under 44 px; what fills a target
# of its own label is left out.
SMALL = """
() => {
  const found = [];
  const walk = root => {
    for (const node of root.querySelectorAll('*')) {
      if (node.shadowRoot) walk(node.shadowRoot);
      if (!node.matches('button, input, summary, [role=combobox]') || !node.checkVisibility()) continue;
      if (node.closest('.st-key-files') || node.closest('label')) continue;
      const box = node.getBoundingClientRect();
      if (box.height && Math.min(box.width, box.height) < 44) found.push(node.outerHTML.slice(0, 120));
    }
  };
  walk(document);
  return found;
}
"""


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    model = ser.load()
    return [listen(model, path.read_bytes(), path.name, "file") for path in (EVEN, MUSIC)]


@pytest.fixture
def database(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "kept.sqlite"
    monkeypatch.setenv("SER_DATABASE_URL", f"sqlite:///{path}")
    return path


def long_recording() -> Recording:
    p = dict.fromkeys(EMOTIONS, 0.0) | {"sad": 0.7, "calm": 0.3}
    timeline = Timeline("call.mp3", 618.0, (Segment(0, 400, "sad", p), Segment(410, 600, "calm", p)), EMOTIONS, "voice")
    return Recording("call.mp3", "file", 618.0, np.ones(200), timeline=timeline)


def opened(*recordings: Recording, **state) -> AppTest:
    page = AppTest.from_file(str(SCRIPT), default_timeout=30)
    page.session_state["visit"] = visit = Visit()
    for recording in recordings:
        visit.add(recording)
    for name, value in state.items():
        page.session_state[name] = value
    return ran(page)


def ran(page: AppTest) -> AppTest:
    """Run the page; it reaches its end whatever happened."""
    page.run()
    assert not page.exception and page.text[-1].value == "end of the page"
    return page


def html(page: AppTest) -> str:
    return " ".join(element.value for element in page.get("html") if "<style" not in element.value)


def components(page: AppTest) -> list[dict]:
    """Return the data of the strip and of the table, as far as they are there."""
    return [json.loads(element.proto.json) for element in page.get("bidi_component")]


# --- States ---


def test_a_visit_grows(recordings):
    even, music = recordings
    page = opened()
    assert not components(page) and not page.selectbox and "visit-clear-yes" not in [b.key for b in page.button]
    page = opened(even)
    assert len(components(page)) == 1 and not page.selectbox and page.button(key="visit-clear-yes")
    page = opened(even, music)
    assert len(components(page)) == 1 and len(page.selectbox) == 2 and "visit-course" not in html(page)
    page = opened(even, music, long_recording())
    (strip, table), shown = components(page), html(page)
    assert [chip["sign"] for chip in strip["chips"]] == [row["sign"] for row in table["rows"]] == ["😐", "?", "😢"]
    assert strip["ask"] and [row["title"] for row in table["rows"]][2] == "Most often sad"
    assert "visit-course" in shown and "visit-compare" in shown and page.get("download_button")


def test_two_others_are_compared(recordings):
    page = opened(*recordings, long_recording())
    assert [box.value for box in page.selectbox] == [recording.id for recording in page.session_state.visit][1:]
    page.selectbox(key="compare-a").select(recordings[0].id)
    assert "<small>even.flac</small>" in html(ran(page)) and "<small>music.flac</small>" not in html(page)


def test_a_compared_recording_is_deleted(recordings):
    page = opened(*recordings, long_recording())
    page.session_state.visit.delete(recordings[1].id)
    assert {box.value for box in ran(page).selectbox} == {recording.id for recording in page.session_state.visit}


def test_clearing_asks_once_and_forgets(recordings):
    page = opened(*recordings)
    assert any("Forget all recordings of this visit (2)" in element.value for element in page.markdown)
    page.button(key="visit-clear-yes").click()
    assert not components(ran(page)) and len(page.session_state.visit) == 0


def test_keeping_is_offered_to_local_visitors_only_and_off(recordings, database):
    assert "keep" not in [toggle.key for toggle in opened(*recordings).toggle]  # without a browser's address
    page = opened(*recordings, offered=True)
    assert not page.toggle(key="keep").value and not database.exists() and components(page)[0]["ask"]


def test_answers_are_kept_listed_and_deleted(recordings, database):
    page = opened(*recordings, long_recording(), offered=True)
    page.toggle(key="keep").set_value(True)
    assert "Kept: 3 of 3 answers of this visit." in html(ran(page)) and not components(page)[0]["ask"]
    assert [entry.file for entry in History().newest()] == ["call.mp3", "music.flac", "even.flac"]
    page.session_state["kept"] = True
    listed = html(ran(page))
    assert listed.count("<time datetime=") == 3 and "Not like speech" in listed
    page.button(key="kept-yes").click()
    assert "Nothing is kept on this computer." in html(ran(page)) and History().newest() == []
    assert not page.toggle(key="keep").value and components(page)[0]["ask"] and len(page.session_state.visit) == 3


def test_a_locked_history_leaves_the_page_usable(recordings, database, monkeypatch):
    monkeypatch.setattr("ser.history.LOCKED_S", 0.1)
    History().keep([])
    page = opened(*recordings, offered=True)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        page.toggle(key="keep").set_value(True)
        assert "Not kept: another program is writing to the history." in html(ran(page))
        assert not page.toggle(key="keep").value and len(page.session_state.visit) == 2
        page.session_state["kept"] = True
        assert html(ran(page)).count('role="alert"') == 2  # the list cannot be read either
    page.toggle(key="keep").set_value(True)
    assert "2 of 2 answers" in html(ran(page)) and len(History().newest()) == 2


def test_the_database_of_another_program_is_left_alone(recordings, database):
    database.write_text("a letter, not a database; " * 100)
    page = opened(*recordings, offered=True, kept=True)
    page.toggle(key="keep").set_value(True)
    assert html(ran(page)).count("belongs to another program. It was left alone.") == 2
    assert database.read_text().startswith("a letter") and len(page.session_state.visit) == 2


# --- In the browser ---


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    patch = pytest.MonkeyPatch()
    patch.setenv("SER_DATABASE_URL", f"sqlite:///{tmp_path_factory.mktemp('history')}/kept.sqlite")
    with page_server(SCRIPT) as address:
        yield address
    patch.undo()


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator:
    with sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=chromium, args=FLAGS, timeout=WAIT_MS)


def visited(browser, address: str, viewport: dict[str, int], *paths: Path) -> Page:
    page = browser.new_context(viewport=viewport, color_scheme="dark", accept_downloads=True).new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    page.locator(".st-key-files input[type=file]").set_input_files(list(paths))
    return page


def shown(page: Page, name: str) -> None:
    expect(page.get_by_text(re.compile("^Shown: "))).to_have_text(f"Shown: {name}", timeout=WAIT_MS)
    expect(page.locator(".chip[aria-current=true]")).to_have_attribute("aria-label", re.compile(f"^{re.escape(name)} "))


def ready(page: Page) -> None:
    page.locator("[data-test-script-state=notRunning]").wait_for()


@pytest.mark.browser
def test_strip_table_and_reload(browser, url, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_text("no sound")
    page = visited(browser, url, DESKTOP, EVEN, broken, SHARP, MUSIC)
    shown(page, "music.flac")
    expect(page.locator(".chip")).to_have_count(3)
    expect(page.get_by_role("alert").filter(has_text="broken.wav")).to_be_visible()

    # The strip by keyboard: one stop for Tab, arrows within, the focus stays through the answer.
    assert page.locator(".chip[tabindex='0']").count() == 1
    page.locator(".chip[tabindex='0']").focus()
    page.keyboard.press("ArrowLeft")
    shown(page, "music.flac")
    page.keyboard.press("Enter")
    shown(page, "sharp.flac")
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    shown(page, "even.flac")

    # The table: a note, which the CSV file holds, and deletion in two clicks.
    row = page.get_by_role("row").filter(has_text="sharp.flac").last
    row.get_by_role("textbox").fill("at the door")
    row.get_by_role("textbox").press("Enter")
    ready(page)
    row.get_by_role("button", name="Show: sharp.flac").click()
    shown(page, "sharp.flac")
    ready(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="All as CSV").click()
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        assert [(row["file"], row["note"]) for row in csv.DictReader(file)] == [
            ("even.flac", ""),
            ("sharp.flac", "at the door"),
            ("music.flac", ""),
        ]
    row.get_by_role("button", name="Delete: sharp.flac").click()
    expect(page.locator(".chip")).to_have_count(3)
    row.get_by_role("button", name="Really?: sharp.flac").click()
    expect(page.locator(".chip")).to_have_count(2, timeout=WAIT_MS)
    shown(page, "music.flac")

    # A reload asks before the visit is lost, and no longer once all is kept.
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.evaluate("setTimeout(() => location.reload())")
    page.wait_for_timeout(300)
    shown(page, "music.flac")
    assert asked == ["beforeunload"]
    ready(page)  # while a run replaces the elements, the old ones stand beside the new ones
    page.get_by_text("Keep on this computer").click()
    expect(page.get_by_text("Kept: 2 of 2 answers of this visit.")).to_be_visible(timeout=WAIT_MS)
    page.evaluate("setTimeout(() => location.reload())")
    expect(page.get_by_text("Shown: nothing")).to_be_visible(timeout=WAIT_MS)
    assert asked == ["beforeunload"]


@pytest.mark.browser
def test_many_recordings_on_a_phone_in_german(browser, url, tmp_path):
    paths = [tmp_path / f"Besprechung_mit_einem_langen_Namen_{number}.flac" for number in range(12)]
    for path, source in zip(paths, [EVEN, SHARP, MUSIC] * 4, strict=True):
        path.write_bytes(source.read_bytes())
    page = visited(browser, f"{url}?language=de", PHONE, *paths)
    shown(page, paths[-1].name)
    expect(page.get_by_role("row").filter(has_text="_11.flac").last).to_be_visible()
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == PHONE["width"]
    assert page.evaluate(SMALL) == []
    # Of a strip wider than the phone the shown chip is in sight, and the strip takes at most a line of 56 px.
    strip = page.locator(".strip").bounding_box()
    chip = page.locator(".chip[aria-current=true]")
    expect(chip).to_be_in_viewport(ratio=1)
    assert strip["height"] <= 56 and strip["x"] <= chip.bounding_box()["x"] <= strip["x"] + strip["width"]
    page.locator(".chip").first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    shown(page, paths[0].name)
    expect(page.locator(".chip").first).to_be_in_viewport(ratio=1)
