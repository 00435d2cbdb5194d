"""What the service is made of: its gate, its threads, live sound, drift, and names of uploads."""

from __future__ import annotations

import asyncio
import io
import math
import re
from collections import Counter

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, voice

import ser
from ser.audio.loading import MAX_PREDICT_S
from ser.audio.pcm import wav_header
from ser.drift import bins, expected, stability_index
from ser.inference.artifact import find
from ser.inference.live import Stream
from ser.inference.manifest import read_manifest
from ser.inference.novelty import Novelty, fit_threshold
from ser.service.errors import CODES, KINDS, RETRY_AFTER_S, Refusal
from ser.service.limits import Gate, Limits
from ser.service.server import bound, netloc, serve
from ser.service.uploads import base_name
from ser.service.workers import Workers, answer, hear
from ser.timeline.segments import timeline
from ser.types import AudioError, ParameterError, Prediction


@pytest.fixture(scope="module")
def recognizer() -> ser.Recognizer:
    return ser.load("dense105")


def pcm(duration_s: float, channels: int = 1) -> bytes:
    samples = np.tile((voice(duration_s)[:, None] * 2**15).astype("<i2"), channels)
    return samples.tobytes()


def wav(duration_s: float) -> bytes:
    data = pcm(duration_s)
    return wav_header(RATE, 1, len(data)) + data


# --- The gate ---


def test_a_client_has_a_share_of_requests_and_leaves_the_rest():
    gate = Gate(Limits(requests=3, client_requests=2))
    with gate.enter("a"), gate.enter("a"):
        with pytest.raises(Refusal, match="2 requests in hand") as refused:
            gate.enter("a")
        assert (refused.value.status, refused.value.headers()["Retry-After"]) == (429, "1")
        with gate.enter("b"):
            assert gate.is_full
            with pytest.raises(Refusal, match="as much in hand as it takes") as refused:
                gate.enter("c")
            assert refused.value.status == 503
    assert not gate.is_full and gate.n_requests == 0
    gate.enter("c")


def test_bytes_in_hand_are_bounded_and_let_go():
    gate = Gate(Limits(held_bytes=100, client_bytes=60))
    with gate.enter("a") as visit, gate.enter("b") as other:
        visit.hold(60)
        with pytest.raises(Refusal, match="the most for one") as refused:
            visit.hold(1)
        assert refused.value.code == "too_many"
        with pytest.raises(Refusal, match="as much in hand") as refused:
            other.hold(50)
        assert refused.value.code == "busy"
        visit.drop()
        other.hold(50)
    with gate.enter("a") as visit:
        visit.hold(60)


def test_the_gate_forgets_clients_that_left():
    gate = Gate(Limits())
    for address in range(100):
        with gate.enter(str(address)) as visit:
            visit.hold(5)
    assert not gate._requests and not gate._bytes


def test_every_refusal_has_a_status_and_a_meaning():
    assert set(KINDS.values()) | set(RETRY_AFTER_S) <= set(CODES)
    assert all(400 <= status < 600 and meaning.endswith(".") for status, meaning in CODES.values())
    assert Refusal.of(AudioError("a: no sound.")).to_dict() == {"code": "audio", "message": "a: no sound."}


# --- The threads ---


def test_the_threads_give_the_answer_of_the_core(recognizer):
    data = wav(7.0)
    assert answer(recognizer, io.BytesIO(data), lambda: None) == recognizer.predict(data)


def test_decoding_ends_between_blocks(recognizer):
    """A recording of 60 s is twelve blocks or more; it is given up at the third look at the clock."""
    looks = []

    def check() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise Refusal("overdue", "late")

    with pytest.raises(Refusal, match="late"):
        answer(recognizer, wav(60.0), check)
    assert len(looks) == 3


def test_a_timeline_is_that_of_the_core_and_ends_between_blocks(recognizer):
    data = wav(60.0)
    assert hear(recognizer, io.BytesIO(data), lambda: None) == timeline(data, recognizer)
    looks = []

    def check() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise Refusal("overdue", "late")

    with pytest.raises(Refusal, match="late"):
        hear(recognizer, data, check)
    assert len(looks) == 3


def test_an_overdue_answer_frees_its_thread(recognizer):
    """One thread, given a minute of sound and no time; the next recording finds it free."""

    async def both() -> ser.Prediction:
        late, punctual = Workers(1e-4, threads=1), Workers(30, threads=1)
        late._pool, spare = punctual._pool, late._pool
        with pytest.raises(Refusal, match=r"No answer within 0\.0001 s") as refused:
            await late.answer(recognizer, wav(60.0))
        assert (refused.value.status, refused.value.headers()["Retry-After"]) == (503, "5")
        found = await punctual.answer(recognizer, wav(2.0))
        spare.shutdown()
        punctual.close()
        return found

    assert asyncio.run(both()) == recognizer.predict(wav(2.0))


def test_what_nobody_waits_for_ends(recognizer):
    async def cancelled() -> float:
        workers = Workers(30, threads=1)
        waiting = asyncio.ensure_future(workers.answer(recognizer, wav(100.0)))
        await asyncio.sleep(0.005)
        waiting.cancel()
        found = await workers.answer(recognizer, wav(1.0))
        workers.close()
        return found.duration_s

    assert asyncio.run(cancelled()) == 1.0


# --- Live sound ---


@pytest.mark.parametrize("piece", [1, 7, 3200, 8000, 10**6])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
def test_a_stream_is_the_same_in_pieces_of_any_size(rate, channels, piece):
    sound = pcm(0.1 if piece == 1 else 2.0, channels)
    whole, cut = Stream(rate, channels), Stream(rate, channels)
    expected_due = list(whole.add(sound))
    found_due = [due for at in range(0, len(sound), piece) for due in cut.add(sound[at : at + piece])]
    assert found_due == expected_due and cut.whole() == whole.whole()
    assert all(t_s * 4 == round(t_s * 4) for t_s, _ in found_due)


def test_a_stream_answers_four_times_a_second_on_the_last_window():
    stream, sound = Stream(RATE, 1), pcm(6.0)
    due = list(stream.add(sound))
    assert [t_s for t_s, _ in due] == [0.25 * i for i in range(1, 25)]
    samples, rate = sf.read(io.BytesIO(due[-1][1]), dtype="int16")
    assert rate == RATE and samples.tobytes() == sound[-2 * round(3.5 * RATE) :]
    samples, _ = sf.read(io.BytesIO(due[0][1]), dtype="int16")
    assert samples.tobytes() == sound[: 2 * RATE // 4]


def test_a_stream_ends_with_all_its_sound():
    stream, sound = Stream(RATE, 2), pcm(1.3, 2)
    list(stream.add(sound + b"\x01"))  # and a byte of a frame that never came
    t_s, found = stream.whole()
    assert t_s == pytest.approx(1.3) and found == wav_header(RATE, 2, len(sound)) + sound


def test_a_long_stream_keeps_no_more_than_a_recording_may_have(recognizer):
    stream = Stream(8000, 1)
    for _ in range(130):
        list(stream.add(bytes(2 * 8000)))
    assert stream.t_s == 130 and stream.held_bytes < 2 * 8000 * (MAX_PREDICT_S + 6)
    with pytest.raises(AudioError, match="or use `timeline` of the command line"):
        recognizer.predict(stream.whole()[1])


@pytest.mark.parametrize(
    ("rate", "channels", "message"),
    [(7999, 1, "rate=7999"), (192_001, 1, "8000 to 192000 Hz"), (16_000, 0, "channels=0"), (16_000, 9, "1 to 8")],
)
def test_a_stream_keeps_to_the_limits(rate, channels, message):
    with pytest.raises(ParameterError, match=message):
        Stream(rate, channels)


# --- Drift ---


@pytest.mark.parametrize("model", ["dense105", "voice"])
def test_what_is_expected_comes_from_the_manifest(model):
    manifest = read_manifest(find(model))
    found = expected(manifest)
    assert {"label", "features"} <= set(found)
    assert all(math.isclose(sum(shares.values()), 1) for shares in found.values())
    assert list(found["label"]) == manifest["labels"]


def test_confidences_are_counted_as_they_were_measured():
    manifest = read_manifest(find("voice"))
    measured = manifest["metrics"]["reliability"]
    share = sum(n for mean, n in zip(measured["confidence"], measured["count"], strict=True) if mean >= 0.8)
    assert expected(manifest)["confidence"]["0.8-1.0"] == share / sum(measured["count"])
    assert bins(answered("happy", 1.0), manifest)["confidence"] == "0.8-1.0"
    assert bins(answered("sad", 0.2), manifest)["confidence"] == "0.2-0.4"


def test_silence_says_nothing_of_drift():
    assert bins(answered("neutral", 0.125, "silent"), {}) == {}
    assert bins(answered("neutral", 0.5, "unlike_training"), {})["features"] == "unlike_training"


def test_distances_are_counted_in_tenths_of_the_training(rng):
    """The recordings of left-out speakers themselves fall evenly, and others do not."""
    rows = [rng.normal(size=(200, 5)) for _ in range(2)]
    manifest = {"metrics": {}, "novelty": fit_threshold([(rows[0], rows[1]), (rows[1], rows[0])])}
    shares = expected(manifest)["distance"]
    assert list(shares) == [str(rank) for rank in range(1, 11)] and set(shares.values()) == {0.1}
    near = np.concatenate([Novelty.fitted(one).distance(other) for one, other in (rows, rows[::-1])])
    assert stability_index(shares, tenths(near, manifest)) == pytest.approx(0, abs=1e-3)
    assert stability_index(shares, tenths(1.5 * near, manifest)) > 0.25
    assert bins(answered("sad", 0.5, distance=0.0), manifest)["distance"] == "1"
    assert bins(answered("sad", 0.5, distance=99.0), manifest)["distance"] == "10"


def test_a_model_that_stored_no_distances_has_no_index_of_them():
    manifest = {"metrics": {}, "novelty": {"threshold": 1.5}}
    assert list(expected(manifest)) == ["features"]
    assert set(bins(answered("sad", 0.5, distance=1.0), manifest)) == {"label", "confidence", "features"}
    told = {**manifest, "novelty": {"deciles": [0.5] * 9}}
    assert "distance" not in bins(answered("sad", 0.5), told)  # asked of a recogniser that does not tell it


def tenths(distances: np.ndarray, manifest: dict) -> Counter:
    found = (bins(answered("sad", 0.5, distance=float(one)), manifest) for one in distances)
    return Counter(one["distance"] for one in found)


def answered(label: str, confidence: float, *reasons: str, distance: float | None = None) -> Prediction:
    return Prediction(label, {label: confidence}, reasons, 1.0, "voice", distance=distance)


def test_stability_index_by_hand():
    shares = {"a": 0.5, "b": 0.5}
    assert stability_index(shares, {"a": 60, "b": 40}) == pytest.approx(
        0.1 * math.log(0.6 / 0.5) - 0.1 * math.log(0.4 / 0.5)
    )
    assert stability_index(shares, {"a": 50, "b": 50}) == 0
    assert stability_index(shares, {"a": 99}) is None
    assert stability_index(shares, {"a": 100}) > 2  # finite, though a bin is empty


# --- Doors ---


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.wav", "a.wav"),
        ("/home/me/a.wav", "a.wav"),
        (r"C:\voices\a.wav", "a.wav"),
        ("", None),
        (None, None),
    ],
)
def test_names_lose_their_folders(sent, kept):
    assert base_name(sent) == kept


def test_a_taken_port_says_so():
    with bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ParameterError, match=rf"127.0.0.1:{port}: Address already in use. Choose another --port"):
            bound("127.0.0.1", port).__enter__()


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 70_000), ("no.such.host.invalid", 0), ("203.0.113.1", 0), ("2001:db8::1", 0)]
)
def test_an_address_that_cannot_be_had_says_so(host, port):
    with pytest.raises(ParameterError, match=re.escape(f"Cannot listen on {netloc(host, port)}: ")):
        bound(host, port).__enter__()


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1:8000"), ("::1", "[::1]:8000"), ("a.example", "a.example:8000")]
)
def test_an_address_is_shown_as_in_a_url(host, shown):
    assert netloc(host, 8000) == shown


def test_what_listens_tells_a_url_that_is_one(monkeypatch):
    """On a socket that stands for one of IPv6, which not every machine has."""
    monkeypatch.setenv("SER_MODEL", "dense105")
    monkeypatch.setattr("ser.service.server.bound", lambda host, port: bound("127.0.0.1", port))
    with pytest.raises(Told, match=r"^http://\[::1\]:\d+$"):
        serve("::1", 0, 1, "dense105", told)


def test_a_key_that_no_client_could_send_is_refused_before_anything_listens(monkeypatch):
    monkeypatch.setenv("SER_API_KEY", "schlüssel")
    monkeypatch.setenv("SER_MODEL", "dense105")
    with pytest.raises(ParameterError, match="SER_API_KEY has characters that no header carries"):
        serve("127.0.0.1", 0, 2, "dense105", told)


class Told(Exception):
    """Ends a service where it would begin to answer."""


def told(url: str) -> None:
    raise Told(url)


def test_workers_without_a_folder_for_their_counts_say_so(monkeypatch):
    """As in a container whose temporary folder cannot be written."""
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    monkeypatch.setenv("SER_MODEL", "dense105")
    with pytest.raises(ParameterError, match=r"a folder for their counts: .+\. Set TMPDIR, or use --workers 1"):
        serve("127.0.0.1", 0, 2, "dense105")
