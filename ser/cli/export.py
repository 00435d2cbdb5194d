"""The command `export`: a model's graphs for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from ser.cli.options import ModelOption
from ser.cli.output import out, say
from ser.training.export import export as run
from ser.training.export import table


def export(
    format: Annotated[Literal["onnx", "tflite", "keras"], typer.Option("--format", "-f")],
    model: ModelOption = None,
    path: Annotated[Path, typer.Option("--out", help="A folder, or the file of a model of one branch.")] = Path(),
    check: Annotated[Path | None, typer.Option(help="A folder of further recordings to check with.")] = None,
    report: Annotated[Path | None, typer.Option(help="A JSON file for the figures; - for standard output.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files of these names.")] = False,
) -> None:
    """Write a model's graphs for other programs, each checked against the original on real recordings."""
    if report == Path("-"):
        print(json.dumps(run(model, format, path, check, force=force)))
    else:
        figures = run(model, format, path, check, report, force=force)
        sheet = Table("file", "size", "prediction", f"largest difference on {figures['clips']} clips", box=None)
        for cells in table(figures):
            sheet.add_row(*cells)
        out.print(sheet, markup=False)
    say(f"Written to {path}")
