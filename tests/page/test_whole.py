"""The whole page in Chromium, in every state: accessible, reached by keys, and made for a phone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from axe_playwright_python.base import AXE_SCRIPT
from page_server import FLAGS, PHONE, ROOT, WAIT_MS, page_server, settle
from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.browser

RATE = 16_000  # Hz
SAMPLES = ROOT / "samples"
FOLD = 700  # pixels from the top, above which the first bar of an answer stands on a phone
LEAST_TARGET = 44  # pixels
MOST_SHIFT = {"load": 0.05, "answer": 0.01}
MOST_TABS = 120
# Recordings for: probably; two names; hard to say; not like speech; silence; too short; damaged.
ANSWERED = ("probably", "even", "sharp", "music", "silent", "short", "clipped")
EXAMPLE, BAR = ".st-key-example .bar", ".st-key-answer .bar"
TIMELINE = ".player-rows > *"
UPLOADER = "[class*=st-key-upload] input[type=file]"

# What the keys must reach, by name: before the first answer, and after it besides the parts.
FIRST = {"Record", "Stops when I pause", "Upload", "Even", "Music", "Another recorder", "English", "Deutsch"}
SECOND = {"Record", "Add files", "Samples", "even.flac", "Play", "Spectrogram", "English", "Deutsch"}

# Serious faults that axe-core finds, one line each. What lies behind a sheet is out of reach and left out.
AXE = """
async () => (await axe.run(document, {resultTypes: ['violations']})).violations
  .filter(({impact}) => ['serious', 'critical'].includes(impact))
  .flatMap(({id, nodes}) => nodes.map(node => `${id}: ${node.target} ${node.html.slice(0, 160)}`))
"""

# Targets too small for a finger, also in the components' shadow trees.
SMALL = """
least => {
  const all = root => [...root.querySelectorAll('*')].flatMap(node =>
    [node, ...(node.shadowRoot ? all(node.shadowRoot) : [])]);
  const kinds = 'button, summary, select, textarea, input:not([type=file]), [role=tab], [role=radio], [role=slider],'
    + ' [role=switch], [role=option], [role=menuitem]';
  const shown = node => node.checkVisibility({opacityProperty: true, visibilityProperty: true})
    && !node.closest('[aria-hidden=true], [inert]');
  const area = node => node.closest('label, [role=group]:has(> [role=combobox])') ?? node;
  return all(document).filter(node => node.matches(kinds) && shown(node)).map(node => [node, area(node)])
    .map(([node, target]) => [node, target.getBoundingClientRect()])
    .filter(([node, {width, height}]) => width > 1 && Math.min(width, height) < least - .5)
    .map(([node, {width, height}]) => `${width.toFixed()}x${height.toFixed()} ${node.outerHTML.slice(0, 160)}`);
}
"""

# Elements that stick out of the screen, if the page scrolls sideways; what scrolls in a box of its own does not count.
WIDE = """
() => {
  const main = document.querySelector('[data-testid=stMain]');
  if (main.scrollWidth <= main.clientWidth && document.documentElement.scrollWidth <= innerWidth) return [];
  const boxed = node => {
    for (let box = node.parentElement; box && box !== main; box = box.parentElement)
      if (getComputedStyle(box).overflowX !== 'visible') return true;
    return false;
  };
  return [...main.querySelectorAll('*')].filter(node => node.getBoundingClientRect().right > innerWidth + 1)
    .filter(node => !boxed(node)).slice(-3).map(node => `wide: ${node.outerHTML.slice(0, 160)}`);
}
"""

SHIFTS = """
window.shifts = [];
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push(entry.value);
}).observe({type: 'layout-shift', buffered: true});
"""
TAKEN = "window.shifts.splice(0).reduce((sum, value) => sum + value, 0)"

# The name of the element that has the focus, and whether it looks different without.
FOCUSED = """
async () => {
  let node = document.activeElement;
  while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  if (node === document.body) return null;
  const around = [node, node.parentElement, node.parentElement?.parentElement, node.nextElementSibling,
    node.previousElementSibling, node.closest('label, details, section')].filter(Boolean);
  const look = () => JSON.stringify(around.map(each => {
    const {outline, boxShadow, border, backgroundColor, color} = getComputedStyle(each);
    return [outline, boxShadow, border, backgroundColor, color];
  }));
  const focused = look();
  node.blur();
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));  // React draws it
  const plain = look();
  node.focus({focusVisible: true, preventScroll: true});
  const name = node.getAttribute('aria-label') || node.labels?.[0]?.textContent || node.textContent || node.title;
  return [name.trim().slice(0, 60), focused !== plain, node.outerHTML.slice(0, 160)];
}
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with page_server(ROOT / "app.py") as address:
        yield address


@pytest.fixture(scope="module")
def browser(chromium, recordings):
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    spoken = f"--use-file-for-fake-audio-capture={recordings['spoken']}"
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium, args=[*FLAGS, *fake, spoken], timeout=WAIT_MS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> dict[str, Path]:
    """Write a recording for each state that the samples do not reach."""
    folder = tmp_path_factory.mktemp("recordings")
    speech, rate = sf.read(SAMPLES / "even.flac")
    slow, _ = sf.read(SAMPLES / "slow-and-soft.flac")
    made = {
        "probably": np.interp(np.arange(0, len(slow) - 1, 1.5), np.arange(len(slow)), slow),
        "short": speech[rate : rate + rate // 4],
        "silent": np.zeros(2 * rate),
        "clipped": np.clip(8 * speech, -1, 1),
        "long": np.tile(np.concatenate([speech, np.zeros(rate)]), 4),
        "spoken": np.concatenate([speech, 1e-4 * np.random.default_rng(0).standard_normal(3 * rate)]),
    }
    files = {name: folder / f"{name}.wav" for name in made}
    for name, samples in made.items():
        sf.write(files[name], samples, rate)
    broken = folder / "broken.wav"
    broken.write_text("no sound")
    return {**{path.stem: path for path in SAMPLES.glob("*.flac")}, **files, "broken": broken}


@pytest.fixture
def opened(browser, url):
    """Open the page on a phone as a new visitor."""

    @contextmanager
    def open_page(locale: str = "en-GB"):
        context = browser.new_context(locale=locale, viewport=PHONE, reduced_motion="reduce", has_touch=True)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(SHIFTS)
        page.goto(url)
        page.locator(EXAMPLE).first.wait_for()
        settle(page)
        yield page
        context.close()

    return open_page


def upload(page, *paths: Path) -> None:
    if not page.locator(UPLOADER).count():
        page.locator(".st-key-open-add button").click()
    page.locator(UPLOADER).set_input_files(paths)


def faults(page) -> list[str]:
    """Return what is wrong with the page as it stands, in both themes; it is left in the other one."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(AXE) + page.evaluate(SMALL, LEAST_TARGET) + page.evaluate(WIDE)
    theme = page.evaluate("getComputedStyle(document.querySelector('.stApp')).colorScheme")
    other = {"light": "dark", "dark": "light"}[theme]
    page.emulate_media(color_scheme=other)
    page.wait_for_function(f"getComputedStyle(document.querySelector('.stApp')).colorScheme === '{other}'")
    settle(page)
    return found + page.evaluate(AXE)


def states(page, recordings: dict[str, Path], answered: tuple[str, ...]) -> Iterator[str]:
    """Bring the page into one state after the other, into all of them for `ANSWERED`; yield its name."""
    yield "nothing yet"
    upload(page, *(recordings[name] for name in (*answered, "broken")))
    chips = page.locator(".chip")
    expect(chips).to_have_count(len(answered), timeout=WAIT_MS)
    settle(page)
    yield "visit of many, one of which cannot be read"
    for number, name in enumerate(answered):
        chips.nth(number).click()
        expect(page.locator(".st-key-answer .file")).to_contain_text(recordings[name].name, timeout=WAIT_MS)
        settle(page)
        yield name
    if answered != ANSWERED:
        return
    for panel in ("record", "add", "samples"):
        page.locator(f".st-key-open-{panel} button").click()
        settle(page)
        yield f"input {panel}"
    for part in page.locator(
        ".stExpander[class*=st-key-part-] summary, [class*=st-key-part-] .stExpander summary"
    ).all():
        part.click()
        settle(page)
    yield "parts"
    upload(page, recordings["long"])
    page.locator(TIMELINE).first.wait_for()
    settle(page)
    yield "timeline"


# German has the longer words, so that it is looked at in every state.
@pytest.mark.parametrize(("locale", "answered"), [("de-DE", ANSWERED), ("en-GB", ANSWERED[-1:])], ids=["de", "en"])
def test_no_state_has_a_fault(opened, recordings, locale, answered):
    with opened(locale) as page:
        found = {state: faults(page) for state in states(page, recordings, answered)}
        assert page.evaluate("document.documentElement.lang") == locale[:2]
    assert {state: each for state, each in found.items() if each} == {}


def test_answer_on_a_phone_is_above_the_fold_and_nothing_jumps(opened, recordings):
    with opened() as page:
        assert page.evaluate(TAKEN) <= MOST_SHIFT["load"]
        upload(page, recordings["even"])
        page.locator(BAR).first.wait_for()
        settle(page)
        assert page.locator(BAR).first.bounding_box()["y"] < FOLD
        assert page.evaluate(TAKEN) <= MOST_SHIFT["answer"]
        page.locator(".st-key-open-record button").click()
        settle(page)
        page.evaluate(TAKEN)
        record(page)
        assert page.locator(BAR).first.bounding_box()["y"] < FOLD
        assert page.evaluate(TAKEN) <= MOST_SHIFT["answer"]


def record(page) -> None:
    """Record until the speaker pauses, and wait for the answer."""
    page.locator(".st-key-sheet .recorder button.button").click()
    expect(page.locator(".chip")).to_have_count(2, timeout=WAIT_MS)
    settle(page)


def test_every_function_is_reached_by_keys(opened, recordings):
    with opened() as page:
        first = tabbed(page)
        upload(page, recordings["even"])
        page.locator(BAR).first.wait_for()
        settle(page)
        page.evaluate("document.activeElement.blur()")
        second = tabbed(page)
        part = page.locator("[class*=st-key-part-] > .stExpander summary")
        titles = {text.split("\n")[-1].strip() for text in part.all_inner_texts()}
    for found, wanted in ((first, FIRST), (second, {*SECOND, *titles})):
        assert {name for name in wanted if not any(name in reached for reached, _, _ in found)} == set()
        assert [html for _, is_visible, html in found if not is_visible] == []


def tabbed(page) -> list[tuple[str, bool, str]]:
    """Press Tab until the focus leaves the page; return name, visible focus and HTML of every stop."""
    stops = []
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if stop is None or stop in stops:
            break
        stops.append(stop)
        if stop[0] == "English":  # one of a group, in which the arrows move
            page.keyboard.press("ArrowRight")
            stops.append(page.evaluate(FOCUSED))
    return stops
