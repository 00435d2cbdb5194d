"""Metrics for Prometheus, summed over the worker processes that share the folder PROMETHEUS_MULTIPROC_DIR.

`ser serve` sets the folder. It holds counts only.
"""

from __future__ import annotations

import os
import re
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
    registry = CollectorRegistry()
    registry.register(_ScrapeCollector(list(manifests)))
    return generate_latest(registry)


class _ScrapeCollector:
    """Collect stored metrics and the drift computed from them, for one scrape."""

    def __init__(self, manifests: list[dict[str, Any]]) -> None:
        self._expected = {manifest["name"]: expected(manifest) for manifest in manifests}

    def collect(self) -> Iterator[Metric]:
        stored = list(_stored())
        yield from stored
        counts = _observed(stored)
        shares_family = GaugeMetricFamily("ser_expected_share", EXPECTED_HELP, labels=("model", "quantity", "bin"))
        drift_family = GaugeMetricFamily("ser_drift", DRIFT_HELP, labels=("model", "quantity"))
        for model, quantities in self._expected.items():
            for quantity, shares in quantities.items():
                for name, share in shares.items():
                    shares_family.add_metric((model, quantity, name), share)
                if (index := stability_index(shares, counts[model, quantity])) is not None:
                    drift_family.add_metric((model, quantity), index)
        yield from (shares_family, drift_family)


def _stored() -> Iterable[Metric]:
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None:
        return REGISTRY.collect()
    _drop_dead_workers(Path(folder))
    return MultiProcessCollector(None, folder).collect()


def _drop_dead_workers(folder: Path) -> None:
    """Remove killed workers' requests in progress; their counts stay."""
    for path in folder.glob("gauge_live*.db"):
        pid = re.search(r"_(\d+)\.db$", path.name)
        if pid and not _is_alive(int(pid[1])):
            mark_process_dead(int(pid[1]), str(folder))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _observed(metrics: Iterable[Metric]) -> defaultdict[tuple[str, str], dict[str, float]]:
    """Return `ser_observed_total` as {(model, quantity): {bin: count}}."""
    counts: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for metric in metrics:
        for sample in metric.samples:
            if sample.name == "ser_observed_total":
                counts[sample.labels["model"], sample.labels["quantity"]][sample.labels["bin"]] = sample.value
    return counts
