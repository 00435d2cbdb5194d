"""The service in processes of its own: real sockets, misbehaving clients, proxies, Prometheus."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, noise, voice
from proxy import reverse_proxy
from running_service import (
    CLIP,
    PCM,
    ROOT,
    RUN,
    SOUND,
    START_S,
    Running,
    free_port,
    is_ready,
    running,
    spoken,
    wait_for,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import ser
from ser.audio.pcm import wav_header
from ser.inference.artifact import ARTIFACTS
from ser.service.server import MAX_MESSAGE_BYTES, bound_socket, netloc, serve
from ser.service.settings import Settings
from ser.types import EMOTIONS, ArtifactError, ParameterError

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a service with two workers."""
    with running(tmp_path_factory.mktemp("service") / "log", workers=2) as service:
        yield service


def counted(service: Running, name: str) -> float:
    """Return the sum over labels of one series."""
    lines = service.ask("GET", "/metrics")[1].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name}{{"))


def test_answers_equal_the_recognizers(service):
    prediction = ser.load("dense105").predict(CLIP).to_dict()
    status, body = service.ask("POST", "/predict", CLIP, **SOUND)
    answer = json.loads(body)
    assert status == 200 and {key: answer[key] for key in prediction} == prediction
    with connect(f"ws://127.0.0.1:{service.port}/stream") as socket:
        socket.send(PCM)
        socket.send(json.dumps({"end": True}))
        *running, last = [json.loads(message) for message in socket]
    assert len(running) == 14 and last.pop("t_s") == 3.5 and last == answer


def test_counts_add_up_over_workers(service):
    assert len(wait_for(lambda: len(service.workers()) == 2 and service.workers())) == 2
    before = counted(service, "ser_answers_total")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: service.ask("POST", "/predict", CLIP, **SOUND)[0], range(40)))
    assert statuses == [200] * 40
    assert {counted(service, "ser_answers_total") - before for _ in range(10)} == {40}


def test_clients_that_stall_or_leave_delay_no_other(service):
    """Forty clients send half a body and stop, forty leave before their answer, and one waits for its answer."""
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CLIP)}\r\n\r\n".encode()
    stalled = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(40)]
    for connection in stalled:
        connection.sendall(head + CLIP[: len(CLIP) // 2])
    for _ in range(40):
        with socket.create_connection(("127.0.0.1", service.port)) as leaving:
            leaving.sendall(head + CLIP)
    began = time.monotonic()
    assert service.ask("POST", "/predict", CLIP, **SOUND)[0] == 200
    assert time.monotonic() - began < Settings.upload_s / 2  # the time limit of the stalled ones
    for connection in stalled:
        connection.close()
    assert wait_for(lambda: counted(service, "ser_in_hand") == 1)  # this request for /metrics


def test_a_killed_worker_costs_no_other_request(service):
    """Eight clients ask without a pause while one of two workers is killed: each loses at most one request."""
    before = counted(service, "ser_answers_total")
    lost, statuses = Counter(), []

    def keep_asking(client: int) -> None:
        for _ in range(12):
            try:
                statuses.append(service.ask("POST", "/predict", CLIP, **SOUND)[0])
            except (OSError, http.client.HTTPException):
                lost[client] += 1

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(keep_asking, client) for client in range(8)]
        wait_for(lambda: len(statuses) > 20)
        service.workers()[0].kill()
        [future.result() for future in asking]
    assert statuses == [200] * (96 - lost.total()) and max(lost.values(), default=0) <= 1
    assert wait_for(lambda: len(service.workers()) == 2)
    assert counted(service, "ser_answers_total") - before >= len(statuses)  # its counts stay
    assert wait_for(lambda: counted(service, "ser_in_hand") == 1)


def test_a_stream_whose_client_vanishes_ends(service):
    """Twenty connections are cut without a close frame, and one message is too large."""
    for _ in range(20):
        with connect(f"ws://127.0.0.1:{service.port}/stream") as socket:
            socket.send(PCM[:32_000])
            socket.recv()
            socket.socket.shutdown(2)
    with connect(f"ws://127.0.0.1:{service.port}/stream") as socket, pytest.raises(ConnectionClosed) as closed:
        socket.send(bytes(MAX_MESSAGE_BYTES + 1))
        socket.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
    assert wait_for(lambda: counted(service, "ser_in_hand") == 1)
    assert service.ask("POST", "/predict", CLIP, **SOUND)[0] == 200


def test_it_stops_during_a_long_recording(tmp_path):
    """A request in progress has its time to end; then it is cancelled between blocks."""
    talk = spoken(200)
    run = f"import ser.service.server; ser.service.server.DRAIN_S = 1; {RUN.format(workers=1)}"
    with running(tmp_path / "log", workers=1, run=run) as service, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.ask, "POST", "/timeline", talk, **SOUND)
        assert wait_for(lambda: counted(service, "ser_in_hand") == 2)
        service.process.terminate()
        began = time.monotonic()
        service.process.wait(START_S)
        assert time.monotonic() - began < 10
        try:
            status, answer = asked.result()
        except ConnectionError:  # the system drops an answer if a part of the recording has not been read yet
            return
        assert status == 503 and json.loads(answer)["message"].startswith("The service is stopping.")


def test_it_needs_to_write_no_file():
    """A process that may not write to any file accepts 20 MB in both kinds of body."""
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); {RUN.format(workers=1)}"
    command = [sys.executable, "-c", limited]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = (json.loads(line) for line in process.stderr)
            url = next(line["url"] for line in lines if line["event"] == "listening")
            service = Running(process, int(url.rsplit(":", 1)[1]))
            wait_for(lambda: is_ready(service), process)
            big = wav_header(96_000, 1, 20_000_000) + bytes(20_000_000)
            part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            multipart = part + big + b"\r\n--x--\r\n"
            for sent, kind in ((multipart, "multipart/form-data; boundary=x"), (big, "audio/wav")):
                status, answer = service.ask("POST", "/predict", sent, **{"Content-Type": kind})
                assert status == 200 and json.loads(answer)["reasons"] == ["silent"]
        finally:
            process.terminate()


def test_the_log_names_no_client_of_a_stream(tmp_path):
    """Neither of accepted nor of refused streams; uvicorn's own lines are dropped."""
    log, address = tmp_path / "log", "127.0.0.2"
    with running(log, workers=1) as service:
        url = f"ws://127.0.0.1:{service.port}/stream?rate={RATE}"
        with connect(url, source_address=(address, 0)) as socket:
            socket.send(json.dumps({"end": True}))
        with pytest.raises(InvalidStatus):
            connect(url, source_address=(address, 0), origin="https://page.example")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    streams = [line["status"] for line in lines if line.get("route") == "/stream"]
    assert sorted(streams) == [101, 403]  # the line of a stream is written once it has ended
    assert address not in log.read_text() and "?" not in log.read_text()


def test_it_leaves_nothing_behind(tmp_path):
    """The folder of metrics exists while it runs and is removed afterwards."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with running(tmp_path.with_suffix(".log"), workers=2, env=environment) as service:
        service.ask("POST", "/predict", CLIP, **SOUND)
        (folder,) = tmp_path.iterdir()
        assert folder.name.startswith("ser-metrics-") and list(folder.glob("counter_*.db"))
    assert list(tmp_path.iterdir()) == []


def test_head_has_no_body(service):
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            response = b"".join(iter(lambda: connection.recv(65536), b""))
        assert response.startswith(b"HTTP/1.1 200 ") and response.endswith(b"\r\n\r\n"), path


# --- Proxies ---


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a service with the path prefix of a proxy."""
    run = RUN.replace("'dense105'", "'dense105', root_path='/ser/'")
    with running(tmp_path_factory.mktemp("prefixed") / "log", workers=1, run=run) as service:
        yield service


@pytest.mark.parametrize("strip", ["/ser", ""], ids=["stripped", "kept"])
def test_it_works_behind_a_proxy_with_a_path_prefix(prefixed, strip):
    with (
        reverse_proxy(prefixed.port, strip) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}/ser", follow_redirects=True) as client,
    ):
        page = client.get("/docs")
        links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page.text)
        assert len(links) == 4 and all(link.startswith("/ser/") for link in links)
        assert all(client.get(f"http://127.0.0.1:{port}{link}").status_code == 200 for link in links)
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/ser"}]
        for start in ("/ser", "/ser/"):
            assert client.get(f"http://127.0.0.1:{port}{start}").url.path == "/ser/docs"
        assert client.head("/health/ready").status_code == 200
        assert client.get("/nothing").json()["code"] == "not_found"
        assert client.post("/predict", files={"file": ("a.wav", CLIP)}).json()["file"] == "a.wav"
        assert 'ser_requests_total{method="POST",route="/predict",status="200"}' in client.get("/metrics").text
    with connect(f"ws://127.0.0.1:{prefixed.port}{'' if strip else '/ser'}/stream") as socket:
        socket.send(PCM)
        socket.send(json.dumps({"end": True}))
        assert len(list(socket)) == 15


@pytest.mark.parametrize("prefix", ["https://a.example/ser", "/a b", "/a?b", "//a", "/../x", "/a/./b", ".."])
def test_an_invalid_path_prefix_is_an_error(prefix):
    with pytest.raises(ParameterError, match=r"--root-path .+: accepted is the path of a proxy"):
        serve("127.0.0.1", 0, 1, "dense105", stop, root_path=prefix)


def test_a_profile_that_does_not_fit_is_an_error_before_the_start(tmp_path, monkeypatch):
    for variable in ("SER_PROFILE", "SER_MODEL"):  # set back after the test
        monkeypatch.setenv(variable, "")
    (tmp_path / "bad.profile").write_text("no profile")
    with pytest.raises(ArtifactError, match=r"bad\.profile is not a profile"):
        serve("127.0.0.1", 0, 1, None, stop, profile=tmp_path / "bad.profile")


# --- Prometheus ---


def test_prometheus_scrapes_it(service, prometheus, tmp_path):
    service.ask("POST", "/predict", CLIP, **SOUND)
    job = {"job_name": "ser", "static_configs": [{"targets": [f"127.0.0.1:{service.port}"]}]}
    config = {"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": [job]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    port = free_port()
    command = [prometheus, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]

    def value_of(query: str) -> float | None:
        url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                result = json.load(response)["data"]["result"]
        except OSError:
            return None
        return float(result[0]["value"][1]) if result else None

    with subprocess.Popen(command) as process:
        try:
            assert wait_for(lambda: value_of('up{job="ser"}') == 1, process)
            assert wait_for(lambda: value_of("sum(ser_answers_total)")) == counted(service, "ser_answers_total")
            assert value_of('sum(ser_expected_share{quantity="label"})') == pytest.approx(1)
        finally:
            process.terminate()


def test_prometheus_own_tool_finds_no_fault_with_the_metrics(service, prometheus):
    tool = Path(prometheus).with_name("promtool")
    text = service.ask("GET", "/metrics")[1]
    checked = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr + checked.stdout) == (0, b"")


# --- The contract ---


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the files that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "clip.wav").write_bytes(CLIP)
    (folder / "notes.txt").write_text("no sound")
    sf.write(folder / "talk.flac", *sf.read(ARTIFACTS.parent / "samples" / "even.flac"))
    return folder


def test_every_example_of_the_documentation_runs(service, examples, curl):
    """Run the commands that `/docs` shows for each address, with another port."""
    described = json.loads(service.ask("GET", "/openapi.json")[1])
    operations = [operation for methods in described["paths"].values() for operation in methods.values()]
    commands = [line for operation in operations for line in re.findall("^curl .*$", operation["description"], re.M)]
    assert len(commands) == 12
    for command in commands:
        words = shlex.split(command.replace("http://localhost:8000", service.url))
        ran = subprocess.run([curl, "--silent", "--fail", *words[1:]], cwd=examples, capture_output=True, check=False)
        assert ran.returncode == 0 and ran.stdout, command


def stereo(duration_s: float, rate: int = 44_100) -> bytes:
    """Make a WAV with a voice on the left and noise on the right."""
    n_samples = round(duration_s * rate)
    left, right = (np.resize(samples, n_samples) for samples in (voice(3.5), 0.1 * noise(3.5)))
    pcm = (np.column_stack([left, right]) * 2**15).astype("<i2").tobytes()
    return wav_header(rate, 2, len(pcm)) + pcm


@pytest.mark.parametrize("clip", [CLIP, stereo(20.0)], ids=["short", "stereo of 3.5 MB"])
def test_the_example_of_live_sound_runs(service, tmp_path, clip):
    (tmp_path / "clip.wav").write_bytes(clip)
    about = json.loads(service.ask("GET", "/openapi.json")[1])["info"]["description"]
    assert f"more than {MAX_MESSAGE_BYTES // 2**20} MiB" in about
    (code,) = re.findall("```python\n(.*?)```", about, re.S)
    code = code.replace("localhost:8000", f"127.0.0.1:{service.port}")
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True, text=True)
    lines = ran.stdout.split("\n")[:-1]
    answer = ser.load("dense105").predict(clip).to_dict()
    assert len(lines) == 4 * answer["duration_s"] + 1
    assert lines[-1] == f"{answer['duration_s']} {answer['label']} {answer['confidence']}"


@pytest.mark.browser
def test_the_example_of_a_browser_runs(service, chromium):
    """A real MediaRecorder, on the tone that Chromium has for a microphone: a second of it."""
    from playwright.sync_api import sync_playwright

    about = json.loads(service.ask("GET", "/openapi.json")[1])["info"]["description"]
    (code,) = re.findall("```js\n(.*?)```", about, re.S)
    code = code.replace("localhost:8000", f"127.0.0.1:{service.port}")
    stop = "setTimeout(() => recorder.stop(), 1000); return new Promise(end => socket.onclose = e => end(e.code))"
    microphone = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *microphone])
        page, labels = browser.new_page(), []
        page.on("console", lambda message: labels.append(message.text) if message.type == "log" else None)
        page.goto(f"{service.url}/health")
        ended = page.evaluate(f"async () => {{{code}; {stop}}}")
        browser.close()
    assert ended == 1000 and len(labels) >= 2 and {*labels} <= {*EMOTIONS}


def test_the_commands_of_the_guide_run(service, examples, curl):
    guide = (ROOT / "docs/service.md").read_text(encoding="utf-8")
    commands = [line for line in guide.split("\n") if line.startswith("curl ") and "localhost:8000" in line]
    assert len(commands) >= 2
    for command in commands:
        words = shlex.split(command.replace("http://localhost:8000", service.url))
        ran = subprocess.run([curl, "--silent", "--fail", *words[1:]], cwd=examples, capture_output=True, check=False)
        assert ran.returncode == 0 and ran.stdout, command


@pytest.mark.browser
def test_the_documentation_needs_no_other_host(service, chromium):
    """In a browser `/docs` shows every address without a request to another host."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{service.url}/docs")
        page.locator(".opblock").nth(7).wait_for()
        page.locator(".opblock-summary-path", has_text="/timeline").click()
        page.locator(".opblock.is-open .example").first.wait_for()
        assert "duration_s" in page.locator(".opblock.is-open").inner_text()
        browser.close()
    assert len(asked) >= 4 and all(url.startswith((service.url, "data:")) for url in asked)


def test_the_service_keeps_to_its_description(tmp_path):
    """schemathesis sends what OpenAPI allows and what it forbids."""
    environment = {**os.environ, "SER_API_KEY": "a key for the test"}
    hooks = {
        "SCHEMATHESIS_HOOKS": str(ROOT / "tests/helpers/api_hooks.py"),
        "PYTHONPATH": f"{ROOT}:{ROOT}/tests/helpers",
    }
    with running(tmp_path / "log", workers=1, env=environment) as service:
        program = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]
        options = ["--max-examples=10", "--seed=1", "--no-color", "--header=Authorization: Bearer a key for the test"]
        command = [*program, f"{service.url}/openapi.json", *options]
        ran = subprocess.run(command, cwd=tmp_path, env=os.environ | hooks, capture_output=True, check=False, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Tested: 8" in ran.stdout


def test_a_port_in_use_is_an_error():
    with bound_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ParameterError, match=rf"127.0.0.1:{port}: Address already in use. Choose another --port"):
            bound_socket("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port"),
    [("127.0.0.1", 70_000), ("no.such.host.invalid", 0), ("a..b", 0), ("203.0.113.1", 0), ("2001:db8::1", 0)],
)
def test_an_address_that_cannot_be_bound_is_an_error(host, port):
    with pytest.raises(ParameterError, match=re.escape(f"Cannot listen on {netloc(host, port)}: ")) as refused:
        bound_socket(host, port)
    assert "Errno" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1:8000"), ("::1", "[::1]:8000"), ("a.example", "a.example:8000")]
)
def test_addresses_are_written_as_in_a_url(host, shown):
    assert netloc(host, 8000) == shown


def test_the_callback_gets_a_valid_url(monkeypatch):
    """With an IPv4 socket in place of IPv6, which not every machine has."""
    monkeypatch.setenv("SER_MODEL", "dense105")
    monkeypatch.setattr("ser.service.server.bound_socket", lambda host, port: bound_socket("127.0.0.1", port))
    with pytest.raises(Listening, match=r"^http://\[::1\]:\d+$"):
        serve("::1", 0, 1, "dense105", stop)


def test_a_key_that_no_client_could_send_is_refused_before_anything_listens(monkeypatch):
    monkeypatch.setenv("SER_API_KEY", "schlüssel")
    monkeypatch.setenv("SER_MODEL", "dense105")
    with pytest.raises(ParameterError, match="SER_API_KEY has characters that no header carries"):
        serve("127.0.0.1", 0, 2, "dense105", stop)


class Listening(Exception):
    """Ends a service before it answers."""


def stop(url: str) -> None:
    raise Listening(url)


def test_workers_without_a_folder_for_their_metrics_are_an_error(monkeypatch):
    """As in a container with a read-only temporary folder."""
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    monkeypatch.setenv("SER_MODEL", "dense105")
    with pytest.raises(ParameterError, match=r"a folder for their metrics: .+\. Set TMPDIR, or use --workers 1"):
        serve("127.0.0.1", 0, 2, "dense105")
