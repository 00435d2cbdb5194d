"""The command `batch`: thousands of recordings into one table, on every core or a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ser.batch.adaptation import Adapt
from ser.batch.run import Progress
from ser.batch.run import batch as run
from ser.cli.options import ChannelsOption, ModelOption, ProfileOption, TrackOption
from ser.cli.output import REFUSED, Report, out, say, say_passed_over
from ser.extras import needs
from ser.types import EMOJI


def batch(
    source: Annotated[
        str,
        typer.Argument(help="A folder, a pattern in quotes, a list of files, or an address (s3://bucket/folder)."),
    ],
    folder: Annotated[Path, typer.Option("--out", help="The folder of Parquet files to write.")],
    model: ModelOption = None,
    profile: ProfileOption = None,
    adapt: Annotated[
        Adapt, typer.Option(help="Adapt to a sample of the whole source, of each file's folder, or not.")
    ] = "source",
    channels: ChannelsOption = "mix",
    track: TrackOption = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes; default: one a core.")] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", help="A Dask scheduler, tcp://HOST:PORT, whose workers are used instead.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Start anew, and drop another run's results.")] = False,
    format: Annotated[Report, typer.Option("--format", "-f", help="How the summary is printed.")] = "table",
) -> None:
    """Predict thousands of recordings into one table. If it is interrupted, run the same command to resume.

    Run later, the same command predicts the recordings that have come since. A file that cannot be predicted is a row
    with an error; the exit code is then 2.
    """
    with _progress() as progress:
        report = run(
            source,
            folder,
            model,
            jobs=jobs,
            dask=dask,
            force=force,
            adapt=adapt,
            profile=profile,
            channels=channels,
            track=track,
            progress=progress,
        )
    if format == "json":
        print(json.dumps(report, indent=1))
    else:
        _print_counts(report)
    say_passed_over(report["passed_over"])
    if report["earlier"]:
        new = report["files"] - report["earlier"]
        say(
            f"{report['earlier']:,} files had been predicted before and were left alone, {new:,} are new; --force "
            "predicts all anew."
        )
    say(f"Written to {folder}")
    if report["failed"]:
        raise typer.Exit(REFUSED)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show files done, files a second of this run, and the time left, on stderr."""
    with needs("batch", "batch"):
        from tqdm import tqdm

    with ExitStack() as stack:
        bars: list[Any] = []

        def update(done: int, total: int) -> None:
            if not bars:
                bar = tqdm(total=total, initial=done, desc="Predicting", unit=" files", smoothing=0.05)
                bars.append(stack.enter_context(bar))
            bars[0].update(done - bars[0].n)

        yield update


def _print_counts(report: dict[str, Any]) -> None:
    counts = [f"{EMOJI[label]} {label} {count:,}" for label, count in report["labels"].items()]
    counts += [f"{report['silent']:,} silent"] * bool(report["silent"])
    total = f"{report['answered']:,} of {report['files']:,} files predicted by {report['model']}"
    out.print(f"{total}: {', '.join(counts) or 'none'}")
    out.print(f"{report['uncertain']:,} of them in doubt, {report['failed']:,} failed (column error)")
