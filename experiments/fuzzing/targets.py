"""Readers of untrusted input, as the coverage-guided fuzzer calls them: with bytes. Any exception is a failure."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import soundfile as sf
from python_multipart.exceptions import FormParserError

from ser.audio.loading import load_waveform
from ser.inference.adaptation import profile_of
from ser.inference.artifact import verify
from ser.inference.live import Stream
from ser.inference.manifest import MANIFEST
from ser.service.uploads import _PartParser, file_name
from ser.types import ArtifactError, AudioError, ParameterError

GRAPH = "model.onnx"  # a file beside the manifests of the corpus
CONTENT = b"graph"
PIECE = 7  # bytes that a body arrives in


def decoder(data: bytes) -> None:
    """Decode a recording."""
    with suppress(AudioError):
        load_waveform(data)


def artifact(data: bytes) -> None:
    """Verify an artifact whose manifest the bytes are."""
    folder = _folder()
    (folder / MANIFEST).write_bytes(data)
    with suppress(ArtifactError):
        verify(folder)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (folder / GRAPH).write_bytes(CONTENT)
    return folder


def profile(data: bytes) -> None:
    """Read a profile, and what is written of it again."""
    with suppress(ArtifactError):
        read = profile_of(data, "profile")
        assert profile_of(read.to_json().encode(), "profile") == read


def request(data: bytes) -> None:
    """Parse a multipart body: the first line is the content type, the rest arrives in pieces."""
    content_type, _, body = data.partition(b"\n")
    with suppress(FormParserError):
        parser = _PartParser("file", content_type.decode("latin-1"))
        for start in range(0, len(body), PIECE):
            parser.write(body[start : start + PIECE])
        assert sum(len(upload.getbuffer()) for upload in parser.uploads) <= len(body)
    file_name(content_type)


def stream(data: bytes) -> None:
    """Send PCM to a stream: rate in hundreds of Hz, channels and length of the pieces, then the sound."""
    rate, channels, piece = (*data[:3], 0, 0, 0)[:3]
    with suppress(ParameterError):
        sound, pcm = Stream(100 * rate, channels), data[3:]
        for start in range(0, len(pcm), piece + 1):
            for _, wav in sound.add(pcm[start : start + piece + 1]):
                assert sf.info(io.BytesIO(wav)).channels == channels
        assert sound.whole()[0] * sound.rate * 2 * channels <= len(pcm) + 0.5  # of a byte, by rounding


TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function for function in (decoder, artifact, profile, request, stream)
}
