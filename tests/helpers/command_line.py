"""The command line as tests call it: one command, the whole program in this process, or the program itself."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
import soundfile as sf
from golden.make import RATE, voice
from typer.testing import CliRunner, Result

from ser.cli import main as cli
from ser.inference.artifact import ARTIFACTS

ROOT = ARTIFACTS.parent
WAV = io.BytesIO()
sf.write(WAV, voice(2.0), RATE, format="WAV")


UNIX = pytest.mark.skipif(sys.platform == "win32", reason="a shell as Unix knows it")


@contextmanager
def piped(content: bytes) -> Iterator[str]:
    """Yield the path of a pipe with that content, as a shell's `<(command)`."""
    read, write = os.pipe()
    with os.fdopen(read, "rb"), os.fdopen(write, "wb") as sink:
        writer = Thread(target=lambda: (sink.write(content), sink.close()))
        writer.start()
        yield f"/dev/fd/{read}"
        writer.join()


def run(*words: object, stdin: bytes | str | None = None) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words], input=stdin)


def main(monkeypatch, capsys, *words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the whole program, in this process."""
    monkeypatch.setattr(sys, "argv", ["ser", *map(str, words)])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    said = capsys.readouterr()
    return int(exit.value.code or 0), said.out, said.err


def program(*words: str, stdin: bytes = b"", cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "ser", *words],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )
