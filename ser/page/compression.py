"""ASGI middleware of the page: sends Streamlit's scripts and styles compressed, each compressed once."""

from __future__ import annotations

import asyncio
import gzip

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENDINGS = (".js", ".css")
LEAST_BYTES = 1000  # below, the headers weigh more than what is saved


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
            messages = await self._response(scope, receive)
            if _can_be_kept(messages):
                messages = await asyncio.to_thread(_compressed, messages)
                self._kept[path] = messages
        for message in messages:
            await send(dict(message))

    async def _response(self, scope: Scope, receive: Receive) -> list[Message]:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self.app({**scope, "extensions": {}}, receive, collect)
        return messages


def _is_asset(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path, headers = scope["path"], Headers(scope=scope)
    partial = "range" in headers or "if-none-match" in headers or "if-modified-since" in headers
    return (
        "/static/" in path and path.endswith(ENDINGS) and "gzip" in headers.get("accept-encoding", "") and not partial
    )


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
