"""How the page is sent: Streamlit's scripts compressed, and the page's styles and font with the document itself.

`streamlit run app.py` finds the `st.App` in app.py and uses this middleware. Where something else runs the script, the
page works without it, only slower.
"""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENDINGS = (".js", ".css")
LEAST_BYTES = 1000  # below, the headers weigh more than what is saved
CONDITIONS = ("range", "if-none-match", "if-modified-since")


def middleware(styles: Path, font: str) -> list[Middleware]:
    """Return what goes around Streamlit's application: a style sheet's file, and the font's address on the page."""
    return [Middleware(CompressedAssets), Middleware(StyledDocument, styles.read_text(encoding="utf-8"), font)]


class CompressedAssets:
    """Compress what Streamlit serves from `/static/`, which it sends as it is: 2.3 MB of a first load of 3 MB.

    Only files that never change under their name are kept, so that the cache holds at most Streamlit's own files.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: dict[str, list[Message]] = {}  # the response's messages by path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_asset(scope):
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        messages = self._kept.get(path)
        if messages is None:
            messages = await response(self.app, scope, receive)
            if _can_be_kept(messages):
                messages = await asyncio.to_thread(_compressed, messages)
                self._kept[path] = messages
        for message in messages:
            await send(dict(message))


class StyledDocument:
    """Put the page's styles and a preload of its font into the document: nothing moves when Streamlit sends them.

    The styles stand at the end of the body, behind those that Streamlit's script adds to the head.
    """

    def __init__(self, app: ASGIApp, styles: str, font: str) -> None:
        self.app = app
        link = f'<link rel="preload" href="{font}" as="font" type="font/woff2" crossorigin />'
        self._added = {b"</head>": link.encode(), b"</body>": f"<style>{styles}</style>".encode()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_document(scope):
            await self.app(scope, receive, send)
            return
        kept = [pair for pair in scope["headers"] if pair[0].decode().lower() not in CONDITIONS]
        start, *bodies = await response(self.app, {**scope, "headers": kept}, receive)
        headers = MutableHeaders(raw=list(start["headers"]))
        body = b"".join(message.get("body", b"") for message in bodies)
        if "text/html" in headers.get("content-type", "") and "content-encoding" not in headers:
            for tag, added in self._added.items():
                body = body.replace(tag, added + tag)
            headers["content-length"] = str(len(body))
            for name in ("etag", "last-modified"):  # of the file alone
                if name in headers:
                    del headers[name]
        await send({**start, "headers": headers.raw})
        await send({"type": "http.response.body", "body": body})


async def response(app: ASGIApp, scope: Scope, receive: Receive) -> list[Message]:
    """Return the messages of a response in place of sending them."""
    messages: list[Message] = []

    async def collect(message: Message) -> None:
        messages.append(message)

    await app({**scope, "extensions": {}}, receive, collect)
    return messages


def _is_asset(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path, headers = scope["path"], Headers(scope=scope)
    if any(name in headers for name in CONDITIONS) or "gzip" not in headers.get("accept-encoding", ""):
        return False
    return "/static/" in path and path.endswith(ENDINGS)


def _is_document(scope: Scope) -> bool:
    """Return whether a browser asks for the page itself."""
    if scope["type"] != "http" or scope["method"] != "GET" or "." in scope["path"] or "/_stcore/" in scope["path"]:
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")


def _can_be_kept(messages: list[Message]) -> bool:
    start, *bodies = messages
    headers = Headers(raw=start["headers"])
    is_large = sum(len(message.get("body", b"")) for message in bodies) >= LEAST_BYTES
    is_plain = "content-encoding" not in headers
    return start["status"] == 200 and "immutable" in headers.get("cache-control", "") and is_plain and is_large


def _compressed(messages: list[Message]) -> list[Message]:
    start, *bodies = messages
    body = gzip.compress(b"".join(message.get("body", b"") for message in bodies), mtime=0)
    headers = MutableHeaders(raw=list(start["headers"]))
    headers["content-encoding"], headers["content-length"] = "gzip", str(len(body))
    headers.add_vary_header("Accept-Encoding")
    if "etag" in headers:
        headers["etag"] = f"W/{headers['etag']}"
    return [{**start, "headers": headers.raw}, {"type": "http.response.body", "body": body}]
