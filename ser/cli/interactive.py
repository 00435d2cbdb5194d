"""The conversation of `ser` without a command: Enter records, a path is predicted, a few words do the rest."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import typer

from ser.audio.microphone import Microphone
from ser.cli.microphone import SECONDS, UNNAMED, record_wav
from ser.cli.output import REFUSED, err, exists, is_attended, print_rows, print_table, say
from ser.cli.predict import predictions
from ser.cli.samples import print_samples
from ser.inference.recognizer import Recognizer, load
from ser.sentences import SENTENCES
from ser.types import NOTICE, ParameterError, SerError

GREETING = (
    f"Enter records {SECONDS:g} s; a path, or predict and a path, is predicted, folders included; list shows the "
    "predictions so far, samples shows sentences to read, help shows this, quit or Ctrl-D leaves. Other commands and "
    f"options are for the shell, see ser --help. Nothing is stored.\n{NOTICE}"
)
PROMPT = "ser> "
PREDICT = "predict "
QUIT = ("quit", "exit")
HELP = ("help", "?")


def interactive() -> bool:
    """Answer every line of a terminal or a pipe until `quit`; return False if there is no input.

    A refused line is answered with a sentence; after a pipe, `typer.Exit` of 2 reports it.
    """
    on_terminal = is_attended()
    if on_terminal and not sys.stdout.isatty():
        return False
    lines = _typed() if on_terminal else _piped()
    first = next(lines, None)
    if first is None:
        return on_terminal
    lines = takewhile(lambda line: line not in QUIT, map(str.strip, chain([first], lines)))
    if not _converse(lines) and not on_terminal:
        raise typer.Exit(REFUSED)
    return True


def _converse(lines: Iterable[str]) -> bool:
    """Answer lines; return whether none was refused."""
    recognizer = load()
    session: list[dict[str, Any]] = []
    refused = False
    for line in lines:
        try:
            rows = _answer(line, recognizer, session)
            session += (row for row in rows if "error" not in row)
            refused |= any("error" in row for row in rows)
        except SerError as error:
            say(str(error))
            refused = True
        except KeyboardInterrupt:
            if not is_attended():
                raise
            say("Stopped.")
    return not refused


def _answer(line: str, recognizer: Recognizer, session: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print the answer to a line; return the new predictions."""
    if line == "samples":
        print_samples(SENTENCES)
    elif line in HELP:
        err.print(GREETING)
    elif line == "list" and session:
        print_table(session)
    elif line == "list":
        say("No predictions yet.")
    else:
        rows = list(predictions(recognizer, paths(line))) if line else [_recorded(recognizer)]
        print_rows(rows, "table", recognizer.labels)
        return rows
    return []


def _recorded(recognizer: Recognizer) -> dict[str, Any]:
    """Return the prediction of the next seconds from the microphone."""
    return {**recognizer.predict(record_wav(Microphone(), SECONDS)).to_dict(), "file": UNNAMED}


def paths(line: str) -> list[str]:
    """Return the paths in a line: typed as they are, quoted, or dragged into the terminal.

    A dragged file comes in quotes, with backslashes before its spaces, or as file:///its%20address. A line that is no
    such thing is one path, spaces included; `predict` may stand before it.
    """
    if line.startswith(PREDICT) and not exists(line):
        line = line.removeprefix(PREDICT).strip()
    try:
        words = [_path(word) for word in shlex.split(line)]
    except ValueError:  # an apostrophe is not always a quote
        words = []
    path = _path(line)
    return words if words and not exists(path) and all(map(exists, words)) else [path]


def _path(word: str) -> str:
    """Return a path from an address of a file, from quotes, or from ~; `-` is a file, since stdin holds the lines."""
    if word.lower().startswith("file:"):
        with suppress(ValueError):  # file://[name is no address
            return url2pathname(urlsplit(word).path)
    if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"":
        word = word[1:-1]
    if word == "-":
        return "./-"
    with suppress(RuntimeError):  # ~name of an unknown user
        return str(Path(word).expanduser()) if word.startswith("~") else word
    return word


def _typed() -> Iterator[str]:
    """Yield the lines typed at the prompt."""
    with suppress(ModuleNotFoundError):  # Windows edits lines without it
        import readline  # noqa: F401 (makes `input` edit lines)
    err.print(GREETING)
    while True:
        try:
            yield input(PROMPT)
        except EOFError:
            print()
            return


def _piped() -> Iterator[str]:
    try:
        for line in sys.stdin or ():
            if "\0" in line:
                raise ValueError("not text")
            yield line
    except ValueError as error:  # raised by bytes that are not UTF-8, too
        raise ParameterError(
            "Standard input holds no lines of text. Is it a recording? Predict it with: ser predict -"
        ) from error
