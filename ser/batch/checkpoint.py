"""Checkpoint of a run over thousands of files: their names and parts, kept beside the results for the next call.

SQLite sorts and deduplicates the names on disk, once; it is locked while one process works.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ser.types import ParameterError

# The checkpoint lies in a folder beside the results: Polars and DuckDB read whatever is in the folder of results.
ENDING = ".checkpoint"
NAME = "files.sqlite"
FIRST_NAME = "_ledger.sqlite"  # of the first version, among the results
TABLES = {"file": "(name BLOB PRIMARY KEY, part INTEGER) WITHOUT ROWID", "run": "(settings TEXT)"}
INDEX = "CREATE INDEX file_part ON file (part)"  # holds the name too, the primary key
PART = 100  # files; some seconds of work, so that a kill loses little and the last part is not waited for
PARTS = 1_000  # in a run of more, the parts grow, up to
LONGEST_PART = 1_000  # files, whose answers are held in memory

# Numbers the parts of the files that have none, by name.
ASSIGN = """
UPDATE file SET part = :first + new.place / :size
FROM (SELECT name, row_number() OVER (ORDER BY name) - 1 AS place FROM file WHERE part IS NULL) AS new
WHERE file.name = new.name
"""


def checkpoint_folder(out: Path) -> Path:
    """Return the folder of the checkpoint of a folder of results."""
    return out.with_name(out.name + ENDING)


class Checkpoint(AbstractContextManager["Checkpoint"]):
    """Store the files of one run, in parts, and its settings (None before `fill`); a context manager holds the lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Parts are read by whichever of joblib's threads hands out work, one at a time.
        try:
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _unusable(path, error) from error
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("BEGIN EXCLUSIVE")
            tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            self._db.execute("COMMIT")
            self.settings = self._read() if tables == TABLES.keys() else None
        except sqlite3.Error as error:
            self.close()
            raise _unusable(path, error) from error
        if tables and self.settings is None:
            self.close()
            raise ParameterError(f"{path} is a database of something else. Choose another --out, or remove it.")

    def _read(self) -> dict[str, Any] | None:
        """Return the settings, None if there are none, and count the files of each part."""
        row = self._db.execute("SELECT settings FROM run").fetchone()
        settings = json.loads(row[0]) if row else None
        if settings and "part" in settings:
            settings = self._convert(settings)
        self._sizes = [size for (size,) in self._db.execute("SELECT count(*) FROM file GROUP BY part ORDER BY part")]
        return settings

    def _convert(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Convert a checkpoint of the first version, whose settings give the size of all parts."""
        part = settings.pop("part")
        settings.pop("files")
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("ALTER TABLE file ADD COLUMN part INTEGER")
            self._db.execute(INDEX)
            self._db.execute(ASSIGN, {"first": 0, "size": part})
            self._db.execute("UPDATE run SET settings = ?", (json.dumps(settings),))
        return settings

    def fill(
        self, names: Iterable[str], settings: dict[str, Any], ready: Callable[[int], object] = lambda files: None
    ) -> None:
        """Replace the files and settings in one transaction; `ready` gets the number of files before the commit."""
        try:
            with self._db:
                self._db.execute("BEGIN")
                for table, columns in TABLES.items():
                    self._db.execute(f"DROP TABLE IF EXISTS {table}")
                    self._db.execute(f"CREATE TABLE {table} {columns}")
                self._db.execute(INDEX)
                self._db.execute("INSERT INTO run VALUES (?)", (json.dumps(settings),))
                ready(self._add(names))
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error
        self.settings = self._read()

    def extend(self, names: Iterable[str], ready: Callable[[], None]) -> None:
        """Add the files that are not in it yet, in parts of their own; call `ready` before, if there are any."""
        try:
            with self._db:
                self._db.execute("BEGIN")
                if self._add(names):
                    ready()
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error
        self.settings = self._read()

    def _add(self, names: Iterable[str]) -> int:
        insert = "INSERT OR IGNORE INTO file (name) VALUES (?)"
        self._db.executemany(insert, ((os.fsencode(name),) for name in names))
        (added,) = self._db.execute("SELECT count(*) FROM file WHERE part IS NULL").fetchone()
        (last,) = self._db.execute("SELECT max(part) FROM file").fetchone()
        self._db.execute(ASSIGN, {"first": 0 if last is None else last + 1, "size": part_size(added)})
        return int(added)

    def __len__(self) -> int:
        return sum(self.sizes())

    def sizes(self) -> list[int]:
        """Return the number of files in each part."""
        return self._sizes if self.settings else []

    def parts(self, numbers: Iterable[int] | None = None) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the names of every part, or of those given, sorted by the bytes of the names."""
        for number in range(len(self.sizes())) if numbers is None else numbers:
            query = "SELECT name FROM file WHERE part = ? ORDER BY name"  # each its own: an open one keeps the lock
            names = [name for (name,) in self._db.execute(query, (number,)).fetchall()]
            yield number, [os.fsdecode(name) for name in names]

    def close(self) -> None:
        self._db.close()

    def __exit__(self, *error: object) -> None:
        self.close()


def part_size(files: int) -> int:
    """Return the number of files in each part of a run."""
    return min(max(PART, files // PARTS), LONGEST_PART)


def _unusable(path: Path, error: sqlite3.Error) -> ParameterError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return ParameterError(f"{path.parent}: another run is at work here. Wait for it, or choose another --out.")
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return ParameterError(f"{path} cannot be written ({error}). Make room on the disk and run it again.")
    if code == sqlite3.SQLITE_NOTADB:
        return ParameterError(f"{path} is no checkpoint of a run. Remove it, or choose another --out.")
    return ParameterError(f"{path} cannot be used ({error}). Check its rights, or choose another --out.")
