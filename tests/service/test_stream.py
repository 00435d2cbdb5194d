"""Live sound over a WebSocket."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import soxr
from golden.make import RATE, voice
from service_client import SPOKEN, as_answer, stream_messages, wav
from starlette.websockets import WebSocketDisconnect
from webm import OPUS_RATE, webm

from ser.audio.loading import load_waveform
from ser.features.voice105 import WINDOW_S
from ser.inference import live
from ser.inference.live import most_bytes
from ser.types import Waveform

SPOKEN_48 = (soxr.resample(SPOKEN[0], RATE, OPUS_RATE)[:, None] * 2**15).astype("<i2")
WEBM = webm(SPOKEN_48[:OPUS_RATE])


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
        ("format=ogg", [], "parameter", "format=ogg: expected pcm or webm"),
        (
            "rates=8000",
            [],
            "parameter",
            "Unknown parameter 'rates'; known: adapt, channels, format, model, rate. Did you",
        ),
        ("format=webm", [bytes(8)], "audio", "With format=webm a stream begins like WebM, this like PCM."),
        ("format=webm", [b"OggS", bytes(40)], "audio", "this like OGG. Record with the type audio/webm"),
        ("format=webm", [b"\0\0\0\x18ftypmp42"], "audio", "this like MP4/M4A"),
        ("format=webm", [WEBM[:2], b"no"], "audio", "this like PCM"),
        ("format=webm", [WEBM[:200], '{"end": true}'], "audio", "WebM"),
        ("format=webm", ['{"end": true}'], "audio", "the file is empty"),
        ("format=webm", [b"", '{"end": true}'], "audio", "the file is empty"),
    ],
)
def test_invalid_streams_get_an_error(client, query, pieces, code, message):
    messages, closed = stream_messages(client, query, pieces)
    assert closed == 1008 and messages[-1]["code"] == code and message in messages[-1]["message"]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (wav(np.zeros(800)), "WAV"),
        (b"RF64\xff\xff\xff\xffWAVE", "WAV"),
        (b"OggS\0\2\0\0", "OGG"),
        (b"ID3\4\0\0\0\0", "MP3"),
        (b"fLaC\0\0\0\x22", "FLAC"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81", "WebM"),
        (b"\0\0\0\x1cftypM4A ", "MP4/M4A"),
    ],
)
def test_a_file_is_no_pcm(client, head, name):
    """In one message or in pieces."""
    for pieces in ([head + bytes(16_000)], [bytes([byte]) for byte in head[:8]]):
        messages, closed = stream_messages(client, "", pieces)
        assert closed == 1008 and [message["code"] for message in messages] == ["audio"]
        assert messages[0]["message"].startswith(f"This begins like {name}; a stream is 16-bit little-endian PCM")
        assert "/stream?format=webm" in messages[0]["message"]


@pytest.mark.parametrize("rate", [8000, 192_000])
def test_a_stream_ends_at_its_limit_with_an_answer(client, recognizer, rate):
    """At 120 s, or at 25 MB, to the sound before it, however the messages lie."""
    channels = 1 if rate == 8000 else 8
    second = np.tile((voice(1.0)[: rate // 16, None] * 2**15).astype("<i2"), (16, channels))[:rate]
    most = most_bytes(rate, channels)
    whole = (second.tobytes() * 120)[:most]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "STEP_S", 100.0)  # so that few windows are answered
        pieces = [whole[at : at + 2**20] for at in range(0, most, 2**20)]
        exact, code = stream_messages(client, f"rate={rate}&channels={channels}", [*pieces, '{"end": true}'])
        assert code == 1000 and "limit" not in exact[-1]
        beyond, code = stream_messages(client, f"rate={rate}&channels={channels}", [*pieces, second.tobytes()])
    limit = beyond[-1].pop("limit")
    assert code == 1000 and exact[-1] == beyond[-1]
    frames = np.frombuffer(whole, "<i2").reshape(-1, channels)
    expected = as_answer(recognizer.predict(wav(frames, rate)).to_dict())
    assert exact[-1] == {"t_s": len(frames) / rate, **expected}
    assert (
        limit
        == f"This is the answer to the first {len(frames) / rate:.0f} s, the most of one stream; what came "
        + ("after is left out. Open another.")
    )


# --- WebM of a browser ---


@pytest.mark.slow
@pytest.mark.parametrize(("samples", "piece"), [(SPOKEN_48, 300), (np.tile(SPOKEN_48, 2), 2000), (SPOKEN_48, 10**6)])
def test_webm_is_answered_as_it_arrives(client, recognizer, samples, piece):
    sent = webm(samples)
    pieces = [sent[at : at + piece] for at in range(0, len(sent), piece)]
    messages, code = stream_messages(client, "format=webm", [*pieces, '{"end": true}'])
    *running, last = messages
    duration_s = len(samples) / OPUS_RATE
    assert code == 1000 and last.pop("t_s") == pytest.approx(duration_s, abs=0.03)
    assert last == as_answer(recognizer.predict(sent).to_dict())
    assert [message["t_s"] for message in running] == [0.25 * i for i in range(1, int(duration_s * 4) + 1)]
    heard = load_waveform(sent, recognizer.sample_rate).samples
    for message in (running[3], running[-1]):
        end = round(message["t_s"] * recognizer.sample_rate)
        window = Waveform(heard[max(0, end - round(WINDOW_S * recognizer.sample_rate)) : end], recognizer.sample_rate)
        expected = recognizer.predict(window).probabilities
        assert message["probabilities"] == pytest.approx(expected, abs=0.1) and message["duration_s"] <= WINDOW_S


@pytest.mark.slow
def test_an_answer_comes_with_the_chunk_that_it_is_due_at(client):
    """A second and a half of sound gives the answer to its first second, without waiting for more."""
    sent = webm(SPOKEN_48)
    with client.websocket_connect("/stream?format=webm") as socket:
        socket.send_bytes(sent[: len(sent) * 3 // 7])
        assert [socket.receive_json()["t_s"] for _ in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.slow
def test_a_webm_beyond_the_limit_ends_with_an_answer(client, monkeypatch):
    monkeypatch.setattr(live, "MAX_PREDICT_S", 2.0)
    messages, code = stream_messages(client, "format=webm", [webm(SPOKEN_48)])
    assert code == 1000 and messages[-1]["t_s"] == messages[-1]["duration_s"] == 2.0
    assert messages[-1]["limit"].startswith("This is the answer to the first 2 s")
    monkeypatch.setattr(live, "MAX_BYTES", 20_000)
    sent = webm(SPOKEN_48)
    messages, code = stream_messages(client, "format=webm", [sent[:15_000], sent[15_000:]])
    assert code == 1000 and messages[-1]["limit"] and messages[-1]["duration_s"] < 2.0


@pytest.mark.slow
def test_a_webm_that_is_damaged_is_answered_as_its_bytes_are(client, recognizer):
    sent = bytearray(webm(SPOKEN_48))
    sent[len(sent) // 2 : len(sent) // 2 + 400] = b"\xff" * 400
    messages, code = stream_messages(client, "format=webm", [bytes(sent[:9000]), bytes(sent[9000:]), '{"end": true}'])
    last = messages[-1]
    assert code == 1000 and last.pop("t_s") and last == as_answer(recognizer.predict(bytes(sent)).to_dict())


@pytest.mark.slow
def test_streams_leave_no_thread(client):
    before = {thread.ident for thread in threading.enumerate()}
    with client.websocket_connect("/stream?format=webm") as socket:
        socket.send_bytes(webm(SPOKEN_48)[:9000])
        socket.receive_json()
    for query, pieces in (("format=webm", [WEBM, "no"]), ("format=webm&model=unknown", [])):
        stream_messages(client, query, pieces)
    until = time.monotonic() + 5
    while left := [each.name for each in threading.enumerate() if each.ident not in before and each.name == "webm"]:
        assert time.monotonic() < until, left
        time.sleep(0.01)
    assert not client.app.state.service.limiter._bytes


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
