"""The command `monitor`: two tables of answers compared."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from ser.cli.output import Scores, out
from ser.drift import FEWEST_ANSWERS
from ser.types import EMOJI, ParameterError

DRIFTED = 1


def monitor(
    before: Annotated[str, typer.Argument(help="Answers of then: a folder of batch, or a .csv or .json of predict.")],
    after: Annotated[str, typer.Argument(help="Answers of now, likewise.")],
    fail_above: Annotated[
        float | None,
        typer.Option(
            "--fail-above",
            min=0.0,
            help="Exit code 1 where an index is larger; 0.25 is usual. Needs 100 answers in both tables.",
        ),
    ] = None,
    format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table,
) -> None:
    """Compare two tables of answers: what is heard, how surely, and how far both have moved."""
    from ser.drift import compare

    found = compare(before, after)
    indices = {name: entry["psi"] for name, entry in found["drift"].items()}
    if format is Scores.json:
        print(json.dumps(found, indent=1))
    else:
        _print_shares(found["before"], found["after"])
        _print_drift(found["drift"])
    if fail_above is not None and None in indices.values():
        raise ParameterError(
            f"{_fewest(found)} answers that are not silent are too few to judge: --fail-above needs "
            f"{FEWEST_ANSWERS} in both tables."
        )
    if fail_above is not None and max(indices.values()) > fail_above:
        raise typer.Exit(DRIFTED)


def _fewest(found: dict[str, Any]) -> int:
    return min(found[name]["answered"] - found[name]["silent"] for name in ("before", "after"))


def _print_shares(before: dict[str, Any], after: dict[str, Any]) -> None:
    table = Table("", "before", "after", box=None, header_style="dim")
    table.add_row("models", *(", ".join(one["models"]) for one in (before, after)))
    for name in ("answered", "failed", "silent"):
        table.add_row(name, *(f"{one[name]:,}" for one in (before, after)))
    for name in ("confidence", "uncertain"):
        table.add_row(name, *(_share(one[name]) for one in (before, after)))
    for label in EMOJI:
        if label in before["labels"] | after["labels"]:
            table.add_row(f"{EMOJI[label]} {label}", *(_share(one["labels"].get(label, 0)) for one in (before, after)))
    out.print(table, highlight=False)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _print_drift(drift: dict[str, Any]) -> None:
    table = Table("moved", "index", "by chance under", "verdict", box=None, header_style="dim")
    for name, entry in drift.items():
        figures = ("" if entry[key] is None else f"{entry[key]:.3f}" for key in ("psi", "by_chance"))
        table.add_row(name, *figures, entry["verdict"])
    out.print(table, highlight=False)
