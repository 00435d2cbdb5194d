"""Answers in threads, within deadlines."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable

import pytest
from golden.make import voice
from service_client import wav

import ser
from ser.service.errors import ServiceError
from ser.service.state import Workers, predict, timeline


def check_third(function: Callable, *arguments: object) -> None:
    """Run a function whose check raises at its third call, between blocks of decoding; expect the error there."""
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise ServiceError("overdue", "late")

    with pytest.raises(ServiceError, match="late"):
        function(*arguments, check)
    assert len(calls) == 3


@pytest.mark.slow
def test_a_prediction_equals_the_recognizers_and_ends_between_blocks(recognizer):
    data = wav(voice(7.0))
    assert predict(recognizer, io.BytesIO(data), "mix", None, lambda: None) == [recognizer.predict(data)]
    check_third(predict, recognizer, wav(voice(20.0)), "mix", None)  # four blocks or more


@pytest.mark.slow
def test_a_timeline_equals_the_recognizers_and_ends_between_blocks(recognizer):
    data = wav(voice(60.0))
    assert timeline(recognizer, io.BytesIO(data), "self", "mix", None, lambda: None) == recognizer.timeline(data)
    check_third(timeline, recognizer, data, "self", "mix", None)


@pytest.mark.slow
def test_an_overdue_answer_frees_its_thread(recognizer):
    """One thread gets a minute of sound and no time; the next recording does not wait for it."""

    async def both() -> ser.Prediction:
        late, punctual = Workers(1e-4, threads=1), Workers(30, threads=1)
        late._pool, spare = punctual._pool, late._pool
        with pytest.raises(ServiceError, match=r"No answer within 0\.0001 s") as error:
            await late.answer(predict, recognizer, wav(voice(60.0)), "mix", None)
        assert (error.value.status, error.value.headers()["Retry-After"]) == (503, "5")
        (prediction,) = await punctual.answer(predict, recognizer, wav(voice(2.0)), "mix", None)
        spare.shutdown()
        punctual.close()
        return prediction

    assert asyncio.run(both()) == recognizer.predict(wav(voice(2.0)))


@pytest.mark.slow
def test_a_cancelled_answer_frees_its_thread(recognizer):
    async def cancelled() -> float:
        workers = Workers(30, threads=1)
        waiting = asyncio.ensure_future(workers.answer(predict, recognizer, wav(voice(100.0)), "mix", None))
        await asyncio.sleep(0.005)
        waiting.cancel()
        (prediction,) = await workers.answer(predict, recognizer, wav(voice(1.0)), "mix", None)
        workers.close()
        return prediction.duration_s

    assert asyncio.run(cancelled()) == 1.0
