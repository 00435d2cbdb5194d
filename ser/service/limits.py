"""Limits on requests and bytes in progress, in total and per client, so that no client can take all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ser.service.errors import ServiceError


@dataclass(frozen=True)
class Limits:
    """Limits of one process. A request counts from its headers to its answer, a stream as long as it is open."""

    requests: int = 256
    client_requests: int = 64
    held_bytes: int = 512 * 2**20
    client_bytes: int = 128 * 2**20


class Limiter:
    """Count requests and bytes in progress. For one event loop: no method awaits, so no lock is needed."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._requests: Counter[str] = Counter()  # += and -= drop clients without any, else all would stay in memory
        self._bytes: Counter[str] = Counter()

    @property
    def is_full(self) -> bool:
        return self._requests.total() >= self.limits.requests or self._bytes.total() >= self.limits.held_bytes

    def enter(self, client: str) -> Slot:
        """Count one more request of a client. Raises `ServiceError` at a limit."""
        if self._requests[client] >= self.limits.client_requests:
            raise _too_many(f"{self.limits.client_requests} requests")
        if self.is_full:
            raise _busy()
        self._requests += Counter([client])
        return Slot(self, client)


class Slot:
    """One request in progress and its bytes, released at the end of `with`."""

    def __init__(self, limiter: Limiter, client: str) -> None:
        self._limiter, self._client, self._n_bytes = limiter, client, 0

    def reserve(self, n_bytes: int) -> None:
        """Count so many more bytes. Raises `ServiceError` at a limit."""
        limits, held = self._limiter.limits, self._limiter._bytes
        if held[self._client] + n_bytes > limits.client_bytes:
            raise _too_many(f"{limits.client_bytes / 2**20:.0f} MB")
        if held.total() + n_bytes > limits.held_bytes:
            raise _busy()
        held += Counter({self._client: n_bytes})
        self._n_bytes += n_bytes

    def release_bytes(self) -> None:
        self._limiter._bytes -= Counter({self._client: self._n_bytes})
        self._n_bytes = 0

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.release_bytes()
        self._limiter._requests -= Counter([self._client])


def _too_many(amount: str) -> ServiceError:
    message = f"This client has {amount} in progress, the limit of one client. Wait for an answer, then try again."
    return ServiceError("too_many", message, close=True)


def _busy() -> ServiceError:
    message = "The service is at the limit of what it processes at once. Try again in a second."
    return ServiceError("busy", message, close=True)
