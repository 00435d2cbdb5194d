"""The service as it runs: processes of its own, real sockets, clients that misbehave, Prometheus."""

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

import numpy as np
import pytest
import soundfile as sf
from golden.make import RATE, noise, voice
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
from ser.service.uploads import UPLOAD_S
from ser.types import ParameterError

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers."""
    with running(tmp_path_factory.mktemp("service") / "log", workers=2) as service:
        yield service


def counted(service: Running, name: str) -> float:
    """Sum over labels of one series."""
    lines = service.ask("GET", "/metrics")[1].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name}{{"))


def test_answers_equal_those_of_the_core(service):
    told = ser.load("dense105").predict(CLIP).to_dict()
    status, body = service.ask("POST", "/predict", CLIP, **SOUND)
    found = json.loads(body)
    assert status == 200 and {key: found[key] for key in told} == told
    with connect(f"ws://127.0.0.1:{service.port}/stream") as socket:
        socket.send(PCM)
        socket.send(json.dumps({"end": True}))
        *running, last = [json.loads(message) for message in socket]
    assert len(running) == 14 and last.pop("t_s") == 3.5 and last == found


def test_counts_add_up_over_workers(service):
    assert len(wait_for(lambda: len(service.workers()) == 2 and service.workers())) == 2
    before = counted(service, "ser_answers_total")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: service.ask("POST", "/predict", CLIP, **SOUND)[0], range(40)))
    assert statuses == [200] * 40
    assert {counted(service, "ser_answers_total") - before for _ in range(10)} == {40}


def test_clients_that_stall_or_leave_hold_up_nobody(service):
    """Forty that send half a body and stop, forty that leave with half an answer, and one that wants an answer."""
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CLIP)}\r\n\r\n".encode()
    stalled = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(40)]
    for one in stalled:
        one.sendall(head + CLIP[: len(CLIP) // 2])
    for _ in range(40):
        with socket.create_connection(("127.0.0.1", service.port)) as leaving:
            leaving.sendall(head + CLIP)
    began = time.monotonic()
    assert service.ask("POST", "/predict", CLIP, **SOUND)[0] == 200
    assert time.monotonic() - began < UPLOAD_S / 2  # for as long the stalled ones would hold up whoever waits for them
    for one in stalled:
        one.close()
    assert wait_for(lambda: counted(service, "ser_in_hand") == 1)  # the one that asks


def test_a_killed_worker_costs_no_other_request(service):
    """Eight clients ask without a pause while one of two workers is killed: each loses at most what it had in hand."""
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
        [one.result() for one in asking]
    assert statuses == [200] * (96 - lost.total()) and max(lost.values(), default=0) <= 1
    assert wait_for(lambda: len(service.workers()) == 2)
    assert counted(service, "ser_answers_total") - before >= len(statuses)  # its counts outlive it
    assert wait_for(lambda: counted(service, "ser_in_hand") == 1)


def test_a_stream_whose_client_vanishes_is_let_go(service):
    """Twenty connections that are cut without a word, and one message that is larger than any may be."""
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


def test_it_stops_although_a_long_recording_is_in_hand(tmp_path):
    """What is in hand has its time to end; then it is given up between blocks. `running` waits for the end."""
    talk = spoken(600)
    run = f"import ser.service.server; ser.service.server.DRAIN_S = 1; {RUN.format(workers=1)}"
    with running(tmp_path / "log", workers=1, run=run) as service, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.ask, "POST", "/timeline", talk, **SOUND)
        assert wait_for(lambda: counted(service, "ser_in_hand") == 2)
        service.process.terminate()
        began = time.monotonic()
        service.process.wait(START_S)
        assert time.monotonic() - began < 10
        status, answer = asked.result()
        assert status == 503 and json.loads(answer)["message"].startswith("The service is stopping.")


def test_it_answers_where_it_cannot_write_a_byte():
    """A process that may not write to any file takes 20 MB of recording each way in."""
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
    """Of streams that are taken and of those that are refused; what the server itself says of them is left out."""
    log, home = tmp_path / "log", "127.0.0.2"
    with running(log, workers=1) as service:
        url = f"ws://127.0.0.1:{service.port}/stream?rate={RATE}"
        with connect(url, source_address=(home, 0)) as socket:
            socket.send(json.dumps({"end": True}))
        with pytest.raises(InvalidStatus):
            connect(url, source_address=(home, 0), origin="https://page.example")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    streams = [line["status"] for line in lines if line.get("route") == "/stream"]
    assert sorted(streams) == [101, 403]  # the line of a stream is written once it has ended
    assert home not in log.read_text() and "?" not in log.read_text()


def test_it_leaves_nothing_behind(tmp_path):
    """The folder of counts is there while it runs and gone afterwards."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with running(tmp_path.with_suffix(".log"), workers=2, env=environment) as service:
        service.ask("POST", "/predict", CLIP, **SOUND)
        (folder,) = tmp_path.iterdir()
        assert folder.name.startswith("ser-metrics-") and list(folder.glob("counter_*.db"))
    assert list(tmp_path.iterdir()) == []


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
                found = json.load(response)["data"]["result"]
        except OSError:
            return None
        return float(found[0]["value"][1]) if found else None

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
def listener(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "clip.wav").write_bytes(CLIP)
    (folder / "notes.txt").write_text("no sound")
    sf.write(folder / "talk.flac", *sf.read(ARTIFACTS.parent / "samples" / "even.flac"))
    return folder


def test_every_example_of_the_documents_runs(service, listener, curl):
    """The commands that `/docs` shows at each address, as they stand there but for the port."""
    described = json.loads(service.ask("GET", "/openapi.json")[1])
    operations = [operation for methods in described["paths"].values() for operation in methods.values()]
    commands = [line for operation in operations for line in re.findall("^curl .*$", operation["description"], re.M)]
    assert len(commands) == 12
    for command in commands:
        words = shlex.split(command.replace("http://localhost:8000", service.url))
        ran = subprocess.run([curl, "--silent", "--fail", *words[1:]], cwd=listener, capture_output=True, check=False)
        assert ran.returncode == 0 and ran.stdout, command


def stereo(duration_s: float, rate: int = 44_100) -> bytes:
    """A recording with a voice on the left, and noise on the right, as WAV."""
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
    told = ser.load("dense105").predict(clip)
    assert len(lines) == 4 * told.duration_s + 1
    assert lines[-1] == f"{told.duration_s} {told.label} {told.confidence}"


def test_the_commands_of_the_readme_run(service, listener, curl):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [line for line in readme.split("\n") if line.startswith("curl ") and "localhost:8000" in line]
    assert len(commands) >= 2
    for command in commands:
        words = shlex.split(command.replace("http://localhost:8000", service.url))
        ran = subprocess.run([curl, "--silent", "--fail", *words[1:]], cwd=listener, capture_output=True, check=False)
        assert ran.returncode == 0 and ran.stdout, command


@pytest.mark.browser
def test_the_documents_need_nobody_else(service, chromium):
    """In a browser `/docs` unfolds every address and asks no other host for anything."""
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
    """schemathesis asks what OpenAPI allows and what it forbids; a service with a key is never without one."""
    environment = {**os.environ, "SER_API_KEY": "a key for the test"}
    hooks = {
        "SCHEMATHESIS_HOOKS": str(ROOT / "tests/helpers/api_hooks.py"),
        "PYTHONPATH": f"{ROOT}:{ROOT}/tests/helpers",
    }
    with running(tmp_path / "log", workers=1, env=environment) as service:
        program = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]
        options = ["--max-examples=10", "--seed=1", "--no-color", "--header=Authorization: Bearer a key for the test"]
        command = [*program, f"{service.url}/openapi.json", *options]
        found = subprocess.run(
            command, cwd=tmp_path, env=os.environ | hooks, capture_output=True, check=False, text=True
        )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Tested: 8" in found.stdout


def test_a_port_in_use_is_an_error():
    with bound_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ParameterError, match=rf"127.0.0.1:{port}: Address already in use. Choose another --port"):
            bound_socket("127.0.0.1", port).__enter__()


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 70_000), ("no.such.host.invalid", 0), ("203.0.113.1", 0), ("2001:db8::1", 0)]
)
def test_an_address_that_cannot_be_bound_is_an_error(host, port):
    with pytest.raises(ParameterError, match=re.escape(f"Cannot listen on {netloc(host, port)}: ")):
        bound_socket(host, port).__enter__()


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
