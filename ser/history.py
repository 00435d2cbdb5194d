"""Answers that somebody asked to keep: what was heard, when, in a file of which name. No sound and no folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from typing import Any

from platformdirs import user_data_path
from sqlalchemy import JSON, URL, DateTime, Engine, Text, create_engine, delete, event, func, inspect, make_url, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeDecorator

from ser.types import ParameterError

VARIABLE = "SER_DATABASE_URL"
FILE = "history.sqlite"
EXAMPLE = "sqlite:////home/me/history.sqlite"
LOCKED_S = 3  # how long another program's writing is waited for
ELSEWHERE = f"or name another database in {VARIABLE}"
# What to do about an error, by a word in it.
ADVICE = {
    "locked": "Another program is writing to it: try again in a moment",
    "readonly": f"Make its file and folder writable, {ELSEWHERE}",
    "full": f"Make room on its disk, {ELSEWHERE}",
    "Permission denied": f"Make its file and folder readable, {ELSEWHERE}",
    "unable to open": f"Make sure that its folder is there and writable, {ELSEWHERE}",
}


class Moment(TypeDecorator[datetime]):
    """A time with its zone, stored as UTC, also by databases that know no zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class _Base(DeclarativeBase):
    pass


class _Row(_Base):
    """The columns beside `answer` are for queries of others; they repeat what stands in it."""

    __tablename__ = "ser_answers"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 (SQLAlchemy's form); a number is never given twice

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[datetime] = mapped_column(Moment)
    file: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    confidence: Mapped[float]
    model: Mapped[str] = mapped_column(Text)
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)


@dataclass(frozen=True)
class Kept:
    """One answer of the history: its number, when it was kept (UTC), and `Prediction.to_dict()` with a bare name."""

    id: int
    time: datetime
    answer: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "time": self.time.isoformat(timespec="seconds"), **self.answer}


class History:
    """The answers in one database, which is made when the first is kept.

    `url` is SQLAlchemy's; without it `SER_DATABASE_URL`, else a SQLite file in the user's data folder. Every method
    raises `ParameterError` for a database that is locked, full, read-only, out of reach or another program's.
    """

    def __init__(self, url: str | None = None) -> None:
        self._url = _url(url or os.environ.get(VARIABLE))
        self._place = self._url.database if self._is_sqlite else self._url.render_as_string(hide_password=True)
        self._engine = self._opened()

    def open(self) -> History:
        """Make the table now, so that a database that cannot be used says so before the work."""
        with self._guarded():
            self._make()
            with self._engine.begin() as connection:
                connection.execute(delete(_Row).where(_Row.id < 0))  # there is none: only whether one may write
        return self

    def keep(self, answers: Iterable[dict[str, Any]]) -> list[Kept]:
        """Add answers in the form of `Prediction.to_dict()`, all or none; of a file only its name is kept."""
        now = datetime.now(UTC)
        rows = [_row(answer, now) for answer in answers]
        with self._guarded():
            self._make()
            with Session(self._engine) as session:
                session.add_all(rows)
                session.commit()
                return [_kept(row) for row in rows]

    def newest(self, most: int | None = None) -> list[Kept]:
        """The latest answers, the newest first; all without `most`."""
        with self._guarded(), Session(self._engine) as session:
            if not self._is_made():
                return []
            return [_kept(row) for row in session.scalars(select(_Row).order_by(_Row.id.desc()).limit(most))]

    def find(self, id: int) -> Kept:
        """The answer of that number."""
        with self._guarded(), Session(self._engine) as session:
            row = session.get(_Row, id) if self._is_made() else None
            if row is None:
                raise _unknown([id])
            return _kept(row)

    def delete(self, ids: Iterable[int]) -> int:
        """Delete the answers of those numbers, all or, where one is unknown, none; how many there were."""
        wanted = set(ids)
        with self._guarded(), Session(self._engine) as session:
            there = set(session.scalars(select(_Row.id).where(_Row.id.in_(wanted)))) if self._is_made() else set()
            if wanted - there:
                raise _unknown(sorted(wanted - there))
            session.execute(delete(_Row).where(_Row.id.in_(wanted)))
            session.commit()
        return len(wanted)

    def clear(self) -> int:
        """Delete every answer; how many there were."""
        with self._guarded(), Session(self._engine) as session:
            if not self._is_made():
                return 0
            n_rows = session.scalar(select(func.count()).select_from(_Row))
            session.execute(delete(_Row))
            session.commit()
        return n_rows or 0

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    def _opened(self) -> Engine:
        try:
            waits = {"connect_args": {"timeout": LOCKED_S}} if self._is_sqlite else {}
            engine = create_engine(self._url, poolclass=NullPool, **waits)
        except SQLAlchemyError as error:
            raise self._refusal(error) from error
        except ModuleNotFoundError as error:
            raise ParameterError(f"{VARIABLE} needs the library {error.name}: pip install {error.name}.") from error
        if self._is_sqlite:
            # What was deleted is overwritten: it was about a person.
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA secure_delete=ON"))
        return engine

    def _is_made(self) -> bool:
        """Whether the table is there; raises `ParameterError` where others' are. Asking makes no file."""
        file = self._file()
        if file is not None and not file.exists():
            return False
        found = inspect(self._engine)
        tables = found.get_table_names()
        if _Row.__tablename__ not in tables:
            if tables and self._is_sqlite:
                raise self._foreign(f"it holds {', '.join(sorted(tables)[:3])}")
            return False
        missing = set(_Row.__table__.columns.keys()) - {column["name"] for column in found.get_columns("ser_answers")}
        if missing:
            raise self._foreign(f"its table ser_answers has no {', '.join(sorted(missing))}")
        return True

    def _make(self) -> None:
        if self._is_made():
            return
        file = self._file()
        if file == _default():
            _make_folder(file.parent)
        with self._engine.begin() as connection:
            connection.execute(CreateTable(_Base.metadata.tables["ser_answers"], if_not_exists=True))

    def _file(self) -> Path | None:
        """The file of a SQLite database that is named by its path."""
        name = self._url.database if self._is_sqlite else None
        return None if name is None or name.startswith("file:") else Path(name)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, ValueError, OverflowError) as error:
            # also a folder that may not be entered, an answer that is no JSON, an endless number
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> ParameterError:
        found = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
        reason = str(found).splitlines()[0].rstrip(".")
        default = f"Check it, {ELSEWHERE}"
        advice = next((advice for word, advice in ADVICE.items() if word in reason), default)
        return ParameterError(f"The history {self._place} cannot be used: {reason}. {advice}.")

    def _foreign(self, found: str) -> ParameterError:
        return ParameterError(f"{self._place} is no history of this program: {found}. Name another in {VARIABLE}.")


def _default() -> Path:
    return user_data_path("ser", appauthor=False) / FILE


def _url(given: str | None) -> URL:
    if not given:
        return URL.create("sqlite", database=str(_default()))
    try:
        url = make_url(given)
    except SQLAlchemyError:
        # Not repeated: it may hold a password.
        raise ParameterError(f"{VARIABLE} is no address of a database; one looks like {EXAMPLE}.") from None
    if url.get_backend_name() == "sqlite" and (not url.database or ":memory:" in url.database):
        raise ParameterError(f"{VARIABLE} names a database in memory, which keeps nothing. Name a file: {EXAMPLE}.")
    return url


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(f"The folder {folder} cannot be made: {error.strerror}. Make it, {ELSEWHERE}.") from error


def _row(answer: dict[str, Any], time: datetime) -> _Row:
    # Windows' rules split at / and \ alike. A name that is no text is written as one.
    name = PureWindowsPath(answer["file"] or "").name.encode("utf-8", "backslashreplace").decode()
    kept = {**answer, "file": name}
    return _Row(time=time, answer=kept, **{key: kept[key] for key in ("file", "label", "confidence", "model")})


def _kept(row: _Row) -> Kept:
    return Kept(row.id, row.time, row.answer)


def _unknown(ids: list[int]) -> ParameterError:
    numbers = ", ".join(map(str, ids))
    return ParameterError(f"No answer {numbers} in the history; `ser history list` shows the numbers.")
