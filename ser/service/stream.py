"""Live sound over a WebSocket: PCM or a browser's WebM in, a prediction for every 0.25 s out, and one for all of it."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, WebSocket
from starlette.websockets import WebSocketDisconnect

from ser.audio.decoders import MAGIC
from ser.inference.live import Stream, StreamRecognizer, WebmStream
from ser.service.dependencies import ServiceIn, bearer, check_key, check_query, client_of
from ser.service.errors import ServiceError
from ser.service.limits import Slot
from ser.service.middleware import error_response
from ser.service.schemas import answer_dict
from ser.service.state import Service, predict_window, take
from ser.types import AudioError, ParameterError, SerError

IDLE_S = 60.0  # without sound or an end
POLICY_VIOLATION = 1008  # close code of every error
REASON_BYTES = 123  # of a close frame (RFC 6455, 5.5)
HEAD_BYTES = 8
WEBM = b"\x1aE\xdf\xa3"
LIMIT = "This is the answer to the first {:.0f} s, the most of one stream; what came after is left out. Open another."

router = APIRouter()


@dataclass
class StreamQuery:
    """The query parameters, as text: an error of the framework would close the stream without a message."""

    model: str | None = None
    rate: str = "16000"
    channels: str = "1"
    format: str = "pcm"
    adapt: str = "self"

    def number(self, name: str) -> int:
        text = getattr(self, name)
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise ParameterError(
                f"{name}={text[:20]}: expected a whole number, e.g. {name}={getattr(StreamQuery, name)}."
            )
        return int(text)

    def choice(self, name: str, *known: str) -> str:
        text = getattr(self, name)
        if text not in known:
            raise ParameterError(f"{name}={text[:20]}: expected {' or '.join(known)}.")
        return text


@router.websocket("/stream")
async def stream(socket: WebSocket, service: ServiceIn, query: Annotated[StreamQuery, Depends()]) -> None:
    """Take 16-bit PCM at `rate` (Hz) with `channels`, or WebM, until `{"end": true}`; send `{"t_s", ...answer}`."""
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
            await check_query(socket)
            await _answer(socket, service, slot, query)
            await socket.close()
        except SerError as error:
            problem = ServiceError.of(error)
            await socket.send_json(problem.to_dict())
            await socket.close(POLICY_VIOLATION, problem.message.encode()[:REASON_BYTES].decode(errors="ignore"))


async def _answer(socket: WebSocket, service: Service, slot: Slot, query: StreamQuery) -> None:
    is_webm = query.choice("format", "pcm", "webm") == "webm"
    model = await service.recognizer(query.model)
    live, head = StreamRecognizer(model, adapt=query.choice("adapt", "self", "none") == "self"), b""
    with closing(WebmStream() if is_webm else Stream(query.number("rate"), query.number("channels"))) as sound:
        while not sound.is_full and (piece := await _next_piece(socket)) is not None:
            if len(head) < HEAD_BYTES:
                head = (head + piece)[:HEAD_BYTES]
                (_check_webm if is_webm else _check_pcm)(head)
            if isinstance(sound, WebmStream):
                piece = await service.workers.answer(take, sound, piece)
            else:
                piece = sound.take(piece)
            for t_s, wav in sound.add(piece):
                answer = await service.workers.answer(predict_window, live, t_s, wav)
                await socket.send_json({"t_s": t_s, **answer_dict(answer)})
            slot.release_bytes()
            slot.reserve(sound.held_bytes)
        t_s, recording = sound.whole()
    last = {"t_s": t_s, **answer_dict(await service.predict(model, recording))}
    await socket.send_json({**last, "limit": LIMIT.format(t_s)} if sound.is_full else last)


def _check_pcm(head: bytes) -> None:
    """Raise `AudioError` if a stream of PCM begins as a file does."""
    if kind := _container(head):
        raise AudioError(
            f"This begins like {kind}; a stream is 16-bit little-endian PCM without a header. Send the samples alone, "
            "WebM of a browser's MediaRecorder to /stream?format=webm, or the whole file to /predict."
        )


def _check_webm(head: bytes) -> None:
    """Raise `AudioError` if a stream of WebM begins in another way."""
    if not WEBM.startswith(head[: len(WEBM)]):
        raise AudioError(
            f"With format=webm a stream begins like WebM, this like {_container(head) or 'PCM'}. Record with the type "
            "audio/webm, or send PCM without format=webm, or the whole file to /predict."
        )


def _container(head: bytes) -> str | None:
    """Return the format of a file that begins so, but for MP3 without a tag, whose two bytes may well be a sample."""
    if head[4:8] == b"ftyp":
        return "MP4/M4A"
    return next((name for magic, name in MAGIC.items() if len(magic) > 2 and head.startswith(magic)), None)


async def _next_piece(socket: WebSocket) -> bytes | None:
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


def _check_origin(socket: WebSocket, origins: tuple[str, ...]) -> None:
    """Raise `ServiceError` for a page of another host, unless named: browsers open a WebSocket from any page."""
    origin = socket.headers.get("origin")
    if origin is None or origin in origins or "*" in origins:
        return
    if origin.partition("://")[2] != socket.headers.get("host"):
        message = "Pages of this origin may not open a stream. The operator can add it to SER_CORS_ORIGINS."
        raise ServiceError("origin", message)
