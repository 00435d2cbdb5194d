"""Routes: predictions, batches, timelines, models and health."""

from __future__ import annotations

import asyncio
import io
import time

import httpx2
import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE
from service_client import (
    CLIP,
    SAMPLES,
    SPEECH,
    TALK,
    as_answer,
    new_client,
    wav,
)

import ser
from ser.inference.artifact import known
from ser.service import schemas
from ser.service.settings import Settings
from ser.timeline.formats import WRITERS, write

TIMELINE_KEYS = {"file", "duration_s", "segments", "share", "model", "cut_off", "adapted", "track"}
LONG = wav(np.tile(SPEECH, 480 * RATE // len(SPEECH)))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_prediction_equals_the_recognizers(client, recognizer, sample):
    prediction = recognizer.predict(sample.read_bytes()).to_dict()
    response = client.post("/predict", files={"file": (f"/somewhere/{sample.name}", sample.read_bytes())})
    assert response.status_code == 200 and response.json() == as_answer({**prediction, "file": sample.name})
    raw = client.post("/predict", content=sample.read_bytes(), headers={"Content-Type": "audio/flac"})
    assert raw.json() == as_answer(prediction)


@pytest.mark.slow
def test_a_batch_adapts_to_its_recordings(client):
    """As the recogniser does, if at least three hold speech; what is not sound does not count."""
    voice, spoken = ser.load("voice"), [path for path in SAMPLES if path.stem != "music"]
    adapted = voice.adapted(spoken, name="batch")
    sent = [("files", (path.name, path.read_bytes())) for path in SAMPLES]
    sent.append(("files", ("notes.txt", b"not a sound")))
    answers = client.post("/batch?model=voice&adapt=source", files=sent).json()
    assert answers.pop()["code"] == "audio"
    for path, answer in zip(SAMPLES, answers, strict=True):
        expected = adapted.predict(path).to_dict()
        assert answer["adapted"] == {"source": "batch", "clips": len(spoken)} == expected["adapted"]
        assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
    plain = client.post("/batch?model=voice", files=sent[:4]).json()
    few = client.post("/batch?model=voice&adapt=source", files=sent[:2]).json()
    assert {answer["adapted"] for answer in (*plain, *few)} == {None}
    default = client.post("/batch?adapt=source", files=sent[:-1]).json()
    assert {(answer["model"], answer["adapted"]["source"]) for answer in default} == {("dense105", "batch")}
    assert client.post("/batch?adapt=room", files=sent[:1]).status_code == 422


@pytest.mark.slow
def test_a_batch_adapts_to_the_channels_that_it_answers(client):
    spoken = [path for path in SAMPLES if path.stem != "music"][:3]
    sounds = [sf.read(path)[0] for path in spoken]
    stereo = [wav(np.stack([sound, 0.5 * sound[::-1]], axis=1)) for sound in sounds]
    sent = [("files", (f"{number}.wav", data)) for number, data in enumerate(stereo)]
    left = client.post("/batch?model=voice&adapt=source&channels=left", files=sent).json()
    expected = ser.load("voice").adapted([wav(sound) for sound in sounds], name="batch").predict(wav(sounds[0]))
    assert left[0]["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
    each = client.post("/batch?model=voice&adapt=source&channels=each", files=sent).json()
    assert each[0]["adapted"]["clips"] == 3  # both channels of a recording count once


@pytest.mark.slow
def test_a_profile_is_that_of_the_default_model(tmp_path, monkeypatch):
    spoken = [path for path in SAMPLES if path.stem != "music"]
    adapted = ser.load("voice").adapted(spoken, name="calls")
    adapted.profile.save(tmp_path / "calls.profile")
    monkeypatch.setenv("SER_PROFILE", str(tmp_path / "calls.profile"))
    monkeypatch.setenv("SER_MODEL", "voice")
    with new_client(Settings()) as client:
        answer = client.post("/predict", content=CLIP).json()
        assert answer == as_answer(adapted.predict(CLIP).to_dict())
        assert answer["adapted"] == {"source": "calls", "clips": len(spoken)}
        other = client.post("/predict?model=dense105", content=CLIP).json()
        assert (other["model"], other["adapted"]) == ("dense105", None)


@pytest.mark.slow
def test_a_timeline_adapts_unless_asked_not_to(client):
    voice, talk = ser.load("voice"), wav(np.tile(SPEECH, 160 * RATE // len(SPEECH)))
    adapted = client.post("/timeline?model=voice", content=talk).json()
    assert adapted == voice.timeline(talk).to_dict() and adapted["adapted"]["source"] == "self"
    plain = client.post("/timeline?model=voice&adapt=none", content=talk).json()
    assert plain["adapted"] is None and plain["segments"] != adapted["segments"]


@pytest.mark.slow
def test_a_batch_keeps_its_order_and_its_errors(client, recognizer):
    sent = [("files", (path.name, path.read_bytes())) for path in SAMPLES]
    sent.insert(1, ("files", ("notes.txt", b"not a sound")))
    response = client.post("/batch", files=sent)
    answers = response.json()
    assert response.status_code == 200 and [answer["file"] for answer in answers] == [name for _, (name, _) in sent]
    failed = answers.pop(1)
    assert failed["code"] == "audio" and failed["error"].startswith("notes.txt: this is text, not sound.")
    predictions = [{**recognizer.predict(path).to_dict(), "file": path.name} for path in SAMPLES]
    assert answers == [as_answer(prediction) for prediction in predictions]


@pytest.mark.slow
def test_a_model_is_chosen_by_its_name(client):
    answer = client.post("/predict?model=voice", content=CLIP).json()
    assert answer == as_answer(ser.load("voice").predict(CLIP).to_dict())
    listed = client.get("/models").json()
    assert {entry["name"]: entry["default"] for entry in listed} == {name: name == "dense105" for name in known()}
    assert next(entry for entry in listed if entry["name"] == "voice")["uar"] > 0.6


def test_health_live_and_ready(client):
    health = {"version": ser.__version__, "model": "dense105"}
    assert client.get("/health").json() == client.get("/health/live").json() == {"status": "live", **health}
    assert client.get("/health/ready").json() == {"status": "ready", **health}


def test_not_ready_before_the_model_is_loaded():
    unstarted = new_client(Settings())
    assert unstarted.get("/health/live").json()["model"] is None
    for response in (unstarted.get("/health/ready"), unstarted.post("/predict", content=CLIP)):
        assert response.status_code == 503 and response.headers["Retry-After"]


@pytest.mark.slow
def test_an_overdue_prediction_frees_its_thread():
    with new_client(Settings(deadline_s=0)) as client:
        late = client.post("/predict", content=CLIP)
        assert (late.status_code, late.json()["code"], late.headers["Retry-After"]) == (503, "overdue", "5")
        client.app.state.service.workers.deadline_s = 30
        assert client.post("/predict", content=CLIP).status_code == 200


@pytest.mark.parametrize(
    ("sent", "status", "code", "message"),
    [
        ({"content": b""}, 422, "audio", "the file is empty"),
        ({"files": {"file": ("a.txt", b"text")}}, 422, "audio", "a.txt: this is text, not sound"),
        ({"files": {"other": ("a.wav", CLIP)}}, 400, "body", "no part 'file'"),
        ({"content": CLIP, "params": {"format": "word"}}, 422, "parameter", "known: json, csv, srt"),
        ({"content": CLIP, "params": {"model": "unknown"}}, 404, "model", "known: "),
    ],
)
def test_timeline_errors(client, sent, status, code, message):
    response = client.post("/timeline", **sent)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert message in response.json()["message"]


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_timeline_equals_the_recognizers_in_every_format(client, recognizer, name):
    response = client.post(f"/timeline?format={name}", files={"file": ("some/talk.wav", TALK)})
    source = io.BytesIO(TALK)
    source.name = "talk.wav"
    written = write(recognizer.timeline(source), name)
    assert response.status_code == 200
    assert response.content == (written if isinstance(written, bytes) else written.encode())
    assert response.headers["content-type"].split(";")[0] == WRITERS[name].media_type


@pytest.mark.slow
def test_a_timeline_matches_its_schema(client):
    answer = client.post("/timeline", content=TALK).json()
    assert set(answer) == TIMELINE_KEYS and answer["file"] is None
    assert schemas.TimelineAnswer.model_validate(answer) and len(answer["segments"]) >= 2
    assert answer["duration_s"] == pytest.approx(len(SPEECH) / RATE) and answer["model"] == "dense105"
    assert client.post("/timeline?model=voice", content=TALK).json()["model"] == "voice"


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "damaged"), [(TALK, False), (TALK[: 2 * len(TALK) // 3], True)])
def test_a_timeline_reports_damage(client, sent, damaged):
    answer = client.post("/timeline", content=sent).json()
    assert answer["cut_off"] is damaged
    assert ["cut_off" in segment["reasons"] for segment in answer["segments"][-1:]] == [damaged]


@pytest.mark.slow
def test_a_timeline_accepts_what_is_too_long_for_predict(client):
    sent = wav(np.zeros(130 * RATE, "int16"))
    assert "or use `timeline`" in client.post("/predict", content=sent).json()["message"]
    assert client.post("/timeline", content=sent).json()["segments"] == []


@pytest.mark.slow
def test_an_overdue_timeline_frees_its_thread():
    with new_client(Settings(long_deadline_s=0.05)) as client:
        late = client.post("/timeline", content=LONG)
        assert (late.status_code, late.json()["code"], late.headers["Retry-After"]) == (503, "overdue", "5")
        client.app.state.service.long.deadline_s = 60
        assert client.post("/timeline", content=TALK).status_code == 200


@pytest.mark.slow
def test_short_recordings_do_not_wait_for_long_ones(client):
    """While one long recording is processed and others wait for it, short ones are answered."""

    async def mixed() -> tuple[list[int], bool]:
        transport = httpx2.ASGITransport(client.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://s") as http:
            long = [asyncio.create_task(http.post("/timeline", content=LONG)) for _ in range(3)]
            await asyncio.sleep(0.1)
            short = [(await http.post("/predict", content=CLIP)).status_code for _ in range(5)]
            waited = any(task.done() for task in long)
            for task in long:
                task.cancel()
            await asyncio.gather(*long, return_exceptions=True)
        return short, waited

    assert asyncio.run(mixed()) == ([200] * 5, False)


@pytest.mark.slow
def test_a_client_that_leaves_frees_the_thread(client):
    """A timeline cancelled as by the server: the next one does not wait for it."""

    async def leave() -> None:
        service, model = client.app.state.service, await client.app.state.service.recognizer(None)
        left = asyncio.create_task(service.timeline(model, io.BytesIO(LONG)))
        await asyncio.sleep(0.1)
        left.cancel()
        began = time.monotonic()
        assert (await service.timeline(model, io.BytesIO(TALK))).segments
        assert time.monotonic() - began < 10

    asyncio.run(leave())
