"""Two tables of answers compared: has what a model hears, or the model itself, changed from one to the other?

How far each quantity has moved is its population stability index, as the service counts it against the training
(`ser.drift`). Chance moves it, too: of two samples of the same calls 95 % stay under `by_chance` [Yurdakul 2018].
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ser.drift import FEWEST_ANSWERS, bins, stability_index
from ser.results import read
from ser.types import SILENT, Prediction

MODERATE, LARGE = 0.1, 0.25  # the usual bounds of the index [Siddiqi 2006]
CHANCE = 0.05
QUANTITIES = ("label", "confidence", "features")


@dataclass
class Tally:
    """What a table holds, counted; `bins` are those of `ser.drift`, without silent recordings."""

    answered: int = 0
    failed: int = 0
    silent: int = 0
    uncertain: int = 0
    confidence: float = 0.0  # summed
    labels: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    bins: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in QUANTITIES})

    def add(self, row: dict[str, Any]) -> None:
        if row["error"] is not None:
            self.failed += 1
            return
        self.answered += 1
        self.uncertain += row["uncertain"]
        self.models[row["model"]] += 1
        if SILENT in row["reasons"]:  # it has a label, as every answer, but no emotion is likelier than another
            self.silent += 1
            return
        self.confidence += row["confidence"]
        self.labels[row["label"]] += 1
        probabilities = {row["label"]: row["confidence"]}  # of which bins need no more
        answer = Prediction(row["label"], probabilities, tuple(row["reasons"]), 0.0, row["model"])
        for name, found in bins(answer, {}).items():
            self.bins[name][found] += 1

    def shares(self) -> dict[str, Any]:
        """Fractions of the answers, for a person to compare; None where there are none.

        Those of the labels, and the mean confidence, are of the answers that are not silent.
        """
        n = self.answered
        named = n - self.silent
        return {
            "models": sorted(self.models),
            "answered": n,
            "failed": self.failed,
            "silent": self.silent,
            "labels": {label: count / named for label, count in self.labels.most_common()},
            "confidence": self.confidence / named if named else None,
            "uncertain": self.uncertain / n if n else None,
        }


def tally(place: str | os.PathLike[str]) -> Tally:
    """Count a table of answers (see `ser.results.read`) in constant memory."""
    found = Tally()
    for row in read(place):
        found.add(row)
    return found


def compare(before: str | os.PathLike[str], after: str | os.PathLike[str]) -> dict[str, Any]:
    """`{"before", "after", "drift"}`: shares of both tables, and for label, confidence and features (usual or unlike
    the training) the index `psi`, the index `by_chance`, and a `verdict`: stable, moderate, large, or too few answers.
    """
    was, now = tally(before), tally(after)
    return {
        "before": {"results": os.fspath(before), **was.shares()},
        "after": {"results": os.fspath(after), **now.shares()},
        "drift": {name: _drift(was.bins[name], now.bins[name]) for name in QUANTITIES},
    }


def _drift(was: Counter[str], now: Counter[str]) -> dict[str, Any]:
    if min(was.total(), now.total()) < FEWEST_ANSWERS:
        return {"psi": None, "by_chance": None, "verdict": f"too few answers (under {FEWEST_ANSWERS})"}
    shares = {name: was[name] / was.total() for name in sorted(was | now)}
    psi = stability_index(shares, now)
    return {"psi": psi, "by_chance": _by_chance(len(shares), was.total(), now.total()), "verdict": _verdict(psi or 0.0)}


def _by_chance(n_bins: int, *totals: int) -> float:
    from scipy.special import chdtri

    return float(chdtri(n_bins - 1, CHANCE)) * sum(1 / total for total in totals) if n_bins > 1 else 0.0


def _verdict(psi: float) -> str:
    return "stable" if psi < MODERATE else "moderate" if psi <= LARGE else "large"
