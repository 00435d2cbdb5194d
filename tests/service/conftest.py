"""Fixtures: the service in this process with the small model, and its OpenAPI description."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

import ser
from ser.service.app import create_app


@pytest.fixture(scope="module", autouse=True)
def model() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_MODEL", "dense105")
        for name in ("SER_API_KEY", "SER_CORS_ORIGINS", "PROMETHEUS_MULTIPROC_DIR"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def client(model) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


@pytest.fixture(scope="module")
def recognizer(model) -> ser.Recognizer:
    return ser.load()


@pytest.fixture(scope="module")
def described(client) -> dict:
    return client.get("/openapi.json").json()
