"""The body of a request as recordings in memory: bounded before and while it is read, never written to disk."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import PurePosixPath, PureWindowsPath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from ser.audio.loading import MAX_BYTES
from ser.service.errors import Refusal
from ser.service.limits import Visit

UPLOAD_S = 60.0
LONG_UPLOAD_S = 300.0  # of a recording for a timeline
# Of one: an hour as WAV (16-bit mono at 16 kHz) or four as MP3 (64 kbit/s) are 110 MB; a client may hold 128 MB.
MAX_LONG_BYTES = 120 * 2**20
MAX_FILES = 100  # of a batch
MAX_BATCH_BYTES = 100 * 2**20
FRAMING_BYTES = 2**16  # of a multipart body around its files


class Upload(io.BytesIO):
    """The bytes of a recording and, in `name`, what its sender calls it."""

    def __init__(self, name: str | None, data: bytes = b"") -> None:
        super().__init__(data)
        self.name = name

    @property
    def n_bytes(self) -> int:
        return self.getbuffer().nbytes


async def one(request: Request, visit: Visit, upload_s: float = UPLOAD_S, max_bytes: int = MAX_BYTES) -> Upload:
    """The recording of a request: the part `file` of a multipart body, or the whole of any other body."""
    if not is_multipart(request):
        whole = Upload(None)
        async with _in_time(upload_s):
            async for chunk in _chunks(request, visit, max_bytes):
                whole.write(chunk)
        return whole
    found = await _files(request, visit, "file", max_bytes, max_bytes, upload_s)
    if len(found) > 1:
        raise Refusal("body", f"{len(found)} parts 'file'; send one, or several as 'files' to /batch.")
    return found[0]


async def several(request: Request, visit: Visit, upload_s: float = UPLOAD_S) -> list[Upload]:
    """The recordings of a multipart body: its parts `files`."""
    if not is_multipart(request):
        raise Refusal("body", "A batch is a multipart/form-data body with one part 'files' for each recording.")
    return await _files(request, visit, "files", MAX_BYTES, MAX_BATCH_BYTES, upload_s)


def is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def _files(
    request: Request, visit: Visit, part: str, max_bytes: int, all_bytes: int, upload_s: float
) -> list[Upload]:
    """The parts of one name, each of up to `max_bytes` and all together up to `all_bytes`."""
    try:
        parts = _Parts(part, request.headers["content-type"])
        async with _in_time(upload_s):
            async for chunk in _chunks(request, visit, all_bytes + FRAMING_BYTES):
                parts.write(chunk)
    except FormParserError as error:
        raise Refusal("body", f"This is not the multipart body that its header announces: {error}.") from None
    if not parts.ended:
        raise Refusal("body", "The multipart body ends without its last boundary. Send all of it.")
    if not parts.found:
        raise Refusal("body", f"The multipart body has no part {part!r} with a recording in it.")
    if max(upload.n_bytes for upload in parts.found) > max_bytes:
        raise _too_large(max_bytes)
    return parts.found


class _Parts:
    """A multipart body as it arrives: `found` holds every part called `wanted`."""

    def __init__(self, wanted: str, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise FormParserError("it gives no boundary")
        self.found: list[Upload] = []
        self.ended = False
        self._wanted, self._part = wanted, Upload(None)
        self._header, self._value, self._disposition = b"", b"", b""
        names = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "end")
        self._parser = MultipartParser(boundary, {f"on_{name}": getattr(self, f"_{name}") for name in names})  # type: ignore[arg-type]

    def write(self, chunk: bytes) -> None:
        self._parser.write(chunk)

    def _part_begin(self) -> None:
        self._disposition, self._part = b"", Upload(None)

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if options.get(b"name") != self._wanted.encode():
            return
        if len(self.found) == MAX_FILES:
            raise FormParserError(f"more than {MAX_FILES} parts {self._wanted!r}")
        name = options.get(b"filename")
        self._part.name = base_name(name.decode("utf-8", "replace")) if name else None
        self.found.append(self._part)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._part.write(data[start:end])

    def _end(self) -> None:
        self.ended = True


def base_name(name: str | None) -> str | None:
    """The last part of a path of any system; some senders give the whole."""
    return PureWindowsPath(PurePosixPath(name).name).name or None if name else None


async def _chunks(request: Request, visit: Visit, limit: int) -> AsyncIterator[bytes]:
    """The body, refused by its announced length before a byte is read, and by what arrives."""
    length = request.headers.get("content-length", "")
    announced = int(length) if length.isdecimal() else None
    if announced is not None and announced > limit:
        # A server that hangs up on a sender is not heard; only a body out of all proportion is not waited for.
        raise _too_large(limit, close=announced > 4 * limit)
    n_bytes = 0
    async for chunk in request.stream():
        n_bytes += len(chunk)
        if n_bytes > limit:
            raise _too_large(limit, close=True)
        visit.hold(len(chunk))
        yield chunk


def _too_large(limit: int, *, close: bool = False) -> Refusal:
    advice = "Cut it, or store it as FLAC, OGG or M4A."
    return Refusal("too_large", f"More than {limit // 2**20} MB, the most that is accepted. {advice}", close=close)


@asynccontextmanager
async def _in_time(upload_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(upload_s):
            yield
    except TimeoutError:
        raise Refusal("slow", f"The body did not arrive within {upload_s:g} s.", close=True) from None
