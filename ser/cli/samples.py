"""The command `samples`: sentences to read aloud, and how to say them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table

from ser.cli.options import ReportOption
from ser.cli.output import out
from ser.sentences import HINTS, SENTENCES
from ser.types import EMOJI, lookup


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
    format: ReportOption = "table",
) -> None:
    """Show sentences to read aloud, whose words carry no emotion, and how to say them with one."""
    chosen = {language: lookup(language, SENTENCES, "language")} if language else SENTENCES
    if format == "json":
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
    out.print(table)
