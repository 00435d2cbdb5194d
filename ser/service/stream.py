"""Live sound over a WebSocket: PCM in; a prediction for every quarter of a second out, and one for all of it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from ser.inference.live import Stream, StreamRecognizer
from ser.service.dependencies import ServiceIn, bearer, check_key, client_of
from ser.service.errors import ServiceError
from ser.service.limits import Slot
from ser.service.middleware import error_response
from ser.service.schemas import answer_dict
from ser.service.state import Service, predict_window
from ser.types import ParameterError, Prediction, SerError

IDLE_S = 60.0  # without sound or an end
POLICY_VIOLATION = 1008  # close code of every error
REASON_BYTES = 123  # of a close frame (RFC 6455, 5.5)

router = APIRouter()


@router.websocket("/stream")
async def stream(socket: WebSocket, service: ServiceIn) -> None:
    """Take 16-bit PCM at `rate` (Hz) with `channels`; send `{"t_s", ...answer}`; `{"end": true}` asks for the last."""
    try:
        _check_origin(socket, service.settings.origins)
        await check_key(service, await bearer(socket))
        slot = service.limiter.enter(client_of(socket))
    except ServiceError as error:
        await socket.send_denial_response(error_response(error))
        return
    with slot, suppress(WebSocketDisconnect):
        await socket.accept()
        try:
            await _answer(socket, service, slot)
            await socket.close()
        except SerError as error:
            problem = ServiceError.of(error)
            await socket.send_json(problem.to_dict())
            await socket.close(POLICY_VIOLATION, problem.message.encode()[:REASON_BYTES].decode(errors="ignore"))


async def _answer(socket: WebSocket, service: Service, slot: Slot) -> None:
    sound = Stream(_number(socket, "rate", 16_000), _number(socket, "channels", 1))
    model = await service.recognizer(socket.query_params.get("model"))
    live = StreamRecognizer(model, adapt=_adapt(socket))
    while (pcm := await _next_pcm(socket)) is not None:
        for t_s, wav in sound.add(pcm):
            await _send(socket, t_s, await service.workers.answer(predict_window, live, t_s, wav))
        slot.release_bytes()
        slot.reserve(sound.held_bytes)
    t_s, wav = sound.whole()
    await _send(socket, t_s, await service.predict(model, wav))


async def _next_pcm(socket: WebSocket) -> bytes | None:
    """Return the next binary message, None at the end. Raises `WebSocketDisconnect` if the client has left."""
    try:
        async with asyncio.timeout(IDLE_S):
            message = await socket.receive()
    except TimeoutError:
        raise ServiceError("slow", f"No sound for {IDLE_S:g} s. Open the stream again when there is some.") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    if message.get("bytes") is not None:
        return message["bytes"]
    with suppress(ValueError, RecursionError):
        if json.loads(message["text"]) == {"end": True}:
            return None
    raise ParameterError('Send sound as binary messages; the only text is {"end": true}.')


async def _send(socket: WebSocket, t_s: float, prediction: Prediction) -> None:
    await socket.send_json({"t_s": t_s, **answer_dict(prediction)})


def _number(socket: WebSocket, name: str, default: int) -> int:
    text = socket.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ParameterError(f"{name}={text[:20]}: expected a whole number, e.g. {name}={default}.")
    return int(text)


def _adapt(socket: WebSocket) -> bool:
    """Return whether answers adapt to the stream's own speech, which they do unless `adapt=none`."""
    adapt = socket.query_params.get("adapt", "self")
    if adapt not in ("self", "none"):
        raise ParameterError(f"adapt={adapt[:20]}: expected self or none.")
    return adapt == "self"


def _check_origin(socket: WebSocket, origins: tuple[str, ...]) -> None:
    """Raise `ServiceError` for a page of another host, unless named: browsers open a WebSocket from any page."""
    origin = socket.headers.get("origin")
    if origin is None or origin in origins or "*" in origins:
        return
    if origin.partition("://")[2] != socket.headers.get("host"):
        message = "Pages of this origin may not open a stream. The operator can add it to SER_CORS_ORIGINS."
        raise ServiceError("origin", message)
