"""Live sound over a WebSocket."""

from __future__ import annotations

import numpy as np
import pytest
from golden.make import voice
from service_client import as_answer, stream_messages, wav
from starlette.websockets import WebSocketDisconnect


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2), (8_000, 1)])
def test_a_stream_ends_with_the_prediction_for_all_its_sound(client, recognizer, rate, channels):
    samples = np.tile((voice(2.6)[:, None] * 2**15).astype("<i2"), channels)
    pcm = samples.tobytes()
    pieces = [pcm[at : at + 5000] for at in range(0, len(pcm), 5000)]
    messages, code = stream_messages(client, f"rate={rate}&channels={channels}", [*pieces, '{"end": true}'])
    *running, last = messages
    duration_s = len(samples) / rate
    assert code == 1000 and last.pop("t_s") == pytest.approx(duration_s)
    assert last == as_answer(recognizer.predict(wav(samples, rate)).to_dict())
    assert [message["t_s"] for message in running] == [0.25 * i for i in range(1, int(duration_s * 4) + 1)]
    first = samples[: rate // 4]
    assert running[0] == {"t_s": 0.25, **as_answer(recognizer.predict(wav(first, rate)).to_dict())}


@pytest.mark.parametrize(
    ("query", "pieces", "code", "message"),
    [
        ("rate=7000", [], "parameter", "rate=7000: accepted are 8000 to 192000 Hz"),
        ("rate=many", [], "parameter", "rate=many: expected a whole number"),
        ("channels=99", [], "parameter", "channels=99: accepted are 1 to 8"),
        ("model=unknown", [], "model", "No model 'unknown'"),
        (f"model={'ключ' * 30}", [], "model", "No model 'ключ"),
        ("", ["stop"], "parameter", 'the only text is {"end": true}'),
        ("", ["[" * 100_000], "parameter", "the only text is"),
        ("", ['{"end": true}'], "audio", "holds no samples"),
        ("", ['{"end": false}'], "parameter", "the only text is"),
        ("", ["[]"], "parameter", "the only text is"),
        ("", [b"\x01", '{"end": true}'], "audio", "holds no samples"),
        ("rate=-16000", [], "parameter", "rate=-16000: expected a whole number"),
        ("rate=", [], "parameter", "expected a whole number"),
        ("adapt=room", [], "parameter", "adapt=room: expected self or none"),
    ],
)
def test_invalid_streams_get_an_error(client, query, pieces, code, message):
    messages, closed = stream_messages(client, query, pieces)
    assert closed == 1008 and messages[-1]["code"] == code and message in messages[-1]["message"]


def test_half_samples_are_completed_or_dropped(client, recognizer):
    """Half a sample is completed by the next message, or dropped at the end."""
    samples = (voice(1.0) * 2**15).astype("<i2")
    pcm = samples.tobytes()
    messages, code = stream_messages(client, "", [pcm[:7777], pcm[7777:] + b"\x01", '{"end": true}'])
    assert code == 1000 and messages[-1] == {"t_s": 1.0, **as_answer(recognizer.predict(wav(samples)).to_dict())}


def test_a_client_that_leaves_a_stream_frees_its_slot(client):
    with client.websocket_connect("/stream") as socket:
        socket.send_bytes(bytes(32_000))
        socket.receive_json()
    assert client.get("/health/ready").status_code == 200
    assert not client.app.state.service.limiter._requests


@pytest.mark.parametrize("origin", ["http://[", "http://testserver.example", "null", "testserver", ""])
def test_a_page_of_another_host_may_not_stream(client, origin):
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/stream", headers={"Origin": origin}):
        pass
    assert closed.value.status_code == 403


@pytest.mark.parametrize("origin", ["http://testserver", "https://testserver"])
def test_a_page_of_this_host_may_stream(client, origin):
    with client.websocket_connect("/stream", headers={"Origin": origin}) as socket:
        socket.send_bytes(bytes(32_000))
        socket.send_text('{"end": true}')
        assert socket.receive_json()["reasons"]
