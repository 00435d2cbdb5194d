"""`POST /timeline` and the descriptions in `/docs`: what the core says, in the shapes that are promised."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import Iterator

import httpx2
import numpy as np
import pytest
from golden.make import RATE
from service_client import CLIP, SAMPLES, asked, counted, made, superset, wav

import ser
from ser.audio.loading import load_waveform
from ser.service import schemas as answers
from ser.service.state import Settings
from ser.service.uploads import MAX_LONG_BYTES
from ser.timeline.formats import WRITERS, write
from ser.timeline.segments import timeline
from ser.types import EMOTIONS

SPOKEN = [load_waveform(path).samples for path in SAMPLES if path.stem != "music"]
PAUSE = np.zeros(2 * RATE, np.float32)
SPEECH = np.concatenate([PAUSE, SPOKEN[0], PAUSE, SPOKEN[1]])
TALK = wav(SPEECH)
LONG = wav(np.tile(SPEECH, 480 * RATE // len(SPEECH)))


# --- Timelines ---


@pytest.mark.parametrize("name", WRITERS)
def test_a_timeline_is_that_of_the_core_in_every_format(client, name):
    response = client.post(f"/timeline?format={name}", files={"file": ("some/talk.wav", TALK)})
    source = io.BytesIO(TALK)
    source.name = "talk.wav"
    assert response.status_code == 200 and response.text == write(timeline(source, ser.load("dense105")), name)
    assert response.headers["content-type"].split(";")[0] == WRITERS[name].media_type


def test_a_timeline_keeps_to_its_contract(client):
    found = client.post("/timeline", content=TALK).json()
    assert set(found) == {"file", "duration_s", "segments", "share", "model", "cut_off"} and found["file"] is None
    assert answers.TimelineAnswer.model_validate(found) and len(found["segments"]) >= 2
    assert found["duration_s"] == pytest.approx(len(SPEECH) / RATE) and found["model"] == "dense105"
    assert client.post("/timeline?model=voice", content=TALK).json()["model"] == "voice"


@pytest.mark.parametrize(("sent", "damaged"), [(TALK, False), (TALK[: 2 * len(TALK) // 3], True)])
def test_a_timeline_says_whether_the_recording_is_whole(client, sent, damaged):
    found = client.post("/timeline", content=sent).json()
    assert found["cut_off"] is damaged
    assert [("cut_off" in one["reasons"]) for one in found["segments"][-1:]] == [damaged]


def test_what_predict_refuses_as_too_long_a_timeline_takes(client):
    sent = wav(np.zeros(130 * RATE, "int16"))
    assert "or use `timeline`" in client.post("/predict", content=sent).json()["message"]
    assert client.post("/timeline", content=sent).json()["segments"] == []


@pytest.mark.parametrize(
    ("sent", "status", "code", "message"),
    [
        ({"content": b""}, 422, "audio", "the file is empty"),
        ({"files": {"file": ("a.txt", b"text")}}, 422, "audio", "a.txt: this is text, not sound"),
        ({"files": {"other": ("a.wav", CLIP)}}, 400, "body", "no part 'file'"),
        ({"content": CLIP, "params": {"format": "word"}}, 422, "parameter", "known: json, csv, srt"),
        ({"content": CLIP, "params": {"model": "nobody"}}, 404, "model", "known: "),
    ],
)
def test_what_is_refused_says_why(client, sent, status, code, message):
    response = client.post("/timeline", **sent)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert message in response.json()["message"]


def test_a_body_is_bounded_by_what_it_says_and_by_what_comes(client):
    headers = {"Content-Type": "audio/wav"}
    status, problem, read = asked(
        client.app, {**headers, "Content-Length": str(MAX_LONG_BYTES + 1)}, [], path="/timeline"
    )
    assert (status, problem["code"], read) == (413, "too_large", 0) and "More than 120 MB" in problem["message"]
    status, problem, read = asked(client.app, headers, [bytes(2**20)] * 200, path="/timeline")
    assert (status, problem["code"], read) == (413, "too_large", 121)


def test_an_overdue_timeline_frees_its_thread_for_the_next():
    with made(Settings(long_deadline_s=0.05)) as client:
        late = client.post("/timeline", content=LONG)
        assert (late.status_code, late.json()["code"], late.headers["Retry-After"]) == (503, "overdue", "5")
        client.app.state.service.long.deadline_s = 60
        assert client.post("/timeline", content=TALK).status_code == 200


def test_short_recordings_do_not_wait_for_long_ones(client):
    """While the one long recording is heard and others wait for it, short ones are answered."""

    async def mixed() -> tuple[list[int], bool]:
        transport = httpx2.ASGITransport(client.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://s") as http:
            long = [asyncio.create_task(http.post("/timeline", content=LONG)) for _ in range(3)]
            await asyncio.sleep(0.1)
            short = [(await http.post("/predict", content=CLIP)).status_code for _ in range(5)]
            waited = any(one.done() for one in long)
            for one in long:
                one.cancel()
            await asyncio.gather(*long, return_exceptions=True)
        return short, waited

    assert asyncio.run(mixed()) == ([200] * 5, False)


def test_a_client_that_leaves_frees_the_thread(client):
    """Cancelled as the server does it; the next timeline does not wait for this one."""

    async def leave() -> None:
        service, model = client.app.state.service, await client.app.state.service.recognizer(None)
        left = asyncio.create_task(service.timeline(model, io.BytesIO(LONG)))
        await asyncio.sleep(0.1)
        left.cancel()
        began = time.monotonic()
        assert (await service.timeline(model, io.BytesIO(TALK))).segments
        assert time.monotonic() - began < 10

    asyncio.run(leave())


def test_timelines_are_counted_apart_from_answers(client):
    def total(name: str) -> float:
        return sum(value for (found, *_), value in counted(client).items() if found == name)

    names = ("ser_segments_total", "ser_answers_total", "ser_sound_seconds_total")
    before = {name: total(name) for name in names}
    segments = client.post("/timeline", content=TALK).json()["segments"]
    gained = [total(name) - before[name] for name in names]
    assert gained == [len(segments), 0, pytest.approx(len(SPEECH) / RATE)]


# --- The description ---


@pytest.fixture(scope="module")
def described(client) -> dict:
    return client.get("/openapi.json").json()


def operations(described: dict) -> Iterator[tuple[str, str, dict]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_shape_shows_an_example_that_fits_it(described):
    shapes = described["components"]["schemas"]
    assert {"Answer", "Failed", "Health", "Model", "Problem", "Sex", "TimelineAnswer", "TimelineSegment"} == set(shapes)
    for name, schema in shapes.items():
        shape = getattr(answers, name)
        assert schema["examples"]
        for example in schema["examples"]:
            assert shape.model_validate(example).model_dump(mode="json") == example, name
            assert set(example) == set(schema["properties"]), name
        assert all("description" in field or name == "Sex" for field in schema["properties"].values()), name


def test_the_examples_are_possible_answers(described):
    shapes = described["components"]["schemas"]
    (answer,) = shapes["Answer"]["examples"]
    assert answer == superset(answer)
    assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert answer["confidence"] == answer["probabilities"][answer["label"]]
    (told,) = shapes["TimelineAnswer"]["examples"]
    for shares in (answer["probabilities"], answer["sex"], told["share"], told["segments"][0]["probabilities"]):
        assert sum(shares.values()) == pytest.approx(1)
    assert set(answer["probabilities"]) == set(told["share"]) == set(EMOTIONS)


def test_the_example_of_every_parameter_is_taken(client, described):
    tried = []
    for path, method, operation in operations(described):
        for parameter in operation.get("parameters", []):
            (value,) = parameter["schema"]["examples"]
            sent = {"files": {"files": ("a.wav", CLIP)}} if path == "/batch" else {"content": CLIP}
            response = client.request(method, path, params={parameter["name"]: value}, **sent)
            assert response.status_code == 200, (path, parameter["name"], response.text)
            tried.append((path, parameter["name"]))
    assert {("/predict", "model"), ("/batch", "model"), ("/timeline", "model"), ("/timeline", "format")} == set(tried)


def test_every_address_has_an_example_of_its_own(described):
    for path, method, operation in operations(described):
        commands = re.findall(r"^curl .*$", operation["description"], re.MULTILINE)
        assert any(f"http://localhost:8000{path}" in command for command in commands), (method, path)


def test_the_documents_come_from_here_alone(client):
    """An operator's machine may have no network, and a visitor's browser is not to tell others where it is."""
    page = client.get("/docs").text
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page)
    assert len(links) == 4 and all(link.startswith("/") for link in links)
    assert all(client.get(link).status_code == 200 for link in links)
    assert "://" not in page and '"validatorUrl": null' in page
