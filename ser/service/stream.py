"""Live sound over a WebSocket: pieces of it in, an answer for every quarter of a second out, and one on the whole."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from ser.inference.live import Stream
from ser.service.errors import Refusal
from ser.service.limits import Visit
from ser.service.middleware import respond
from ser.service.schemas import answer_dict
from ser.service.state import Service, client_of, require_key, service_of
from ser.service.uploads import Upload
from ser.types import ParameterError, Prediction, SerError

IDLE_S = 60.0  # without sound or an end
POLICY_VIOLATION = 1008  # the close code for all that is refused

router = APIRouter()


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """16-bit PCM at `rate` (Hz) with `channels` in; `{"t_s", ...answer}` out; `{"end": true}` asks for the last."""
    service = service_of(socket)
    try:
        _check_origin(socket, service.settings.origins)
        require_key(service.settings, _bearer(socket))
        visit = service.gate.enter(client_of(socket))
    except Refusal as refusal:
        await socket.send_denial_response(respond(refusal))
        return
    with visit:
        await socket.accept()
        try:
            await _listen(socket, service, visit)
            await socket.close()
        except (SerError, Refusal) as error:
            await _refuse(socket, error if isinstance(error, Refusal) else Refusal.of(error))
        except WebSocketDisconnect:
            return


async def _listen(socket: WebSocket, service: Service, visit: Visit) -> None:
    """Answer a stream until its end."""
    arrived = Stream(_number(socket, "rate", 16_000), _number(socket, "channels", 1))
    model = await service.recognizer(socket.query_params.get("model"))
    while (pcm := await _next_sound(socket)) is not None:
        for t_s, wav in arrived.add(pcm):
            await _tell(socket, t_s, await service.workers.answer(model, wav))
        visit.drop()
        visit.hold(arrived.held_bytes)
    t_s, wav = arrived.whole()
    await _tell(socket, t_s, await service.predict(model, Upload(None, wav)))


async def _next_sound(socket: WebSocket) -> bytes | None:
    """The next piece of sound; None at the end. Raises `WebSocketDisconnect` when the client has left."""
    try:
        async with asyncio.timeout(IDLE_S):
            message = await socket.receive()
    except TimeoutError:
        raise Refusal("slow", f"No sound for {IDLE_S:g} s. Open the stream again when there is some.") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    if message.get("bytes") is not None:
        return message["bytes"]
    if not _is_end(message["text"]):
        raise ParameterError('Send sound as binary messages; the only text is {"end": true}.')
    return None


def _is_end(text: str) -> bool:
    try:
        return json.loads(text) == {"end": True}
    except (ValueError, RecursionError):
        return False


async def _tell(socket: WebSocket, t_s: float, prediction: Prediction) -> None:
    await socket.send_json({"t_s": t_s, **answer_dict(prediction)})


async def _refuse(socket: WebSocket, refusal: Refusal) -> None:
    try:
        await socket.send_json(refusal.to_dict())
        await socket.close(POLICY_VIOLATION, refusal.message[:100])
    except WebSocketDisconnect:
        return


def _number(socket: WebSocket, name: str, default: int) -> int:
    given = socket.query_params.get(name, str(default))
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise ParameterError(f"{name}={given[:20]}: expected a whole number, e.g. {name}={default}.")
    return int(given)


def _bearer(socket: WebSocket) -> str:
    scheme, _, key = socket.headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else ""


def _check_origin(socket: WebSocket, origins: tuple[str, ...]) -> None:
    """Browsers open a WebSocket from any page; only pages of this host, or named ones, are heard."""
    origin = socket.headers.get("origin")
    if origin is None or origin in origins or "*" in origins:
        return
    if origin.partition("://")[2] == socket.headers.get("host"):
        return
    raise Refusal("origin", "Pages of this origin may not open a stream. The operator can name it in SER_CORS_ORIGINS.")
