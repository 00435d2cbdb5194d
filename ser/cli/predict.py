"""The command `predict`: how recordings sound, each answered or with the reason why not."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ser.cli.history import KeepOption, open_history
from ser.cli.output import REFUSED, Format, print_rows, progress_bar
from ser.cli.words import AgreedOption, GoogleOption, LanguageOption, SpeechModelOption, WordsOption, recogniser
from ser.cli.workbench import ModelOption
from ser.types import ParameterError, SerError

if TYPE_CHECKING:
    from ser.inference.recognizer import Recognizer
    from ser.transcript.engines import Recogniser


def predict(
    files: Annotated[list[str], typer.Argument(help="Recordings, folders to walk, or - for standard input.")],
    model: ModelOption = None,
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
    voice: Annotated[
        list[str] | None,
        typer.Option(help="A recording of the same speaker to calibrate with; may be repeated, five do well."),
    ] = None,
    words: WordsOption = False,
    speech_model: SpeechModelOption = None,
    language: LanguageOption = None,
    google: GoogleOption = False,
    agreed: AgreedOption = False,
    keep: KeepOption = False,
) -> None:
    """Say how recordings sound. A file that fails stays in the list; the exit code is then 2."""
    from ser.inference.recognizer import load

    hears = recogniser(words, speech_model, language, google, agreed)
    kept = open_history().open() if keep else None
    recognizer = load(model)
    if voice:
        recognizer = recognizer.calibrated(voice)
    rows = list(answered(recognizer, files, hears))
    print_rows(rows, format, recognizer.labels)
    if kept:
        kept.keep(_unspoken(row) for row in rows if "error" not in row)
    if any("error" in row for row in rows):
        raise typer.Exit(REFUSED)


def answered(recognizer: Recognizer, files: Iterable[str], hears: Recogniser | None = None) -> Iterator[dict[str, Any]]:
    """One answer, with what was said if something `hears` it, or `{"file", "error"}`, for every recording named."""
    for file in files:
        unlisted: dict[Path, OSError] = {}
        try:
            sources = list(_sources(file, unlisted))
        except OSError as error:
            yield _unopened(file, error)
            continue
        except ParameterError as error:
            yield {"file": file, "error": str(error)}
            continue
        answers = recognizer.predict_many((source for source, _ in sources), on_error="return")
        for answer, (source, name) in zip(answers, sources, strict=True):
            row = {**answer.to_dict(), "file": name}
            yield row if hears is None or "error" in row else _with_words(row, source, hears)
        yield from (_unopened(str(folder), error) for folder, error in unlisted.items())


def _unopened(name: str, error: OSError) -> dict[str, Any]:
    return {"file": name, "error": f"{name}: {error.strerror}. Check its name and rights."}


def _with_words(row: dict[str, Any], source: Any, hears: Recogniser) -> dict[str, Any]:
    from ser.transcript.transcript import transcribe

    try:
        with progress_bar("Writing down") as progress:
            return {**row, **transcribe(source, hears, progress=progress).to_dict()}
    except SerError as error:
        return {"file": row["file"], "error": str(error)}


def _unspoken(row: dict[str, Any]) -> dict[str, Any]:
    """An answer without what was said, which nobody asked to keep."""
    return {key: value for key, value in row.items() if key not in ("text", "words")}


def _sources(file: str, unlisted: dict[Path, OSError]) -> Iterator[tuple[Any, str]]:
    """What a word of the command line stands for: standard input, the sound files of a folder, or the file itself.

    Folders that may not be listed are put into `unlisted`, each with the reason.
    """
    from ser.audio.files import SOUND_ENDINGS, sound_files

    if file == "-":
        yield io.BytesIO(sys.stdin.buffer.read() if sys.stdin else b""), "-"  # none where it was closed
    elif file and Path(file).is_dir():
        found = sorted(sound_files(Path(file), unlisted=unlisted))
        yield from ((str(path), str(path)) for path in found)
        if not found and not unlisted:
            endings = ", ".join(sorted(SOUND_ENDINGS))
            raise ParameterError(f"{file}: this folder holds no recordings. It was searched for {endings}.")
    else:
        yield file, file
