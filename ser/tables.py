"""Tables of predictions: the same columns in CSV, Parquet and pandas, with one for each probability."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.extras import needs
from ser.files import encodable
from ser.types import EMOTIONS, Failure, ParameterError, Prediction, Timeline

if TYPE_CHECKING:
    import pandas as pd

# Columns before and after those of the labels.
FIRST = ("file", "label", "confidence")
ADAPTED = ("adapted_source", "adapted_clips")
HEADS = ("sex_male", "sex_female", "intensity")
MOOD = ("valence", "arousal")
ADDED = ("error", *MOOD)  # at the end, so that earlier columns keep their places
LAST = ("uncertain", "reasons", "quality", "top", *HEADS, "duration_s", "model", *ADAPTED, "channel", "track", *ADDED)
SEGMENT_FIRST = ("file", "start_s", "end_s", "label", "confidence")
SEGMENT_LAST = ("uncertain", "reasons", "top", "model", *ADAPTED, "channel", *MOOD)
TEXT = {"file", "channel", "label", "reasons", "quality", "top", "model", "adapted_source", "error", "text"}
NESTED = {"probabilities", "reasons", "quality", "top", "sex", "adapted"}
ONLY_JSON = {"used_s", "sound_s", "sure_from"}
ENDING = ".parquet"
READ = ("label", "confidence", "uncertain", "reasons", "model", "error")
READ_ROWS = 10_000  # held in memory at a time


# --- Rows ---


def columns(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of a table of predictions, for a model with these labels."""
    return (*FIRST, *labels, *LAST)


def flat(result: dict[str, Any]) -> dict[str, Any]:
    """Flatten the JSON form of a prediction or an error into a row; its lists are joined by spaces.

    Text is escaped where UTF-8 cannot encode it, which no table could hold.
    """
    row = {name: value for name, value in result.items() if name not in NESTED | ONLY_JSON}
    row |= {name: encodable(value) for name, value in row.items() if isinstance(value, str)}
    sexes = {f"sex_{name}": probability for name, probability in (result.get("sex") or {}).items()}
    lists = {name: " ".join(result[name]) for name in ("reasons", "quality", "top") if name in result}
    adapted = {f"adapted_{name}": value for name, value in (result.get("adapted") or {}).items()}
    return {**row, **result.get("probabilities", {}), **sexes, **lists, **adapted}


# --- CSV ---


def to_csv(rows: Iterable[dict[str, Any]], names: Iterable[str]) -> str:
    """Encode rows as CSV with these columns; others are left out.

    Lines end in CR LF (RFC 4180), for which Python 3.11 quotes both in text: a lone CR would end a line elsewhere.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, list(names), extrasaction="ignore", lineterminator="\r\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


# --- pandas ---


def to_pandas(results: Prediction | Timeline | Iterable[Prediction | Failure] | Iterable[Timeline]) -> pd.DataFrame:
    """Convert results of `predict` and `predict_many` to one row each, or timelines to one row a segment.

    Probabilities stand in columns named by the labels, in vocabulary order; `reasons`, `quality` and `top`
    are joined by spaces; values that a model does not give or a failure does not have are missing. A transcript adds
    the column `text`. Raises `ParameterError` for anything else, and for predictions mixed with timelines.
    """
    with needs("pandas", "to_pandas"):
        import pandas as pd

    items = [results] if isinstance(results, Prediction | Failure | Timeline) else list(results)
    timelines = [item for item in items if isinstance(item, Timeline)]
    predictions = [item for item in items if isinstance(item, Prediction | Failure)]
    if len(items) not in (len(timelines), len(predictions)):
        kinds = ", ".join(sorted({type(item).__name__ for item in items}))
        raise ParameterError(f"to_pandas takes either answers of predict or timelines, not both; found {kinds}.")
    rows = [flat(item.to_dict()) for item in predictions]
    for timeline in timelines:
        rows += segment_rows(timeline)
    present = {label for timeline in timelines for label in timeline.labels}.union(*rows)
    first, last = (SEGMENT_FIRST, SEGMENT_LAST) if timelines else (FIRST, LAST)
    names = [*first, *(label for label in EMOTIONS if label in present), *last]
    names += ["text"] if any(timeline.text is not None for timeline in timelines) else []
    # Types that allow missing values, so that they are the same with and without failures.
    types = {**dict.fromkeys(TEXT, "string"), "uncertain": "boolean"}
    return pd.DataFrame(rows, columns=names).astype({name: types.get(name, "float64") for name in names})


def segment_columns(timeline: Timeline) -> tuple[str, ...]:
    """Return the columns of a table of segments; a transcript adds `text`."""
    return (*SEGMENT_FIRST, *timeline.labels, *SEGMENT_LAST, *(() if timeline.text is None else ("text",)))


def segment_rows(timeline: Timeline) -> list[dict[str, Any]]:
    """Return one row a segment, with those of `segment_columns` that it has."""
    shared = {name: value for name, value in timeline.to_dict().items() if name in ("file", "model", "adapted")}
    return [flat({**segment.to_dict(), **shared}) for segment in timeline.segments]


# --- Parquet, part by part ---


def schema(names: Iterable[str]) -> Any:
    """Return columns with their types."""
    import pyarrow as pa

    kinds = {**dict.fromkeys(TEXT, pa.string()), "uncertain": pa.bool_()}
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in names])


def part_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:08d}{ENDING}"


def to_parquet(results: list[dict[str, Any]], labels: Iterable[str]) -> bytes:
    """Encode predictions and errors in their JSON form as the content of a Parquet file."""
    return _encoded([*map(flat, results)], columns(labels))


def segments_to_parquet(timeline: Timeline) -> bytes:
    """Encode a timeline as the content of a Parquet file, one row a segment; a transcript adds the column `text`."""
    return _encoded(segment_rows(timeline), segment_columns(timeline))


def _encoded(rows: list[dict[str, Any]], names: Iterable[str]) -> bytes:
    with needs("batch", "Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    file = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema(names)), file)
    return file.getvalue().to_pybytes()


# --- Stored tables ---


def read_rows(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the columns `READ` of a folder or file of Parquet, or of a CSV or JSON file of `predict`.

    A row with an `error` holds nothing else. Raises `ParameterError` for any other file.
    """
    reader = {".csv": _csv, ".json": _json}.get(Path(path).suffix.lower(), _parquet)
    try:
        for row in reader(Path(path)):
            if "reasons" in row and not isinstance(row["reasons"], list):  # text, or missing in a row of an error
                row["reasons"] = (row["reasons"] or "").split()
            yield {key: row[key] for key in READ} if row.get("error") is None else {"error": row["error"]}
    except OSError as error:
        raise ParameterError(
            f"{path} cannot be read ({error.strerror or error}). Check its name and rights."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise ParameterError(
            f"{path} holds no answers ({type(error).__name__}: {error}). Give the folder that `batch` wrote, or a "
            ".csv or .json file of `predict --format`."
        ) from error


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    with needs("batch", "Parquet"):
        from pyarrow.parquet import ParquetFile
    parts = sorted(path.glob(f"*{ENDING}")) if path.is_dir() else [path]
    if not parts:
        raise ValueError(f"no *{ENDING} in it")
    for part in parts:  # one after the other; a data set of Arrow's keeps metadata of all
        with ParquetFile(part) as file:
            for batch in file.iter_batches(READ_ROWS, columns=list(READ)):
                yield from batch.to_pylist()


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if missing := [name for name in READ if name not in (table.fieldnames or ())]:
            raise ValueError(f"no column {', '.join(missing)}")
        for row in table:
            if row["error"]:
                yield row
            else:
                values = {"confidence": float(row["confidence"]), "uncertain": row["uncertain"] == "True"}
                yield {**row, **values, "error": None}


def _json(path: Path) -> Iterator[dict[str, Any]]:
    return ({"error": None, **row} for row in json.loads(path.read_text(encoding="utf-8")))
