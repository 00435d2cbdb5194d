"""The command `serve`: predictions over HTTP."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from ser.cli.options import ModelOption, ProfileOption
from ser.cli.output import Report
from ser.extras import needs
from ser.inference.artifact import find


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one, named in the log.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes; one a core.")] = 1,
    model: ModelOption = None,
    profile: ProfileOption = None,
    root_path: Annotated[
        str, typer.Option(help="The path prefix of a proxy in front, e.g. /ser.", show_default=False)
    ] = "",
    format: Annotated[
        Report, typer.Option("--format", "-f", help="json: one line on standard output, once it listens.")
    ] = "table",
) -> None:
    """Answer over HTTP until stopped; /docs describes it. SER_API_KEY sets a key."""
    with needs("api", "serve"):
        from ser.service.server import serve as run  # here, since it needs FastAPI, and `serve --help` does not

    def print_address(url: str) -> None:
        print(json.dumps({"url": url, "model": find(model).name, "workers": workers, "pid": os.getpid()}), flush=True)

    address = print_address if format == "json" else None
    run(host, port, workers, model, address, root_path=root_path, profile=profile)
