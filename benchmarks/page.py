"""Measures the page in a headless Chromium on its real server: time, bytes, layout shift, many visitors, memory.

`python benchmarks/page.py` on an idle machine of two cores prints a table; `--write` also writes it into `reports/`,
`--only upload,load` measures some parts. Needs Debian's chromium and the libraries of requirements-dev.txt. Times are
medians, taken in the browser: from the chosen file to the first frame with the new answer.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import psutil
import soundfile as sf
from page_visitor import page_server, resident_mb, visitor
from playwright.sync_api import Browser, Page, sync_playwright
from reporting import ROOT, add_write, checked, publish, this_machine

REPORT = "page_benchmark"
RATE = 16_000  # Hz
CLIP_S = 5.0
PAUSE_S = 1.0  # between the sentences of a long recording
LONG_S = {"ten_minutes": 600.0, "hour": 3600.0}
SLOW_BYTES_S, SLOW_MS = 4e6 / 8, 100  # a connection of 4 Mbit/s
QUIET_S = 1.5  # without a new file, after which a page is loaded
SCREENS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
VISITORS, RECORDINGS = 20, 5
HOLDERS = 5  # visitors with a recording of ten minutes each
LIVE_STEP_MS = 250  # of sound that one live answer waits for
SAME = 2e-3  # the page writes four digits
WAIT_MS = 300_000

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream")
FLAGS += ("--use-fake-ui-for-media-stream",)

# What the page draws.
EXAMPLE = ".st-key-example .bar"
ANSWER, FILE, BAR = ".st-key-answer", ".st-key-answer .file", ".st-key-answer .bar"
UPLOADER, OPEN_UPLOADER = "[class*=st-key-upload] input[type=file]", ".st-key-open-add button"
TIMELINE = ".player-rows > *"
LIVE, RECORDER = ".st-key-part-live", ".recorder[data-live-lag]"

# Name in the table, keys of the figure, its limit and unit.
TARGETS = (
    ("upload of 5 s to its bars", ("upload", "median_ms"), 500, "ms"),
    ("replacing it", ("upload", "replacing_median_ms"), 700, "ms"),
    ("ten minutes to the drawn timeline", ("ten_minutes", "median_s"), 15, "s"),
    ("an hour to the drawn timeline", ("hour", "median_s"), 90, "s"),
    ("live, from sound to moving bars", ("live", "median_ms"), 500, "ms"),
    ("first load", ("load", "mb"), 3, "MB"),
    ("bars of the example at 4 Mbit/s and 100 ms", ("load", "slow_median_s"), 6, "s"),
    ("layout shift at load, desktop", ("shift", "desktop", "load"), 0.05, ""),
    ("layout shift at load, phone", ("shift", "phone", "load"), 0.05, ""),
    ("layout shift at an answer, desktop", ("shift", "desktop", "answer"), 0.01, ""),
    ("layout shift at an answer, phone", ("shift", "phone", "answer"), 0.01, ""),
    ("answers of another visitor, or none", ("visitors", "wrong"), 0, ""),
    ("95 % of the answers of twenty visitors at once", ("visitors", "p95_s"), 3, "s"),
    ("memory with twenty visitors", ("visitors", "peak_mb"), 500, "MB"),
    ("memory with five visitors of ten minutes each", ("holders", "mb"), 600, "MB"),
    ("memory after twenty answers", ("answers", "mb"), 400, "MB"),
)

# Resolves to the milliseconds from the chosen file to the first frame that shows its answer.
TIMED = """
([file, drawn, name]) => {
  const now = () => performance.now();
  const chosen = new Promise(done =>
    document.addEventListener('change', () => done(now()), {capture: true, once: true}));
  const shown = new Promise(done => {
    const look = () => {
      const named = !file || document.querySelector(file)?.textContent.includes(name);
      if (named && document.querySelector(drawn)) requestAnimationFrame(() => done(now()));
      else requestAnimationFrame(look);
    };
    look();
  });
  window.measured = Promise.all([chosen, shown]).then(([from, to]) => to - from);
}
"""

# Sums the layout shifts that no input has caused, with the elements that moved.
SHIFTS = """
window.shifts = [];
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    const nodes = entry.sources.map(({node}) => node?.closest?.('[class*=st-key], [data-testid]') ?? node);
    window.shifts.push([entry.value, nodes.map(node => (node?.className || node?.nodeName || '').slice(0, 80))]);
  }
}).observe({type: 'layout-shift', buffered: true});
"""

# Collects the lag in milliseconds of every live answer.
LAGS = """
recorder => {
  window.lags = [];
  new MutationObserver(() => window.lags.push(Number(recorder.dataset.liveLag)))
    .observe(recorder, {attributeFilter: ['data-live-lag']});
}
"""


def main() -> None:
    options = _options()
    report: dict[str, Any] = {"machine": this_machine(os.getloadavg()[0]), "runs": options.runs}
    with tempfile.TemporaryDirectory() as work:
        files = Files(Path(work))
        for name in options.only:
            report |= PARTS[name](files, options)
            print(f"{name}: {report.get(name)}", file=sys.stderr)
    report["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    report["targets"] = [checked(report, *target) for target in TARGETS if target[1][0] in report]
    publish(report, table(report), options.write, REPORT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="times that each figure is measured")
    parser.add_argument("--hours", type=int, default=3, help="times that an hour is measured")
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--app", type=Path, default=ROOT, help="folder of app.py")
    add_write(parser)
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    unknown = {*text.split(",")} - {*PARTS}
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    return text.split(",")


# --- Recordings ---


class Files:
    """Recordings made of the samples, written when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = [path for path in sorted((ROOT / "samples").glob("*.flac")) if path.stem != "music"]
        self.sentences = [sf.read(path, dtype="float32")[0] for path in paths]

    def clip(self, number: int) -> Path:
        """Write five seconds of speech."""
        samples = np.tile(self.sentences[number % len(self.sentences)], 4)[: round(CLIP_S * RATE)]
        return self._written(f"clip-{number}.wav", samples)

    def long(self, seconds: float, number: int = 0) -> Path:
        """Write sentences with pauses, as MP3."""
        rng = np.random.default_rng(number)
        pause = np.zeros(round(PAUSE_S * RATE), np.float32)
        parts, n_samples = [], 0
        while n_samples < seconds * RATE:
            parts += [self.sentences[rng.integers(len(self.sentences))], pause]
            n_samples += len(parts[-2]) + len(pause)
        samples = np.concatenate(parts)[: round(seconds * RATE)]
        return self._written(f"long-{seconds:.0f}-{number}.mp3", samples)

    def own(self, guest: int, number: int) -> tuple[str, bytes]:
        """Return a recording that only one visitor has: a sentence, faster or slower than any other."""
        samples = self.sentences[number % len(self.sentences)]
        place = (guest * RECORDINGS + number) / (VISITORS * RECORDINGS)
        at = np.arange(0, len(samples) - 1, 0.8 + 0.4 * place)
        file = io.BytesIO()
        sf.write(file, np.interp(at, np.arange(len(samples)), samples), RATE, format="WAV")
        return f"visitor-{guest}-{number}.wav", file.getvalue()

    def _written(self, name: str, samples: np.ndarray) -> Path:
        path = self.folder / name
        if not path.exists():
            sf.write(path, samples, RATE)
        return path


# --- Browser ---


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("This needs Chromium (Debian: apt-get install chromium).")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, screen: str = "desktop") -> Iterator[Page]:
    """Open the page as a new visitor, once its example is drawn."""
    context = browser.new_context(viewport=SCREENS[screen], locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.add_init_script(SHIFTS)
    page.goto(url)
    page.locator(EXAMPLE).first.wait_for()
    settle(page)
    yield page
    context.close()


def settle(page: Page) -> None:
    """Wait until the script has ended and what it drew stands still."""
    page.locator("[data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(500)


def upload(page: Page, path: Path, file: str | None = FILE, drawn: str = BAR) -> float:
    """Upload a recording; return the milliseconds until its answer is drawn."""
    if not page.locator(UPLOADER).count():
        page.locator(OPEN_UPLOADER).click()
        page.locator(UPLOADER).wait_for(state="attached")
        settle(page)
    page.evaluate(TIMED, [file, drawn, path.name])
    page.locator(UPLOADER).set_input_files(path)
    elapsed = page.evaluate("window.measured")
    settle(page)
    return elapsed


# --- Parts ---


def measure_upload(files: Files, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a visitor's first recording, and one that replaces another."""
    with page_server(options.app) as (_, url), chromium() as browser:
        with opened(browser, url) as page:
            upload(page, files.clip(0))  # starts the model
        first = []
        for number in range(options.runs):
            with opened(browser, url) as page:
                first.append(upload(page, files.clip(number)))
        with opened(browser, url) as page:
            upload(page, files.clip(0))
            replacing = [upload(page, files.clip(number + 1)) for number in range(options.runs)]
    figures = {"median_ms": median(first), "most_ms": max(first)}
    return {"upload": {**figures, "replacing_median_ms": median(replacing), "replacing_most_ms": max(replacing)}}


def measure_ten_minutes(files: Files, options: argparse.Namespace) -> dict[str, Any]:
    return {"ten_minutes": _time_long(files, options, LONG_S["ten_minutes"], options.runs)}


def measure_hour(files: Files, options: argparse.Namespace) -> dict[str, Any]:
    return {"hour": _time_long(files, options, LONG_S["hour"], min(options.hours, options.runs))}


def _time_long(files: Files, options: argparse.Namespace, seconds: float, runs: int) -> dict[str, Any]:
    """Measure a long recording to its timeline."""
    path = files.long(seconds)
    elapsed = []
    with page_server(options.app) as (process, url), chromium() as browser, watched(process) as seen:
        for _ in range(runs):
            with opened(browser, url) as page:
                elapsed.append(upload(page, path, None, TIMELINE) / 1000)
    return {"median_s": median(elapsed), "most_s": max(elapsed), "runs": runs, "peak_mb": max(seen)}


def measure_live(files: Files, options: argparse.Namespace) -> dict[str, Any]:
    """Measure live answers, with a microphone fed from a file: the oldest sound of a step waits for its end."""
    spoken = files.long(60)
    microphone = files.folder / "microphone.wav"
    sf.write(microphone, sf.read(spoken)[0], RATE)
    flag = f"--use-file-for-fake-audio-capture={microphone}"
    with page_server(options.app) as (_, url), chromium(flag) as browser, opened(browser, url) as page:
        page.locator(f"{LIVE} summary").click()
        page.locator(f"{LIVE} .recorder button").first.click()
        page.locator(RECORDER).wait_for()
        page.locator(RECORDER).evaluate(LAGS)
        page.wait_for_function(f"window.lags.length >= {4 * options.runs}")
        lags = page.evaluate("window.lags")
    return {
        "live": {"median_ms": median(lags) + LIVE_STEP_MS, "most_ms": max(lags) + LIVE_STEP_MS, "answers": len(lags)}
    }


def measure_load(files: Files, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the first load with an empty cache: what comes over the wire, and the time on a slow connection."""
    del files
    with page_server(options.app) as (_, url), chromium() as browser:
        with opened(browser, url):
            pass  # starts the model
        sizes = first_load(browser, url)
        slow = [first_load(browser, url, slow=True) for _ in range(options.runs)]
    largest = sorted(sizes["files"].items(), key=lambda item: -item[1])[:8]
    figures = {"mb": sum(sizes["files"].values()) / 1e6, "files": len(sizes["files"]), "largest": dict(largest)}
    times = [run["seconds"] for run in slow]
    return {"load": {**figures, "fast_s": sizes["seconds"], "slow_median_s": median(times), "slow_most_s": max(times)}}


def first_load(browser: Browser, url: str, *, slow: bool = False) -> dict[str, Any]:
    """Return the seconds to the example's bars, and the bytes of each file; the page's messages count as one."""
    context = browser.new_context(viewport=SCREENS["desktop"], locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    link = context.new_cdp_session(page)
    link.send("Network.enable")
    link.send("Network.setCacheDisabled", {"cacheDisabled": True})
    if slow:
        rates = {"downloadThroughput": SLOW_BYTES_S, "uploadThroughput": SLOW_BYTES_S}
        link.send("Network.emulateNetworkConditions", {"offline": False, "latency": SLOW_MS, **rates})
    names: dict[str, str] = {}
    files = {"messages": 0}
    last = [time.monotonic()]

    def keep(name: str, size: float) -> None:
        files[name] = files.get(name, 0) + round(size)
        last[0] = time.monotonic()

    link.on("Network.responseReceived", lambda e: names.setdefault(e["requestId"], e["response"]["url"]))
    link.on(
        "Network.loadingFinished",
        lambda e: keep(names.get(e["requestId"], "?").split("/")[-1], e["encodedDataLength"]),
    )
    link.on("Network.webSocketFrameReceived", lambda e: keep("messages", 0.75 * len(e["response"]["payloadData"])))
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator(EXAMPLE).first.wait_for()
    seconds = time.perf_counter() - began
    while not slow and time.monotonic() < last[0] + QUIET_S:
        page.wait_for_timeout(100)
    context.close()
    return {"seconds": seconds, "files": files}


def measure_shift(files: Files, options: argparse.Namespace) -> dict[str, Any]:
    """Sum the layout shifts of a load and of an answer, the first and the second of a visit."""
    with page_server(options.app) as (_, url), chromium() as browser:
        with opened(browser, url) as page:
            upload(page, files.clip(0))  # starts the model
        runs = {
            screen: [_shifts(browser, url, screen, files) for _ in range(min(3, options.runs))] for screen in SCREENS
        }
    keys = ("load", "answer", "largest")
    return {"shift": {screen: {key: max(run[key] for run in runs[screen]) for key in keys} for screen in SCREENS}}


def _shifts(browser: Browser, url: str, screen: str, files: Files) -> dict[str, Any]:
    with opened(browser, url, screen) as page:
        page.wait_for_timeout(1000)
        sums = [_taken(page)]
        for number in range(2):
            upload(page, files.clip(number))
            page.wait_for_timeout(1000)
            sums.append(_taken(page))
    load, *answers = [sum(value for value, _ in shifts) for shifts in sums]
    return {
        "load": load,
        "answer": max(answers),
        "largest": max((each for shifts in sums for each in shifts), default=[]),
    }


def _taken(page: Page) -> list[Any]:
    return page.evaluate("window.shifts.splice(0)")


def measure_visitors(files: Files, options: argparse.Namespace) -> dict[str, Any]:
    """Let twenty visitors send five recordings each, all at once and without a pause; compare every answer."""
    sys.path.insert(0, str(ROOT))
    from ser import load

    recognizer = load()
    own = [[files.own(guest, number) for number in range(RECORDINGS)] for guest in range(VISITORS)]
    expected = {name: recognizer.predict(data).probabilities for clips in own for name, data in clips}
    with page_server(options.app) as (process, url):
        asyncio.run(_visit(url, [("start.wav", own[0][0][1])]))
        before_s = sum(process.cpu_times()[:2])
        with watched(process) as seen:
            results = asyncio.run(_all_visit(url, own))
        cpu_s = sum(process.cpu_times()[:2]) - before_s
    found = {name: answer for result in results for name, (_, answer) in result.items()}
    seconds = [elapsed for result in results for elapsed, _ in result.values()]
    return {
        "visitors": {
            "visitors": VISITORS,
            "answers": len(found),
            "wrong": sum(not same(answer, expected[name]) for name, answer in found.items()),
            "alike": sum(same(spoken(a), b) for i, a in expected.items() for j, b in expected.items() if i < j),
            "median_s": median(seconds),
            "p95_s": quantiles(seconds, n=20)[-1],
            "most_s": max(seconds),
            "cpu_ms_per_answer": 1000 * cpu_s / len(found),
            "peak_mb": max(seen),
        }
    }


async def _all_visit(url: str, own: list[list[tuple[str, bytes]]]) -> list[dict[str, Any]]:
    return await asyncio.gather(*(_visit(url, clips) for clips in own))


async def _visit(url: str, clips: list[tuple[str, bytes]]) -> dict[str, Any]:
    """Send one visitor's recordings; return the seconds and the answer to each."""
    async with visitor(url) as guest:
        return {name: (await guest.upload(name, data), guest.answer(name)) for name, data in clips}


def spoken(probabilities: dict[str, float]) -> dict[str, float]:
    """Return probabilities by the names that the page shows."""
    from ser.page.texts import Texts

    return {Texts("en").emotion(label).capitalize(): share for label, share in probabilities.items()}


def same(answer: dict[str, float], probabilities: dict[str, float]) -> bool:
    wanted = spoken(probabilities)
    return answer.keys() == wanted.keys() and all(abs(answer[name] - wanted[name]) < SAME for name in wanted)


def measure_holders(files: Files, options: argparse.Namespace) -> dict[str, Any]:
    """Let five visitors keep a recording of ten minutes each."""
    with ExitStack() as stack:
        process, url = stack.enter_context(page_server(options.app))
        browser, seen = stack.enter_context(chromium()), stack.enter_context(watched(process))
        for number in range(HOLDERS):
            page = stack.enter_context(opened(browser, url))
            upload(page, files.long(LONG_S["ten_minutes"], number), None, TIMELINE)
        held = resident_mb(process)
    return {"holders": {"visitors": HOLDERS, "mb": held, "peak_mb": max(seen)}}


def measure_answers(files: Files, options: argparse.Namespace) -> dict[str, Any]:
    """Return the memory after twenty answers of one visit."""
    with page_server(options.app) as (process, url):
        clips = [(path.name, path.read_bytes()) for path in map(files.clip, range(20))]
        answers = asyncio.run(_visit(url, clips))
        return {"answers": {"answers": sum(bool(answer) for _, answer in answers.values()), "mb": resident_mb(process)}}


@contextmanager
def watched(process: psutil.Process) -> Iterator[list[float]]:
    """Read the memory in MB five times a second."""
    seen, ended = [resident_mb(process)], threading.Event()

    def look() -> None:
        while not ended.wait(0.2):
            seen.append(resident_mb(process))

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    ended.set()
    thread.join()


PARTS: dict[str, Callable[[Files, argparse.Namespace], dict[str, Any]]] = {
    "load": measure_load,
    "upload": measure_upload,
    "shift": measure_shift,
    "live": measure_live,
    "visitors": measure_visitors,
    "answers": measure_answers,
    "holders": measure_holders,
    "ten_minutes": measure_ten_minutes,
    "hour": measure_hour,
}


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    machine = report["machine"]
    lines = [
        "# The page",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; load {machine['load_before']} before "
        f"and {machine['load_after']} after. Medians of {report['runs']}; the browser runs on the same cores.",
        "",
        "| target | at most | found | |",
        "|---|---:|---:|---|",
    ]
    for target in report["targets"]:
        unit, verdict = f" {target['unit']}".rstrip(), "pass" if target["passed"] else "**fail**"
        lines.append(f"| {target['name']} | {target['limit']:g}{unit} | {target['found']:.3g}{unit} | {verdict} |")
    return "\n".join([*lines, "", *_details(report)])


def _details(report: dict[str, Any]) -> list[str]:
    lines = []
    if load := report.get("load"):
        largest = ", ".join(f"{name} {size / 1000:.0f} kB" for name, size in load["largest"].items())
        lines.append(f"First load: {load['files']} files; the largest: {largest}.")
    if visitors := report.get("visitors"):
        lines.append(
            f"{visitors['visitors']} visitors over Streamlit's protocol, {visitors['answers']} answers without a pause "
            f"between them: median {visitors['median_s']:.2f} s, slowest {visitors['most_s']:.2f} s; "
            f"the server needs {visitors['cpu_ms_per_answer']:.0f} ms of processor time for one; "
            f"{visitors['alike']} pairs of recordings have the same answer."
        )
    if hour := report.get("hour"):
        lines.append(f"An hour: {hour['runs']} times, {hour['peak_mb']:.0f} MB at most.")
    return lines


if __name__ == "__main__":
    main()
