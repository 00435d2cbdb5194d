"""Every interface gives the same prediction for the same clip."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import soundfile as sf
import streamlit as st
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from streamlit.testing.v1 import AppTest

import ser
from ser.inference.artifact import ARTIFACTS
from ser.service.app import create_app
from ser.types import EMOTIONS

ROOT = ARTIFACTS.parent
RATE = 16_000
PRECISION = 1e-6
Probabilities = dict[str, float]


@pytest.fixture(params=["voice", "dense105"])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A model that every interface takes by default; the page's is loaded once a process, so it is forgotten."""
    monkeypatch.setenv("SER_MODEL", request.param)
    for name in ("SER_API_KEY", "SER_CORS_ORIGINS", "PROMETHEUS_MULTIPROC_DIR"):
        monkeypatch.delenv(name, raising=False)
    st.cache_resource.clear()
    yield request.param
    st.cache_resource.clear()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5 s of speech at 16 kHz, more than one window."""
    spoken = [sf.read(ROOT / "samples" / f"{name}.flac", dtype="int16") for name in ("even", "sharp")]
    assert {rate for _, rate in spoken} == {RATE}
    path = tmp_path_factory.mktemp("interfaces") / "clip.wav"
    sf.write(path, np.concatenate([samples for samples, _ in spoken])[: 5 * RATE], RATE, subtype="PCM_16")
    return path


# --- The interfaces ---


def page(clip: Path) -> Probabilities:
    found = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    found.file_uploader[0].set_value([(clip.name, clip.read_bytes(), "audio/wav")])
    found.run()
    assert not found.exception
    visit = found.session_state["visit"]
    return visit.answer(visit.current, ser.load()).probabilities


def command_line(clip: Path) -> Probabilities:
    command = [sys.executable, "-m", "ser", "predict", "--format", "json", str(clip)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    (answer,) = json.loads(ran.stdout)
    return answer["probabilities"]


def service(clip: Path) -> Probabilities:
    with TestClient(create_app()) as client:
        return client.post("/predict", files={"file": (clip.name, clip.read_bytes())}).json()["probabilities"]


def service_batch(clip: Path) -> Probabilities:
    with TestClient(create_app()) as client:
        other, answer = client.post(
            "/batch", files=[("files", ("x", b"x")), ("files", ("y", clip.read_bytes()))]
        ).json()
    assert "error" in other
    return answer["all_emotions"]


def stream(clip: Path) -> Probabilities:
    samples, rate = sf.read(clip, dtype="int16")
    pcm, messages = samples.tobytes(), []
    with TestClient(create_app()) as client, client.websocket_connect(f"/stream?rate={rate}") as socket:
        for start in range(0, len(pcm), 7000):
            socket.send_bytes(pcm[start : start + 7000])
        socket.send_text(json.dumps({"end": True}))
        with pytest.raises(WebSocketDisconnect):
            while True:
                messages.append(socket.receive_json())
    return messages[-1]["probabilities"]


def file_object(clip: Path) -> Probabilities:
    return ser.load().predict(io.BytesIO(clip.read_bytes())).probabilities


def batch(clip: Path) -> Probabilities:
    """The table of the command `batch`, made of a folder with this one clip."""
    table = clip.parent.with_name(f"batch-{os.environ['SER_MODEL']}")
    command = [sys.executable, "-m", "ser", "batch", str(clip.parent), "--out", str(table), "--jobs", "1"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (row,) = pyarrow.parquet.read_table(table).to_pylist()
    return {label: row[label] for label in row if label in EMOTIONS}


INTERFACES = (page, command_line, service, service_batch, stream, batch, file_object)


@pytest.mark.slow
@pytest.mark.parametrize("interface", INTERFACES, ids=lambda interface: interface.__name__)
def test_every_interface_gives_the_same_prediction(
    model: str, clip: Path, interface: Callable[[Path], Probabilities]
) -> None:
    """Equal to 1e-6, and with all labels in the order of the vocabulary."""
    told = ser.load(model).predict(str(clip)).probabilities
    found = interface(clip)
    assert list(found) == list(told)
    assert found == pytest.approx(told, abs=PRECISION, rel=0)
    assert max(told.values()) < 1 - 1e-3  # an answer that could differ
