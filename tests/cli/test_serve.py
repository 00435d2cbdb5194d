"""The command `serve`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from command_line import ROOT

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="a shell as Unix knows it")


@pytest.mark.service
def test_serve_tells_where_it_listens():
    words = ["serve", "--port", "0", "--model", "dense105", "--format", "json"]
    command = [sys.executable, "-m", "ser", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            told = json.loads(process.stdout.readline())
            assert (told["model"], told["workers"], told["pid"]) == ("dense105", 1, process.pid)
            # The socket listens already; the answer comes once the model is loaded.
            with urllib.request.urlopen(f"{told['url']}/health/ready", timeout=60) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b""


@pytest.mark.service
def test_serve_answers_behind_the_prefix_of_a_proxy():
    words = ["serve", "--port", "0", "--model", "dense105", "--format", "json", "--root-path", "ser/"]
    command = [sys.executable, "-m", "ser", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            url = json.loads(process.stdout.readline())["url"]
            for path in ("/openapi.json", "/ser/openapi.json"):  # the prefix may be stripped by the proxy or not
                with urllib.request.urlopen(f"{url}{path}", timeout=60) as answer:
                    assert json.load(answer)["servers"] == [{"url": "/ser"}]
        finally:
            process.send_signal(signal.SIGTERM)


@UNIX
@pytest.mark.service
def test_workers_that_are_slow_to_start_are_waited_for(tmp_path):
    """uvicorn's own five seconds would end them, and those after them."""
    slow = "import sys, time\nif '--multiprocessing-fork' in sys.orig_argv:\n    time.sleep(6)\n"
    (tmp_path / "sitecustomize.py").write_text(slow)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    words = ["serve", "--port", "0", "--workers", "2", "--model", "dense105", "--format", "json"]
    command, pipe = [sys.executable, "-m", "ser", *words], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            url = json.loads(process.stdout.readline())["url"]
            with urllib.request.urlopen(f"{url}/health/ready", timeout=60) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert " died" not in process.communicate(timeout=60)[1]


@pytest.mark.service
def test_serve_says_that_a_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "ser", "serve", "--port", port, "--model", "dense105"]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    expected = f"ser: Cannot listen on 127.0.0.1:{port}: Address already in use. Choose another --port or --host.\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", expected)
