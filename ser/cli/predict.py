"""The command `predict`: recordings, each with its prediction or the reason why there is none."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ser.audio.files import SOUND_ENDINGS, sound_files
from ser.cli import options
from ser.cli.history import open_history
from ser.cli.output import REFUSED, print_rows, progress_bar
from ser.inference.recognizer import Recognizer, load
from ser.transcript.engines import Engine
from ser.transcript.transcript import transcribe
from ser.types import ParameterError, SerError


def predict(
    files: Annotated[list[str], typer.Argument(help="Recordings, folders to walk, or - for standard input.")],
    model: options.ModelOption = None,
    profile: options.ProfileOption = None,
    format: options.FormatOption = "table",
    voice: Annotated[
        list[str] | None,
        typer.Option(help="A recording of the same speaker to calibrate with; may be repeated, five do well."),
    ] = None,
    words: options.WordsOption = False,
    speech_model: options.SpeechModelOption = None,
    language: options.LanguageOption = None,
    google: options.GoogleOption = False,
    yes_send_audio: options.SendOption = False,
    keep: options.KeepOption = False,
) -> None:
    """Say how recordings sound. A file that fails stays in the list; the exit code is then 2."""
    engine = options.speech_engine(words, speech_model, language, google, yes_send_audio)
    history = open_history().open() if keep else None
    recognizer = load(model, profile)
    if voice:
        recognizer = recognizer.calibrated(voice)
    rows = list(predictions(recognizer, files, engine))
    print_rows(rows, format, recognizer.labels)
    if history:
        history.keep(_without_words(row) for row in rows if "error" not in row)
    if any("error" in row for row in rows):
        raise typer.Exit(REFUSED)


def predictions(recognizer: Recognizer, files: Iterable[str], engine: Engine | None = None) -> Iterator[dict[str, Any]]:
    """Yield a prediction, with its words if there is an `engine`, or `{"file", "error"}` for every recording."""
    for file in files:
        unlisted: dict[Path, OSError] = {}
        try:
            found = list(sources(file, unlisted))
        except OSError as error:
            yield _unopened(file, error)
            continue
        except ParameterError as error:
            yield {"file": file, "error": str(error)}
            continue
        answers = recognizer.predict_many((source for source, _ in found), on_error="return")
        for answer, (source, name) in zip(answers, found, strict=True):
            row = {**answer.to_dict(), "file": name}
            yield row if engine is None or "error" in row else _with_words(row, source, engine)
        yield from (_unopened(str(folder), error) for folder, error in unlisted.items())


def _unopened(name: str, error: OSError) -> dict[str, Any]:
    return {"file": name, "error": f"{name}: {error.strerror}. Check its name and rights."}


def _with_words(row: dict[str, Any], source: Any, engine: Engine) -> dict[str, Any]:
    try:
        with progress_bar("Transcribing") as progress:
            return {**row, **transcribe(source, engine, progress=progress).to_dict()}
    except SerError as error:
        return {"file": row["file"], "error": str(error)}


def _without_words(row: dict[str, Any]) -> dict[str, Any]:
    """Return a prediction without its transcript, which the history does not keep."""
    return {key: value for key, value in row.items() if key not in ("text", "words")}


def sources(file: str, unlisted: dict[Path, OSError]) -> Iterator[tuple[Any, str]]:
    """Yield (source, name) of a file, of standard input, or of each recording in a folder.

    Folders that cannot be listed are put into `unlisted`, each with its error.
    """
    if file == "-":
        yield io.BytesIO(sys.stdin.buffer.read() if sys.stdin else b""), "-"  # None if it was closed
    elif file and Path(file).is_dir():
        paths = sorted(sound_files(Path(file), unlisted=unlisted))
        yield from ((str(path), str(path)) for path in paths)
        if not paths and not unlisted:
            endings = ", ".join(sorted(SOUND_ENDINGS))
            raise ParameterError(f"{file}: this folder holds no recordings. It was searched for {endings}.")
    else:
        yield file, file
