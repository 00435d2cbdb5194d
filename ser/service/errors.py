"""What the service refuses: a code for programs, a sentence for people, and the status of HTTP that goes with it."""

from __future__ import annotations

from ser.types import ArtifactError, AudioError, ParameterError, SerError

# Code, status and meaning; `/docs` lists them.
CODES = {
    "body": (400, "The body is not what its content type says, or a part is missing."),
    "key": (401, "The service asks for a key, and this is none of it."),
    "origin": (403, "A web page of another host, which the operator has not named."),
    "not_found": (404, "There is no such address."),
    "model": (404, "There is no model of this name."),
    "method": (405, "The address does not take this method."),
    "slow": (408, "The body took too long to arrive."),
    "too_large": (413, "The body, or a recording in it, is larger than the service takes."),
    "audio": (422, "The recording holds no sound that can be answered."),
    "parameter": (422, "A parameter does not exist or does not fit."),
    "too_many": (429, "This client has too much in hand at once."),
    "internal": (500, "A fault of the service."),
    "busy": (503, "The service has as much in hand as it takes."),
    "overdue": (503, "The answer took longer than the service allows."),
}
RETRY_AFTER_S = {"too_many": 1, "busy": 1, "overdue": 5}
KINDS: dict[type[SerError], str] = {AudioError: "audio", ParameterError: "parameter", ArtifactError: "internal"}


class Refusal(Exception):
    """One refusal. With `close` the rest of the request is not worth reading: the connection ends."""

    def __init__(self, code: str, message: str, *, close: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.close = code, message, close
        self.status = CODES[code][0]

    @classmethod
    def of(cls, error: SerError) -> Refusal:
        """What the core refuses, with its own sentence."""
        return cls(KINDS.get(type(error), "internal"), str(error))

    def to_dict(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}

    def headers(self) -> dict[str, str]:
        """Headers that go with it: when to try again, how to show a key, whether the connection ends."""
        found = {}
        if self.code in RETRY_AFTER_S:
            found["Retry-After"] = str(RETRY_AFTER_S[self.code])
        if self.code == "key":
            found["WWW-Authenticate"] = "Bearer"
        if self.close:
            found["Connection"] = "close"
        return found
