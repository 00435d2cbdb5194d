"""The command `download`: a corpus from its publisher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ser.cli.options import ReportOption
from ser.datasets.download import download as run
from ser.extras import needs


def download(
    corpus: Annotated[str, typer.Argument(help="The corpus' name, e.g. ravdess.")],
    folder: Annotated[Path, typer.Option("--to", help="The folder of all corpora.")] = Path("data"),
    format: ReportOption = "table",
) -> None:
    """Download a corpus from its publisher and verify its checksum."""
    with needs("train", "download"):
        path = run(corpus, folder)
    print(json.dumps({"corpus": corpus, "folder": str(path)}) if format == "json" else path)
