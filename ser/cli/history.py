"""The commands of the history: answers that were kept on request, listed, shown and deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ser.cli.output import Format, Scores, attended, err, out, print_csv, print_shares, visible
from ser.extras import needs
from ser.types import EMOJI, EMOTIONS, SILENT, ParameterError

if TYPE_CHECKING:
    from ser.history import History, Kept

commands = typer.Typer(no_args_is_help=True)
MOST = 2**31 - 1  # the largest number that every database can give
Number = Annotated[int, typer.Argument(min=1, max=MOST, help="Its number in `ser history list`.")]

KeepOption = Annotated[bool, typer.Option("--keep", help="Add the answer to the history; see `ser history`.")]


def open_history() -> History:
    """The history; `ParameterError` where its libraries are not installed."""
    with needs("history", "history"):
        from ser.history import History
    return History()


@commands.callback()
def history() -> None:
    """Answers that were kept with --keep: when, what, in a file of which name. No sound is kept."""


@commands.command("list")
def list_kept(
    most: Annotated[int, typer.Option("--most", min=1, help="How many, the newest first.")] = 20,
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
) -> None:
    """List the newest answers."""
    kept = open_history().newest(most)
    rows = [one.to_dict() for one in kept]
    if format is Format.json:
        print(json.dumps(rows, indent=1))
    elif format is Format.csv:
        print_csv(rows, EMOTIONS, first=("id", "time"))
    else:
        _print_list(kept)


@commands.command()
def show(id: Number, format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table) -> None:
    """Show one answer with the probability of every emotion."""
    kept = open_history().find(id)
    if format is Scores.json:
        print(json.dumps(kept.to_dict(), indent=1))
        return
    _print_list([kept])
    print_shares(kept.answer)


@commands.command("delete")
def delete_kept(
    ids: Annotated[list[int] | None, typer.Argument(min=1, max=MOST, help="Numbers in `ser history list`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete every answer.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting all.")] = False,
    format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table,
) -> None:
    """Delete answers for good."""
    if bool(ids) == everything:
        raise ParameterError("Name the answers to delete by their numbers, or all of them with --all.")
    found = open_history()
    if everything and not yes:
        _confirm()
    n_deleted = found.clear() if everything else found.delete(ids or ())
    if format is Scores.json:
        print(json.dumps({"deleted": n_deleted}))
    else:
        out.print(f"Deleted {n_deleted} answer{'s' * (n_deleted != 1)}.", highlight=False)


def _confirm() -> None:
    if not attended():
        raise ParameterError("To delete every answer without being asked, add --yes.")
    typer.confirm("Delete every answer in the history?", abort=True, err=True)


def _print_list(kept: list[Kept]) -> None:
    if not kept:
        err.print("The history is empty; --keep adds answers to it.", highlight=False)
        return
    table = Table("id", "kept (UTC)", "file", "sounds", "sure", "model", box=None, header_style="dim")
    for one in kept:
        label, sure = one.answer["label"], f"{one.answer['confidence']:.0%}"
        sounds = f"{EMOJI.get(label, '')} {label}"
        if SILENT in one.answer["reasons"]:
            sounds, sure = "nothing", ""
        cells = (f"{one.time:%Y-%m-%d %H:%M:%S}", visible(one.answer["file"]), sounds, sure, one.answer["model"])
        table.add_row(str(one.id), *map(Text, cells))
    out.print(table)
