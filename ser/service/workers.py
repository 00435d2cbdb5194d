"""A few threads that turn recordings into answers, each before a deadline.

Time is looked at between blocks of decoding: an answer that is overdue, or that nobody waits for any more, ends there
and frees its thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

from ser.audio.loading import Source, load_waveform, source_name
from ser.inference.recognizer import Recognizer
from ser.service.errors import Refusal
from ser.timeline.segments import Timeline, timeline
from ser.types import Prediction

THREADS = 2  # one that decodes a long recording leaves the other; more only wait for each other
DEADLINE_S = 10.0
LONG_DEADLINE_S = 600.0  # of a timeline


class Workers:
    """A bounded pool. `deadline_s` counts from the call, waiting for a thread included."""

    def __init__(self, deadline_s: float = DEADLINE_S, threads: int = THREADS) -> None:
        self.deadline_s = deadline_s
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ser")
        self._closed = Event()

    async def answer(self, recognizer: Recognizer, source: Source) -> Prediction:
        """`recognizer.predict(source)`; `Refusal` when overdue. Cancelled, it ends at the next block."""
        return await self.finish(answer, recognizer, source)

    async def finish(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A function's result. Its last argument is one to call now and then, which ends it when it is overdue."""
        given_up = Event()
        due = time.monotonic() + self.deadline_s

        def check() -> None:
            if given_up.is_set() or self._closed.is_set() or time.monotonic() > due:
                raise Refusal("overdue", f"No answer within {self.deadline_s:g} s. Send less sound, or try later.")

        try:
            return await self.run(function, *arguments, check)
        finally:
            given_up.set()

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A function's result, from one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def close(self) -> None:
        """End what is in hand at its next block. Blocks until then, so nothing else could tell the threads."""
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)


def answer(recognizer: Recognizer, source: Source, check: Callable[[], None]) -> Prediction:
    """`recognizer.predict(source)`, with `check` called before, between blocks of decoding, and after it."""
    check()
    waveform = load_waveform(source, recognizer.sample_rate, check=check)
    check()
    return replace(recognizer.predict(waveform), file=source_name(source))


def hear(recognizer: Recognizer, source: Source, check: Callable[[], None]) -> Timeline:
    """`timeline(source, recognizer)` on one core, with `check` called before and between blocks of decoding."""
    check()
    return timeline(source, recognizer, progress=lambda done_s, whole_s: check(), jobs=1)
