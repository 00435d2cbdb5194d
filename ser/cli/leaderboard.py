"""The command `leaderboard`: published designs and our models, scored in one way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ser.cli.options import ReportOption, ResumeOption, named_folders
from ser.cli.output import say
from ser.evaluation.leaderboard import leaderboard as run
from ser.extras import needs
from ser.reporting.leaderboard import scores_table


def leaderboard(
    data: Annotated[Path, typer.Option(help="The folder of RAVDESS, or a parent that holds it under its usual name.")],
    models: Annotated[
        list[str] | None,
        typer.Option(help="An artifact or a configuration; may be repeated. Default: all artifacts and designs."),
    ] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="NAME=DIR of another corpus, on which the systems are scored, too; may be repeated."),
    ] = None,
    resume: ResumeOption = False,
    only_unseen: Annotated[
        bool, typer.Option("--only-unseen", help="Keep the scores that stand in --out; add those on --corpus only.")
    ] = False,
    out: Annotated[Path, typer.Option(help="The folder of leaderboard.json, .md and .png.")] = Path("reports"),
    jobs: Annotated[int, typer.Option(min=1, help="Networks trained at a time, each on one thread.")] = 1,
    format: ReportOption = "table",
) -> None:
    """Score published designs and our models in one way, beside their claims, listeners and others' scores."""
    with needs("train", "leaderboard"):
        unseen = named_folders(corpus or ())
        board = run(data, models or (), unseen=unseen, resume=resume, only_unseen=only_unseen, out=out, jobs=jobs)
    print(json.dumps(board) if format == "json" else scores_table(board))
    say(f"Written to {out}")
