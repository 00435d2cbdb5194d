"""Answers as pandas tables: a row for each answer or segment, a column for each probability."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ser.extras import needs
from ser.tables import FIRST, LAST, TEXT, flat
from ser.types import EMOTIONS, Failure, ParameterError, Prediction, Timeline

if TYPE_CHECKING:
    import pandas as pd

# Columns around those of the labels.
SEGMENTS = (("file", "start_s", "end_s", "label", "confidence"), ("uncertain", "reasons", "model"))


def to_pandas(results: Prediction | Timeline | Iterable[Prediction | Failure] | Iterable[Timeline]) -> pd.DataFrame:
    """Answers of `predict` and `predict_many` as one row each, or timelines as one row a segment.

    Probabilities stand in columns named by the labels, in vocabulary order; `reasons` are words separated by spaces;
    what a model does not say or a failure cannot have is missing. What was said stands in `text`, where somebody asked
    for it. Raises `ParameterError` for anything else, and for answers mixed with timelines.
    """
    with needs("pandas", "to_pandas"):
        import pandas as pd

    found = [results] if isinstance(results, Prediction | Failure | Timeline) else list(results)
    timelines = [one for one in found if isinstance(one, Timeline)]
    answers = [one for one in found if isinstance(one, Prediction | Failure)]
    if len(found) not in (len(timelines), len(answers)):
        kinds = ", ".join(sorted({type(one).__name__ for one in found}))
        raise ParameterError(f"to_pandas takes answers of predict, or timelines, not both and no more; found {kinds}.")
    rows = [row for one in timelines for row in _segments(one)] or [flat(one.to_dict()) for one in answers]
    present = {label for one in timelines for label in one.labels}.union(*rows)
    first, last = SEGMENTS if timelines else (FIRST, LAST)
    columns = [*first, *(label for label in EMOTIONS if label in present), *last]
    columns += ["text"] if any(one.text is not None for one in timelines) else []
    return pd.DataFrame(rows, columns=columns).astype({column: _kind(column) for column in columns})


def _segments(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for segment in timeline.segments:
        told = {"file": timeline.file, "model": timeline.model, "reasons": segment.reasons}
        yield flat({**segment.to_dict(), **told})


def _kind(column: str) -> str:
    """Types that know missing values, so that they are the same with and without failures."""
    return "string" if column in TEXT else "boolean" if column == "uncertain" else "float64"
