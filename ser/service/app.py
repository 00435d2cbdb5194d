"""The service: recordings and live sound in over HTTP, the core's answers out as JSON.

`create_app` makes the application, which keeps a model in memory and nothing else. `ser serve` runs it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

import ser
from ser.inference.artifact import known
from ser.inference.manifest import read_manifest
from ser.inference.recognizer import Recognizer
from ser.service import stream as live
from ser.service import uploads as upload
from ser.service.errors import Refusal
from ser.service.metrics import exposition
from ser.service.middleware import Access, respond
from ser.service.schemas import Answer, Failed, Health, Model, TimelineAnswer, answer_dict, failed_dict, problems
from ser.service.state import RecognizerIn, Service, ServiceIn, Settings, VisitIn, check_key, unless_gone
from ser.timeline.formats import WRITERS, Writer, find_writer
from ser.types import NOTICE, SerError

PROMETHEUS_TEXT = "text/plain; version=1.0.0; charset=utf-8"
SOUND = {"type": "string", "format": "binary"}

ABOUT = """
How does a voice sound? Send a recording, get one of eight emotions, how sure the answer is, and why it may be wrong.

Recordings of most formats are heard in memory and never stored: up to 25 MB and 120 s for `/predict`, 120 MB and four
hours for `/timeline`.

**Live sound**: `WS /stream?rate=16000&channels=1` takes 16-bit little-endian PCM in binary messages and answers every
0.25 s of sound with `{"t_s", ...answer}` on the 3.5 s before. After the text message `{"end": true}` comes one last
answer, on all the sound sent, and the connection closes. A refusal is `{"code", "message"}` and close code 1008. A
message of more than 1 MiB is refused with close code 1009; a quarter of a second is less at every rate.

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

If the service has a key (`SER_API_KEY`), send it as `Authorization: Bearer KEY`.
"""


REFUSED = problems("body", "model", "slow", "too_large", "audio", "parameter", "too_many", "busy", "overdue")
WRITTEN = [writer for name, writer in WRITERS.items() if name != "json"]
guarded, unguarded = APIRouter(), APIRouter()  # behind the key, where there is one; open to all


# --- Recordings ---


def _body(part: str, schema: dict[str, Any], *, raw: bool = False) -> dict[str, Any]:
    form = {
        "schema": {"type": "object", "required": [part], "properties": {part: schema}},
        "encoding": {part: {"contentType": "audio/wav, application/octet-stream"}},
    }
    content: dict[str, Any] = {"multipart/form-data": form}
    if raw:
        content |= {kind: {"schema": SOUND} for kind in ("audio/wav", "application/octet-stream")}
    return {"requestBody": {"required": True, "content": content}}


@guarded.post("/predict", response_model=Answer, responses=REFUSED, openapi_extra=_body("file", SOUND, raw=True))
async def predict(request: Request, service: ServiceIn, visit: VisitIn, model: RecognizerIn) -> Response:
    """How one recording sounds: the part `file` of a multipart body, or the whole body of any other type.

    ```
    curl -F file=@clip.wav http://localhost:8000/predict
    curl --data-binary @clip.wav -H "Content-Type: audio/wav" "http://localhost:8000/predict?model=voice"
    ```
    """
    recording = await upload.one(request, visit, service.settings.upload_s)
    return JSONResponse(answer_dict(await unless_gone(request, service.predict(model, recording))))


@guarded.post(
    "/batch",
    response_model=list[Answer | Failed],
    responses=REFUSED,
    openapi_extra=_body("files", {"type": "array", "items": SOUND, "minItems": 1, "maxItems": upload.MAX_FILES}),
)
async def batch(request: Request, service: ServiceIn, visit: VisitIn, model: RecognizerIn) -> Response:
    """How up to 100 recordings sound, 100 MB in all: the parts `files` of a multipart body, answered in their order.

    One that cannot be answered stays in the list with its error. They are heard one after the other, so that a batch
    does not hold up the recordings of others.

    ```
    curl -F files=@clip.wav -F files=@notes.txt http://localhost:8000/batch
    ```
    """
    recordings = await upload.several(request, visit, service.settings.upload_s)

    async def work() -> list[dict[str, Any]]:
        return [await _told(service, model, recording) for recording in recordings]

    return JSONResponse(await unless_gone(request, work()))


async def _told(service: Service, model: Recognizer, recording: upload.Upload) -> dict[str, Any]:
    """The answer to one recording of a batch, or its error."""
    try:
        return answer_dict(await service.predict(model, recording))
    except (SerError, Refusal) as error:
        return failed_dict(recording.name, error if isinstance(error, Refusal) else Refusal.of(error))


async def _writer(
    format: Annotated[
        str,
        Query(description="How the timeline is written.", examples=["srt"], json_schema_extra={"enum": list(WRITERS)}),
    ] = "json",
) -> Writer:
    return find_writer(format)


@guarded.post(
    "/timeline",
    response_model=TimelineAnswer,
    responses=REFUSED | {200: {"content": {writer.media_type: {"schema": {"type": "string"}} for writer in WRITTEN}}},
    openapi_extra=_body("file", SOUND, raw=True),
)
async def timeline(
    request: Request,
    service: ServiceIn,
    visit: VisitIn,
    model: RecognizerIn,
    writer: Annotated[Writer, Depends(_writer)],
) -> Response:
    """How one recording of up to four hours and 120 MB sounds over time: its speech in segments, sent as to `/predict`.

    The answer comes when all of it is heard, within ten minutes; long recordings are heard one at a time. `?format=`
    also gives tables, subtitles, and labels for Audacity and Praat.

    ```
    curl -F file=@talk.flac http://localhost:8000/timeline
    curl --data-binary @talk.flac -H "Content-Type: audio/flac" "http://localhost:8000/timeline?format=srt"
    ```
    """
    recording = await upload.one(request, visit, service.settings.long_upload_s, upload.MAX_LONG_BYTES)
    found = await unless_gone(request, service.timeline(model, recording))
    return Response(writer.write(found), media_type=writer.media_type)


# --- About the service ---


@guarded.get("/models", response_model=list[Model])
async def models(service: ServiceIn) -> Response:
    """The models that `?model=` may name.

    ```
    curl http://localhost:8000/models
    ```
    """
    manifests = {manifest["name"]: manifest for manifest in service.manifests()}
    manifests |= {name: read_manifest(folder) for name, folder in known().items() if name not in manifests}
    return JSONResponse([_model(manifest, service) for manifest in manifests.values()])


def _model(manifest: dict[str, Any], service: Service) -> dict[str, Any]:
    is_default = service.default is not None and manifest["name"] == service.default.name
    uar = manifest["metrics"].get("folds", {}).get("uar")
    return {"name": manifest["name"], "labels": manifest["labels"], "default": is_default, "uar": uar}


@unguarded.get("/health/live", response_model=Health)
@unguarded.get("/health", response_model=Health)
async def alive(service: ServiceIn) -> Response:
    """That the process runs.

    ```
    curl http://localhost:8000/health
    curl http://localhost:8000/health/live
    ```
    """
    return JSONResponse(_health("live", service))


@unguarded.get("/health/ready", response_model=Health, responses=problems("busy"))
async def ready(service: ServiceIn) -> Response:
    """That it can answer now; 503 while it starts, or has as much in hand as it takes.

    ```
    curl http://localhost:8000/health/ready
    ```
    """
    if service.default is None or service.gate.is_full:
        raise Refusal("busy", "Not ready: the service is starting, or has as much in hand as it takes.")
    return JSONResponse(_health("ready", service))


def _health(status: str, service: Service) -> dict[str, Any]:
    return {"status": status, "version": ser.__version__, "model": service.default.name if service.default else None}


@guarded.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {PROMETHEUS_TEXT: {"schema": {"type": "string"}}}}},
)
async def metrics(service: ServiceIn) -> Response:
    """Counts for Prometheus, summed over all worker processes.

    ```
    curl http://localhost:8000/metrics
    ```
    """
    return Response(exposition(service.manifests()), headers={"Content-Type": PROMETHEUS_TEXT})


# --- The application ---


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; without settings those of the environment. The model is `SER_MODEL`, else the best."""
    service = Service(settings or Settings.from_environment())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    app = FastAPIOffline(
        title="ser",
        version=ser.__version__,
        description=f"{ABOUT}\n{NOTICE}\n",
        lifespan=lifespan,
        redoc_url=None,
        static_url="/docs/files",  # the page's own; what FastAPI gives by default comes from another host
        swagger_ui_parameters={"validatorUrl": None},  # which would show our address to a third one
    )
    app.state.service = service
    key = [Depends(check_key)] if service.settings.key else []  # without one, OpenAPI must not ask for it either
    app.include_router(guarded, dependencies=key, responses=problems("key") if key else {})
    app.include_router(unguarded)
    app.include_router(live.router)
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(SerError, _on_ser_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    if service.settings.origins:
        headers = ["Authorization", "Content-Type"]
        app.add_middleware(
            CORSMiddleware, allow_origins=service.settings.origins, allow_methods=["GET", "POST"], allow_headers=headers
        )
    app.add_middleware(Access)
    return app


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return respond(error)


async def _on_ser_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SerError)
    return respond(Refusal.of(error))


async def _on_http_error(request: Request, error: Exception) -> Response:
    """What the framework refuses: no such address, another method, a body that ended too early."""
    assert isinstance(error, HTTPException)
    code, message = {
        404: ("not_found", "No such address; /docs lists them."),
        405: ("method", "This address does not take this method; /docs lists what it takes."),
    }.get(error.status_code, ("body", str(error.detail)))
    response = respond(Refusal(code, message))
    response.headers.update(error.headers or {})
    return response


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return respond(Refusal("parameter", f"{'.'.join(map(str, first['loc']))}: {first['msg']}."))
