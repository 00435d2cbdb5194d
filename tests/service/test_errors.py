"""Errors of the service."""

from __future__ import annotations

from ser.service.errors import CODE_OF, CODES, RETRY_AFTER_S, ServiceError
from ser.types import AudioError


def test_every_code_has_a_status_and_a_meaning():
    assert set(CODE_OF.values()) | set(RETRY_AFTER_S) <= set(CODES)
    assert all(400 <= status < 600 and meaning.endswith(".") for status, meaning in CODES.values())
    assert ServiceError.of(AudioError("a: no sound.")).to_dict() == {"code": "audio", "message": "a: no sound."}
    busy = ServiceError("busy", "Try again.")
    assert ServiceError.of(busy) is busy
