"""Errors of the service: a code for programs, a sentence for people, an HTTP status."""

from __future__ import annotations

from ser.types import AudioError, ParameterError, SerError

# Code: (status, meaning); `/docs` lists them.
CODES = {
    "body": (400, "The body does not match its content type, or a part is missing."),
    "key": (401, "Missing or invalid API key."),
    "origin": (403, "A web page of another origin, which SER_CORS_ORIGINS does not list."),
    "not_found": (404, "Unknown address."),
    "model": (404, "Unknown model."),
    "method": (405, "The address does not accept this method."),
    "slow": (408, "The body took too long to arrive."),
    "too_large": (413, "The body, or a recording in it, exceeds the size limit."),
    "audio": (422, "The recording has no usable sound."),
    "parameter": (422, "A parameter is unknown or invalid."),
    "too_many": (429, "This client has too many requests or bytes in progress."),
    "internal": (500, "Internal error."),
    "busy": (503, "The service is starting, or at the limit of what it processes at once."),
    "overdue": (503, "The answer took longer than its deadline."),
}
RETRY_AFTER_S = {"too_many": 1, "busy": 1, "overdue": 5}
CODE_OF: dict[type[SerError], str] = {AudioError: "audio", ParameterError: "parameter"}  # all others are internal


class ServiceError(SerError):
    """An error with one of `CODES`. If `close`, the connection ends without reading the rest of the request."""

    def __init__(self, code: str, message: str, *, close: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.close = code, message, close
        self.status = CODES[code][0]

    @classmethod
    def of(cls, error: SerError) -> ServiceError:
        """Return the error with a code, its sentence unchanged."""
        return error if isinstance(error, cls) else cls(CODE_OF.get(type(error), "internal"), str(error))

    def to_dict(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}

    def headers(self) -> dict[str, str]:
        """Return the response headers: when to retry, how to authenticate, whether the connection closes."""
        headers = {"Retry-After": str(RETRY_AFTER_S[self.code])} if self.code in RETRY_AFTER_S else {}
        if self.code == "key":
            headers["WWW-Authenticate"] = "Bearer"
        if self.close:
            headers["Connection"] = "close"
        return headers
