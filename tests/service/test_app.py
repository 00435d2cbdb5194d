"""The service in this process: the core's answers, refusals with a code, nothing kept."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from golden.make import RATE, voice
from service_client import CLIP, SAMPLES, asked, counted, made, superset, wav
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import ser
from ser.audio.loading import MAX_BYTES
from ser.inference.artifact import ARTIFACTS, known
from ser.service.app import create_app
from ser.service.limits import Limits
from ser.service.middleware import Access, JsonLines
from ser.service.state import Settings
from ser.types import ParameterError

HEAVY = {"tensorflow", "keras", "librosa", "numba", "sklearn", "pickle5", "joblib"}
SECRET = "a-name-nobody-may-keep"


@pytest.fixture(scope="module")
def recognizer(model) -> ser.Recognizer:
    return ser.load()


# --- Answers ---


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_one_recording_gets_the_answer_of_the_core(client, recognizer, sample):
    told = recognizer.predict(sample.read_bytes()).to_dict()
    response = client.post("/predict", files={"file": (f"/somewhere/{sample.name}", sample.read_bytes())})
    assert response.status_code == 200 and response.json() == superset({**told, "file": sample.name})
    raw = client.post("/predict", content=sample.read_bytes(), headers={"Content-Type": "audio/flac"})
    assert raw.json() == superset(told)


def test_a_batch_is_answered_in_its_order_and_keeps_what_failed(client, recognizer):
    sent = [("files", (path.name, path.read_bytes())) for path in SAMPLES]
    sent.insert(1, ("files", ("notes.txt", b"not a sound")))
    response = client.post("/batch", files=sent)
    found = response.json()
    assert response.status_code == 200 and [one["file"] for one in found] == [name for _, (name, _) in sent]
    assert found[1]["code"] == "audio" and found[1]["error"].startswith("notes.txt: this is text, not sound.")
    del found[1]
    answers = [{**recognizer.predict(path).to_dict(), "file": path.name} for path in SAMPLES]
    assert found == [superset(answer) for answer in answers]


def test_a_model_is_chosen_by_its_name(client):
    answer = client.post("/predict?model=voice", content=CLIP).json()
    assert answer == superset(ser.load("voice").predict(CLIP).to_dict())
    listed = client.get("/models").json()
    assert {one["name"]: one["default"] for one in listed} == {name: name == "dense105" for name in known()}
    assert next(one for one in listed if one["name"] == "voice")["uar"] > 0.6


def test_health_tells_live_from_ready(client):
    health = {"version": ser.__version__, "model": "dense105"}
    assert client.get("/health").json() == client.get("/health/live").json() == {"status": "live", **health}
    assert client.get("/health/ready").json() == {"status": "ready", **health}


def test_not_ready_before_the_model_is_there():
    unstarted = made(Settings())
    assert unstarted.get("/health/live").json()["model"] is None
    for response in (unstarted.get("/health/ready"), unstarted.post("/predict", content=CLIP)):
        assert response.status_code == 503 and response.headers["Retry-After"]


# --- Refusals ---

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
        ({"content": CLIP, "headers": MULTIPART}, 400, "body", "not the multipart body"),
        ({"content": b"", "headers": MULTIPART}, 400, "body", "without its last boundary"),
        ({"content": b"--x--\r\n", "headers": MULTIPART}, 400, "body", "no part 'file'"),
        ({"content": CLIP, "headers": {"Content-Type": "multipart/form-data"}}, 400, "body", "gives no boundary"),
        ({"content": f"--x\r\n{PART}\r\n\r\nabc\r\n--x--", "headers": MULTIPART}, 422, "audio", "this is text"),
        ({"content": f"--x\r\n{PART}\r\n\r\nabc", "headers": MULTIPART}, 400, "body", "without its last boundary"),
        ({"content": CLIP, "params": {"model": "nobody"}}, 404, "model", "known: dense105"),
        ({"content": CLIP, "params": {"model": str(ARTIFACTS / "dense105")}}, 404, "model", "No model "),
        ({"content": CLIP, "params": {"model": "../dense105"}}, 404, "model", "No model "),
    ],
)
def test_what_is_refused_says_why(client, sent, status, code, message):
    response = client.post("/predict", **sent)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert message in response.json()["message"] and set(response.json()) == {"code", "message"}


def test_a_batch_needs_its_parts(client):
    assert client.post("/batch", json=["clip.wav"]).json()["code"] == "body"
    assert client.post("/batch?model=nobody", files={"files": ("a.wav", CLIP)}).status_code == 404
    assert client.post("/batch", content=CLIP).json()["code"] == "body"
    assert "no part 'files'" in client.post("/batch", files={"file": ("a.wav", CLIP)}).json()["message"]
    many = client.post("/batch", files=[("files", (f"{i}", b"x")) for i in range(101)])
    assert many.status_code == 400 and "more than 100 parts" in many.json()["message"]


def test_addresses_and_methods_that_are_not_there(client):
    assert client.get("/nothing").json()["code"] == "not_found"
    wrong = client.get("/predict")
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["Allow"]) == (405, "method", "POST")


@pytest.mark.parametrize("kind", ["audio/wav", "multipart/form-data; boundary=x"])
def test_a_body_that_is_too_large_is_not_read(client, kind):
    headers = {"Content-Type": kind, "Content-Length": str(MAX_BYTES + 10**6)}
    status, problem, read = asked(client.app, headers, [])
    assert (status, problem["code"], read) == (413, "too_large", 0)


def test_a_body_of_unknown_length_is_read_up_to_the_limit(client):
    status, problem, read = asked(client.app, {"Content-Type": "audio/wav"}, [bytes(2**20)] * 40)
    assert (status, problem["code"], read) == (413, "too_large", 26)
    assert "More than 25 MB" in problem["message"]


def test_a_recording_of_a_batch_may_not_be_larger_than_alone(client):
    response = client.post("/batch", files={"files": ("a.wav", bytes(MAX_BYTES + 1))})
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_a_slow_body_is_given_up():
    with made(Settings(upload_s=0.05)) as client:
        status, problem, _ = asked(client.app, {"Content-Type": "audio/wav"}, [CLIP[:100]])
    assert (status, problem["code"]) == (408, "slow")


def test_an_overdue_answer_is_given_up_and_the_next_one_given():
    with made(Settings(deadline_s=0)) as client:
        late = client.post("/predict", content=CLIP)
        assert (late.status_code, late.json()["code"], late.headers["Retry-After"]) == (503, "overdue", "5")
        client.app.state.service.workers.deadline_s = 30
        assert client.post("/predict", content=CLIP).status_code == 200


def test_a_full_house_says_when_to_come_again():
    with made(Settings(limits=Limits(client_requests=1))) as client:
        with client.websocket_connect("/stream"):
            refused = client.post("/predict", content=CLIP)
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert client.post("/predict", content=CLIP).status_code == 200
    with made(Settings(limits=Limits(requests=1))) as client, client.websocket_connect("/stream"):
        for refused in (client.post("/predict", content=CLIP), client.get("/health/ready")):
            assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "busy", "1")


# --- Who may ask ---


def test_a_key_is_asked_for_where_there_is_one():
    with made(Settings(key="open sesame")) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic open sesame"}):
            for address in ("/predict", "/batch", "/timeline"):
                refused = client.post(address, content=CLIP, headers=headers)
                assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
                assert "Send the header 'Authorization: Bearer KEY'" in refused.json()["message"]
        assert client.get("/metrics").status_code == client.get("/models").status_code == 401
        with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/stream"):
            pass
        assert closed.value.status_code == 401
        key = {"Authorization": "Bearer open sesame"}
        assert client.post("/predict", content=CLIP, headers=key).status_code == 200
        with client.websocket_connect("/stream", headers=key) as socket:
            socket.send_text('{"end": true}')
        assert client.get("/health/ready").status_code == 200
        assert client.get("/openapi.json").json()["paths"]["/predict"]["post"]["security"]


def test_without_a_key_none_is_promised(client):
    assert "security" not in client.get("/openapi.json").json()["paths"]["/predict"]["post"]


def test_other_pages_may_not_listen_in_unless_named(client, monkeypatch):
    page = {"Origin": "https://page.example"}
    assert "access-control-allow-origin" not in client.post("/predict", content=CLIP, headers=page).headers
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/stream", headers=page):
        pass
    assert closed.value.status_code == 403
    monkeypatch.setenv("SER_CORS_ORIGINS", "https://page.example, https://other.example")
    with TestClient(create_app()) as named:
        answer = named.post("/predict", content=CLIP, headers=page)
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        with named.websocket_connect("/stream", headers=page) as socket:
            socket.send_text('{"end": true}')
        strange = named.post("/predict", content=CLIP, headers={"Origin": "https://third.example"})
        assert "access-control-allow-origin" not in strange.headers


@pytest.mark.parametrize("origin", ["http://[", "http://testserver.example", "null", "testserver", ""])
def test_a_page_that_is_not_ours_is_refused(client, origin):
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/stream", headers={"Origin": origin}):
        pass
    assert closed.value.status_code == 403


@pytest.mark.parametrize("origin", ["http://testserver", "https://testserver"])
def test_a_page_of_this_host_may_listen_in(client, origin):
    with client.websocket_connect("/stream", headers={"Origin": origin}) as socket:
        socket.send_bytes(bytes(32_000))
        socket.send_text('{"end": true}')
        assert socket.receive_json()["reasons"]


@pytest.mark.parametrize("key", ["schlüssel", "ключ", "a key\n"])
def test_a_key_that_no_header_carries_is_refused(monkeypatch, key):
    monkeypatch.setenv("SER_API_KEY", key)
    with pytest.raises(
        ParameterError, match=r"SER_API_KEY has characters .+ accepted are .+ Choose another"
    ) as refused:
        create_app()
    assert key not in str(refused.value)


# --- Live sound ---


def heard(client: TestClient, query: str, pieces: list[bytes | str]) -> tuple[list[dict], int]:
    """All messages of a stream, and the code it was closed with."""
    messages = []
    with client.websocket_connect(f"/stream?{query}") as socket:
        for piece in pieces:
            (socket.send_text if isinstance(piece, str) else socket.send_bytes)(piece)
        try:
            while True:
                messages.append(socket.receive_json())
        except WebSocketDisconnect as closed:
            return messages, closed.code


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2), (8_000, 1)])
def test_a_stream_ends_with_the_answer_to_the_whole(client, recognizer, rate, channels):
    samples = np.tile((voice(2.6)[:, None] * 2**15).astype("<i2"), channels)
    pcm = samples.tobytes()
    pieces = [pcm[at : at + 5000] for at in range(0, len(pcm), 5000)]
    messages, code = heard(client, f"rate={rate}&channels={channels}", [*pieces, '{"end": true}'])
    *running, last = messages
    duration_s = len(samples) / rate
    assert code == 1000 and last.pop("t_s") == pytest.approx(duration_s)
    assert last == superset(recognizer.predict(wav(samples, rate)).to_dict())
    assert [one["t_s"] for one in running] == [0.25 * i for i in range(1, int(duration_s * 4) + 1)]
    first = samples[: rate // 4]
    assert running[0] == {"t_s": 0.25, **superset(recognizer.predict(wav(first, rate)).to_dict())}


@pytest.mark.parametrize(
    ("query", "pieces", "code", "message"),
    [
        ("rate=7000", [], "parameter", "rate=7000: accepted are 8000 to 192000 Hz"),
        ("rate=many", [], "parameter", "rate=many: expected a whole number"),
        ("channels=99", [], "parameter", "channels=99: accepted are 1 to 8"),
        ("model=nobody", [], "model", "No model 'nobody'"),
        ("", ["stop"], "parameter", 'the only text is {"end": true}'),
        ("", ["[" * 100_000], "parameter", "the only text is"),
        ("", ['{"end": true}'], "audio", "holds no samples"),
        ("", ['{"end": false}'], "parameter", "the only text is"),
        ("", ["[]"], "parameter", "the only text is"),
        ("", [b"\x01", '{"end": true}'], "audio", "holds no samples"),
        ("rate=-16000", [], "parameter", "rate=-16000: expected a whole number"),
        ("rate=", [], "parameter", "expected a whole number"),
    ],
)
def test_a_stream_is_refused_with_a_sentence(client, query, pieces, code, message):
    messages, closed = heard(client, query, pieces)
    assert closed == 1008 and messages[-1]["code"] == code and message in messages[-1]["message"]


def test_an_odd_byte_ends_no_stream(client, recognizer):
    """Half a sample that arrives is completed by the next message, or forgotten at the end."""
    samples = (voice(1.0) * 2**15).astype("<i2")
    pcm = samples.tobytes()
    messages, code = heard(client, "", [pcm[:7777], pcm[7777:] + b"\x01", '{"end": true}'])
    assert code == 1000 and messages[-1] == {"t_s": 1.0, **superset(recognizer.predict(wav(samples)).to_dict())}


def test_a_client_that_leaves_a_stream_leaves_its_place(client):
    with client.websocket_connect("/stream") as socket:
        socket.send_bytes(bytes(32_000))
        socket.receive_json()
    assert client.get("/health/ready").status_code == 200
    assert client.app.state.service.gate.n_requests == 0


# --- What is kept ---


def opened_for_writing() -> tuple[list, list]:
    """A list that fills with what this process opens for writing, and a switch: anything in it turns it off."""
    found, off = [], []

    def hook(event: str, arguments: tuple) -> None:
        if event == "open" and not off:
            flags = arguments[2] or 0
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or "w" in str(arguments[1]):
                found.append(arguments)

    sys.addaudithook(hook)
    return found, off


def test_uploads_never_touch_the_disk(client, tmp_path, monkeypatch):
    """Megabytes in each way in, while what is opened for writing is noted, in the temporary folder first of all."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    big, half = (wav(np.zeros((n_frames, 2), "int16"), 48_000) for n_frames in (5_000_000, 1_000_000))
    assert 19 * 2**20 < len(big) < MAX_BYTES
    found, off = opened_for_writing()
    try:
        assert client.post("/predict", files={"file": ("a.wav", big)}).json()["reasons"] == ["silent"]
        assert client.post("/predict", content=big).json()["reasons"] == ["silent"]
        assert len(client.post("/batch", files=[("files", ("a", half)), ("files", ("b", half))]).json()) == 2
        assert len(heard(client, "rate=48000&channels=2", [half[44:], '{"end": true}'])[0]) == 84
        assert found == [] and list(tmp_path.iterdir()) == []
        (tmp_path / "seen").write_text("")
        assert len(found) == 1
    finally:
        off.append(True)


def test_the_log_is_json_and_names_nobody(client, caplog):
    caplog.set_level(logging.INFO, "ser.service")
    client.post("/predict", files={"file": (f"{SECRET}.wav", CLIP)}, headers={"X-Request-ID": "mine-1"})
    client.post(f"/predict?model={SECRET}", files={"file": (SECRET, b"text")}, headers={"X-Request-ID": SECRET * 9})
    client.get(f"/{SECRET}")
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records if record.name == "ser.service"]
    assert SECRET not in json.dumps(lines)
    assert [(line["route"], line["status"]) for line in lines] == [("/predict", 200), ("/predict", 404), ("other", 404)]
    assert lines[0]["id"] == "mine-1" and len(lines[1]["id"]) == 32
    assert set(lines[0]) == {"time", "level", "event", "id", "route", "method", "status", "ms"}


def test_every_answer_carries_the_id_of_its_request(client):
    for path, status in (("/health", 200), ("/nothing", 404)):
        given = client.get(path, headers={"X-Request-ID": "a.b-c_1"})
        assert (given.status_code, given.headers["X-Request-ID"]) == (status, "a.b-c_1")
        made_up = client.get(path, headers={"X-Request-ID": "with spaces"}).headers["X-Request-ID"]
        assert made_up != client.get(path).headers["X-Request-ID"] and len(made_up) == 32


def test_connections_are_handed_back_now_and_then(client):
    """Else the clients of a worker that died would stay with the other one for good."""
    often = TestClient(Access(client.app, requests_a_connection=2))
    closed = ["close" in often.get("/health").headers.get("Connection", "") for _ in range(64)]
    assert any(closed) and not all(closed)


def test_a_fault_shows_no_traceback(caplog):
    """A layer of ours that breaks: its place is in the log, neither its message nor a traceback reaches anyone."""

    async def broken(scope, receive, send):
        raise RuntimeError(SECRET)

    with caplog.at_level(logging.ERROR, "ser.service"):
        response = TestClient(Access(broken)).get("/predict")
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert response.headers["X-Request-ID"] in response.json()["message"]
    assert SECRET not in response.text and "Traceback" not in response.text
    line = json.loads(JsonLines().format(next(one for one in caplog.records if one.message == "fault")))
    assert line["kind"] == "RuntimeError" and "test_app.py" in line["place"][-1] and SECRET not in json.dumps(line)


# --- What is counted ---


def test_answers_and_refusals_are_counted(client):
    def total(samples: dict, name: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(value for (found, *pairs), value in samples.items() if found == name and wanted <= set(pairs))

    before = counted(client)
    answer = client.post("/predict", content=CLIP).json()
    client.post("/predict", content=b"text")
    heard(client, "", [bytes(32_000), '{"end": true}'])
    after = counted(client)

    def gained(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    uncertain = str(answer["uncertain"]).lower()
    assert gained("ser_answers_total", model="dense105", label=answer["label"], uncertain=uncertain) >= 1
    assert gained("ser_answers_total") == 2  # the recording, and the whole of the stream
    assert gained("ser_reasons_total", reason="silent") == 1
    assert gained("ser_sound_seconds_total") == pytest.approx(4.5)
    assert gained("ser_confidence_count") == 1
    assert gained("ser_answers_total", label="silent") == 1  # no emotion is likelier than another
    assert gained("ser_observed_total", quantity="label") == 1  # silence is not observed
    assert gained("ser_refusals_total", code="audio") == 1
    assert gained("ser_requests_total", route="/predict", status="422") == 1
    assert gained("ser_request_seconds_count", route="/predict") == 2
    assert total(after, "ser_in_hand") == 1  # the one that asks


def test_drift_shows_from_a_hundred_answers_on(client):
    for _ in range(100):
        client.post("/predict", content=CLIP)
    found = counted(client)
    for quantity in ("label", "features", "distance"):
        assert found["ser_drift", ("model", "dense105"), ("quantity", quantity)] > 0.25  # always the same clip
    shares = {key: value for key, value in found.items() if key[0] == "ser_expected_share"}
    assert sum(value for key, value in shares.items() if ("quantity", "label") in key) >= 1


# --- The contract and the process ---


def test_every_address_is_described(client):
    described = client.get("/openapi.json").json()
    wanted = {"/predict", "/batch", "/timeline", "/models", "/health", "/health/live", "/health/ready", "/metrics"}
    assert set(described["paths"]) == wanted
    predict = described["paths"]["/predict"]["post"]
    assert {"multipart/form-data", "audio/wav"} <= set(predict["requestBody"]["content"])
    assert {"200", "400", "404", "408", "413", "422", "429", "503"} <= set(predict["responses"])
    assert "WS /stream" in described["info"]["description"]
    assert "swagger" in client.get("/docs").text


def test_a_process_that_serves_stays_light():
    code = f"""
import sys
from starlette.testclient import TestClient
from ser.service.app import create_app
with TestClient(create_app()) as client:
    assert client.post("/predict", content=open({str(SAMPLES[0])!r}, "rb").read()).status_code == 200
print(*{{name.split(".")[0] for name in sys.modules}})
"""
    folder = Path(ser.__file__).parents[1]
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, check=True, text=True)
    assert not set(ran.stdout.split()) & HEAVY
