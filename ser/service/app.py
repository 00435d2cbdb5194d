"""The service as an ASGI application: routes, error responses, CORS and documentation. `ser serve` runs it."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

import ser
from ser.service import routes, stream
from ser.service.dependencies import check_key, check_query
from ser.service.errors import ServiceError
from ser.service.middleware import RequestMiddleware, error_response
from ser.service.schemas import problems
from ser.service.settings import Settings
from ser.service.state import Service
from ser.types import NOTICE, SerError

ABOUT = """
Speech emotion recognition: send a recording, get one of eight emotions, its probability, and whether to trust it.

Recordings of most formats are processed in memory and never stored: up to 25 MB and 120 s for `/predict`, 120 MB and
four hours for `/timeline`.

**Live sound**: `WS /stream?rate=16000&channels=1` takes 16-bit little-endian PCM in binary messages and sends
`{"t_s", ...answer}` for every 0.25 s of sound, on the 3.5 s before. After the text message `{"end": true}` it sends a
last answer, on all the sound, and closes the connection. After 120 s of sound, or 25 MB, it does so by itself; that
answer has the key `limit`, a sentence. An error is `{"code", "message"}` and close code 1008. A message of
more than 1 MiB is refused with close code 1009; a quarter of a second is less at every rate.

`WS /stream?format=webm` takes what a browser's MediaRecorder sends: the chunks of one WebM file, which names its rate
and channels itself. `?model=` and `?adapt=none` are as for `/timeline`.

```python
import json
from threading import Thread

import soundfile
from websockets.sync.client import connect

clip = soundfile.SoundFile("clip.wav")
rate, channels = clip.samplerate, clip.channels

def send():
    for piece in clip.blocks(rate // 4, dtype="int16"):
        socket.send(piece.tobytes())
    socket.send(json.dumps({"end": True}))

with connect(f"ws://localhost:8000/stream?rate={rate}&channels={channels}") as socket:
    Thread(target=send).start()
    for message in socket:
        answer = json.loads(message)
        print(answer["t_s"], answer["label"], answer["confidence"])
```

```js
const microphone = await navigator.mediaDevices.getUserMedia({audio: true})
const recorder = new MediaRecorder(microphone, {mimeType: "audio/webm"})
const socket = new WebSocket("ws://localhost:8000/stream?format=webm")
socket.onopen = () => recorder.start(250)
recorder.ondataavailable = chunk => socket.send(chunk.data)
recorder.onstop = () => socket.send(JSON.stringify({end: true}))
socket.onmessage = message => console.log(JSON.parse(message.data).label)
```

If the service has a key (`SER_API_KEY`), send it as `Authorization: Bearer KEY`.
"""
FRAMEWORK_ERRORS = {
    404: ("not_found", "No such address; /docs lists them."),
    405: ("method", "This address does not accept this method; /docs lists its methods."),
}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application, by default with the settings of the environment. Its model is `SER_MODEL` or the best."""
    service = Service(settings or Settings.from_environment())

    app = FastAPIOffline(
        title="ser",
        version=ser.__version__,
        description=f"{ABOUT}\n{NOTICE}\n",
        lifespan=service.running,
        redoc_url=None,
        static_url="/docs/files",  # our copy of the page's files; FastAPI links to another host
        swagger_ui_parameters={"validatorUrl": None},  # by default a third host, which would see our address
    )
    app.state.service = service
    query, key = Depends(check_query), Depends(check_key)
    if service.settings.key:  # OpenAPI asks for a key only if there is one
        app.include_router(routes.guarded, dependencies=[key, query], responses=problems("key", "parameter"))
    else:
        app.include_router(routes.guarded, dependencies=[query], responses=problems("parameter"))
    app.include_router(routes.public, dependencies=[query], responses=problems("parameter"))
    app.include_router(stream.router)
    for kind in (SerError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _on_error)
    if service.settings.origins:
        headers = ["Authorization", "Content-Type"]
        app.add_middleware(
            CORSMiddleware, allow_origins=service.settings.origins, allow_methods=["GET", "POST"], allow_headers=headers
        )
    app.add_middleware(RequestMiddleware)
    return app


async def _on_error(request: Request, error: Exception) -> Response:
    """Answer errors of ser and of the framework: invalid parameter, unknown address, another method, partial body."""
    headers: Mapping[str, str] = {}
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        error = ServiceError("parameter", f"{'.'.join(map(str, first['loc']))}: {first['msg']}.")
    elif isinstance(error, HTTPException):
        headers = error.headers or {}
        error = ServiceError(*FRAMEWORK_ERRORS.get(error.status_code, ("body", str(error.detail))))
    assert isinstance(error, SerError)
    response = error_response(ServiceError.of(error))
    response.headers.update(headers)
    return response
