"""Tables of answers: written as Parquet part by part, and read back from whatever `batch` or `predict` wrote.

A row is that of `ser.tables`; beside an error all is empty but the file's name.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ser.extras import needs
from ser.tables import TEXT, columns, flat
from ser.types import ParameterError

ENDING = ".parquet"
READ = ("label", "confidence", "uncertain", "reasons", "model", "error")
READ_ROWS = 10_000  # held in memory at a time


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
    place = part_path(folder, number)
    beside = place.with_name(f".{place.name}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


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
