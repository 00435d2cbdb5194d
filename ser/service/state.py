"""What one process of the service keeps, and what a route needs before it answers: a key, a place, a model."""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import ClientDisconnect, HTTPConnection

from ser.inference.artifact import known
from ser.inference.recognizer import Recognizer, load
from ser.service.errors import Refusal
from ser.service.limits import Gate, Limits, Visit
from ser.service.metrics import count_answer, count_timeline
from ser.service.uploads import LONG_UPLOAD_S, UPLOAD_S, Upload
from ser.service.workers import DEADLINE_S, LONG_DEADLINE_S, Workers, hear
from ser.timeline.segments import Timeline
from ser.types import ParameterError, Prediction


@dataclass(frozen=True)
class Settings:
    """What an operator may choose. Raises `ParameterError` for a key that no client could send."""

    key: str | None = None
    origins: tuple[str, ...] = ()  # of web pages that may call the service; none may unless named
    deadline_s: float = DEADLINE_S
    upload_s: float = UPLOAD_S
    long_deadline_s: float = LONG_DEADLINE_S
    long_upload_s: float = LONG_UPLOAD_S
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        key = self.key or ""
        if not (key.isascii() and key.isprintable()):  # what else there is, clients encode in different ways
            raise ParameterError(
                "SER_API_KEY has characters that no header carries safely; accepted are those of ASCII that can be "
                "printed. Choose another key."
            )

    @classmethod
    def from_environment(cls) -> Settings:
        """SER_API_KEY, and SER_CORS_ORIGINS separated by commas."""
        origins = os.environ.get("SER_CORS_ORIGINS", "").split(",")
        named = tuple(origin.strip() for origin in origins if origin.strip())
        return cls(key=os.environ.get("SER_API_KEY") or None, origins=named)


class Service:
    """What one process keeps: its models, its threads, and the count of what is in hand."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.gate = Gate(settings.limits)
        self.workers = Workers(settings.deadline_s)
        self.long = Workers(settings.long_deadline_s, threads=1)  # its own, so that short recordings never wait for it
        self.default: Recognizer | None = None
        self._models: dict[str, Recognizer] = {}

    def start(self) -> None:
        self.default = load()
        self._models[self.default.name] = self.default

    def close(self) -> None:
        self.workers.close()
        self.long.close()

    async def recognizer(self, name: str | None) -> Recognizer:
        """The model of a name, loaded when first asked for; without one the default. Names only, never folders."""
        if self.default is None:
            raise Refusal("busy", "The service is still starting. Try again in a second.")
        if name is None:
            return self.default
        if name not in self._models:
            if name not in known():
                names = ", ".join(sorted({*known(), *self._models}))
                raise Refusal("model", f"No model {name[:80]!r}; known: {names}.")
            self._models[name] = await self.workers.run(load, name)
        return self._models[name]

    def manifests(self) -> list[dict[str, Any]]:
        """Of the models that are loaded."""
        return [model.artifact.manifest for model in self._models.values()]

    async def predict(self, model: Recognizer, recording: Upload) -> Prediction:
        """The core's answer, counted."""
        prediction = await self.workers.answer(model, recording)
        count_answer(prediction, model.artifact.manifest)
        return prediction

    async def timeline(self, model: Recognizer, recording: Upload) -> Timeline:
        """How a long recording sounds over time, counted."""
        found = await self.long.finish(hear, model, recording)
        count_timeline(found)
        return found


# --- What a route needs before it reads a body ---


def service_of(connection: HTTPConnection) -> Service:
    return connection.app.state.service


def client_of(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


async def _service(connection: HTTPConnection) -> Service:
    return service_of(connection)  # a dependency that is not async would cost a thread, and as much time as an answer


ServiceIn = Annotated[Service, Depends(_service)]
bearer = HTTPBearer(auto_error=False, description="The key of SER_API_KEY, where the service has one.")


async def check_key(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None
) -> None:
    require_key(service_of(request).settings, given.credentials if given else "")


def require_key(settings: Settings, given: str) -> None:
    if settings.key is not None and not hmac.compare_digest(given.encode(), settings.key.encode()):
        raise Refusal("key", "This service asks for a key. Send the header 'Authorization: Bearer KEY'.", close=True)


async def _visit(request: Request, service: ServiceIn) -> AsyncIterator[Visit]:
    with service.gate.enter(client_of(request)) as visit:
        yield visit


ModelName = Annotated[str | None, Query(description="A name from `/models`.", examples=["voice"])]


async def _chosen(service: ServiceIn, model: ModelName = None) -> Recognizer:
    return await service.recognizer(model)


VisitIn = Annotated[Visit, Depends(_visit)]
RecognizerIn = Annotated[Recognizer, Depends(_chosen)]


async def unless_gone(request: Request, work: Coroutine[Any, Any, Any]) -> Any:
    """The work's result. It is cancelled when the client leaves: once a body is read, nothing else comes from it."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
