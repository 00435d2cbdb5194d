"""What one process of the service keeps: its models, its threads, its limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ser.inference.artifact import known
from ser.inference.memory import tune_malloc
from ser.inference.recognizer import Recognizer, load
from ser.service.errors import ServiceError
from ser.service.limits import Limiter
from ser.service.metrics import count_prediction, count_timeline
from ser.service.settings import Settings
from ser.service.uploads import Upload
from ser.service.workers import Workers, predict, timeline
from ser.timeline.segments import Timeline
from ser.types import Prediction


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
            self._models[name] = await self.workers.run(load, name)
        return self._models[name]

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifests of the loaded models."""
        return [model.artifact.manifest for model in self._models.values()]

    async def predict(self, model: Recognizer, recording: Upload) -> Prediction:
        """Answer a recording and count the answer."""
        prediction = await self.workers.answer(predict, model, recording)
        count_prediction(prediction, model.artifact.manifest)
        return prediction

    async def timeline(self, model: Recognizer, recording: Upload) -> Timeline:
        """Compute the timeline of a recording and count its segments."""
        result = await self.long.answer(timeline, model, recording)
        count_timeline(result)
        return result
