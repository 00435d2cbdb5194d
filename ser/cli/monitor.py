"""The command `monitor`: compares two tables of predictions."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from ser.cli.options import ReportOption
from ser.cli.output import out
from ser.drift import FEWEST_ANSWERS, compare
from ser.types import EMOJI, ParameterError

DRIFTED = 1


def monitor(
    before: Annotated[
        str, typer.Argument(help="Earlier predictions: a folder of batch, or a .csv or .json of predict.")
    ],
    after: Annotated[str, typer.Argument(help="Later predictions, likewise.")],
    fail_above: Annotated[
        float | None,
        typer.Option(
            "--fail-above",
            min=0.0,
            help="Exit code 1 if an index is larger; 0.25 is usual. Needs 100 predictions in both tables.",
        ),
    ] = None,
    format: ReportOption = "table",
) -> None:
    """Compare two tables of predictions: the shares of emotions, the confidence, and how far both have moved."""
    report = compare(before, after)
    indices = {name: entry["psi"] for name, entry in report["drift"].items()}
    if format == "json":
        print(json.dumps(report, indent=1))
    else:
        _print_shares(report["before"], report["after"])
        _print_drift(report["drift"])
    if fail_above is not None and None in indices.values():
        fewest = min(report[name]["answered"] - report[name]["silent"] for name in ("before", "after"))
        raise ParameterError(
            f"{fewest} predictions that are not silent are too few to compare: --fail-above needs {FEWEST_ANSWERS} in "
            "both tables."
        )
    if fail_above is not None and max(indices.values()) > fail_above:
        raise typer.Exit(DRIFTED)


def _print_shares(*tables: dict[str, Any]) -> None:
    """Print what the tables before and after hold, in two columns."""
    shown = Table("", "before", "after", box=None, header_style="dim")
    shown.add_row("models", *(", ".join(table["models"]) for table in tables))
    for name in ("answered", "failed", "silent"):
        shown.add_row(name, *(f"{table[name]:,}" for table in tables))
    for name in ("confidence", "uncertain"):
        shown.add_row(name, *("" if table[name] is None else f"{table[name]:.1%}" for table in tables))
    for label in EMOJI:
        if any(label in table["labels"] for table in tables):
            shown.add_row(f"{EMOJI[label]} {label}", *(f"{table['labels'].get(label, 0):.1%}" for table in tables))
    out.print(shown)


def _print_drift(drift: dict[str, Any]) -> None:
    table = Table("moved", "index", "by chance under", "verdict", box=None, header_style="dim")
    for name, entry in drift.items():
        figures = ("" if entry[key] is None else f"{entry[key]:.3f}" for key in ("psi", "by_chance"))
        table.add_row(name, *figures, entry["verdict"])
    out.print(table)
