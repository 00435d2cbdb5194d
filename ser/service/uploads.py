"""Read the body of a request as recordings in memory: limited before and while reading, never written to disk."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from ser.audio.loading import MAX_BYTES
from ser.service.errors import ServiceError
from ser.service.limits import Slot

# Of one: an hour as WAV (16-bit mono at 16 kHz) or four as MP3 (64 kbit/s) are 110 MB; a client may hold 128 MB.
MAX_LONG_BYTES = 120 * 2**20
MAX_FILES = 100  # of a batch
MAX_BATCH_BYTES = 100 * 2**20
FRAMING_BYTES = 2**16  # of a multipart body around its files
# One parameter of a header, (name, value); a quoted value may hold what looks like another.
PARAMETER = re.compile(rb";\s*([^=;\s]+)\s*=\s*(\"(?:\\\"|[^\"])*\"|[^;]*)")
# The value of filename*=utf-8''na%C3%AFve.wav of RFC 5987, which the parser leaves out; (charset, percent-encoded name)
EXTENDED_NAME = re.compile(rb"\"?(utf-8|iso-8859-1)'[\w-]*'([^;\"\s]+)\"?\s*", re.IGNORECASE)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class Upload(io.BytesIO):
    """The bytes of a recording, and the client's `name` for it."""

    name: str | None = None


async def read_recording(request: Request, slot: Slot, upload_s: float, max_bytes: int = MAX_BYTES) -> Upload:
    """Return the recording of a request: the part `file` of a multipart body, or the whole of any other body."""
    if not is_multipart(request):
        body = Upload()
        await _read_body(request, slot, max_bytes, upload_s, body.write)
        return body
    recordings = await _read_parts(request, slot, "file", max_bytes, max_bytes, upload_s)
    if len(recordings) > 1:
        raise ServiceError("body", f"{len(recordings)} parts 'file'; send one, or several as 'files' to /batch.")
    return recordings[0]


async def read_recordings(request: Request, slot: Slot, upload_s: float) -> list[Upload]:
    """Return the parts `files` of a multipart body."""
    if not is_multipart(request):
        raise ServiceError("body", "A batch is a multipart/form-data body with one part 'files' for each recording.")
    return await _read_parts(request, slot, "files", MAX_BYTES, MAX_BATCH_BYTES, upload_s)


def is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def _read_parts(
    request: Request, slot: Slot, name: str, max_bytes: int, max_total_bytes: int, upload_s: float
) -> list[Upload]:
    """Return the parts of one name, each of up to `max_bytes` and all together up to `max_total_bytes`."""
    try:
        parser = _PartParser(name, request.headers["content-type"])
        await _read_body(request, slot, max_total_bytes + FRAMING_BYTES, upload_s, parser.write)
    except FormParserError as error:
        message = f"The body is not the multipart/form-data that its header announces: {error}."
        raise ServiceError("body", message) from None
    if not parser.ended:
        raise ServiceError("body", "The multipart body ends without its last boundary. Send all of it.")
    if not parser.uploads:
        raise ServiceError("body", f"The multipart body has no part {name!r}. Send the recording as {name!r}.")
    if max(len(upload.getbuffer()) for upload in parser.uploads) > max_bytes:
        raise _too_large(max_bytes)
    return parser.uploads


class _PartParser:
    """Parse a multipart body as it arrives; `uploads` are the parts called `name`, with a file name or without."""

    def __init__(self, name: str, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise FormParserError("it gives no boundary")
        self._name, self.ended = name, False
        self.uploads: list[Upload] = []
        self._header = self._value = b""
        self._part_begin()
        events = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "end")
        callbacks: Any = {f"on_{event}": getattr(self, f"_{event}") for event in events}
        self.write = MultipartParser(boundary, callbacks).write

    def _part_begin(self) -> None:
        self._disposition, self._part = b"", Upload()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        if parse_options_header(self._disposition)[1].get(b"name") != self._name.encode():
            return
        if len(self.uploads) == MAX_FILES:
            raise FormParserError(f"more than {MAX_FILES} parts {self._name!r}")
        self._part.name = file_name(self._disposition)
        self.uploads.append(self._part)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._part.write(data[start:end])

    def _end(self) -> None:
        self.ended = True


def file_name(disposition: bytes) -> str | None:
    """Return the file name of a Content-Disposition header without folders, which some clients send; else None.

    Control characters are replaced.
    """
    parameters = {name.lower(): value for name, value in PARAMETER.findall(disposition)}
    if extended := EXTENDED_NAME.fullmatch(parameters.get(b"filename*", b"")):
        name = unquote_to_bytes(extended[2]).decode(extended[1].decode(), "replace")
    else:
        name = parse_options_header(disposition)[1].get(b"filename", b"").decode("utf-8", "replace")
    return CONTROL.sub("\ufffd", PureWindowsPath(PurePosixPath(name).name).name) or None


async def _read_body(
    request: Request, slot: Slot, limit: int, upload_s: float, write: Callable[[bytes], object]
) -> None:
    """Pass on the body. Raises `ServiceError` for its announced length before reading, for its actual one, and time."""
    length = request.headers.get("content-length", "")
    announced = int(length) if length.isdecimal() else 0
    if announced > limit:
        # A client that is still sending when the connection closes misses the answer; closed only if far too large.
        raise _too_large(limit, close=announced > 4 * limit)
    n_bytes = 0
    try:
        async with asyncio.timeout(upload_s):
            async for chunk in request.stream():
                n_bytes += len(chunk)
                if n_bytes > limit:
                    raise _too_large(limit, close=True)
                slot.reserve(len(chunk))
                write(chunk)
    except TimeoutError:
        raise ServiceError("slow", f"The body did not arrive within {upload_s:g} s.", close=True) from None


def _too_large(limit: int, *, close: bool = False) -> ServiceError:
    advice = "Cut it, or store it as FLAC, OGG or M4A."
    return ServiceError("too_large", f"More than {limit // 2**20} MB, the most that is accepted. {advice}", close=close)
