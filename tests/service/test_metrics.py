"""Metrics of predictions, errors, timelines and drift."""

from __future__ import annotations

import pytest
from golden.make import RATE
from service_client import (
    CLIP,
    SPEECH,
    TALK,
    metric_samples,
    stream_messages,
)


@pytest.mark.slow
def test_predictions_and_errors_are_counted(client):
    def total(samples: dict, name: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(value for (series, *pairs), value in samples.items() if series == name and wanted <= set(pairs))

    before = metric_samples(client)
    answer = client.post("/predict", content=CLIP).json()
    client.post("/predict", content=b"text")
    stream_messages(client, "", [bytes(32_000), '{"end": true}'])
    after = metric_samples(client)

    def gained(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    uncertain = str(answer["uncertain"]).lower()
    assert gained("ser_answers_total", model="dense105", label=answer["label"], uncertain=uncertain) >= 1
    assert gained("ser_answers_total") == 2  # the recording, and the last of the stream
    assert gained("ser_reasons_total", reason="silent") == 1
    assert gained("ser_sound_seconds_total") == pytest.approx(4.5)
    assert gained("ser_confidence_count") == 1
    assert gained("ser_answers_total", label="silent") == 1
    assert gained("ser_observed_total", quantity="label") == 1  # silence is not observed
    assert gained("ser_refusals_total", code="audio") == 1
    assert gained("ser_requests_total", route="/predict", status="422") == 1
    assert gained("ser_request_seconds_count", route="/predict") == 2
    assert total(after, "ser_in_hand") == 1  # this request for /metrics


@pytest.mark.slow
def test_drift_is_reported_from_a_hundred_predictions_on(client):
    for _ in range(100):
        client.post("/predict", content=CLIP)
    samples = metric_samples(client)
    for quantity in ("label", "features", "distance"):
        assert samples["ser_drift", ("model", "dense105"), ("quantity", quantity)] > 0.25  # always the same clip
    shares = {key: value for key, value in samples.items() if key[0] == "ser_expected_share"}
    assert sum(value for key, value in shares.items() if ("quantity", "label") in key) >= 1


@pytest.mark.slow
def test_timelines_are_counted_apart_from_predictions(client):
    def total(name: str) -> float:
        return sum(value for (series, *_), value in metric_samples(client).items() if series == name)

    names = ("ser_segments_total", "ser_answers_total", "ser_sound_seconds_total")
    before = {name: total(name) for name in names}
    segments = client.post("/timeline", content=TALK).json()["segments"]
    gained = [total(name) - before[name] for name in names]
    assert gained == [len(segments), 0, pytest.approx(len(SPEECH) / RATE)]
