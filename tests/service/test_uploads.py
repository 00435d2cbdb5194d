"""Bodies of requests: parsed, limited, never on disk."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from golden.make import RATE
from service_client import CLIP, new_client, send_body, stream_messages, wav

from ser.audio.loading import MAX_BYTES
from ser.inference.artifact import ARTIFACTS
from ser.service.settings import Settings
from ser.service.uploads import MAX_LONG_BYTES, file_name

PART = 'Content-Disposition: form-data; name="file"'
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(
    ("sent", "status", "code", "message"),
    [
        ({"content": b""}, 422, "audio", "the file is empty"),
        ({"content": b"text"}, 422, "audio", "this is text, not sound"),
        ({"json": {"file": "clip.wav"}}, 422, "audio", "this is text, not sound"),
        ({"data": {"file": "clip.wav"}}, 422, "audio", "this is text, not sound"),
        ({"content": bytes(1000)}, 422, "audio", "not a known recording"),
        ({"content": wav(np.zeros(0))}, 422, "audio", "holds no samples"),
        ({"content": wav(np.zeros(130 * RATE, "int16"))}, 422, "audio", "or use `timeline` of the command line"),
        ({"content": wav(np.zeros(999, "int16"), 4000)}, 422, "audio", "4,000 Hz; accepted are"),
        ({"files": {"file": ("a.wav", CLIP[:60])}}, 422, "audio", "a.wav: "),
        ({"files": {"other": ("a.wav", CLIP)}}, 400, "body", "no part 'file'"),
        ({"files": [("file", ("a", CLIP)), ("file", ("b", CLIP))]}, 400, "body", "send one, or several as 'files'"),
        ({"content": CLIP, "headers": MULTIPART}, 400, "body", "is not the multipart/form-data"),
        ({"content": b"", "headers": MULTIPART}, 400, "body", "without its last boundary"),
        ({"content": b"--x--\r\n", "headers": MULTIPART}, 400, "body", "no part 'file'"),
        ({"content": CLIP, "headers": {"Content-Type": "multipart/form-data"}}, 400, "body", "gives no boundary"),
        ({"content": f"--x\r\n{PART}\r\n\r\nabc\r\n--x--", "headers": MULTIPART}, 422, "audio", "this is text"),
        ({"content": f"--x\r\n{PART}\r\n\r\nabc", "headers": MULTIPART}, 400, "body", "without its last boundary"),
        ({"content": CLIP, "params": {"model": "unknown"}}, 404, "model", "known: dense105"),
        ({"content": CLIP, "params": {"model": str(ARTIFACTS / "dense105")}}, 404, "model", "No model "),
        ({"content": CLIP, "params": {"model": "../dense105"}}, 404, "model", "No model "),
    ],
)
def test_invalid_bodies_get_an_error(client, sent, status, code, message):
    response = client.post("/predict", **sent)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert message in response.json()["message"] and set(response.json()) == {"code", "message"}


def test_a_batch_needs_its_parts(client):
    assert client.post("/batch", json=["clip.wav"]).json()["code"] == "body"
    assert client.post("/batch?model=unknown", files={"files": ("a.wav", CLIP)}).status_code == 404
    assert client.post("/batch", content=CLIP).json()["code"] == "body"
    assert "no part 'files'" in client.post("/batch", files={"file": ("a.wav", CLIP)}).json()["message"]
    many = client.post("/batch", files=[("files", (f"{i}", b"x")) for i in range(101)])
    assert many.status_code == 400 and "more than 100 parts" in many.json()["message"]


@pytest.mark.parametrize("kind", ["audio/wav", "multipart/form-data; boundary=x"])
def test_a_body_announced_as_too_large_is_not_read(client, kind):
    headers = {"Content-Type": kind, "Content-Length": str(MAX_BYTES + 10**6)}
    status, problem, read = send_body(client.app, headers, [])
    assert (status, problem["code"], read) == (413, "too_large", 0)


def test_a_body_of_unknown_length_is_read_up_to_the_limit(client):
    status, problem, read = send_body(client.app, {"Content-Type": "audio/wav"}, [bytes(2**20)] * 40)
    assert (status, problem["code"], read) == (413, "too_large", 26)
    assert "More than 25 MB" in problem["message"]


@pytest.mark.slow
def test_a_recording_of_a_batch_has_the_same_limit(client):
    response = client.post("/batch", files={"files": ("a.wav", bytes(MAX_BYTES + 1))})
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


@pytest.mark.slow
def test_a_slow_body_times_out():
    with new_client(Settings(upload_s=0.05)) as client:
        status, problem, _ = send_body(client.app, {"Content-Type": "audio/wav"}, [CLIP[:100]])
    assert (status, problem["code"]) == (408, "slow")


def opened_for_writing() -> tuple[list, list]:
    """Return a list of what this process opens for writing from now on, and a list that stops it once not empty."""
    opened, off = [], []

    def hook(event: str, arguments: tuple) -> None:
        if event == "open" and not off:
            flags = arguments[2] or 0
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or "w" in str(arguments[1]):
                opened.append(arguments)

    sys.addaudithook(hook)
    return opened, off


@pytest.mark.slow
def test_uploads_never_touch_the_disk(client, tmp_path, monkeypatch):
    """Send megabytes to every route while noting what is opened for writing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    big, half = (wav(np.zeros((n_frames, 2), "int16"), 48_000) for n_frames in (5_000_000, 1_000_000))
    assert 19 * 2**20 < len(big) < MAX_BYTES
    opened, off = opened_for_writing()
    try:
        assert client.post("/predict", files={"file": ("a.wav", big)}).json()["reasons"] == ["silent"]
        assert client.post("/predict", content=big).json()["reasons"] == ["silent"]
        assert len(client.post("/batch", files=[("files", ("a", half)), ("files", ("b", half))]).json()) == 2
        assert len(stream_messages(client, "rate=48000&channels=2", [half[44:], '{"end": true}'])[0]) == 84
        assert opened == [] and list(tmp_path.iterdir()) == []
        (tmp_path / "seen").write_text("")
        assert len(opened) == 1
    finally:
        off.append(True)


@pytest.mark.slow
def test_the_body_of_a_timeline_has_its_own_limit(client):
    headers = {"Content-Type": "audio/wav"}
    status, problem, read = send_body(
        client.app, {**headers, "Content-Length": str(MAX_LONG_BYTES + 1)}, [], path="/timeline"
    )
    assert (status, problem["code"], read) == (413, "too_large", 0) and "More than 120 MB" in problem["message"]
    status, problem, read = send_body(client.app, headers, [bytes(2**20)] * 200, path="/timeline")
    assert (status, problem["code"], read) == (413, "too_large", 121)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (b'filename="a.wav"', "a.wav"),
        (b"filename=a.wav", "a.wav"),
        (b'filename="/home/me/a.wav"', "a.wav"),
        (rb'filename="C:\voices\a.wav"', "a.wav"),
        (b'filename=""', None),
        (b"", None),
        ('filename="grüße.wav"'.encode(), "grüße.wav"),
        (b"filename*=utf-8''gr%C3%BC%C3%9Fe.wav", "grüße.wav"),
        (b"filename=\"_.wav\"; filename*=UTF-8'de'gr%c3%bc%c3%9fe.wav", "grüße.wav"),
        (b"filename*=utf-8''gr%C3%BC%C3%9Fe.wav; filename=\"_.wav\"", "grüße.wav"),
        (b"filename*=iso-8859-1''gr%FC%DFe.wav", "grüße.wav"),
        (b"filename*=\"utf-8''a%20b.wav\"", "a b.wav"),
        (b"filename*=utf-8''..%2Fa.wav", "a.wav"),
        (b"filename*=utf-8''%FF.wav", "\ufffd.wav"),
        (b"filename=\"a.wav\"; filename*=klingon''b.wav", "a.wav"),
        (b'filename="a.wav"; filename*=b.wav', "a.wav"),
        (b"filename=\"a; filename*=utf-8''b.wav\"", "a; filename*=utf-8''b.wav"),
        (b"other=\"; filename*=utf-8''b.wav\"; filename=a.wav", "a.wav"),
        (b"filename*=utf-8''a%00b%0A%7F.wav", "a\ufffdb\ufffd\ufffd.wav"),
        (b'filename="a\x1bb.wav"', "a\ufffdb.wav"),
    ],
)
def test_file_names_are_decoded_and_lose_their_folders(client, parameters, name):
    disposition = b'form-data; name="file"; ' + parameters
    assert file_name(disposition) == name
    body = b"--x\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + CLIP + b"\r\n--x--\r\n"
    assert client.post("/predict", content=body, headers=MULTIPART).json()["file"] == name
