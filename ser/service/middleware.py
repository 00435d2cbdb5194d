"""Around every request: its id, one line in the log, its counts, and an answer in JSON whatever goes wrong.

The log holds no sound, no file names, no addresses and no queries; of a fault its kind and place, not its message.
It is one JSON object a line, but for notes that the decoder of MP3 (libmpg123) writes past it about damaged files.
"""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
import uuid
from asyncio import CancelledError
from random import random
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ser.service.errors import Refusal
from ser.service.metrics import IN_HAND, REFUSALS, REQUEST_SECONDS, REQUESTS

ID_HEADER = "X-Request-ID"
GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
REQUESTS_A_CONNECTION = 100  # on average; then its client connects anew, to whichever worker has least to do
GONE = 499  # as nginx calls a client that left before its answer
ROUTES = ("/predict", "/batch", "/timeline", "/stream", "/models", "/health", "/metrics", "/docs", "/openapi.json")
log = logging.getLogger("ser.service")


class Access:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, requests_a_connection: int = REQUESTS_A_CONNECTION) -> None:
        self.app = app
        self._closing = 1 / requests_a_connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            await _Visitor(scope, send, random() < self._closing).serve(self.app, receive)
        else:
            await self.app(scope, receive, send)


class _Visitor:
    """One request on its way through."""

    def __init__(self, scope: Scope, send: Send, closing: bool) -> None:
        given = Headers(scope=scope).get(ID_HEADER, "")
        self.id = given if GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        self.scope, self._send = scope, send
        self.route = route(scope["path"])
        self.closing = closing and scope["type"] == "http"
        self.status = 0
        self.began = time.perf_counter()

    async def serve(self, app: ASGIApp, receive: Receive) -> None:
        IN_HAND.labels(self.route).inc()
        try:
            await app(self.scope, receive, self.send)
        except ClientDisconnect:
            self.status = self.status or GONE
        except CancelledError:
            await self._refuse(Refusal("busy", "The service is stopping. Try again in a second."), receive)
            raise
        except Exception as error:
            await self._fault(error, receive)
        finally:
            IN_HAND.labels(self.route).dec()
            self._note()

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
            self.status = message.get("status", 101)
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers[ID_HEADER] = self.id
            if self.closing:
                headers["Connection"] = "close"
        await self._send(message)

    async def _fault(self, error: Exception, receive: Receive) -> None:
        """A fault of ours: its place goes to the log, a sentence to the client, if it has had no answer yet."""
        place = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        log.error("fault", extra={"fields": {"id": self.id, "kind": type(error).__name__, "place": place}})
        refusal = Refusal("internal", f"The service failed on this request. Its log knows it as {self.id}.")
        await self._refuse(refusal, receive)

    async def _refuse(self, refusal: Refusal, receive: Receive) -> None:
        """Unless there has been an answer already, or nobody waits for one."""
        if not self.status and self.scope["type"] == "http":
            await respond(refusal)(self.scope, receive, self.send)

    def _note(self) -> None:
        seconds = time.perf_counter() - self.began
        method = self.scope.get("method", "WS")
        status = self.status or GONE
        REQUESTS.labels(self.route, method if method in METHODS else "other", status).inc()
        if self.scope["type"] == "http":  # how long streams stay open is up to their clients
            REQUEST_SECONDS.labels(self.route).observe(seconds)
        fields = {"id": self.id, "route": self.route, "method": method, "status": status}
        log.info("request", extra={"fields": {**fields, "ms": round(1000 * seconds, 1)}})


METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "WS")


def route(path: str) -> str:
    """The address as it is counted and logged: what a client made up is no address."""
    return next((known for known in ROUTES if path == known or path.startswith(f"{known}/")), "other")


def respond(refusal: Refusal) -> Response:
    """A refusal as it goes out, counted."""
    REFUSALS.labels(refusal.code).inc()
    return JSONResponse(refusal.to_dict(), refusal.status, refusal.headers())


class Unnamed(logging.Filter):
    """Drops what the server says of streams itself, which names their clients and queries; our line stands for it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return '"WebSocket %s"' not in str(record.msg)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, event, and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line)
