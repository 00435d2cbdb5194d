"""History of the predictions that a user asked to keep: answer, time and the file's name, without its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from typing import Any

from platformdirs import user_data_path
from sqlalchemy import JSON, URL, DateTime, Engine, Text, create_engine, delete, event, inspect, make_url, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeDecorator

from ser.files import encodable
from ser.types import ParameterError

VARIABLE = "SER_DATABASE_URL"
FILE, TABLE = "history.sqlite", "ser_answers"
EXAMPLE = "sqlite:////home/me/history.sqlite"
LOCKED_S = 3  # to wait for another program that writes
ELSEWHERE = f"or name another database in {VARIABLE}"
# Advice for an error, by a word in it.
ADVICE = {
    "locked": "Another program is writing to it: try again in a moment",
    "readonly": f"Make its file and folder writable, {ELSEWHERE}",
    "full": f"Make room on its disk, {ELSEWHERE}",
    "Permission denied": f"Make its file and folder readable, {ELSEWHERE}",
    "unable to open": f"Make sure that its folder is there and writable, {ELSEWHERE}",
}
# Cause of an error in one word, likewise.
CAUSES = {
    "locked": "locked",
    "readonly": "read-only",
    "full": "full",
    "Permission denied": "unreachable",
    "unable to open": "unreachable",
    "not a database": "foreign",
}


class HistoryError(ParameterError):
    """The history cannot be used; `cause` is "locked", "read-only", "full", "unreachable", "foreign" or "other"."""

    def __init__(self, message: str, cause: str = "other") -> None:
        super().__init__(message)
        self.cause = cause


class UtcTime(TypeDecorator[datetime]):
    """Store a time with its zone as UTC, also in databases without zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class _Base(MappedAsDataclass, DeclarativeBase):
    pass


class Entry(_Base, kw_only=True):
    """One entry of the history: its id, the time (UTC), and `Prediction.to_dict()` with the file's bare name.

    The other columns repeat values of `answer` for queries by other programs.
    """

    __tablename__ = TABLE
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (SQLAlchemy's form); an id is never used twice

    id: Mapped[int] = mapped_column(init=False, primary_key=True)
    time: Mapped[datetime] = mapped_column(UtcTime)
    file: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    confidence: Mapped[float]
    model: Mapped[str] = mapped_column(Text)
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "time": self.time.isoformat(timespec="seconds"), **self.answer}


class History:
    """Keep predictions in one database, which is created with the first.

    `url` is SQLAlchemy's; by default `SER_DATABASE_URL`, else a SQLite file in the user's data folder. Every method
    raises `HistoryError` if the database is locked, full, read-only, out of reach or another program's.
    """

    def __init__(self, url: str | None = None) -> None:
        address = url or os.environ.get(VARIABLE)
        self._own_folder = None if address else _default().parent
        self._url = _url(address)
        self._name = self._url.database if self._is_sqlite else self._url.render_as_string(hide_password=True)
        self._engine = self._connect()

    def open(self) -> History:
        """Create the table now, so that a database that cannot be used raises before the work."""
        with self._guarded():
            self._create()
            with self._engine.begin() as connection:
                connection.execute(delete(Entry).where(Entry.id < 0))  # no such row: a test of the right to write
        return self

    def keep(self, answers: Iterable[dict[str, Any]]) -> list[Entry]:
        """Add predictions in the form of `Prediction.to_dict()`, all or none; a file's folder is not kept."""
        now = datetime.now(UTC)
        entries = [_entry(answer, now) for answer in answers]
        with self._guarded():
            self._create()
            with Session(self._engine, expire_on_commit=False) as session:
                session.add_all(entries)
                session.commit()
        return entries

    def newest(self, most: int | None = None) -> list[Entry]:
        """Return up to `most` entries (None: all), the newest first."""
        with self._guarded(), Session(self._engine) as session:
            query = select(Entry).order_by(Entry.id.desc()).limit(most)
            return list(session.scalars(query)) if self._exists() else []

    def find(self, id: int) -> Entry:
        """Return the entry with that id."""
        with self._guarded(), Session(self._engine) as session:
            entry = session.get(Entry, id) if self._exists() else None
        if entry is None:
            raise _unknown([id])
        return entry

    def delete(self, ids: Iterable[int]) -> int:
        """Delete the entries with these ids, none if one is unknown; return their number."""
        wanted = set(ids)
        with self._guarded(), Session(self._engine) as session:
            known = set(session.scalars(select(Entry.id).where(Entry.id.in_(wanted)))) if self._exists() else set()
            if wanted - known:
                raise _unknown(sorted(wanted - known))
            session.execute(delete(Entry).where(Entry.id.in_(wanted)))
            session.commit()
        return len(wanted)

    def count(self) -> int:
        """Return the number of entries."""
        with self._guarded(), Session(self._engine) as session:
            return session.query(Entry).count() if self._exists() else 0

    def clear(self) -> int:
        """Delete every entry; return their number."""
        with self._guarded(), Session(self._engine) as session:
            if not self._exists():
                return 0
            n_deleted = session.query(Entry).delete()
            session.commit()
        return n_deleted

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    def _connect(self) -> Engine:
        try:
            waits = {"connect_args": {"timeout": LOCKED_S}} if self._is_sqlite else {}
            engine = create_engine(self._url, poolclass=NullPool, **waits)
        except SQLAlchemyError as error:
            raise self._unusable(error) from error
        except ModuleNotFoundError as error:
            raise ParameterError(f"{VARIABLE} needs the library {error.name}: pip install {error.name}.") from error
        if self._is_sqlite:
            # Deleted entries are overwritten: they are personal data.
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA secure_delete=ON"))
        return engine

    def _exists(self) -> bool:
        """Return whether the table exists, without creating a file; raise if the database is another program's."""
        file = self._file()
        if file is not None and not file.exists():
            return False
        inspector = inspect(self._engine)
        tables = inspector.get_table_names()
        if TABLE not in tables:
            if tables and self._is_sqlite:
                raise self._foreign(f"it holds {', '.join(sorted(tables)[:3])}")
            return False
        missing = {*Entry.__table__.columns.keys()} - {column["name"] for column in inspector.get_columns(TABLE)}
        if missing:
            raise self._foreign(f"its table {TABLE} has no {', '.join(sorted(missing))}")
        return True

    def _create(self) -> None:
        if self._exists():
            return
        folder = self._own_folder
        if folder is not None:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                message = f"The folder {folder} cannot be made: {error.strerror}. Make it, {ELSEWHERE}."
                raise HistoryError(message, "unreachable") from error
        with self._engine.begin() as connection:
            connection.execute(CreateTable(_Base.metadata.tables[TABLE], if_not_exists=True))

    def _file(self) -> Path | None:
        """Return the file of a SQLite database that is named by its path, else None."""
        name = self._url.database if self._is_sqlite else None
        return None if name is None or name.startswith("file:") else Path(name)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, ValueError, OverflowError) as error:
            # Also a folder without rights, an answer that is not JSON, a number that is too large.
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> HistoryError:
        cause = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
        reason = str(cause).splitlines()[0].rstrip(".")
        advice = next((advice for word, advice in ADVICE.items() if word in reason), f"Check it, {ELSEWHERE}")
        cause = next((cause for word, cause in CAUSES.items() if word in reason), "other")
        return HistoryError(f"The history {self._name} cannot be used: {reason}. {advice}.", cause)

    def _foreign(self, reason: str) -> HistoryError:
        return HistoryError(
            f"{self._name} is no history of this program: {reason}. Name another in {VARIABLE}.", "foreign"
        )


def _default() -> Path:
    """Return the file in the user's data folder; `ParameterError` if the user has no home."""
    with suppress(RuntimeError):
        path = user_data_path("ser", appauthor=False) / FILE
        if path.is_absolute():
            return path
    raise ParameterError(
        f"The history has no place: this user has no home folder. Set HOME, {ELSEWHERE}, e.g. {EXAMPLE}."
    )


def _url(address: str | None) -> URL:
    if not address:
        return URL.create("sqlite", database=str(_default()))
    try:
        url = make_url(address)
    except SQLAlchemyError:
        # The address is not repeated: it may hold a password.
        raise ParameterError(f"{VARIABLE} is no address of a database; one looks like {EXAMPLE}.") from None
    if url.get_backend_name() == "sqlite" and (not url.database or ":memory:" in url.database):
        raise ParameterError(f"{VARIABLE} names a database in memory, which keeps nothing. Name a file: {EXAMPLE}.")
    return url


def _entry(answer: dict[str, Any], time: datetime) -> Entry:
    # Windows' rules split at / and \ alike.
    name = encodable(PureWindowsPath(answer["file"] or "").name)
    stored = {**answer, "file": name}
    return Entry(time=time, answer=stored, **{key: stored[key] for key in ("file", "label", "confidence", "model")})


def _unknown(ids: list[int]) -> ParameterError:
    return ParameterError(
        f"No prediction {', '.join(map(str, ids))} in the history; `ser history list` shows the numbers."
    )
