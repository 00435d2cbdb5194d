"""A Streamlit script on its own server, and the Chromium that looks at it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
WAIT_MS = 120_000  # on cores that other tests share
QUIET_MS = 500

# Whether for some time no run of the script was under way, nothing of an earlier run was left, and nothing moved.
SETTLED = """
quiet => {
  const moves = document.getAnimations().some(({playState, effect}) =>
    playState === 'running' && Number.isFinite(effect.getComputedTiming().endTime));
  const stands = document.querySelector('[data-test-script-state=notRunning]')
    && !document.querySelector('[data-stale=true]') && !moves;
  if (!stands) window.lastMove = performance.now();
  return performance.now() - window.lastMove >= quiet;
}
"""


@contextmanager
def page_server(script: Path) -> Iterator[str]:
    """Run `streamlit run SCRIPT` in the project's folder on a free port; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless=true"]
    command += ["--server.address=127.0.0.1", f"--server.port={port}", "--server.fileWatcherType=none"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://localhost:{port}"
        try:
            _wait_until_healthy(process, url)
            yield url
        finally:
            process.terminate()


def settle(page) -> None:
    """Wait until the page has stood still for half a second: a click starts a run of the script with some delay."""
    page.evaluate("window.lastMove = performance.now()")
    page.wait_for_function(SETTLED, arg=QUIET_MS, timeout=WAIT_MS)


def _wait_until_healthy(process: subprocess.Popen, url: str) -> None:
    for _ in range(WAIT_MS // 100):
        assert process.poll() is None, "streamlit ended"
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"streamlit did not answer within {WAIT_MS} ms")
