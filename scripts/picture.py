"""Renews the picture of the page in README.md: python -m scripts.picture (needs Chromium, requirements-dev.txt).

It shows the default model's answer to a sample, so renew it whenever that model changes.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Error, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "page.png"
SAMPLE = "Slow and soft"
SIZE = {"width": 860, "height": 1276}
WAIT_MS = 60_000


def main() -> None:
    """Serve the page, choose a sample, and store a screenshot."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = ["--server.port", port, "--server.headless", "true", "--server.address", "127.0.0.1"]
    served = subprocess.Popen([sys.executable, "-m", "streamlit", "run", "app.py", *options], cwd=ROOT)
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE, color_scheme="light", device_scale_factor=1)
            page.set_default_timeout(WAIT_MS)
            _ask(page, f"http://127.0.0.1:{port}")
            page.screenshot(path=PICTURE)
    finally:
        served.terminate()


def _ask(page: Page, address: str) -> None:
    for _ in range(30):  # until the server listens
        try:
            page.goto(address)
            break
        except Error:
            page.wait_for_timeout(1000)
    page.get_by_role("button", name=SAMPLE).click()
    expect(page.locator(".st-key-answer .bars")).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(3000)  # animations of the drawings
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    page.wait_for_timeout(500)


if __name__ == "__main__":
    main()
