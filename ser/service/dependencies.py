"""What routes depend on: the service, the API key, a slot within the limits, the model."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import ClientDisconnect, HTTPConnection

from ser.inference.recognizer import Recognizer
from ser.service.errors import ServiceError
from ser.service.limits import Slot
from ser.service.state import Service
from ser.types import ParameterError, check_known

bearer = HTTPBearer(auto_error=False, description="The value of SER_API_KEY, if the service has a key.")


async def _service(connection: HTTPConnection) -> Service:
    return connection.app.state.service  # async, as FastAPI runs other dependencies in a thread: milliseconds


ServiceIn = Annotated[Service, Depends(_service)]


async def check_key(
    service: ServiceIn, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None
) -> None:
    """Raise `ServiceError` if the service has a key and the client sent another or none."""
    key, sent = service.settings.key, credentials.credentials if credentials else ""
    if key is not None and not hmac.compare_digest(sent.encode(), key.encode()):
        message = "Missing or invalid API key. Send the header 'Authorization: Bearer KEY'."
        raise ServiceError("key", message, close=True)


async def check_query(connection: HTTPConnection) -> None:
    """Raise `ParameterError` for a query parameter that the route does not declare."""
    known = sorted(_declared(connection.scope["route"].dependant))
    for name in connection.query_params:
        if not known:
            raise ParameterError(f"Unknown parameter {name[:80]!r}; this address takes none. Leave it out.")
        check_known(name, known, "parameter")


def _declared(dependant: Dependant) -> set[str]:
    """Return the query parameters of a route's function and of what it depends on."""
    names = {field.alias for field in dependant.query_params}
    return names.union(*map(_declared, dependant.dependencies))


def client_of(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


async def _slot(request: Request, service: ServiceIn) -> AsyncIterator[Slot]:
    with service.limiter.enter(client_of(request)) as slot:
        yield slot


async def _recognizer(
    service: ServiceIn,
    model: Annotated[str | None, Query(description="A name from `/models`.", examples=["voice"])] = None,
) -> Recognizer:
    return await service.recognizer(model)


SlotIn = Annotated[Slot, Depends(_slot)]
RecognizerIn = Annotated[Recognizer, Depends(_recognizer)]


async def unless_gone(request: Request, work: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of the work, or cancel it if the client disconnects. Call it once the body is read."""
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
