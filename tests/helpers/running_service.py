"""The service in processes of its own, and recordings to send to it."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from golden.make import RATE, voice

import ser
from ser.audio.loading import load_waveform
from ser.audio.pcm import wav_header
from ser.inference.artifact import ARTIFACTS

ROOT = Path(ser.__file__).resolve().parents[1]
RUN = "from ser.service.server import serve; serve('127.0.0.1', 0, {workers}, 'dense105')"
START_S = 60
PCM = (voice(3.5) * 2**15).astype("<i2").tobytes()
CLIP = wav_header(RATE, 1, len(PCM)) + PCM
SOUND = {"Content-Type": "audio/wav"}


def spoken(times: int) -> bytes:
    """Repeat a sample so many times, as WAV."""
    samples = load_waveform(ARTIFACTS.parent / "samples" / "even.flac").samples
    pcm = (np.tile(samples, times) * 2**15).astype("<i2").tobytes()
    return wav_header(RATE, 1, len(pcm)) + pcm


@dataclass
class Running:
    """A running service: its main process and its port."""

    process: subprocess.Popen
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Send a request on a new connection; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes, without multiprocessing's resource tracker."""
        children = psutil.Process(self.process.pid).children()
        alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return [child for child in alive if "spawn_main" in " ".join(child.cmdline())]


@contextmanager
def running(log: Path, workers: int, run: str = RUN, **options: object) -> Iterator[Running]:
    """Run a service on a free port; at the end it must stop by itself on SIGTERM."""
    with log.open("wb") as errors:
        command = [sys.executable, "-c", run.format(workers=workers)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=errors, **options)
    try:
        service = Running(process, wait_for(lambda: port_in(log), process))
        wait_for(lambda: is_ready(service), process)
        yield service
        process.terminate()
        assert process.wait(START_S) in (0, -signal.SIGTERM)
    finally:
        for child in [*psutil.Process(process.pid).children(), process] if process.poll() is None else []:
            child.kill()
        process.wait()


def wait_for(value_of: Callable[[], object], process: subprocess.Popen | None = None) -> object:
    """Return the first true value of a function, called again and again."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if value := value_of():
            return value
        assert process is None or process.poll() is None, "the service ended"
        time.sleep(0.05)
    raise AssertionError(f"nothing within {START_S} s")


def port_in(log: Path) -> int | None:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return next((int(line["url"].rsplit(":", 1)[1]) for line in lines if line["event"] == "listening"), None)


def is_ready(service: Running) -> bool:
    try:
        return service.ask("GET", "/health/ready")[0] == 200
    except OSError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]
