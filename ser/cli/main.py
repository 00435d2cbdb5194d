"""The command line: a table of commands, each imported when it is called; an error is a sentence and exit code 2."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

import ser
from ser.cli.output import REFUSED, PlainCommand, PlainGroup, exists, out, say
from ser.types import NOTICE, ParameterError, SerError

# Command -> module of this package, its function or group, and the line in the list of commands.
COMMANDS = {
    "predict": ("predict", "predict", "Say how recordings sound."),
    "record": ("microphone", "record", "Record a voice and say how it sounds."),
    "live": ("microphone", "live", "Say how the microphone sounds right now."),
    "timeline": ("timeline", "timeline", "Say how a long recording sounds over time."),
    "batch": ("batch", "batch", "Predict thousands of recordings into one table."),
    "monitor": ("monitor", "monitor", "Compare two tables of predictions."),
    "adapt": ("adapt", "adapt", "Adapt to a source by some of its recordings."),
    "samples": ("samples", "samples", "Show sentences to read aloud."),
    "serve": ("serve", "serve", "Answer over HTTP."),
    "train": ("train", "train", "Train a model."),
    "evaluate": ("evaluate", "evaluate", "Score a model on recordings."),
    "leaderboard": ("leaderboard", "leaderboard", "Score published designs and our models side by side."),
    "encoder": ("train", "encoder", "Build the graph of a pre-trained encoder."),
    "export": ("export", "export", "Write a model's graphs for other programs."),
    "download": ("download", "download", "Download a corpus."),
    "history": ("history", "commands", "List, show and delete the predictions kept with --keep."),
    "info": ("info", "info", "List the models, or show one."),
}
EXIT_CODES = (
    "Exit codes: 0 done; 1 a limit was exceeded, a question was answered with no, or the reader of the output left; "
    "2 a request was refused, or a file could not be predicted; 130 stopped with Ctrl-C. Results are on standard "
    "output, everything else on standard error; --format json is for programs."
)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, a file


class CommandTable(PlainGroup):
    """The commands of `COMMANDS`, listed by their line in it and imported when one is called or completed."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=line) for name, (_, _, line) in COMMANDS.items()}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words; after `--` come recordings, whatever they look like."""
        return super().parse_args(ctx, ["predict", *args] if args[:1] == ["--"] and len(args) > 1 else args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the first word names; a path, a file's name with an ending and `-` are predicted."""
        if args[0] not in COMMANDS and (args[0] == "-" or exists(args[0]) or set(args[0]) & {".", "/", os.sep}):
            args = ["predict", *args]
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and import_command(args[0]), rest


def import_command(name: str) -> Any:
    """Import the module of a command and return the command, or the group of commands."""
    module, attribute, _ = COMMANDS[name]
    command = getattr(import_module(f"ser.cli.{module}"), attribute)
    if not isinstance(command, typer.Typer):
        function, command = command, typer.Typer(add_completion=False)
        command.command(name, cls=PlainCommand)(function)
    return get_command(command)


app = typer.Typer(
    cls=CommandTable,
    help="Says which emotion a voice carries, how sure the answer is and why. `ser FILE` is short for `ser predict "
    f"FILE`; without a command a conversation starts, in which Enter records.\n\n{NOTICE}",
    invoke_without_command=True,
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(ser.__version__)
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Start a conversation if no command is given, or print the help if there is no input."""
    if context.invoked_subcommand is None and not import_module("ser.cli.interactive").interactive():
        print(context.get_help())


def main() -> None:
    """Run the command line; a `SerError` becomes a sentence on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            _set_encoding(stream)
    try:
        with _flushed():
            app(prog_name="ser")
    except SerError as error:
        say(f"ser: {error}")
        sys.exit(REFUSED)


def _set_encoding(stream: io.TextIOWrapper) -> None:
    """Write UTF-8 into files and pipes, as with --out, unless PYTHONIOENCODING names another encoding.

    What the encoding or the terminal lacks, of a file's name or an emoji, is escaped.
    """
    is_ours = not stream.isatty() and "PYTHONIOENCODING" not in os.environ
    stream.reconfigure(encoding="utf-8" if is_ours else None, errors="backslashreplace")


@contextmanager
def _flushed() -> Iterator[None]:
    """Flush standard output at the end; `ParameterError` if there is no room for it or for a file."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, *DISK_FULL):
            raise
        if error.filename is not None:
            raise ParameterError(f"{error.filename} cannot be written ({error.strerror}). Make room.") from error
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what cannot be written is not tried again at the end
        if error.errno == errno.EPIPE:  # the reader has left
            sys.exit(1)
        raise ParameterError(
            f"Standard output, or a file, cannot be written ({error.strerror}); its content is incomplete. Make room, "
            "or write elsewhere."
        ) from error
