"""The page's server, and visitors that speak Streamlit's protocol: many of them are no load for two cores.

Used by `page.py` and `endurance.py`. A visitor sees what a browser is sent, without drawing it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp
import psutil
from reporting import ROOT
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

START_S = 90
ANSWER_S = 60
REPEAT_S = 0.5
FILE = re.compile(r'class="file">([^<]*)<')
BAR = re.compile(r'class="bar"[^>]*aria-label="([^"]+)"[^>]*--at:([0-9.]+)')


@contextmanager
def page_server(folder: Path = ROOT, **environment: str) -> Iterator[tuple[psutil.Process, str]]:
    """Run `streamlit run app.py` on a free port; yield its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
    command += ["--server.address=127.0.0.1", f"--server.port={port}", "--server.fileWatcherType=none"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    url = f"http://localhost:{port}"
    with subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, **quiet) as process:
        try:
            _wait_until_healthy(process, url)
            yield psutil.Process(process.pid), url
        finally:
            process.terminate()


def _wait_until_healthy(process: subprocess.Popen, url: str) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit("streamlit ended.")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"streamlit did not answer within {START_S} s.")


@asynccontextmanager
async def visitor(url: str) -> AsyncIterator[Visitor]:
    """Open the page as a visitor of its own; the connection is closed at the end."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/_stcore/health") as response:
            token = response.cookies["_streamlit_xsrf"].value
        stream = url.replace("http", "ws", 1) + "/_stcore/stream"
        async with session.ws_connect(stream, protocols=("streamlit", token), max_msg_size=0) as connection:
            guest = Visitor(url, session, connection, token)
            await guest.run()
            yield guest


class Visitor:
    """One connection to the page: what its last run has drawn, and what can be sent."""

    def __init__(
        self, url: str, session: aiohttp.ClientSession, connection: aiohttp.ClientWebSocketResponse, token: str
    ) -> None:
        self._url, self._session, self._connection, self._token = url, session, connection, token
        self._session_id = ""
        self._widgets: dict[str, tuple[str, str]] = {}  # id and fragment, by the element's kind and the end of its id
        self._repeated = ""  # the fragment that the page wants to be run again and again
        self.html: list[str] = []  # of the last run

    async def upload(self, name: str, data: bytes) -> float:
        """Upload a recording; return the seconds until its bars are there, or until the run has ended without them."""
        if not self._uploader():
            await self.click("open-add")
        began = time.perf_counter()
        state, fragment = await self.chosen(name, data)
        return await self.run(state, fragment, answer_to=name) - began

    async def chosen(self, name: str, data: bytes) -> tuple[WidgetState, str]:
        """Send a file, as a browser does before it runs the script; return the uploader's new state and fragment."""
        id, fragment = self._uploader() or ("", "")
        urls = await self._put(name, data)
        state = WidgetState(id=id)
        info = state.file_uploader_state_value.uploaded_file_info.add(name=name, size=len(data), file_id=urls.file_id)
        info.file_urls.CopyFrom(urls)
        return state, fragment

    async def click(self, key: str) -> None:
        """Press the button with a key."""
        id, fragment = self._widgets[f"button {key}"]
        await self.run(WidgetState(id=id, trigger_value=True), fragment)

    async def wait(self) -> None:
        """Run what the page repeats by itself until it is done: the progress of a long recording."""
        while self._repeated:
            await asyncio.sleep(REPEAT_S)
            await self.run(fragment=self._repeated)

    async def vanish(self, widget: WidgetState | None = None) -> None:
        """Begin a run and lose the connection, as a closed tab or a lost network does."""
        message = BackMsg()
        message.rerun_script.widget_states.widgets.extend([widget] if widget else [])
        await self.send(message)
        await self._session.close()

    def has_button(self, key: str) -> bool:
        return f"button {key}" in self._widgets

    def has_uploader(self) -> bool:
        return self._uploader() is not None

    async def run(self, widget: WidgetState | None = None, fragment: str = "", answer_to: str | None = None) -> float:
        """Run the page's script to its end, with a widget's new state; return when a recording's bars came, or its end.

        The time is that of `time.perf_counter`.
        """
        message = BackMsg()
        message.rerun_script.query_string = ""
        message.rerun_script.fragment_id = fragment
        message.rerun_script.widget_states.widgets.extend([widget] if widget else [])
        await self.send(message)
        answered: float | None = None
        async with asyncio.timeout(ANSWER_S):
            while True:
                kind, finished = self._take(await self._next())
                if answer_to and answered is None and self.answer(answer_to):
                    answered = time.perf_counter()
                if kind == "script_finished" and finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    return answered or time.perf_counter()

    def answer(self, name: str) -> dict[str, float]:
        """Return the probabilities that the last run shows for a recording, by their names; empty if it is another."""
        drawn = "".join(self.html)
        shown = FILE.search(drawn)
        return {label: float(share) for label, share in BAR.findall(drawn)} if shown and shown[1] == name else {}

    async def send(self, message: BackMsg) -> None:
        await self._connection.send_bytes(message.SerializeToString())

    async def _put(self, name: str, data: bytes) -> FileURLs:
        message = BackMsg()
        message.file_urls_request.request_id = uuid4().hex
        message.file_urls_request.file_names.append(name)
        message.file_urls_request.session_id = self._session_id
        await self.send(message)
        async with asyncio.timeout(ANSWER_S):
            while (answer := await self._next()).WhichOneof("type") != "file_urls_response":
                self._take(answer)
        urls = answer.file_urls_response.file_urls[0]
        form = aiohttp.FormData()
        form.add_field(name, data, filename=name, content_type="application/octet-stream")
        headers = {"X-Xsrftoken": self._token}
        async with self._session.put(self._url + urls.upload_url, data=form, headers=headers) as response:
            response.raise_for_status()
        return urls

    async def _next(self) -> ForwardMsg:
        message = await self._connection.receive()
        if message.type != aiohttp.WSMsgType.BINARY:
            raise ConnectionError(f"The page closed the connection: {message.type.name}")
        return ForwardMsg.FromString(message.data)

    def _take(self, message: ForwardMsg) -> tuple[str, int]:
        """Keep what a message draws; return its kind, and how the run ended."""
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self._session_id = message.new_session.initialize.session_id or self._session_id
            if not message.metadata.run.fragment_ids:
                self.html, self._widgets, self._repeated = [], {}, ""
        elif kind == "auto_rerun":
            self._repeated = message.auto_rerun.fragment_id
        elif kind == "delta":
            self._draw(message)
        return kind, message.script_finished

    def _draw(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "html":
            self.html.append(element.html.body)
        elif kind and hasattr(getattr(element, kind), "id"):
            id = getattr(element, kind).id
            key = id.split("-", 2)[-1]
            self._widgets[f"{kind} {key}"] = id, message.delta.fragment_id

    def _uploader(self) -> tuple[str, str] | None:
        return next((found for name, found in self._widgets.items() if name.startswith("file_uploader upload")), None)


def resident_mb(process: psutil.Process) -> float:
    """Return the memory of a process and its children."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss
    return total / 1e6
