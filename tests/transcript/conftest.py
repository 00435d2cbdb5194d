"""Fixtures of the tests of transcripts: a tiny Whisper model, a recording, and Google on the loopback."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import soundfile as sf
from speech import VOICE
from tiny_whisper import build

from ser.audio.vad import RATE

QUIET = ("SER_SPEECH_MODEL", "SER_GOOGLE_KEY", "SER_MODEL")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """A wide terminal without colours, and nothing named by the environment."""
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("speech") / "tiny")


@pytest.fixture(scope="session")
def talk(tmp_path_factory) -> Path:
    """The same voice four times, after 1, 1, 4 and 8 s of silence."""
    parts = [np.concatenate([np.zeros(round(pause_s * RATE), np.float32), VOICE]) for pause_s in (1, 1, 4, 8)]
    path = tmp_path_factory.mktemp("talk") / "talk.flac"
    sf.write(path, np.concatenate(parts), RATE)
    return path


@pytest.fixture(scope="module")
def sound(talk) -> np.ndarray:
    return sf.read(talk, dtype="float32")[0]


class Loopback(HTTPServer):
    """Respond as Google's address does, and keep the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.requests: list[tuple[dict[str, list[str]], np.ndarray, int]] = []
        self.status, self.body = 200, b""
        self.url = f"http://127.0.0.1:{self.server_port}/recognize"

    def respond(self, *texts: str) -> None:
        alternatives = [{"transcript": text, "confidence": 0.9} for text in texts]
        results = [{"alternative": alternatives, "final": True}] if texts else []
        self.body = b'{"result":[]}\n' + json.dumps({"result": results, "result_index": 0}).encode()


class _Answer(BaseHTTPRequestHandler):
    server: Loopback

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "audio/x-flac; rate=16000"
        self.server.requests.append((parse_qs(urlsplit(self.path).query), *sf.read(io.BytesIO(body))))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *words: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def google(monkeypatch) -> Iterator[Loopback]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Loopback() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        server.respond("good morning to you")
        yield server
        server.shutdown()
        thread.join()
