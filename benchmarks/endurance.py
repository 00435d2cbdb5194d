"""Loads the service with all that clients do: sound of many formats, broken files, batches, timelines, streams, aborts.

`python benchmarks/endurance.py` runs ten minutes against two workers and prints a table; `--write` also writes it into
`reports/`. Every answer to intact sound is compared with the first one; memory, open files and temporary files are
compared between an early time and the end.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import soundfile as sf
from predict import speech_like
from reporting import add_write, checked, publish
from service import memory, service, watched

REPORT = "endurance_benchmark"
RATE = 16_000  # Hz
FORMATS = {"WAV": "PCM_16", "FLAC": "PCM_16", "OGG": "OPUS", "MP3": "MPEG_LAYER_III"}
TOLERANCE = 1e-6
STREAM_PIECE = 8_000  # bytes, a quarter of a second
PIECE = 5_000  # bytes that a slow client sends at a time
REFUSALS = {413, 422}

# Name in the table, keys of the figure, its limit and unit.
TARGETS = (
    ("errors on intact sound", ("errors", "all"), 0, ""),
    ("answers to broken files that are no sentence", ("unexpected", "all"), 0, ""),
    ("growth of memory", ("memory_mb", "growth"), 10, "MB"),
    ("growth of open files", ("open_files", "growth"), 0, ""),
    ("temporary files left", ("temporary_files", "left"), 0, ""),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", default="dense105", help="a model's name; default: dense105")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=600, help="of load; the targets are for 600")
    add_write(parser)
    options = parser.parse_args()
    report = measure(options.model, options.workers, options.clients, options.seconds)
    publish(report, table(report), options.write, REPORT)


def measure(model: str, workers: int, clients: int, seconds: int) -> dict[str, Any]:
    """Return the report."""
    with tempfile.TemporaryDirectory() as work:
        temporary = Path(work, "tmp")
        temporary.mkdir()
        os.environ["TMPDIR"] = str(temporary)
        with service(Path(work), workers, model) as (process, url):
            load = Load(url)
            asyncio.run(load.run(clients, 5))
            with watched(process) as seen:
                asyncio.run(load.run(clients, seconds))
            time.sleep(2)  # what clients left is noticed
            files = [sum(each.num_fds() for each in (process, *process.children()))]
        left = sorted(path.name for path in temporary.rglob("*"))
    tenth = max(1, len(seen) // 10)
    early = min(look["files"] for look in seen[: 2 * tenth])
    report = {
        "model": model,
        "workers": workers,
        "clients": clients,
        "seconds": seconds,
        "machine": {"cores": os.cpu_count(), "load_after": os.getloadavg()[0]},
        "requests": dict(sorted(load.requests.items())),
        "errors": {"all": sum(load.errors.values()), **load.errors},
        "unexpected": {"all": sum(load.unexpected.values()), **load.unexpected},
        "memory_mb": memory(seen),
        "open_files": {"first": early, "last": files[0], "growth": max(0, files[0] - early)},
        "temporary_files": {"left": len(left), "names": left[:5]},
    }
    report["targets"] = [checked(report, *target) for target in TARGETS]
    return report


class Load:
    """Clients that send requests of random kinds, one after the other, and compare the answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.unexpected: Counter[str] = Counter()
        samples = sf.read(io.BytesIO(speech_like(RATE)), dtype="float32")[0]
        self.clips = [_encoded(samples[: round(s * RATE)], kind) for kind in FORMATS for s in (1.5, 3.0)]
        self.expected: list[dict[str, float]] = []
        self.pcm = (samples[: 2 * RATE] * 2**15).astype("<i2").tobytes()
        self.kinds = (self.predict,) * 12 + (self.broken,) * 2 + (self.batch, self.timeline, self.stream)
        self.kinds += (self.abort, self.slow, self.unknown)

    async def run(self, clients: int, seconds: float) -> None:
        """Send requests for some seconds; the first answers of all are those that later ones are compared with."""
        end = time.monotonic() + seconds
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
            for clip in self.clips[len(self.expected) :]:
                async with session.post(f"{self.url}/predict", data=clip) as response:
                    self.expected.append((await response.json())["probabilities"])
            await asyncio.gather(*(self._client(session, random.Random(seed), end) for seed in range(clients)))

    async def _client(self, session: aiohttp.ClientSession, rng: random.Random, end: float) -> None:
        while time.monotonic() < end:
            kind = rng.choice(self.kinds)
            self.requests[kind.__name__] += 1
            try:
                await kind(session, rng)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.errors[f"{kind.__name__}: {type(error).__name__}"] += 1

    async def predict(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        index = rng.randrange(len(self.clips))
        async with session.post(f"{self.url}/predict", data=self.clips[index]) as response:
            self._compare("predict", response.status, await response.json(), index)

    async def broken(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        data = bytearray(rng.choice(self.clips))
        for _ in range(rng.randrange(1, 40)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        data = data[: rng.randrange(10, len(data))]
        async with session.post(f"{self.url}/predict", data=bytes(data)) as response:
            answer = await response.json()
            if response.status != 200 and not (response.status in REFUSALS and answer.get("message")):
                self.unexpected[f"{response.status}: {answer}"[:80]] += 1

    async def batch(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        form, indices = aiohttp.FormData(), [rng.randrange(len(self.clips)) for _ in range(3)]
        for index in indices:
            form.add_field("files", self.clips[index], filename=f"{index}")
        form.add_field("files", b"no sound at all", filename="notes.txt")
        async with session.post(f"{self.url}/batch", data=form) as response:
            *answers, refused = await response.json()
            for index, answer in zip(indices, answers, strict=True):
                self._compare("batch", response.status, answer, index)
            self.unexpected["batch"] += "error" not in refused

    async def timeline(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        async with session.post(f"{self.url}/timeline", data=rng.choice(self.clips)) as response:
            self.errors["timeline"] += response.status != 200 or "segments" not in await response.json()

    async def stream(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        async with session.ws_connect(f"{self.url}/stream?rate={RATE}") as socket:
            for at in range(0, len(self.pcm), STREAM_PIECE):
                await socket.send_bytes(self.pcm[at : at + STREAM_PIECE])
            if rng.random() < 0.3:  # the client vanishes
                return
            await socket.send_json({"end": True})
            messages = [message.data async for message in socket if message.type == aiohttp.WSMsgType.TEXT]
        self.errors["stream"] += not messages or "label" not in json.loads(messages[-1])

    async def abort(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        """Leave while the answer is made."""
        with suppress(TimeoutError):
            async with asyncio.timeout(rng.uniform(0.001, 0.05)):
                await session.post(f"{self.url}/timeline", data=self.clips[0])

    async def slow(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        """Send a recording in pieces, with pauses; every other time without its end."""
        index, whole = rng.randrange(len(self.clips)), rng.random() < 0.5
        clip = self.clips[index]

        async def pieces() -> Any:
            for at in range(0, len(clip), PIECE):
                yield clip[at : at + PIECE]
                await asyncio.sleep(0.05)
                if not whole:
                    raise ConnectionAbortedError

        with suppress(ConnectionAbortedError, aiohttp.ClientError):
            async with session.post(f"{self.url}/predict", data=pieces()) as response:
                self._compare("slow", response.status, await response.json(), index)

    async def unknown(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        async with session.post(f"{self.url}/predict?modle=x", data=self.clips[0]) as response:
            self.unexpected["unknown"] += response.status not in REFUSALS

    def _compare(self, kind: str, status: int, answer: dict[str, Any], index: int) -> None:
        expected = self.expected[index]
        near = status == 200 and all(abs(answer["probabilities"][k] - v) < TOLERANCE for k, v in expected.items())
        self.errors[kind] += not near


def _encoded(samples: Any, format: str) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, RATE, format=format, subtype=FORMATS[format])
    return file.getvalue()


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    counts = ", ".join(f"{count:,} {name}" for name, count in report["requests"].items())
    memory_mb, files = report["memory_mb"], report["open_files"]
    lines = [
        f"# The service under mixed load, `{report['model']}`",
        "",
        f"{report['workers']} workers, {report['clients']} clients, {report['seconds']} s; requests: {counts}. Memory "
        f"of all processes: {memory_mb['first']:.0f} MB early, {memory_mb['last']:.0f} MB at the end; open files: "
        f"{files['first']} and {files['last']}.",
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
