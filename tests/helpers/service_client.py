"""The service in this process: clients, recordings to send, metrics."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import soundfile as sf
from golden.make import RATE, voice
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from ser.audio.loading import load_waveform
from ser.inference.artifact import ARTIFACTS
from ser.service.app import create_app
from ser.service.settings import Settings

PAUSE = np.zeros(2 * RATE, np.float32)
SAMPLES = sorted((ARTIFACTS.parent / "samples").glob("*.flac"))


def new_client(settings: Settings) -> TestClient:
    return TestClient(create_app(settings))


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def as_answer(answer: dict) -> dict:
    """Add the keys of `POST /predict` to a prediction."""
    return {
        **answer,
        "emotion": answer["label"],
        "all_emotions": answer["probabilities"],
        "filename": answer["file"],
    }


CLIP = wav(voice(3.5))
SPOKEN = [load_waveform(path).samples for path in SAMPLES if path.stem != "music"]
SPEECH = np.concatenate([PAUSE, SPOKEN[0], PAUSE, SPOKEN[1]])
TALK = wav(SPEECH)


def send_body(app, headers: dict[str, str], bodies: list[bytes], *, path: str = "/predict") -> tuple[int, dict, int]:
    """Send an endless body that stalls after `bodies`; return status, JSON and the number of pieces read."""
    sent, read = [], []

    async def receive() -> dict:
        read.append(1)
        if len(read) > len(bodies):
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": bodies[len(read) - 1], "more_body": True}

    async def send(message: dict) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": raw, "query_string": b"", "client": ("me", 1)}
    asyncio.run(app({**scope, "http_version": "1.1", "scheme": "http", "server": ("s", 80)}, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"]), len(read)


def metric_samples(client: TestClient) -> dict[tuple, float]:
    """Return the samples of /metrics by name and labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


def stream_messages(client: TestClient, query: str, pieces: list[bytes | str]) -> tuple[list[dict], int]:
    """Send pieces of PCM and texts to a stream; return all its messages and its close code."""
    messages = []
    with client.websocket_connect(f"/stream?{query}") as socket:
        for piece in pieces:
            (socket.send_text if isinstance(piece, str) else socket.send_bytes)(piece)
        try:
            while True:
                messages.append(socket.receive_json())
        except WebSocketDisconnect as closed:
            assert len(closed.reason.encode()) <= 123  # of a close frame
            return messages, closed.code
