"""Metrics for Prometheus, summed over the workers that share the folder PROMETHEUS_MULTIPROC_DIR: counts only."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from ser.drift import bins, expected, stability_index
from ser.timeline.segments import Timeline
from ser.types import SILENT, Prediction

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
TENTHS = tuple(i / 10 for i in range(1, 11))
EXPECTED_HELP = "Share of a bin of ser_observed_total on held-out speakers at training."
DRIFT_HELP = "Population stability index of all predictions since the start against training; from 100 predictions on."

disable_created_metrics()  # else every counter has a second series with its start time
REGISTRY = CollectorRegistry()
_counter, _histogram = partial(Counter, registry=REGISTRY), partial(Histogram, registry=REGISTRY)
REQUESTS = _counter("ser_requests", "Requests by route, method and status.", ("route", "method", "status"))
REQUEST_SECONDS = _histogram("ser_request_seconds", "Seconds from headers to answer.", ("route",), buckets=SECONDS)
IN_PROGRESS = Gauge(
    "ser_in_hand", "Requests and streams in progress.", ("route",), registry=REGISTRY, multiprocess_mode="livesum"
)
ERRORS = _counter("ser_refusals", "Errors by code.", ("code",))
ANSWERS = _counter("ser_answers", "Predictions by label.", ("model", "label", "uncertain"))
REASONS = _counter("ser_reasons", "Reasons of uncertain predictions, any number each.", ("model", "reason"))
CONFIDENCE = _histogram("ser_confidence", "Probability of the predicted label.", ("model",), buckets=TENTHS)
SEGMENTS = _counter("ser_segments", "Segments of timelines by label.", ("model", "label", "uncertain"))
SOUND_SECONDS = _counter("ser_sound_seconds", "Seconds of sound answered.", ("model",))
OBSERVED = _counter("ser_observed", "Predictions by the bins of the drift index.", ("model", "quantity", "bin"))


def count_prediction(prediction: Prediction, manifest: dict[str, Any]) -> None:
    """Count one prediction; neither sound nor file name is stored."""
    model, reasons = prediction.model, prediction.reasons
    silent = SILENT in reasons  # its label says nothing: all emotions are equally likely
    ANSWERS.labels(model, SILENT if silent else prediction.label, str(prediction.uncertain).lower()).inc()
    if not silent:
        CONFIDENCE.labels(model).observe(prediction.confidence)
    SOUND_SECONDS.labels(model).inc(prediction.duration_s)
    for reason in reasons:
        REASONS.labels(model, reason).inc()
    for quantity, name in bins(prediction, manifest).items():
        OBSERVED.labels(model, quantity, name).inc()


def count_timeline(timeline: Timeline) -> None:
    """Count the segments of a timeline, apart from predictions and from drift."""
    SOUND_SECONDS.labels(timeline.model).inc(timeline.duration_s)
    for segment in timeline.segments:
        SEGMENTS.labels(timeline.model, segment.label, str(segment.uncertain).lower()).inc()


def exposition(manifests: Iterable[dict[str, Any]]) -> bytes:
    """Return all metrics of all workers in Prometheus' text format, with the drift of the given models."""
    return generate_latest(_Metrics(manifests))


class _Metrics(Collector):
    """The stored metrics and the drift computed from them, for one scrape."""

    def __init__(self, manifests: Iterable[dict[str, Any]]) -> None:
        self._manifests = manifests

    def collect(self) -> Iterator[Metric]:
        stored = list(_stored())
        yield from stored
        counts: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
        for sample in (sample for metric in stored for sample in metric.samples):
            if sample.name == "ser_observed_total":
                counts[sample.labels["model"], sample.labels["quantity"]][sample.labels["bin"]] = sample.value
        shares_family = GaugeMetricFamily("ser_expected_share", EXPECTED_HELP, labels=("model", "quantity", "bin"))
        drift_family = GaugeMetricFamily("ser_drift", DRIFT_HELP, labels=("model", "quantity"))
        for manifest in self._manifests:
            for quantity, shares in expected(manifest).items():
                key = manifest["name"], quantity
                for name, share in shares.items():
                    shares_family.add_metric((*key, name), share)
                if (index := stability_index(shares, counts[key])) is not None:
                    drift_family.add_metric(key, index)
        yield from (shares_family, drift_family)


def _stored() -> Iterable[Metric]:
    """Return the metrics of all workers; requests in progress of killed ones are dropped, their counts stay."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None:
        return REGISTRY.collect()
    for path in Path(folder).glob("gauge_live*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, folder)
        except PermissionError:  # alive, of another user
            continue
    return MultiProcessCollector(None, folder).collect()
