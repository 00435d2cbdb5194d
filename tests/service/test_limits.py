"""Limits on requests and bytes in progress."""

from __future__ import annotations

import pytest
from service_client import CLIP, new_client

from ser.service.errors import ServiceError
from ser.service.limits import Limiter, Limits
from ser.service.settings import Settings


def test_requests_are_limited_per_client_and_in_total():
    limiter = Limiter(Limits(requests=3, client_requests=2))
    with limiter.enter("a"), limiter.enter("a"):
        with pytest.raises(ServiceError, match="2 requests in progress") as error:
            limiter.enter("a")
        assert (error.value.status, error.value.headers()["Retry-After"]) == (429, "1")
        with limiter.enter("b"):
            assert limiter.is_full
            with pytest.raises(ServiceError, match="at the limit") as error:
                limiter.enter("c")
            assert error.value.status == 503
    assert not limiter.is_full
    limiter.enter("c")


def test_bytes_are_limited_and_released():
    limiter = Limiter(Limits(held_bytes=100, client_bytes=60))
    with limiter.enter("a") as slot, limiter.enter("b") as other:
        slot.reserve(60)
        with pytest.raises(ServiceError, match="the limit of one client") as error:
            slot.reserve(1)
        assert error.value.code == "too_many"
        with pytest.raises(ServiceError, match="at the limit") as error:
            other.reserve(50)
        assert error.value.code == "busy"
        slot.release_bytes()
        other.reserve(50)
    with limiter.enter("a") as slot:
        slot.reserve(60)


def test_clients_without_requests_take_no_memory():
    limiter = Limiter(Limits())
    for address in range(100):
        with limiter.enter(str(address)) as slot:
            slot.reserve(5)
    assert not limiter._requests and not limiter._bytes


@pytest.mark.slow
def test_requests_beyond_the_limits_are_told_when_to_retry():
    with new_client(Settings(limits=Limits(client_requests=1))) as client:
        with client.websocket_connect("/stream"):
            refused = client.post("/predict", content=CLIP)
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert client.post("/predict", content=CLIP).status_code == 200
    with new_client(Settings(limits=Limits(requests=1))) as client, client.websocket_connect("/stream"):
        for refused in (client.post("/predict", content=CLIP), client.get("/health/ready")):
            assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "busy", "1")
