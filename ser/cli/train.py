"""The command `train`: a model from corpora."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from ser.cli.options import LabelSet, ReportOption, ResumeOption
from ser.cli.output import Report, out, say
from ser.extras import needs
from ser.inference.manifest import read_manifest
from ser.reporting.model_card import score_table
from ser.training.configs import CONFIGS, ENSEMBLES
from ser.training.train import train as run

KNOWN = (*CONFIGS, *ENSEMBLES)


def train(
    corpus: Annotated[list[str], typer.Option(help="NAME=DIR, e.g. ravdess=../data; may be repeated.")],
    config: Annotated[
        str, typer.Option(help=f"The configuration: {', '.join(KNOWN)}.", autocompletion=lambda: [*KNOWN])
    ] = "dense105",
    name: Annotated[str | None, typer.Option(help="The artifact's name; default: that of the configuration.")] = None,
    labels: Annotated[
        LabelSet | None, typer.Option(help="The emotions to learn; default: those of the configuration.")
    ] = None,
    reduce_noise: Annotated[
        bool, typer.Option("--reduce-noise", help="Reduce steady noise, in training and in every prediction.")
    ] = False,
    resume: ResumeOption = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an artifact of this name.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that train networks, each on one thread.")] = 2,
    format: ReportOption = "table",
) -> None:
    """Train a model, score it on unseen speakers, and write artifacts/NAME/."""
    with needs("train", "train"):
        folder = run(
            _corpora(corpus),
            config,
            name,
            labels=labels,
            reduce_noise=reduce_noise,
            resume=resume,
            force=force,
            jobs=jobs,
        )
    print_trained(folder, format)


def print_trained(folder: Path, format: Report) -> None:
    """Print the scores of a new model and its folder."""
    manifest = read_manifest(folder)
    if format == "json":
        print(json.dumps({"model": manifest["name"], "folder": str(folder), "metrics": manifest["metrics"]}))
    else:
        out.print(Markdown(score_table(manifest)))
    say(f"Written to {folder}")


def _corpora(values: list[str]) -> list[tuple[str, str]]:
    pairs = [(name, folder) for name, _, folder in (value.partition("=") for value in values)]
    for pair, value in zip(pairs, values, strict=True):
        if not all(pair):
            raise typer.BadParameter(f"expected NAME=DIR, e.g. ravdess=../data, found {value!r}")
    return pairs
