"""The commands of `history`: predictions that were kept on request, listed, shown and deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ser.cli.options import FormatOption, ReportOption
from ser.cli.output import NARROW, Name, PlainCommand, PlainGroup, is_attended, out, print_csv, print_prediction, say
from ser.extras import needs
from ser.types import EMOJI, EMOTIONS, SILENT, ParameterError

if TYPE_CHECKING:
    from ser.history import Entry, History

commands = typer.Typer(cls=PlainGroup, no_args_is_help=True, add_completion=False)
MOST = 2**31 - 1  # the largest number that every database can give
Number = Annotated[int, typer.Argument(min=1, max=MOST, help="Its number in `ser history list`.")]


def open_history() -> History:
    """Return the history; `ParameterError` if its libraries are not installed."""
    with needs("history", "history"):
        from ser.history import History  # here, since it needs SQLAlchemy, and `predict` only with --keep
    return History()


@commands.callback()
def history() -> None:
    """Predictions that were kept with --keep: time, file name and result. No recordings are stored."""


@commands.command("list", cls=PlainCommand)
def list_kept(
    most: Annotated[int, typer.Option("--most", min=1, help="How many, the newest first.")] = 20,
    format: FormatOption = "table",
) -> None:
    """List the newest predictions."""
    kept = open_history().newest(most)
    rows = [entry.to_dict() for entry in kept]
    if format == "json":
        print(json.dumps(rows, indent=1))
    elif format == "csv":
        print_csv(rows, EMOTIONS, first=("id", "time"))
    elif kept:
        _print_list(kept)
    else:
        say("The history is empty; --keep adds predictions to it.")


@commands.command(cls=PlainCommand)
def show(id: Number, format: ReportOption = "table") -> None:
    """Show one prediction with the probability of every emotion."""
    kept = open_history().find(id)
    if format == "json":
        print(json.dumps(kept.to_dict(), indent=1))
        return
    _print_list([kept])
    print_prediction(kept.answer)


@commands.command("delete", cls=PlainCommand)
def delete_kept(
    ids: Annotated[list[int] | None, typer.Argument(min=1, max=MOST, help="Numbers in `ser history list`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete every prediction.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting all.")] = False,
    format: ReportOption = "table",
) -> None:
    """Delete predictions for good."""
    if bool(ids) == everything:
        raise ParameterError("Name the predictions to delete by their numbers, or all of them with --all.")
    history = open_history()
    if everything and not yes:
        _confirm()
    n_deleted = history.clear() if everything else history.delete(ids or ())
    if format == "json":
        print(json.dumps({"deleted": n_deleted}))
    else:
        out.print(f"Deleted {n_deleted} prediction{'s' * (n_deleted != 1)}.")


def _confirm() -> None:
    if not is_attended():
        raise ParameterError("To delete every prediction without being asked, add --yes.")
    typer.confirm("Delete every prediction in the history?", abort=True, err=True)


def _print_list(kept: list[Entry]) -> None:
    wide = out.width >= NARROW
    time_format = "%Y-%m-%d %H:%M:%S" if wide else "%m-%d %H:%M"
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("id", no_wrap=True, min_width=max(len(str(entry.id)) for entry in kept))
    for heading in ("kept (UTC)", "file", "sounds", "likely", *["model"] * wide):
        table.add_column(heading, no_wrap=heading != "file")  # whose names shorten themselves
    for entry in kept:
        answer = entry.answer
        silent = SILENT in answer["reasons"]
        table.add_row(
            str(entry.id),
            f"{entry.time:{time_format}}",
            Name(answer["file"]),
            "nothing" if silent else f"{EMOJI.get(answer['label'], '')} {answer['label']}",
            "" if silent else f"{answer['confidence']:.0%}",
            *[Text(answer["model"])] * wide,
        )
    out.print(table)
