"""An answer as a row of a table, the same in CSV, Parquet and pandas: a column for each probability."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

FIRST = ("file", "label", "confidence")
LAST = ("uncertain", "reasons", "sex_male", "sex_female", "intensity", "duration_s", "model", "error")
TEXT = {"file", "label", "reasons", "model", "error", "text"}
NESTED = {"probabilities", "reasons", "sex"}


def columns(labels: Iterable[str]) -> tuple[str, ...]:
    """The columns of a table of answers, for a model with these labels."""
    return (*FIRST, *labels, *LAST)


def flat(told: dict[str, Any]) -> dict[str, Any]:
    """A row of the JSON form of an answer or an error; `reasons` are words with spaces between."""
    row = {name: value for name, value in told.items() if name not in NESTED}
    sexes = {f"sex_{name}": likely for name, likely in (told.get("sex") or {}).items()}
    reasons = {"reasons": " ".join(told["reasons"])} if "reasons" in told else {}
    return {**row, **told.get("probabilities", {}), **sexes, **reasons}
