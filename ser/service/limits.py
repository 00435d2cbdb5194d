"""Who may come in: bounds on the requests and bytes in hand, of all clients together and of each one.

A client that is slow, or opens many connections, fills its own share and leaves the others theirs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import TracebackType

from ser.service.errors import Refusal


@dataclass(frozen=True)
class Limits:
    """Of one process. A request is in hand from its headers to its answer, a stream for as long as it is open."""

    requests: int = 256
    client_requests: int = 64
    held_bytes: int = 512 * 2**20
    client_bytes: int = 128 * 2**20


class Gate:
    """Counts what is in hand. For one event loop: nothing here waits, so nothing is locked."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._n_requests = self._n_bytes = 0

    @property
    def n_requests(self) -> int:
        return self._n_requests

    @property
    def is_full(self) -> bool:
        return self._n_requests >= self.limits.requests or self._n_bytes >= self.limits.held_bytes

    def enter(self, client: str) -> Visit:
        """A place for one request of a client; `Refusal` where there is none."""
        if self._requests[client] >= self.limits.client_requests:
            raise _too_many(f"{self.limits.client_requests} requests")
        if self.is_full:
            raise _busy()
        self._add(client, 1, 0)
        return Visit(self, client)

    def _hold(self, client: str, n_bytes: int) -> None:
        if self._bytes[client] + n_bytes > self.limits.client_bytes:
            raise _too_many(f"{self.limits.client_bytes / 2**20:.0f} MB")
        if self._n_bytes + n_bytes > self.limits.held_bytes:
            raise _busy()
        self._add(client, 0, n_bytes)

    def _add(self, client: str, n_requests: int, n_bytes: int) -> None:
        self._n_requests += n_requests
        self._n_bytes += n_bytes
        for counter, change in ((self._requests, n_requests), (self._bytes, n_bytes)):
            counter[client] += change
            if not counter[client]:  # else every address ever seen would stay
                del counter[client]


class Visit:
    """One request in hand; left with `with`."""

    def __init__(self, gate: Gate, client: str) -> None:
        self._gate, self._client, self._n_bytes = gate, client, 0

    def hold(self, n_bytes: int) -> None:
        """Keep so many more bytes until the end; `Refusal` where that is too much."""
        self._gate._hold(self._client, n_bytes)
        self._n_bytes += n_bytes

    def drop(self) -> None:
        """Let go of all bytes, and stay."""
        self._gate._add(self._client, 0, -self._n_bytes)
        self._n_bytes = 0

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._gate._add(self._client, -1, -self._n_bytes)


def _too_many(found: str) -> Refusal:
    return Refusal("too_many", f"This client has {found} in hand, the most for one. Wait for an answer.", close=True)


def _busy() -> Refusal:
    return Refusal("busy", "The service has as much in hand as it takes. Try again in a second.", close=True)
