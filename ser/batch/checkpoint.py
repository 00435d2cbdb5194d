"""What a run over thousands of files has to hear, kept beside its results so that a killed one goes on where it stood.

The list is taken once, sorted and rid of repetitions by SQLite on disk; files that come later are for another run.
While one process works, the ledger is locked for every other.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ser.types import ParameterError

NAME = "_ledger.sqlite"  # readers of Parquet folders pass over names that begin with "_"
TABLES = ("CREATE TABLE file (name BLOB PRIMARY KEY) WITHOUT ROWID", "CREATE TABLE run (settings TEXT)")
PART = 100  # files; some seconds of work, so that a kill loses little and the last wait is short
PARTS = 1_000  # beyond that many, parts grow, up to
LONGEST_PART = 1_000  # files, whose answers are held in memory


class Ledger:
    """The files of one run, in parts, and its settings (None before `fill`). A context manager that holds the lock."""

    def __init__(self, place: Path) -> None:
        self._place = place
        # Parts are read by whichever of joblib's threads hands out work, one at a time.
        try:
            self._db = sqlite3.connect(place, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _refusal(place, error) from error
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("BEGIN EXCLUSIVE")
            held = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            self._db.execute("COMMIT")
            self.settings = self._read() if held == {"file", "run"} else None
        except sqlite3.Error as error:
            self._db.close()
            raise _refusal(place, error) from error
        if held and self.settings is None:
            self._db.close()
            raise ParameterError(f"{place} is a database of something else. Choose another --out, or remove it.")

    def _read(self) -> dict[str, Any] | None:
        row = self._db.execute("SELECT settings FROM run").fetchone()
        return json.loads(row[0]) if row else None

    def fill(self, names: Iterable[str], settings: dict[str, Any], ready: Callable[[], object] = lambda: None) -> None:
        """Take the list anew, whole or not at all; `ready` is called once it is whole, before the old one is gone.

        Raises `ParameterError` for an empty one.
        """
        try:
            with self._db:
                self._db.execute("BEGIN")
                for table in ("file", "run"):
                    self._db.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in TABLES:
                    self._db.execute(statement)
                self._db.executemany("INSERT OR IGNORE INTO file VALUES (?)", ((os.fsencode(name),) for name in names))
                (files,) = self._db.execute("SELECT count(*) FROM file").fetchone()
                if not files:
                    raise ParameterError(
                        f"{settings['source']} holds no recordings. Check the name; a folder is searched by endings."
                    )
                held = json.dumps({**settings, "files": files, "part": part_size(files)})
                self._db.execute("INSERT INTO run VALUES (?)", (held,))
                ready()
        except sqlite3.Error as error:
            raise _refusal(self._place, error) from error
        self.settings = self._read()

    def __len__(self) -> int:
        return self.settings["files"] if self.settings else 0

    def sizes(self) -> list[int]:
        """Files in each part; only the last may hold fewer than the others."""
        part = self.settings["part"] if self.settings else PART
        return [min(part, len(self) - first) for first in range(0, len(self), part)]

    def parts(self) -> Iterator[tuple[int, list[str]]]:
        """Number and names of every part, sorted by the bytes of the names."""
        last = b""
        for number, size in enumerate(self.sizes()):  # each its own query: an open one would keep the lock
            query = "SELECT name FROM file WHERE name > ? ORDER BY name LIMIT ?"
            names = [name for (name,) in self._db.execute(query, (last, size)).fetchall()]
            yield number, [os.fsdecode(name) for name in names]
            last = names[-1]

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def part_size(files: int) -> int:
    """Files in each part of a run over so many."""
    return min(max(PART, files // PARTS), LONGEST_PART)


def _refusal(place: Path, error: sqlite3.Error) -> ParameterError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return ParameterError(f"{place.parent}: another run is at work here. Wait for it, or choose another --out.")
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return ParameterError(f"{place} cannot be written ({error}). Make room on the disk and run it again.")
    if code == sqlite3.SQLITE_NOTADB:
        return ParameterError(f"{place} is no ledger of a run. Remove it, or choose another --out.")
    return ParameterError(f"{place} cannot be used ({error}). Check its rights, or choose another --out.")
