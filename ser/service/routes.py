"""Routes of the service: recordings in, predictions and timelines out; models, health and metrics."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

import ser
from ser.inference.artifact import known
from ser.inference.manifest import read_manifest
from ser.inference.recognizer import Recognizer
from ser.service.dependencies import RecognizerIn, ServiceIn, SlotIn, unless_gone
from ser.service.errors import ServiceError
from ser.service.metrics import exposition
from ser.service.schemas import Answer, Failed, Health, Model, TimelineAnswer, answer_dict, failed_dict, problems
from ser.service.state import Service
from ser.service.state import adapt as adapt_to
from ser.service.uploads import MAX_FILES, MAX_LONG_BYTES, Upload, read_recording, read_recordings
from ser.timeline.formats import WRITERS
from ser.timeline.segments import Adapt
from ser.types import Channels, SerError, lookup

PROMETHEUS_TEXT = "text/plain; version=1.0.0; charset=utf-8"
SOUND = {"type": "string", "format": "binary"}
PROBLEMS = problems("body", "model", "slow", "too_large", "audio", "parameter", "too_many", "busy", "overdue")
TEXT = {"schema": {"type": "string"}}
TEXTS = {writer.media_type: TEXT for name, writer in WRITERS.items() if name != "json"}
FORMAT = Query(description="Format of the timeline.", examples=["srt"], json_schema_extra={"enum": list(WRITERS)})
FormatIn = Annotated[str, FORMAT]
AdaptIn = Annotated[Adapt, Query(description="Adapt to the recording's own speech, or not.", examples=["none"])]
BatchAdaptIn = Annotated[
    Literal["source", "none"], Query(description="Adapt to the recordings themselves, or not.", examples=["source"])
]
ChannelsIn = Annotated[
    Channels,
    Query(description="The mean of all channels, one of them, or each by itself.", examples=["each"]),
]
TrackIn = Annotated[
    int | None,
    Query(ge=1, description="The sound track, of a file with several; by default its default one.", examples=[1]),
]

guarded, public = APIRouter(), APIRouter()  # with the API key, if the service has one; without


# --- Recordings ---


def _body(part: str, schema: dict[str, Any], *, raw: bool = False) -> dict[str, Any]:
    """Return OpenAPI's request body: a multipart form, and the recording itself if `raw`."""
    form = {
        "schema": {"type": "object", "required": [part], "properties": {part: schema}},
        "encoding": {part: {"contentType": "audio/wav, application/octet-stream"}},
    }
    content: dict[str, Any] = {"multipart/form-data": form}
    if raw:
        content |= {kind: {"schema": SOUND} for kind in ("audio/wav", "application/octet-stream")}
    return {"requestBody": {"required": True, "content": content}}


@guarded.post(
    "/predict", response_model=Answer | list[Answer], responses=PROBLEMS, openapi_extra=_body("file", SOUND, raw=True)
)
async def predict(
    request: Request,
    service: ServiceIn,
    slot: SlotIn,
    model: RecognizerIn,
    channels: ChannelsIn = "mix",
    track: TrackIn = None,
) -> Response:
    """Predict the emotion of one recording: the part `file` of a multipart body, or the whole body of any other type.

    With `?channels=each` the answer is a list, of one prediction for every channel: the two sides of a call.

    ```
    curl -F file=@clip.wav http://localhost:8000/predict
    curl --data-binary @clip.wav -H "Content-Type: audio/wav" "http://localhost:8000/predict?model=voice"
    ```
    """
    recording = await read_recording(request, slot, service.settings.upload_s)
    work = service.predict_channels(model, recording, channels, track)
    answers = [answer_dict(prediction) for prediction in await unless_gone(request, work)]
    return JSONResponse(answers if channels == "each" else answers[0])


@guarded.post(
    "/batch",
    response_model=list[Answer | Failed],
    responses=PROBLEMS,
    openapi_extra=_body("files", {"type": "array", "items": SOUND, "minItems": 1, "maxItems": MAX_FILES}),
)
async def batch(
    request: Request,
    service: ServiceIn,
    slot: SlotIn,
    model: RecognizerIn,
    adapt: BatchAdaptIn = "none",
    channels: ChannelsIn = "mix",
    track: TrackIn = None,
) -> Response:
    """Predict the emotions of up to 100 recordings and 100 MB: the parts `files` of a multipart body, in their order.

    A recording that cannot be answered stays in the list with its error. The recordings of one batch are processed one
    after the other, so that other clients do not wait for it. With `?adapt=source` they count as of one source
    (microphone, room, line), to which the answers are adapted if at least three hold speech. With `?channels=each`
    there is an answer for every channel.

    ```
    curl -F files=@clip.wav -F files=@notes.txt http://localhost:8000/batch
    ```
    """
    recordings = await read_recordings(request, slot, service.settings.upload_s)
    if adapt == "source":
        model = await unless_gone(request, service.long.answer(adapt_to, model, recordings, channels, track))
    return JSONResponse(await unless_gone(request, _answers(service, model, recordings, channels, track)))


async def _answers(
    service: Service, model: Recognizer, recordings: list[Upload], channels: Channels, track: int | None
) -> list[dict[str, Any]]:
    answers = []
    for recording in recordings:
        try:
            predictions = await service.predict_channels(model, recording, channels, track)
            answers += [answer_dict(prediction) for prediction in predictions]
        except SerError as error:
            answers.append(failed_dict(recording.name, ServiceError.of(error)))
    return answers


@guarded.post(
    "/timeline",
    response_model=TimelineAnswer,
    responses=PROBLEMS | {200: {"content": TEXTS}},
    openapi_extra=_body("file", SOUND, raw=True),
)
async def timeline(
    request: Request,
    service: ServiceIn,
    slot: SlotIn,
    model: RecognizerIn,
    format: FormatIn = "json",
    adapt: AdaptIn = "self",
    channels: ChannelsIn = "mix",
    track: TrackIn = None,
) -> Response:
    """Segment one recording of up to four hours and 120 MB by emotion; it is sent as to `/predict`.

    The answer comes once the whole recording is processed, within ten minutes; long recordings are processed one at a
    time. `?format=` also gives tables, subtitles, and labels for Audacity and Praat. Answers are adapted to the
    recording's own speech if that lasts a minute, unless `?adapt=none`. With `?channels=each` the segments say in which
    channel they are.

    ```
    curl -F file=@talk.flac http://localhost:8000/timeline
    curl --data-binary @talk.flac -H "Content-Type: audio/flac" "http://localhost:8000/timeline?format=srt"
    ```
    """
    writer = lookup(format, WRITERS, "format")
    recording = await read_recording(request, slot, service.settings.long_upload_s, MAX_LONG_BYTES)
    result = await unless_gone(request, service.timeline(model, recording, adapt, channels, track))
    return Response(writer.write(result), media_type=writer.media_type)


# --- About the service ---


@public.get("/", include_in_schema=False)
async def index(request: Request) -> Response:
    return RedirectResponse(f"{request.scope['root_path']}/docs")


@guarded.get("/models", response_model=list[Model])
async def models(service: ServiceIn) -> Response:
    """List the models that `?model=` can name.

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


@public.get("/health/live", response_model=Health)
@public.get("/health", response_model=Health)
async def alive(service: ServiceIn) -> Response:
    """Report that the process runs.

    ```
    curl http://localhost:8000/health
    curl http://localhost:8000/health/live
    ```
    """
    return JSONResponse(_health("live", service))


@public.get("/health/ready", response_model=Health, responses=problems("busy"))
async def ready(service: ServiceIn) -> Response:
    """Report whether the service accepts recordings; 503 while it starts or is at its limits.

    ```
    curl http://localhost:8000/health/ready
    ```
    """
    if service.default is None or service.limiter.is_full:
        raise ServiceError("busy", "Not ready: the service is starting, or at the limit of what it processes at once.")
    return JSONResponse(_health("ready", service))


def _health(status: str, service: Service) -> dict[str, Any]:
    return {"status": status, "version": ser.__version__, "model": service.default.name if service.default else None}


@guarded.get("/metrics", response_class=Response, responses={200: {"content": {PROMETHEUS_TEXT: TEXT}}})
async def metrics(service: ServiceIn) -> Response:
    """Return metrics for Prometheus, summed over all worker processes.

    ```
    curl http://localhost:8000/metrics
    ```
    """
    return Response(exposition(service.manifests()), headers={"Content-Type": PROMETHEUS_TEXT})
