"""The command line: results on stdout, everything else on stderr; exit code 2 where something was refused."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

import ser
from ser.cli.batch import batch
from ser.cli.history import commands as history
from ser.cli.interactive import interactive
from ser.cli.live import live
from ser.cli.monitor import monitor
from ser.cli.output import REFUSED, Scores, err, out, visible
from ser.cli.predict import predict
from ser.cli.record import record
from ser.cli.samples import samples
from ser.cli.timeline import timeline
from ser.cli.workbench import ModelOption, commands
from ser.extras import needs
from ser.types import EMOTIONS, NOTICE, ParameterError, SerError

EXIT_CODES = (
    "Exit codes: 0 done; 1 a question was answered with no, or nobody reads the output; 2 something was refused, or a "
    "file could not be answered; 130 stopped with Ctrl-C. Results are on standard output, everything else on standard "
    "error; --format json is for programs."
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk, a share of it, a file
app = typer.Typer(
    help="Hears a voice and says which emotion it carries, how sure it is and why. Without a command it holds a "
    f"conversation: Enter records, a path is answered.\n\n{NOTICE}",
    invoke_without_command=True,
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; what `ser` refuses is a sentence on stderr and exit code 2."""
    # Read when NumPy and TensorFlow are first imported: one core answers faster than several that wait on each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name or an emoji that the terminal cannot show
    try:
        with _written():
            app(prog_name="ser")
    except SerError as error:
        err.print(f"ser: {visible(str(error))}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(REFUSED)


@contextmanager
def _written() -> Iterator[None]:
    """All of the results on standard output; `ParameterError` where there is no room for them, or for a file."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, *FULL):
            raise
        if error.filename is not None:
            raise ParameterError(f"{error.filename} cannot be written ({error.strerror}). Make room.") from error
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what cannot be written is not tried again at the end
        if error.errno == errno.EPIPE:  # nobody reads on
            sys.exit(1)
        raise ParameterError(
            f"Standard output, or a file, cannot be written ({error.strerror}); what stands there is not whole. Make "
            "room, or write elsewhere."
        ) from error


def _version(wanted: bool) -> None:
    if wanted:
        out.print(ser.__version__, highlight=False)
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options before the command; without one, a conversation, or help where nobody says a word."""
    if context.invoked_subcommand is None and not interactive():
        print(context.get_help())


app.command()(predict)
app.command()(record)
app.command()(live)
app.command()(timeline)
app.command()(batch)
app.command()(monitor)
app.command()(samples)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one, named in the log.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes; one a core.")] = 1,
    model: ModelOption = None,
    format: Annotated[
        Scores, typer.Option("--format", "-f", help="json: one line on standard output, once it listens.")
    ] = Scores.table,
) -> None:
    """Answer over HTTP until told to stop; /docs describes it. SER_API_KEY sets a key."""
    with needs("api", "serve"):
        from ser.service.server import serve as run

    def tell(url: str) -> None:
        from ser.inference.artifact import find

        print(json.dumps({"url": url, "model": find(model).name, "workers": workers, "pid": os.getpid()}), flush=True)

    run(host, port, workers, model, tell if format is Scores.json else None)


app.add_typer(commands)
app.add_typer(history, name="history")


@app.command()
def info(
    model: Annotated[str | None, typer.Argument(help="A model's name or folder; without it all are listed.")] = None,
    format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table,
) -> None:
    """List the models with their scores on unseen speakers, or show one."""
    from ser.inference.artifact import find, known
    from ser.inference.manifest import read_manifest

    folders = [find(model)] if model else list(known().values())
    manifests = [read_manifest(folder) for folder in folders]
    if format is Scores.json:
        print(json.dumps({"version": ser.__version__, "models": manifests}, indent=1))
        return
    for manifest in manifests:
        _print_model(manifest, whole=model is not None)


def _print_model(manifest: dict[str, Any], *, whole: bool) -> None:
    from rich.markdown import Markdown

    from ser.reporting.model_card import card

    if whole and {"folds", "random"} <= manifest["metrics"].keys():
        out.print(Markdown(card(manifest)))
        return
    scores = manifest["metrics"].get("folds", {})
    uar = f"UAR {scores['uar']:.1%} on unseen speakers" if scores else "not scored"
    missing = [emotion for emotion in EMOTIONS if emotion not in manifest["labels"]]
    labels = f"{len(manifest['labels'])} emotions" + (f" (without {', '.join(missing)})" if missing else "")
    out.print(f"{manifest['name']}: {labels}, {uar}", highlight=False)
