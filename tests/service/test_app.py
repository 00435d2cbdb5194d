"""The application: documentation, errors of the framework, CORS, a light process."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_client import CLIP, SAMPLES
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import ser
from ser.service.app import create_app

HEAVY = {"tensorflow", "keras", "librosa", "numba", "sklearn", "pickle5", "joblib"}


def test_unknown_addresses_and_methods(client):
    assert client.get("/nothing").json()["code"] == "not_found"
    wrong = client.get("/predict")
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["Allow"]) == (405, "method", "POST")


@pytest.mark.slow
def test_pages_of_other_origins_need_to_be_listed(client, monkeypatch):
    page = {"Origin": "https://page.example"}
    assert "access-control-allow-origin" not in client.post("/predict", content=CLIP, headers=page).headers
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/stream", headers=page):
        pass
    assert closed.value.status_code == 403
    monkeypatch.setenv("SER_CORS_ORIGINS", "https://page.example/, https://other.example")
    with TestClient(create_app()) as named:
        answer = named.post("/predict", content=CLIP, headers=page)
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        with named.websocket_connect("/stream", headers=page) as socket:
            socket.send_text('{"end": true}')
        strange = named.post("/predict", content=CLIP, headers={"Origin": "https://third.example"})
        assert "access-control-allow-origin" not in strange.headers


def test_the_root_leads_to_the_documentation(client):
    response = client.get("/", follow_redirects=False)
    assert (response.status_code, response.headers["Location"]) == (307, "/docs")
    assert "swagger" in client.get("/").text


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "/ser"])
def test_the_documentation_works_behind_a_path_prefix(client, prefix):
    """The prefix is stripped by the proxy or not."""
    behind = TestClient(client.app, root_path="/ser")
    page = behind.get(f"{prefix}/docs").text
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page)
    assert len(links) == 4 and all(link.startswith("/ser/") for link in links)
    assert all(behind.get(link.removeprefix("/ser" if not prefix else "")).status_code == 200 for link in links)
    assert behind.get(f"{prefix}/").url.path == "/ser/docs"
    assert behind.get(f"{prefix}/openapi.json").json()["servers"] == [{"url": "/ser"}]


def test_every_address_is_described(client):
    described = client.get("/openapi.json").json()
    wanted = {"/predict", "/batch", "/timeline", "/models", "/health", "/health/live", "/health/ready", "/metrics"}
    assert set(described["paths"]) == wanted
    predict = described["paths"]["/predict"]["post"]
    assert {"multipart/form-data", "audio/wav"} <= set(predict["requestBody"]["content"])
    assert {"200", "400", "404", "408", "413", "422", "429", "503"} <= set(predict["responses"])
    assert "WS /stream" in described["info"]["description"]
    assert "swagger" in client.get("/docs").text


@pytest.mark.slow
def test_the_service_loads_no_training_libraries():
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


def operations(described: dict) -> Iterator[tuple[str, str, dict]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


@pytest.mark.slow
def test_the_example_of_every_parameter_is_accepted(client, described):
    tried = []
    for path, method, operation in operations(described):
        for parameter in operation.get("parameters", []):
            (value,) = parameter["schema"]["examples"]
            sent = {"files": {"files": ("a.wav", CLIP)}} if path == "/batch" else {"content": CLIP}
            response = client.request(method, path, params={parameter["name"]: value}, **sent)
            assert response.status_code == 200, (path, parameter["name"], response.text)
            tried.append((path, parameter["name"]))
    shared = {(path, name) for path in ("/predict", "/batch", "/timeline") for name in ("model", "channels", "track")}
    assert set(tried) == shared | {("/batch", "adapt"), ("/timeline", "adapt"), ("/timeline", "format")}


def test_every_address_refuses_parameters_that_it_does_not_know(client, described):
    """Those that it knows are the ones of its description."""
    for path, method, operation in [*operations(described), ("/", "get", {})]:
        known = sorted(parameter["name"] for parameter in operation.get("parameters", []))
        response = client.request(method, path, params={"modle": "voice"}, content=CLIP if method == "post" else None)
        problem = response.json()
        assert (response.status_code, problem["code"]) == (422, "parameter"), path
        expected = f"known: {', '.join(known)}." if known else "this address takes none. Leave it out."
        assert problem["message"].startswith(f"Unknown parameter 'modle'; {expected}")
        assert not operation or "422" in operation["responses"]
    assert "Did you mean 'model'?" in client.post("/predict?modle=voice", content=CLIP).json()["message"]


def test_every_address_has_an_example(described):
    for path, method, operation in operations(described):
        commands = re.findall(r"^curl .*$", operation["description"], re.MULTILINE)
        assert any(f"http://localhost:8000{path}" in command for command in commands), (method, path)


def test_the_documentation_links_to_no_other_host(client):
    """The operator's machine may have no network, and no other host should learn of visitors."""
    page = client.get("/docs").text
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page)
    assert len(links) == 4 and all(link.startswith("/") for link in links)
    assert all(client.get(link).status_code == 200 for link in links)
    assert "://" not in page and '"validatorUrl": null' in page
