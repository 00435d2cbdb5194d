"""The command `samples`: what to read aloud, and how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table

from ser.cli.output import Scores, out
from ser.sentences import HINTS, SENTENCES
from ser.types import EMOJI, ParameterError


def samples(
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            "-l",
            help=f"One of {', '.join(SENTENCES)}; default: all.",
            autocompletion=lambda: [*SENTENCES],
        ),
    ] = None,
    format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table,
) -> None:
    """Sentences to read aloud, whose words carry no emotion, and how to say them with one."""
    if language is not None and language not in SENTENCES:
        raise ParameterError(f"No sentences in {language!r}; there are some in {', '.join(SENTENCES)}.")
    chosen = {language: SENTENCES[language]} if language else SENTENCES
    if format is Scores.json:
        print(json.dumps({"sentences": chosen, "hints": HINTS}, indent=1))
    else:
        print_samples(chosen)


def print_samples(chosen: Mapping[str, tuple[str, ...]]) -> None:
    table = Table.grid(padding=(0, 2))
    for language, sentences in chosen.items():
        for number, sentence in enumerate(sentences):
            table.add_row("" if number else language, sentence)
    table.add_row()
    for emotion, hint in HINTS.items():
        table.add_row(f"{EMOJI[emotion]} {emotion}", hint)
    out.print(table, highlight=False)
