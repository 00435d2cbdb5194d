"""What an operator may set: the API key, the origins of web pages, deadlines and limits."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from ser.audio.isolation import is_wanted
from ser.service.limits import Limits
from ser.types import ParameterError

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d+)?")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}  # which browsers leave out of an origin


@dataclass(frozen=True)
class Settings:
    """Settings of one service. Raises `ParameterError` for a key that no client could send."""

    key: str | None = None
    origins: tuple[str, ...] = ()  # of web pages that may call the service
    deadline_s: float = 10.0
    upload_s: float = 60.0
    long_deadline_s: float = 600.0  # of a timeline
    long_upload_s: float = 300.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        key = self.key or ""
        if not (key.isascii() and key.isprintable()):  # clients encode other characters in different ways
            raise ParameterError(
                "SER_API_KEY has characters that no header carries safely; accepted are printable ASCII characters. "
                "Choose another key."
            )

    @classmethod
    def from_environment(cls) -> Settings:
        """Read SER_API_KEY, and SER_CORS_ORIGINS separated by commas. Raises `ParameterError` for invalid values.

        SER_ISOLATE, which `ser.audio` reads, is checked as well, so that it is refused at the start.
        """
        is_wanted()
        origins = os.environ.get("SER_CORS_ORIGINS", "").split(",")
        named = tuple(_origin(origin.strip()) for origin in origins if origin.strip())
        return cls(key=os.environ.get("SER_API_KEY") or None, origins=named)


def _origin(text: str) -> str:
    """Return an origin as browsers send it: lower case, no slash at the end, no default port."""
    origin = text.lower().rstrip("/")
    if origin in ("*", "null"):
        return origin
    if not ORIGIN.fullmatch(origin):
        raise ParameterError(
            f"SER_CORS_ORIGINS has {text[:80]!r}; accepted are a scheme and a host, e.g. https://page.example or "
            "http://localhost:3000, separated by commas, or * for every page. Leave out paths."
        )
    return origin.removesuffix(DEFAULT_PORTS.get(origin.partition("://")[0], ""))
