"""Tables of answers: the same columns in CSV, Parquet and pandas, with one for each probability."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.extras import needs
from ser.files import write_atomically
from ser.types import EMOTIONS, Failure, ParameterError, Prediction, Timeline

if TYPE_CHECKING:
    import pandas as pd

FIRST = ("file", "label", "confidence")
LAST = ("uncertain", "reasons", "sex_male", "sex_female", "intensity", "duration_s", "model", "error")
TEXT = {"file", "label", "reasons", "model", "error", "text"}
NESTED = {"probabilities", "reasons", "sex"}
ENDING = ".parquet"
READ = ("label", "confidence", "uncertain", "reasons", "model", "error")
READ_ROWS = 10_000  # held in memory at a time
# Columns around those of the labels.
SEGMENTS = (("file", "start_s", "end_s", "label", "confidence"), ("uncertain", "reasons", "model"))


# --- Rows ---


def columns(labels: Iterable[str]) -> tuple[str, ...]:
    """The columns of a table of answers, for a model with these labels."""
    return (*FIRST, *labels, *LAST)


def flat(told: dict[str, Any]) -> dict[str, Any]:
    """A row of the JSON form of an answer or an error; `reasons` are words with spaces between."""
    row = {name: value for name, value in told.items() if name not in NESTED}
    sexes = {f"sex_{name}": likely for name, likely in (told.get("sex") or {}).items()}
    reasons = {"reasons": " ".join(told["reasons"])} if "reasons" in told else {}
    return {**row, **told.get("probabilities", {}), **sexes, **reasons}


# --- pandas ---


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


# --- Parquet, part by part ---


def schema(labels: Iterable[str]) -> Any:
    """Columns and their types, for a model that answers these labels."""
    import pyarrow as pa

    kinds = {**dict.fromkeys(TEXT, pa.string()), "uncertain": pa.bool_()}
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in columns(labels)])


def part_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:08d}{ENDING}"


def encoded(rows: list[dict[str, Any]], labels: Iterable[str]) -> bytes:
    """Answers and errors in their JSON form as the content of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([*map(flat, rows)], schema(labels)), file)
    return file.getvalue().to_pybytes()


def write_part(folder: Path, number: int, content: bytes) -> None:
    """One part, on the disk when this returns. Raises `OSError` and leaves nothing half written."""
    write_atomically(part_path(folder, number), content, sync=True)


# --- Tables that were written before ---


def read(place: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Answers in a folder or file of Parquet, or a CSV or JSON file of `predict`: of each row what `READ` names.

    `error` is None for answers; the rest may be empty where it is not. Raises `ParameterError` for any other file.
    """
    reader = {".csv": _csv, ".json": _json}.get(Path(place).suffix.lower(), _parquet)
    try:
        for row in reader(Path(place)):
            yield {key: row[key] for key in READ} if row.get("error") is None else {"error": row["error"]}
    except OSError as error:
        why = error.strerror or error
        raise ParameterError(f"{place} cannot be read ({why}). Check its name and rights.") from error
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise ParameterError(
            f"{place} holds no answers ({type(error).__name__}: {error}). Give the folder that `batch` wrote, or a "
            ".csv or .json file of `predict --format`."
        ) from error


def _parquet(place: Path) -> Iterator[dict[str, Any]]:
    with needs("batch", "Parquet"):
        from pyarrow.parquet import ParquetFile
    parts = sorted(place.glob(f"*{ENDING}")) if place.is_dir() else [place]
    if not parts:
        raise ValueError(f"no *{ENDING} in it")
    for part in parts:  # one after the other; a data set of Arrow's holds what it learnt of all
        with ParquetFile(part) as file:
            for batch in file.iter_batches(READ_ROWS, columns=list(READ)):
                yield from map(_listed, batch.to_pylist())


def _csv(place: Path) -> Iterator[dict[str, Any]]:
    with place.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if missing := [name for name in READ if name not in (table.fieldnames or ())]:
            raise ValueError(f"no column {', '.join(missing)}")
        for row in table:
            if row["error"]:
                yield row
            else:
                kept = {"confidence": float(row["confidence"]), "uncertain": row["uncertain"] == "True"}
                yield _listed({**row, **kept, "error": None})


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "reasons": (row["reasons"] or "").split()}


def _json(place: Path) -> Iterator[dict[str, Any]]:
    return ({"error": None, **row} for row in json.loads(place.read_text(encoding="utf-8")))
