"""The commands that train, score and hand on models."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ser.cli.output import Scores, err, out, print_report
from ser.extras import needs
from ser.types import ParameterError

commands = typer.Typer()


def known_models() -> list[str]:
    """What a shell completes a model's name to."""
    from ser.inference.artifact import known

    return [*known()]


ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A model's name or folder; default: the best.", autocompletion=known_models),
]


class Protocol(StrEnum):
    """Which clips are asked of which network."""

    folds = "folds"
    random = "random"
    all = "all"


class File(StrEnum):
    """What an exported graph is written as."""

    onnx = "onnx"
    tflite = "tflite"
    keras = "keras"


class Labels(StrEnum):
    """A label set by its size."""

    eight = "eight"
    seven = "seven"
    six = "six"
    four = "four"


@commands.command()
def train(
    corpus: Annotated[list[str], typer.Option(help="NAME=DIR, e.g. ravdess=../data; may be repeated.")],
    config: Annotated[
        str,
        typer.Option(help="How to train: the name of a configuration or an ensemble."),
    ] = "dense105",
    name: Annotated[str | None, typer.Option(help="The artifact's name; default: that of the configuration.")] = None,
    labels: Annotated[
        Labels | None, typer.Option(help="The emotions to learn; default: those of the configuration.")
    ] = None,
    reduce_noise: Annotated[
        bool, typer.Option("--reduce-noise", help="Turn down steady noise, in training and in every answer.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the finished fits of a killed run.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an artifact of this name.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that train the networks of an ensemble.")] = 2,
    format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table,
) -> None:
    """Train a model, score it on speakers it has not heard, and write artifacts/NAME/."""
    from ser.training.ensemble import ENSEMBLES
    from ser.training.release import train_ensemble
    from ser.training.train import train as run

    pairs, chosen = _corpora(corpus), labels and labels.value
    if config in ENSEMBLES and (labels or reduce_noise):
        raise ParameterError(f"--labels and --reduce-noise are for single networks; {config} is an ensemble.")
    with needs("train", "train"):
        if config in ENSEMBLES:
            folder = train_ensemble(pairs, config, name, resume=resume, force=force, jobs=jobs)
        else:
            folder = run(pairs, config, name, labels=chosen, reduce_noise=reduce_noise, resume=resume, force=force)
    print_trained(folder, format)


def print_trained(folder: Path, format: Scores) -> None:
    """The scores of a new model, and where it lies."""
    from ser.inference.manifest import read_manifest
    from ser.reporting.model_card import score_table

    manifest = read_manifest(folder)
    if format is Scores.json:
        print(json.dumps({"model": manifest["name"], "folder": str(folder), "metrics": manifest["metrics"]}))
    else:
        out.print(score_table(manifest), markup=False, highlight=False, soft_wrap=True)
    err.print(f"Written to {folder}", markup=False, highlight=False)


def _corpora(values: list[str]) -> list[tuple[str, str]]:
    pairs = [tuple(value.split("=", 1)) for value in values]
    for pair, value in zip(pairs, values, strict=True):
        if len(pair) != 2 or not all(pair):
            raise typer.BadParameter(f"expected NAME=DIR, e.g. ravdess=../data, found {value!r}")
    return [(pair[0], pair[1]) for pair in pairs]


@commands.command()
def evaluate(
    corpus: Annotated[str, typer.Option(help="The corpus' name, e.g. ravdess.")],
    data: Annotated[Path, typer.Option(help="Its folder, or a parent that holds it under its usual name.")],
    model: ModelOption = None,
    protocol: Annotated[Protocol, typer.Option()] = Protocol.folds,
    labels: Annotated[Labels, typer.Option(help="The labels to choose from.")] = Labels.eight,
    format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table,
) -> None:
    """Score a model from recordings; by default on speakers that its networks have not heard."""
    from ser.evaluation.evaluate import evaluate as run

    with needs("train", "evaluate"):
        report = run(corpus, data, model, protocol.value, labels.value)
    if report["seen_in_training"]:
        err.print("ser: the model was trained on these speakers; this is not a score on unseen people.")
    if format is Scores.json:
        print(json.dumps(report, indent=1))
    else:
        print_report(report)


@commands.command()
def leaderboard(
    data: Annotated[Path, typer.Option(help="Where RAVDESS lies, or a parent that holds it under its usual name.")],
    models: Annotated[
        list[str] | None,
        typer.Option(help="An artifact or a configuration; may be repeated. Default: all artifacts and designs."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the finished fits of a killed run.")] = False,
    out: Annotated[Path, typer.Option(help="Where leaderboard.json, .md and .png are written.")] = Path("reports"),
    jobs: Annotated[int, typer.Option(min=1, help="Networks trained at a time, each on one thread.")] = 1,
    format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table,
) -> None:
    """Measure published designs and our models in one way, beside their claims, listeners and others' scores."""
    from ser.evaluation.leaderboard import leaderboard as run
    from ser.reporting.leaderboard import scores_table

    with needs("train", "leaderboard"):
        board = run(data, models or (), resume=resume, out=out, jobs=jobs)
    print(json.dumps(board) if format is Scores.json else scores_table(board))
    err.print(f"Written to {out}", markup=False, highlight=False)


@commands.command()
def export(
    format: Annotated[File, typer.Option("--format", "-f")],
    model: ModelOption = None,
    place: Annotated[Path, typer.Option("--out", help="A folder, or the file of a model of one branch.")] = Path(),
    check: Annotated[Path | None, typer.Option(help="A folder of further recordings to check with.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where the figures are written as JSON; - for standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files of these names.")] = False,
) -> None:
    """Write a model's graphs for other programs, each checked against the original on real recordings."""
    from ser.training.export import export as run

    if report == Path("-"):
        print(json.dumps(run(model, format.value, place, check, force=force)))
    else:
        _print_files(run(model, format.value, place, check, report, force=force))
    err.print(f"Written to {place}", markup=False, highlight=False)


def _print_files(made: dict[str, Any]) -> None:
    from ser.training.export import table

    sheet = Table("file", "size", "an answer", f"largest difference on {made['clips']} clips", box=None)
    for cells in table(made):
        sheet.add_row(*cells)
    out.print(sheet, markup=False, highlight=False)


@commands.command()
def download(
    corpus: Annotated[str, typer.Argument(help="The corpus' name, e.g. ravdess.")],
    folder: Annotated[Path, typer.Option("--to", help="Where the corpora lie.")] = Path("data"),
    format: Annotated[Scores, typer.Option("--format", "-f")] = Scores.table,
) -> None:
    """Fetch a corpus from its publisher, checked by its checksum."""
    from ser.datasets.download import download as run

    with needs("train", "download"):
        place = run(corpus, folder)
    print(json.dumps({"corpus": corpus, "folder": str(place)}) if format is Scores.json else place)
