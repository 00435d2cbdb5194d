"""The service in this process: clients, bodies and counts."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import soundfile as sf
from golden.make import RATE, voice
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from ser.inference.artifact import ARTIFACTS
from ser.service.app import create_app
from ser.service.state import Settings

SAMPLES = sorted((ARTIFACTS.parent / "samples").glob("*.flac"))


def made(settings: Settings) -> TestClient:
    return TestClient(create_app(settings))


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def superset(answer: dict) -> dict:
    return {
        **answer,
        "emotion": answer["label"],
        "all_emotions": answer["probabilities"],
        "filename": answer["file"],
    }


CLIP = wav(voice(3.5))


def asked(app, headers: dict[str, str], bodies: list[bytes], *, path: str = "/predict") -> tuple[int, dict, int]:
    """Status, JSON, and how many pieces of the body were read, for a body that is only said to go on."""
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


def counted(client: TestClient) -> dict[tuple, float]:
    """Samples of /metrics by name and labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}
