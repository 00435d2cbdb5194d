"""16-bit little-endian PCM and its WAV header."""

from __future__ import annotations

import struct

SAMPLE_BYTES = 2
HEADER_BYTES = 44


def wav_header(rate: int, channels: int, n_bytes: int) -> bytes:
    """Return the header of a WAV with `n_bytes` of 16-bit samples."""
    frame = SAMPLE_BYTES * channels
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * frame, frame, 8 * SAMPLE_BYTES)
    return struct.pack("<4sI4s", b"RIFF", 36 + n_bytes, b"WAVE") + form + struct.pack("<4sI", b"data", n_bytes)
