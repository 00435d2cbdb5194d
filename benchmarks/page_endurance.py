"""Loads the page with all that visitors do: recordings, long ones, broken files, lost connections, closed tabs.

`python benchmarks/page_endurance.py` lets ten visitors at a time come and go for ten minutes and prints a table;
`--write` also writes it into `reports/`. Every answer is compared with the first one to the same recording. Memory is
compared between a quarter of the time, when as many closed visits are kept as ever will be, and the end; open files
between a time without visitors before, and one after, when no closed visit is kept any more.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import numpy as np
import soundfile as sf
from page import Files, watched
from page_visitor import Visitor, page_server, visitor
from reporting import ROOT, add_write, checked, publish

REPORT = "page_endurance"
RATE = 16_000  # Hz
LONG_S = 20.0
MOST_ACTS = 8  # of one visitor
MOST_PAUSE_S = 1.0
KEPT_S = 120  # for which Streamlit keeps the visit of a closed tab, if it is not told otherwise

# Name in the table, keys of the figure, its limit and unit.
TARGETS = (
    ("errors", ("errors", "all"), 0, ""),
    ("other answers to the same recording", ("other_answers",), 0, ""),
    ("growth of memory", ("memory_mb", "growth"), 10, "MB"),
    ("growth of open files", ("open_files", "growth"), 0, ""),
    ("temporary files left", ("temporary_files", "left"), 0, ""),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--visitors", type=int, default=10, help="at a time")
    parser.add_argument("--seconds", type=int, default=600, help="of load; the targets are for 600")
    parser.add_argument("--kept", type=int, default=KEPT_S, help="seconds for which a closed visit is kept")
    parser.add_argument("--app", type=Path, default=ROOT, help="folder of app.py")
    add_write(parser)
    options = parser.parse_args()
    report = measure(options.app, options.visitors, options.seconds, options.kept)
    publish(report, table(report), options.write, REPORT)


def measure(app: Path, visitors: int, seconds: int, kept_s: int) -> dict[str, Any]:
    """Return the report."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work:
        temporary = Path(work, "tmp")
        temporary.mkdir()
        environment = {"TMPDIR": str(temporary), "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": str(kept_s)}
        with page_server(app, **environment) as (process, url):
            load = Load(url, Files(Path(work)))
            asyncio.run(load.start())
            time.sleep(kept_s + 2)
            asyncio.run(load.look_in())
            time.sleep(2)
            files_before = process.num_fds()
            with watched(process) as seen:
                asyncio.run(load.run(visitors, seconds))
            time.sleep(kept_s + 2)
            asyncio.run(load.look_in())  # which ends what was kept too long
            time.sleep(2)
            files_after = process.num_fds()
        left = sorted(path.name for path in temporary.rglob("*") if path.is_file())
    tenth = max(1, len(seen) // 10)
    first, last = median(seen[int(2.5 * tenth) : int(3.5 * tenth)]), median(seen[-tenth:])
    report = {
        "visitors": visitors,
        "seconds": seconds,
        "kept_s": kept_s,
        "machine": {"cores": os.cpu_count(), "load_before": load_before, "load_after": os.getloadavg()[0]},
        "acts": dict(sorted(load.acts.items())),
        "errors": {"all": sum(load.errors.values()), **load.errors},
        "other_answers": load.other_answers,
        "memory_mb": {"first": first, "last": last, "most": max(seen), "growth": last - first, "course": seen[::tenth]},
        "open_files": {"first": files_before, "last": files_after, "growth": max(0, files_after - files_before)},
        "temporary_files": {"left": len(left), "names": left[:5]},
    }
    report["targets"] = [checked(report, *target) for target in TARGETS]
    return report


class Load:
    """Visitors that come, do some of what one can do, and leave in one way or another."""

    def __init__(self, url: str, files: Files) -> None:
        self.url = url
        self.acts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.other_answers = 0
        self.expected: dict[str, dict[str, float]] = {}
        self.clips = {f"clip-{number}": files.clip(number).read_bytes() for number in range(5)}
        self.long = files.long(LONG_S).read_bytes()
        silence = io.BytesIO()
        sf.write(silence, np.zeros(RATE), RATE, format="WAV")
        self.silence = silence.getvalue()
        self.kinds = (self.recording,) * 6 + (self.sample, self.silent, self.broken, self.long_recording)
        self.endings = (self.leave,) * 2 + (self.close_while_it_runs, self.break_off_an_upload)

    async def start(self) -> None:
        """Note the answers that all later ones are compared with."""
        async with visitor(self.url) as guest:
            for name, data in self.clips.items():
                await guest.upload(name, data)
                self.expected[name] = guest.answer(name)
            await guest.upload("long", self.long)
            await guest.wait()
        if not all(self.expected.values()):
            raise SystemExit("The page gives no answers.")

    async def look_in(self) -> None:
        async with visitor(self.url):
            pass

    async def run(self, visitors: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._visitors(random.Random(seed), end) for seed in range(visitors)))

    async def _visitors(self, rng: random.Random, end: float) -> None:
        while time.monotonic() < end:
            try:
                async with visitor(self.url) as guest:
                    for act in [*rng.choices(self.kinds, k=rng.randint(1, MOST_ACTS)), rng.choice(self.endings)]:
                        self.acts[act.__name__] += 1
                        await act(guest, rng)
                        await asyncio.sleep(rng.uniform(0, MOST_PAUSE_S))
                        if time.monotonic() > end:
                            break
            except (aiohttp.ClientError, ConnectionError, TimeoutError, KeyError) as error:
                self.errors[f"{type(error).__name__}: {error}"[:80]] += 1

    async def recording(self, guest: Visitor, rng: random.Random) -> None:
        name = rng.choice(list(self.clips))
        await guest.upload(name, self.clips[name])
        self.other_answers += guest.answer(name) != self.expected[name]

    async def sample(self, guest: Visitor, rng: random.Random) -> None:
        if not guest.has_button("trembling"):
            await guest.click("open-samples")
        await guest.click("trembling")

    async def silent(self, guest: Visitor, rng: random.Random) -> None:
        await guest.upload("silent", self.silence)

    async def broken(self, guest: Visitor, rng: random.Random) -> None:
        data = bytearray(rng.choice([self.long, *self.clips.values()]))
        for _ in range(rng.randrange(1, 40)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        await guest.upload("broken", bytes(data[: rng.randrange(10, len(data))]))
        await guest.wait()

    async def long_recording(self, guest: Visitor, rng: random.Random) -> None:
        await guest.upload("long", self.long)
        await guest.wait()

    async def leave(self, guest: Visitor, rng: random.Random) -> None:
        """Close the tab; what follows is the end of the connection."""

    async def close_while_it_runs(self, guest: Visitor, rng: random.Random) -> None:
        """Send a recording and close the tab before its answer."""
        if guest.has_uploader():
            state, _ = await guest.chosen("last", rng.choice([self.long, *self.clips.values()]))
            await guest.vanish(state)
        else:
            await guest.vanish()

    async def break_off_an_upload(self, guest: Visitor, rng: random.Random) -> None:
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(rng.uniform(0.001, 0.02)):
                await guest.chosen("broken off", self.long)
        await guest.vanish()


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    acts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in report["acts"].items())
    memory, files = report["memory_mb"], report["open_files"]
    lines = [
        "# The page under mixed load",
        "",
        f"{report['visitors']} visitors at a time for {report['seconds']} s, who come and go: {acts}. Memory: "
        f"{memory['first']:.0f} MB early, {memory['last']:.0f} MB at the end, {memory['most']:.0f} MB at most; open "
        f"files: {files['first']} before, {files['last']} after. A closed visit is kept for {report['kept_s']} s.",
        "",
        "| target | at most | found | |",
        "|---|---:|---:|---|",
    ]
    for target in report["targets"]:
        unit, verdict = f" {target['unit']}".rstrip(), "pass" if target["passed"] else "**fail**"
        lines.append(f"| {target['name']} | {target['limit']:g}{unit} | {target['found']:.3g}{unit} | {verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
