"""The command `batch`: thousands of recordings to one table, on every core or a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ser.cli.output import REFUSED, Scores, err, out, visible
from ser.cli.workbench import ModelOption
from ser.extras import needs
from ser.types import EMOJI

if TYPE_CHECKING:
    from ser.batch.run import Progress


def batch(
    source: Annotated[
        str,
        typer.Argument(help="A folder, a pattern in quotes, a list of files, or an address (s3://bucket/folder)."),
    ],
    place: Annotated[Path, typer.Option("--out", help="The folder of Parquet files to write.")],
    model: ModelOption = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes; default: one a core.")] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", help="A Dask scheduler, tcp://HOST:PORT, whose workers are used instead.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Begin anew, and drop another run's results.")] = False,
    format: Annotated[Scores, typer.Option("--format", "-f", help="How the summary is printed.")] = Scores.table,
) -> None:
    """Hear thousands of recordings into one table. After a kill the same command goes on where it stood.

    A file that cannot be answered is a row with an error; the exit code is then 2.
    """
    from ser.batch.run import batch as run

    with _progress() as progress:
        found = run(source, place, model, jobs=jobs, dask=dask, force=force, progress=progress)
    if format is Scores.json:
        print(json.dumps(found, indent=1))
    else:
        _print_counts(found)
    if found["earlier"]:
        err.print(f"{found['earlier']:,} files had been heard before; --force hears all anew.", highlight=False)
    err.print(f"Written to {visible(str(place))}", markup=False, highlight=False, soft_wrap=True)
    if found["failed"]:
        raise typer.Exit(REFUSED)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Files done, files a second and the time left, on stderr; the rate is that of this run alone."""
    with needs("batch", "batch"):
        from tqdm import tqdm

    with ExitStack() as stack:
        bars: list[Any] = []

        def update(done: int, total: int) -> None:
            if not bars:
                bar = tqdm(total=total, initial=done, desc="Listening", unit=" files", smoothing=0.05)
                bars.append(stack.enter_context(bar))
            bars[0].update(done - bars[0].n)

        yield update


def _print_counts(found: dict[str, Any]) -> None:
    told = ", ".join(f"{EMOJI[label]} {label} {count:,}" for label, count in found["labels"].items())
    told = ", ".join([told] * bool(told) + [f"{found['silent']:,} silent"] * bool(found["silent"]))
    answered = f"{found['answered']:,} of {found['files']:,} files answered by {found['model']}"
    out.print(f"{answered}: {told or 'none'}", highlight=False)
    doubt = f"{found['uncertain']:,} of them in doubt, {found['failed']:,} could not be answered (column error)"
    out.print(doubt, highlight=False)
