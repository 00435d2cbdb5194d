"""Checkpoint of a run: sorted, complete, locked, and resumed from the file that the first version wrote."""

from __future__ import annotations

import json
import os
import sqlite3

import pytest

from ser.batch.checkpoint import LONGEST_PART, NAME, PART, Checkpoint, part_size
from ser.types import ParameterError


class Stop(Exception):
    """Ends a listing."""


def test_names_are_sorted_complete_and_unique(tmp_path):
    wanted = sorted((f"{number}.wav" for number in range(2 * PART + 1)), key=os.fsencode)
    with Checkpoint(tmp_path / NAME) as checkpoint:
        assert checkpoint.settings is None and len(checkpoint) == 0
        checkpoint.fill(reversed([*wanted, *wanted]), {"source": "s"})
        assert checkpoint.sizes() == [PART, PART, 1] and len(checkpoint) == len(wanted)

        def broken():
            yield "x"
            raise Stop

        with pytest.raises(Stop):
            checkpoint.fill(broken(), {"source": "t"})

        def refuse(files):
            assert files == 1
            raise Stop

        with pytest.raises(Stop):
            checkpoint.fill(["x"], {"source": "t"}, refuse)
    with Checkpoint(tmp_path / NAME) as checkpoint:
        assert checkpoint.settings == {"source": "s"}
        assert [name for _, files in checkpoint.parts() for name in files] == wanted


def test_new_names_are_parts_of_their_own(tmp_path):
    with Checkpoint(tmp_path / NAME) as checkpoint:
        checkpoint.fill(["c", "a"], {"source": "s"})
        calls = []
        checkpoint.extend(["a", "c"], lambda: calls.append("none"))
        assert checkpoint.sizes() == [2]

        def refuse():
            raise Stop

        with pytest.raises(Stop):  # nothing is added
            checkpoint.extend(["d"], refuse)
        assert checkpoint.sizes() == [2]
        checkpoint.extend(["d", "c", "b", "d"], lambda: calls.append("some"))
        assert calls == ["some"]
    with Checkpoint(tmp_path / NAME) as checkpoint:
        assert list(checkpoint.parts()) == [(0, ["a", "c"]), (1, ["b", "d"])] and len(checkpoint) == 4
        assert list(checkpoint.parts([1])) == [(1, ["b", "d"])]
        checkpoint.fill([], {"source": "t"})
        assert (checkpoint.sizes(), len(checkpoint), list(checkpoint.parts())) == ([], 0, [])


def test_a_checkpoint_of_the_first_version_is_read(tmp_path):
    settings = {"root": "/", "model": "voice", "digest": "0", "source": "/calls", "files": 3, "part": 2}
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute("CREATE TABLE file (name BLOB PRIMARY KEY) WITHOUT ROWID")
        database.execute("CREATE TABLE run (settings TEXT)")
        database.executemany("INSERT INTO file VALUES (?)", [(b"c.wav",), (b"a.wav",), (b"b.wav",)])
        database.execute("INSERT INTO run VALUES (?)", (json.dumps(settings),))
    database.close()
    with Checkpoint(tmp_path / NAME) as checkpoint:
        assert checkpoint.settings == {"root": "/", "model": "voice", "digest": "0", "source": "/calls"}
        assert list(checkpoint.parts()) == [(0, ["a.wav", "b.wav"]), (1, ["c.wav"])]
        checkpoint.extend(["b.wav", "0.wav"], lambda: None)
    with Checkpoint(tmp_path / NAME) as checkpoint:
        assert list(checkpoint.parts()) == [(0, ["a.wav", "b.wav"]), (1, ["c.wav"]), (2, ["0.wav"])]


def test_parts_grow_with_the_list_up_to_a_bound():
    assert [part_size(files) for files in (1, 10_000, 500_000, 10**8)] == [PART, PART, 500, LONGEST_PART]


def test_a_checkpoint_is_locked_while_a_run_is_at_work(tmp_path):
    with Checkpoint(tmp_path / NAME), pytest.raises(ParameterError, match="another run is at work here"):
        Checkpoint(tmp_path / NAME)
    with Checkpoint(tmp_path / NAME) as checkpoint:
        assert checkpoint.settings is None


def test_a_database_of_something_else_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute("CREATE TABLE mine (it TEXT)")
    with pytest.raises(ParameterError, match="is a database of something else"):
        Checkpoint(tmp_path / NAME)
    (tmp_path / "text").write_text("this is no database, but long enough to be taken for one" * 9)
    with pytest.raises(ParameterError, match="is no checkpoint of a run"):
        Checkpoint(tmp_path / "text")
