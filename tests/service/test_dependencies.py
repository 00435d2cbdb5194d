"""The API key."""

from __future__ import annotations

import pytest
from service_client import CLIP, new_client
from starlette.websockets import WebSocketDisconnect

from ser.service.settings import Settings


@pytest.mark.slow
def test_a_service_with_a_key_requires_it():
    with new_client(Settings(key="open sesame")) as client:
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


def test_openapi_asks_for_no_key_without_one(client):
    assert "security" not in client.get("/openapi.json").json()["paths"]["/predict"]["post"]
