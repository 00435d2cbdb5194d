"""Threads that answer recordings, each within a deadline.

The deadline is checked between blocks of decoding: an overdue or cancelled answer ends there and frees its thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any, TypeVar

from ser.audio.loading import Source, load_waveform, source_name
from ser.inference.recognizer import Recognizer
from ser.service.errors import ServiceError
from ser.timeline.segments import Timeline
from ser.types import Prediction

T = TypeVar("T")

THREADS = 2  # a long recording that is decoded leaves the other thread; more only wait for each other


class Workers:
    """A bounded thread pool. `deadline_s` counts from the call, including the wait for a thread."""

    def __init__(self, deadline_s: float, threads: int = THREADS) -> None:
        self.deadline_s = deadline_s
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ser")
        self._closed = Event()

    async def answer(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run `predict` or `timeline` within the deadline: its check raises `ServiceError` after it."""
        cancelled = Event()
        due = time.monotonic() + self.deadline_s

        def check() -> None:
            if cancelled.is_set() or self._closed.is_set() or time.monotonic() > due:
                raise ServiceError("overdue", f"No answer within {self.deadline_s:g} s. Send less sound, or try later.")

        try:
            return await self.run(function, *arguments, check)
        finally:
            cancelled.set()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def close(self) -> None:
        """End running work at its next block and wait for it."""
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)


def predict(recognizer: Recognizer, source: Source, check: Callable[[], None]) -> Prediction:
    """Return `recognizer.predict(source)`, calling `check` before, between blocks of decoding, and after it."""
    check()
    waveform = load_waveform(source, recognizer.sample_rate, check=check)
    check()
    return replace(recognizer.predict(waveform), file=source_name(source))


def timeline(recognizer: Recognizer, source: Source, check: Callable[[], None]) -> Timeline:
    """Return `recognizer.timeline(source)` on one core, calling `check` before and between blocks of decoding."""
    check()
    return recognizer.timeline(source, progress=lambda done_s, total_s: check(), jobs=1)
