"""What the service counts for Prometheus; it adds up over worker processes where they share a folder for it.

The folder is named by PROMETHEUS_MULTIPROC_DIR, which `ser serve` sets. It holds counts and nothing else.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
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

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
TENTHS = tuple(i / 10 for i in range(1, 11))

disable_created_metrics()  # a second series for every first one, which nobody asks
REGISTRY = CollectorRegistry()
REQUESTS = Counter("ser_requests", "Answered requests.", ("route", "method", "status"), registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "ser_request_seconds", "From headers to answer.", ("route",), buckets=SECONDS, registry=REGISTRY
)
IN_HAND = Gauge(
    "ser_in_hand", "Requests and streams in hand now.", ("route",), registry=REGISTRY, multiprocess_mode="livesum"
)
REFUSALS = Counter("ser_refusals", "Refusals by their code.", ("code",), registry=REGISTRY)
ANSWERS = Counter("ser_answers", "Answers given.", ("model", "label", "uncertain"), registry=REGISTRY)
REASONS = Counter("ser_reasons", "Reasons of doubt, any number an answer.", ("model", "reason"), registry=REGISTRY)
CONFIDENCE = Histogram(
    "ser_confidence", "Probability of the answered label.", ("model",), buckets=TENTHS, registry=REGISTRY
)
SEGMENTS = Counter("ser_segments", "Segments of timelines.", ("model", "label", "uncertain"), registry=REGISTRY)
SOUND_SECONDS = Counter("ser_sound_seconds", "Seconds of sound answered.", ("model",), registry=REGISTRY)
OBSERVED = Counter(
    "ser_observed", "Answers by the bins that drift is measured in.", ("model", "quantity", "bin"), registry=REGISTRY
)


def count_answer(prediction: Prediction, manifest: dict[str, Any]) -> None:
    """Count one answer of a model to a recording; neither its sound nor its name goes in."""
    model, reasons = prediction.model, prediction.reasons
    silent = SILENT in reasons  # no emotion is likelier than another then, though the answer has a label
    ANSWERS.labels(model, SILENT if silent else prediction.label, str(prediction.uncertain).lower()).inc()
    if not silent:
        CONFIDENCE.labels(model).observe(prediction.confidence)
    SOUND_SECONDS.labels(model).inc(prediction.duration_s)
    for reason in reasons:
        REASONS.labels(model, reason).inc()
    for quantity, name in bins(prediction, manifest).items():
        OBSERVED.labels(model, quantity, name).inc()


def count_timeline(timeline: Timeline) -> None:
    """Count the segments of a timeline. They are no answers to recordings, and drift knows nothing of them."""
    SOUND_SECONDS.labels(timeline.model).inc(timeline.duration_s)
    for segment in timeline.segments:
        SEGMENTS.labels(timeline.model, segment.label, str(segment.uncertain).lower()).inc()


def exposition(manifests: Iterable[dict[str, Any]]) -> bytes:
    """All counts of all workers in Prometheus' text format, with the drift of the given models."""
    registry = CollectorRegistry()
    registry.register(_Everything(list(manifests)))
    return generate_latest(registry)


class _Everything:
    """A collector for one scrape: what was counted, and what follows from it."""

    def __init__(self, manifests: list[dict[str, Any]]) -> None:
        self._expected = {manifest["name"]: expected(manifest) for manifest in manifests}

    def collect(self) -> Iterator[Metric]:
        counted = list(_counted())
        yield from counted
        yield self._expected_shares()
        yield self._drift(counted)

    def _expected_shares(self) -> Metric:
        family = GaugeMetricFamily(
            "ser_expected_share",
            "Share of ser_observed_total that a bin had on unseen speakers at training.",
            labels=("model", "quantity", "bin"),
        )
        for model, quantities in self._expected.items():
            for quantity, shares in quantities.items():
                for name, share in shares.items():
                    family.add_metric((model, quantity, name), share)
        return family

    def _drift(self, counted: list[Metric]) -> Metric:
        family = GaugeMetricFamily(
            "ser_drift",
            "Population stability index of all answers since the start against training; from 100 answers on.",
            labels=("model", "quantity"),
        )
        counts = _observed(counted)
        for model, quantities in self._expected.items():
            for quantity, shares in quantities.items():
                index = stability_index(shares, counts[model, quantity])
                if index is not None:
                    family.add_metric((model, quantity), index)
        return family


def _counted() -> Iterable[Metric]:
    folder = os.environ.get(FOLDER)
    if folder is None:
        return REGISTRY.collect()
    _forget_dead(Path(folder))
    return MultiProcessCollector(None, folder).collect()


def _forget_dead(folder: Path) -> None:
    """Drop what killed workers had in hand; what they counted stays."""
    for path in folder.glob("gauge_live*.db"):
        found = re.search(r"_(\d+)\.db$", path.name)
        if found and not _is_alive(int(found[1])):
            mark_process_dead(int(found[1]), str(folder))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _observed(counted: Iterable[Metric]) -> defaultdict[tuple[str, str], dict[str, float]]:
    """`ser_observed_total` by model and quantity."""
    found: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for metric in counted:
        for sample in metric.samples:
            if sample.name == "ser_observed_total":
                found[sample.labels["model"], sample.labels["quantity"]][sample.labels["bin"]] = sample.value
    return found
