"""The command `predict`: how recordings sound, each answered or with the reason why not."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ser.cli_history import KeepOption, open_history
from ser.printed import Format, print_rows
from ser.workbench import ModelOption

if TYPE_CHECKING:
    from ser.predict import Recognizer

REFUSED = 2  # the exit code where something was refused, or a file could not be answered


def predict(
    files: Annotated[list[str], typer.Argument(help="Recordings, folders to walk, or - for standard input.")],
    model: ModelOption = None,
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
    voice: Annotated[
        list[str] | None,
        typer.Option(help="A recording of the same speaker to calibrate with; may be repeated, five do well."),
    ] = None,
    keep: KeepOption = False,
) -> None:
    """Say how recordings sound. A file that fails stays in the list; the exit code is then 2."""
    from ser.predict import load

    kept = open_history().open() if keep else None
    recognizer = load(model)
    if voice:
        recognizer = recognizer.calibrated(voice)
    rows = list(answered(recognizer, files))
    print_rows(rows, format, recognizer.labels)
    if kept:
        kept.keep(row for row in rows if "error" not in row)
    if any("error" in row for row in rows):
        raise typer.Exit(REFUSED)


def answered(recognizer: Recognizer, files: Iterable[str]) -> Iterator[dict[str, Any]]:
    """One answer, or `{"file", "error"}`, for every recording named."""
    for file in files:
        try:
            sources = list(_sources(file))
        except OSError as error:
            yield {"file": file, "error": f"{file}: {error.strerror}. Check its name and rights."}
            continue
        answers = recognizer.predict_many((source for source, _ in sources), on_error="return")
        for answer, (_, name) in zip(answers, sources, strict=True):
            yield {**answer.to_dict(), "file": name}


def _sources(file: str) -> Iterator[tuple[Any, str]]:
    """What a word of the command line stands for: standard input, the sound files of a folder, or the file itself."""
    from ser.readers import sound_files

    if file == "-":
        yield io.BytesIO(sys.stdin.buffer.read()), "-"
    elif file and Path(file).is_dir():
        found = sorted(sound_files(Path(file)))
        yield from ((str(path), str(path)) for path in found)
        if not found:
            yield file, file  # refused as a folder without sound, by the same door as any other source
    else:
        yield file, file
