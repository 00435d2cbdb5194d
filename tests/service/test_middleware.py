"""Request ids, the access log, faults, closed connections."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from logging.config import dictConfig

import pytest
from service_client import CLIP
from starlette.testclient import TestClient

from ser.service.middleware import JsonFormatter, RequestMiddleware, without_prefix
from ser.service.server import LOG

SECRET = "a-name-to-keep-secret"


def test_head_is_answered_as_get(client):
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        response = client.head(path)
        assert (response.status_code, response.content) == (200, b"")
    assert client.head("/predict").status_code == 405


@pytest.mark.parametrize(
    ("path", "root_path", "expected"),
    [
        ("/predict", "", "/predict"),
        ("/ser/predict", "/ser", "/predict"),
        ("/ser/ser/predict", "/ser", "/predict"),
        ("/predict", "/ser", "/predict"),
        ("/service/predict", "/ser", "/service/predict"),
        ("/ser", "/ser", ""),
    ],
)
def test_a_proxys_prefix_is_removed_from_paths(path, root_path, expected):
    assert without_prefix(path, root_path) == expected


@pytest.fixture
def configured() -> Iterator[io.StringIO]:
    """Logging as the service configures it, into a text; undone afterwards."""
    text, loggers = io.StringIO(), [logging.getLogger(name) for name in (None, *LOG["loggers"])]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    dictConfig({**LOG, "handlers": {"stderr": {**LOG["handlers"]["stderr"], "stream": text}}})
    yield text
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_lines_of_libraries_are_json_or_dropped(client, configured):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/predict", content=b"--secret", headers=headers).status_code == 400
    logging.getLogger("asyncio").error("a library's line")
    lines = [json.loads(line) for line in configured.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["request", "a library's line"]


def test_the_log_is_json_without_names(client, caplog):
    caplog.set_level(logging.INFO, "ser.service")
    client.post("/predict", files={"file": (f"{SECRET}.wav", CLIP)}, headers={"X-Request-ID": "mine-1"})
    client.post(f"/predict?model={SECRET}", files={"file": (SECRET, b"text")}, headers={"X-Request-ID": SECRET * 9})
    client.get(f"/{SECRET}")
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records if record.name == "ser.service"]
    assert SECRET not in json.dumps(lines)
    assert [(line["route"], line["status"]) for line in lines] == [("/predict", 200), ("/predict", 404), ("other", 404)]
    assert lines[0]["id"] == "mine-1" and len(lines[1]["id"]) == 32
    assert set(lines[0]) == {"time", "level", "event", "id", "route", "method", "status", "ms"}


def test_every_response_has_a_request_id(client):
    for path, status in (("/health", 200), ("/nothing", 404)):
        kept = client.get(path, headers={"X-Request-ID": "a.b-c_1"})
        assert (kept.status_code, kept.headers["X-Request-ID"]) == (status, "a.b-c_1")
        made_up = client.get(path, headers={"X-Request-ID": "with spaces"}).headers["X-Request-ID"]
        assert made_up != client.get(path).headers["X-Request-ID"] and len(made_up) == 32


@pytest.mark.slow
def test_connections_are_closed_now_and_then(client):
    """Otherwise the clients of a worker that died would stay with the other one."""
    often = TestClient(RequestMiddleware(client.app, requests_a_connection=2))
    closed = ["close" in often.get("/health").headers.get("Connection", "") for _ in range(64)]
    assert any(closed) and not all(closed)


def test_a_fault_shows_no_traceback(caplog):
    """The log has a fault's location, not its message; the client gets neither."""

    async def broken(scope, receive, send):
        raise RuntimeError(SECRET)

    with caplog.at_level(logging.ERROR, "ser.service"):
        response = TestClient(RequestMiddleware(broken)).get("/predict")
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert response.headers["X-Request-ID"] in response.json()["message"]
    assert SECRET not in response.text and "Traceback" not in response.text
    line = json.loads(JsonFormatter().format(next(record for record in caplog.records if record.message == "fault")))
    assert (
        line["kind"] == "RuntimeError" and "test_middleware.py" in line["place"][-1] and SECRET not in json.dumps(line)
    )
