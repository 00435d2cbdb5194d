"""ASGI middleware: request id, access log, metrics, JSON errors, a proxy's path prefix.

The log holds no sound, file names, addresses and queries; of a fault its type and location, not its message.
libmpg123, the MP3 decoder, writes its own notes on damaged files between the lines.
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

from ser.service.errors import ServiceError
from ser.service.metrics import ERRORS, IN_PROGRESS, REQUEST_SECONDS, REQUESTS

ID_HEADER = "X-Request-ID"
CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
REQUESTS_A_CONNECTION = 100  # on average; then its client reconnects, to the least busy worker
DISCONNECTED = 499  # nginx's status for a client that left before its answer
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "WS")
ROUTES = ("/predict", "/batch", "/timeline", "/stream", "/models", "/health", "/metrics", "/docs", "/openapi.json")
log = logging.getLogger("ser.service")


class RequestMiddleware:
    """The outermost middleware. Closes connections at random, `requests_a_connection` apart on average."""

    def __init__(self, app: ASGIApp, requests_a_connection: int = REQUESTS_A_CONNECTION) -> None:
        self.app = app
        self._closing = 1 / requests_a_connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            await _Exchange(scope, send, random() < self._closing).run(self.app, receive)
        else:
            await self.app(scope, receive, send)


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, send: Send, closing: bool) -> None:
        client_id = Headers(scope=scope).get(ID_HEADER, "")
        self.id = client_id if CLIENT_ID.fullmatch(client_id) else uuid.uuid4().hex
        self.method = scope.get("method", "WS")
        root_path = scope.get("root_path", "")
        path = without_prefix(scope["path"], root_path)
        self.route = route(path)
        self._is_http = scope["type"] == "http"
        self.scope = {**scope, "root_path": root_path, "path": root_path + path}
        if self.method == "HEAD":  # answered as GET; the server drops the body
            self.scope["method"] = "GET"
        self._send, self._closing = send, closing and self._is_http
        self.status = 0
        self._began = time.perf_counter()

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        IN_PROGRESS.labels(self.route).inc()
        try:
            await app(self.scope, receive, self.send)
        except ClientDisconnect:
            self.status = self.status or DISCONNECTED
        except CancelledError:
            await self._fail(ServiceError("busy", "The service is stopping. Try again in a second."), receive)
            raise
        except Exception as error:
            frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            log.error("fault", extra={"fields": {"id": self.id, "kind": type(error).__name__, "place": frames}})
            message = f"The service failed on this request; its log has the details under the id {self.id}."
            await self._fail(ServiceError("internal", message), receive)
        finally:
            IN_PROGRESS.labels(self.route).dec()
            self._count()

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
            self.status = message.get("status", 101)
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers[ID_HEADER] = self.id
            if self._closing:
                headers["Connection"] = "close"
        await self._send(message)

    async def _fail(self, error: ServiceError, receive: Receive) -> None:
        """Send an error, unless the response has begun or is a WebSocket's."""
        if not self.status and self._is_http:
            await error_response(error)(self.scope, receive, self.send)

    def _count(self) -> None:
        seconds = time.perf_counter() - self._began
        status = self.status or DISCONNECTED
        REQUESTS.labels(self.route, self.method if self.method in METHODS else "other", status).inc()
        if self._is_http:  # a stream's duration is its client's choice
            REQUEST_SECONDS.labels(self.route).observe(seconds)
        fields = {"id": self.id, "route": self.route, "method": self.method, "status": status}
        log.info("request", extra={"fields": {**fields, "ms": round(1000 * seconds, 1)}})


def without_prefix(path: str, root_path: str) -> str:
    """Remove a proxy's prefix from a path: uvicorn prepends it, also if the proxy has not stripped it."""
    while root_path and (path == root_path or path.startswith(f"{root_path}/")):
        path = path.removeprefix(root_path)
    return path


def route(path: str) -> str:
    """Return a path as metrics and log name it; unknown paths are `other`, to bound the number of labels."""
    return next((known for known in ROUTES if path == known or path.startswith(f"{known}/")), "other")


def error_response(error: ServiceError) -> Response:
    """Return the JSON response of an error, and count it."""
    ERRORS.labels(error.code).inc()
    return JSONResponse(error.to_dict(), error.status, error.headers())


class WebSocketFilter(logging.Filter):
    """Drop uvicorn's lines on WebSockets, which name clients and queries; the access log has its own line."""

    def filter(self, record: logging.LogRecord) -> bool:
        return '"WebSocket %s"' not in str(record.msg)


class JsonFormatter(logging.Formatter):
    """Format a record as one JSON object: time, level, event and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line)
