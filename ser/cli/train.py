"""The commands `train` and `encoder`: a model from corpora, and the graph of the encoder that one may need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markdown import Markdown

from ser.cli.options import ForceOption, LabelSet, ReportOption, ResumeOption, named_folders
from ser.cli.output import Report, out, say
from ser.extras import needs
from ser.features.recipes import ENCODER_BLOCKS
from ser.files import check_writable
from ser.inference.manifest import read_manifest
from ser.models.encoder import build_encoder
from ser.reporting.model_card import score_table
from ser.training.configs import CONFIGS, ENSEMBLES
from ser.training.train import train as run

KNOWN = (*CONFIGS, *ENSEMBLES)
Precision = Literal["int8", "float32"]


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
    encoder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The checkpoint of a pre-trained encoder; default: SER_ENCODER."),
    ] = None,
    resume: ResumeOption = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an artifact of this name.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that train networks, each on one thread.")] = 2,
    format: ReportOption = "table",
) -> None:
    """Train a model, score it on unseen speakers, and write artifacts/NAME/."""
    with needs("train", "train"):
        folder = run(
            named_folders(corpus),
            config,
            name,
            labels=labels,
            reduce_noise=reduce_noise,
            resume=resume,
            force=force,
            jobs=jobs,
            encoder=encoder,
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


def encoder(
    checkpoint: Annotated[Path, typer.Argument(help="A folder with config.json and model.safetensors.")],
    out: Annotated[Path, typer.Option("--out", help="The ONNX graph to write.")],
    precision: Annotated[Precision, typer.Option(help="Of the stored weights.")] = "int8",
    force: ForceOption = False,
) -> None:
    """Build the graph of a pre-trained encoder (Whisper base): from a log-mel spectrogram to statistics of its blocks.

    Training builds it by itself; models carry it, so that answering needs no checkpoint.
    """
    check_writable(out, force=force)
    with needs("train", "encoder"):
        import onnx  # noqa: F401
        import safetensors  # noqa: F401
    build_encoder(checkpoint, out, ENCODER_BLOCKS, precision=precision)
    say(f"Written to {out}: {out.stat().st_size / 1e6:.1f} MB")
