"""What one process of the service keeps: its models, its limits, and its threads, each answer within a deadline.

The deadline is checked between blocks of decoding: an overdue or cancelled answer ends there and frees its thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from threading import Event
from typing import Any, TypeVar

from ser.audio.loading import Source, load_channels, source_name
from ser.inference.adaptation import MIN_CLIPS, SourceMean
from ser.inference.artifact import find, known, verify
from ser.inference.live import StreamRecognizer, WebmStream
from ser.inference.memory import tune_malloc
from ser.inference.recognizer import Recognizer, load
from ser.service.errors import ServiceError
from ser.service.limits import Limiter
from ser.service.metrics import count_prediction, count_timeline
from ser.service.settings import Settings
from ser.timeline.segments import Adapt, Timeline
from ser.types import AudioError, Channels, Prediction

T = TypeVar("T")

OWN = "batch"  # the source of recordings that are sent together
THREADS = 2  # a long recording that is decoded leaves the other thread; more only wait for each other


class Service:
    """State of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.limiter = Limiter(settings.limits)
        self.workers = Workers(settings.deadline_s)
        self.long = Workers(settings.long_deadline_s, threads=1)  # of timelines, so that short recordings never wait
        self.default: Recognizer | None = None
        self._models: dict[str, Recognizer] = {}

    @asynccontextmanager
    async def running(self, app: object) -> AsyncIterator[None]:
        """Load the default model at the start; end the threads at the end."""
        tune_malloc()
        self.default = load()
        self._models[self.default.name] = self.default
        yield
        self.workers.close()
        self.long.close()

    async def recognizer(self, name: str | None) -> Recognizer:
        """Return the named model, loaded at its first use, or the default. Accepts names, never folders."""
        if self.default is None:
            raise ServiceError("busy", "The service is still starting. Try again in a second.")
        if name is None:
            return self.default
        if name not in self._models:
            if name not in known():
                names = ", ".join(sorted({*known(), *self._models}))
                raise ServiceError("model", f"No model {name[:80]!r}; known: {names}.")
            self._models[name] = await self.workers.run(_plain, name)  # a profile is of the default model
        return self._models[name]

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifests of the loaded models."""
        return [model.artifact.manifest for model in self._models.values()]

    async def predict(self, model: Recognizer, recording: Source) -> Prediction:
        """Answer a recording and count the answer."""
        return (await self.predict_channels(model, recording))[0]

    async def predict_channels(
        self, model: Recognizer, recording: Source, channels: Channels = "mix", track: int | None = None
    ) -> list[Prediction]:
        """Answer the channels of a recording that are asked for, and count the answers."""
        predictions = await self.workers.answer(predict, model, recording, channels, track)
        for prediction in predictions:
            count_prediction(prediction, model.artifact.manifest)
        return predictions

    async def timeline(
        self,
        model: Recognizer,
        recording: Source,
        adapt: Adapt = "self",
        channels: Channels = "mix",
        track: int | None = None,
    ) -> Timeline:
        """Compute the timeline of a recording and count its segments."""
        result = await self.long.answer(timeline, model, recording, adapt, channels, track)
        count_timeline(result)
        return result


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


def _plain(name: str) -> Recognizer:
    return Recognizer(verify(find(name)))


def predict(
    recognizer: Recognizer, source: Source, channels: Channels, track: int | None, check: Callable[[], None]
) -> list[Prediction]:
    """Return the predictions for a recording's channels, calling `check` before, between blocks, and after decoding."""
    check()
    waveforms = load_channels(source, recognizer.sample_rate, channels=channels, track=track, check=check)
    check()
    return [replace(recognizer.predict(waveform), file=source_name(source)) for waveform in waveforms]


def take(stream: WebmStream, webm: bytes, check: Callable[[], None]) -> bytes:
    """Return the PCM of a stream's next chunk, calling `check` before and while it is decoded."""
    check()
    return stream.take(webm, check)


def predict_window(stream: StreamRecognizer, t_s: float, wav: bytes, check: Callable[[], None]) -> Prediction:
    """Return a stream's answer to its window that ends at `t_s` seconds, calling `check` before it."""
    check()
    return stream.predict(t_s, wav)


def adapt(
    recognizer: Recognizer,
    recordings: Sequence[Source],
    channels: Channels,
    track: int | None,
    check: Callable[[], None],
) -> Recognizer:
    """Return a recogniser adapted to recordings' channels, or as it is if too few hold speech."""
    mean = SourceMean()
    for recording in recordings if recognizer.adaptation is None else ():
        check()
        with suppress(AudioError):  # it is answered by its error
            rate = recognizer.sample_rate
            waveforms = load_channels(recording, rate, channels=channels, track=track, check=check)
            mean.add_speech(map(recognizer.analyse, waveforms))
    return recognizer.adapted_to(mean, OWN) if mean.clips >= MIN_CLIPS else recognizer


def timeline(
    recognizer: Recognizer,
    source: Source,
    adapt: Adapt,
    channels: Channels,
    track: int | None,
    check: Callable[[], None],
) -> Timeline:
    """Return `recognizer.timeline(source)` on one core, calling `check` before and between blocks of decoding."""
    check()
    return recognizer.timeline(
        source, progress=lambda done_s, total_s: check(), jobs=1, adapt=adapt, channels=channels, track=track
    )
