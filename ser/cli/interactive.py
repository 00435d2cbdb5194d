"""What `ser` does without a command: Enter records, a path is answered, a few words do the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ser.cli.output import REFUSED, Format, attended, err, print_rows, visible
from ser.cli.predict import answered
from ser.cli.record import SECONDS, UNNAMED, recorded
from ser.cli.samples import print_samples
from ser.sentences import SENTENCES
from ser.types import NOTICE, ParameterError, SerError

if TYPE_CHECKING:
    from ser.inference.recognizer import Recognizer

GREETING = (
    f"Enter records {SECONDS:g} s, a path is answered, list shows the answers so far, samples shows sentences to read, "
    f"quit or Ctrl-D leaves. Nothing is kept.\n{NOTICE}"
)
PROMPT = "ser> "
LEAVING = ("quit", "exit")


def interactive() -> bool:
    """Answer every line of a terminal or a pipe until one says quit; False where nobody says anything.

    What is refused is a sentence and no end; after a pipe, at which nobody sat, `typer.Exit` of 2 tells of it.
    """
    on_terminal = attended()
    if on_terminal and not sys.stdout.isatty():
        return False
    lines = _typed() if on_terminal else _piped()
    first = next(lines, None)
    if first is None:
        return on_terminal
    words = takewhile(lambda word: word not in LEAVING, map(_word, chain([first], lines)))
    if not _converse(words) and not on_terminal:
        raise typer.Exit(REFUSED)
    return True


def _converse(words: Iterable[str]) -> bool:
    """Whether all that was asked for was answered."""
    from ser.inference.recognizer import load

    recognizer = load()
    session: list[dict[str, Any]] = []
    refused = False
    for word in words:
        try:
            rows = _answer(word, recognizer, session)
            session += (row for row in rows if "error" not in row)
            refused |= any("error" in row for row in rows)
        except SerError as error:
            err.print(visible(str(error)), markup=False, highlight=False, soft_wrap=True)
            refused = True
        except KeyboardInterrupt:
            if not attended():
                raise
            err.print("Stopped.")
    return not refused


def _answer(word: str, recognizer: Recognizer, session: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print what a word asks for; the answers that are new."""
    if word == "samples":
        print_samples(SENTENCES)
    elif word == "list" and not session:
        err.print("No answers yet.")
    elif word == "list":
        print_rows(session, Format.table, recognizer.labels)
    else:
        rows = list(answered(recognizer, [word])) if word else [_heard(recognizer)]
        print_rows(rows, Format.table, recognizer.labels)
        return rows
    return []


def _heard(recognizer: Recognizer) -> dict[str, Any]:
    """The answer to the next seconds from the microphone."""
    from ser.audio.microphone import Microphone

    return {**recognizer.predict(recorded(Microphone(), SECONDS)).to_dict(), "file": UNNAMED}


def _typed() -> Iterator[str]:
    """Lines from a terminal, asked for one by one."""
    with suppress(ModuleNotFoundError):  # Windows edits lines without it
        import readline  # noqa: F401 (makes `input` edit lines)
    err.print(GREETING, highlight=False)
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
                raise ValueError("no text")
            yield line
    except ValueError as error:  # as bytes are refused that no text is made of
        raise ParameterError(
            "Standard input holds no lines of text. Is it a recording? That is answered by ser predict -"
        ) from error


def _word(line: str) -> str:
    """A line without the quotes that a terminal puts around a dropped file; ~ is the home folder."""
    line = line.strip()
    word = line[1:-1] if len(line) > 1 and line[0] == line[-1] and line[0] in "'\"" else line
    if word == "-":
        return "./-"  # a name here; standard input, which `predict` calls so, is where the lines come from
    with suppress(RuntimeError):  # ~name, and there is no such user
        return str(Path(word).expanduser()) if word.startswith("~") else word
    return word
