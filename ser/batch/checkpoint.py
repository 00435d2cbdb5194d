"""Checkpoint of a run over thousands of files: their names, kept beside the results, so that the run can resume.

SQLite sorts and deduplicates them on disk, once; it is locked while one process works.
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

# The name of its first version, whose runs resume. Readers of Parquet folders skip names that begin with "_".
NAME = "_ledger.sqlite"
TABLES = {"file": "(name BLOB PRIMARY KEY) WITHOUT ROWID", "run": "(settings TEXT)"}
PART = 100  # files; some seconds of work, so that a kill loses little and the last part is not waited for
PARTS = 1_000  # in a run of more, the parts grow, up to
LONGEST_PART = 1_000  # files, whose answers are held in memory


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
        row = self._db.execute("SELECT settings FROM run").fetchone()
        return json.loads(row[0]) if row else None

    def fill(self, names: Iterable[str], settings: dict[str, Any], ready: Callable[[], object] = lambda: None) -> None:
        """Replace the files and settings in one transaction; `ready` is called just before it is committed.

        Raises `ParameterError` if there are no names.
        """
        try:
            with self._db:
                self._db.execute("BEGIN")
                for table, columns in TABLES.items():
                    self._db.execute(f"DROP TABLE IF EXISTS {table}")
                    self._db.execute(f"CREATE TABLE {table} {columns}")
                self._db.executemany("INSERT OR IGNORE INTO file VALUES (?)", ((os.fsencode(name),) for name in names))
                (files,) = self._db.execute("SELECT count(*) FROM file").fetchone()
                if not files:
                    advice = "Check the name; a folder is searched by endings"
                    raise ParameterError(f"{settings['source']} holds no recordings. {advice}.")
                stored = json.dumps({**settings, "files": files, "part": part_size(files)})
                self._db.execute("INSERT INTO run VALUES (?)", (stored,))
                ready()
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error
        self.settings = self._read()

    def __len__(self) -> int:
        return self.settings["files"] if self.settings else 0

    def sizes(self) -> list[int]:
        """Return the number of files in each part; only the last may hold fewer than the others."""
        part = self.settings["part"] if self.settings else PART
        return [min(part, len(self) - first) for first in range(0, len(self), part)]

    def parts(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the names of every part, sorted by the bytes of the names."""
        last = b""
        for number, size in enumerate(self.sizes()):  # each its own query: an open one would keep the lock
            query = "SELECT name FROM file WHERE name > ? ORDER BY name LIMIT ?"
            names = [name for (name,) in self._db.execute(query, (last, size)).fetchall()]
            yield number, [os.fsdecode(name) for name in names]
            last = names[-1]

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
