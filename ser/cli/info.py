"""The command `info`: the models and their scores."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer
from rich.markdown import Markdown

import ser
from ser.cli.options import ReportOption
from ser.cli.output import out
from ser.inference.artifact import find, known
from ser.inference.manifest import read_manifest
from ser.reporting.model_card import card
from ser.types import EMOTIONS

PICTURE = re.compile(r"!\[[^]]*\]\([^)]*\)\n?")  # in Markdown


def info(
    model: Annotated[
        str | None,
        typer.Argument(help="A model's name or folder; default: all are listed.", autocompletion=lambda: [*known()]),
    ] = None,
    format: ReportOption = "table",
) -> None:
    """List the models with their scores on unseen speakers, or show one."""
    folders = [find(model)] if model else list(known().values())
    manifests = [read_manifest(folder) for folder in folders]
    if format == "json":
        print(json.dumps({"version": ser.__version__, "models": manifests}, indent=1))
    elif model and {"folds", "random"} <= manifests[0]["metrics"].keys():
        out.print(Markdown(PICTURE.sub("", card(manifests[0]))))
    else:
        for manifest in manifests:
            out.print(_line(manifest))


def _line(manifest: dict[str, Any]) -> str:
    scores = manifest["metrics"].get("folds", {})
    uar = f"UAR {scores['uar']:.1%} on unseen speakers" if scores else "not scored"
    missing = [emotion for emotion in EMOTIONS if emotion not in manifest["labels"]]
    labels = f"{len(manifest['labels'])} emotions" + (f" (without {', '.join(missing)})" if missing else "")
    return f"{manifest['name']}: {labels}, {uar}"
