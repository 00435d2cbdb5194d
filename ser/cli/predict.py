"""The command `predict`: recordings, each with its prediction or the reason why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ser.audio.files import Listing, no_recordings, sound_files, unopened
from ser.audio.loading import MAX_BYTES, load_channels
from ser.audio.sources import reopenable
from ser.cli import options
from ser.cli.history import open_history
from ser.cli.output import REFUSED, print_rows, progress_bar, say_passed_over
from ser.inference.recognizer import Recognizer, load
from ser.transcript.engines import Engine
from ser.transcript.transcript import transcribe
from ser.types import Channels, ParameterError, SerError, Waveform


def predict(
    files: Annotated[list[str], typer.Argument(help="Recordings, folders to walk, or - for standard input.")],
    model: options.ModelOption = None,
    profile: options.ProfileOption = None,
    format: options.FormatOption = "table",
    channels: options.ChannelsOption = "mix",
    track: options.TrackOption = None,
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
    explain: Annotated[
        bool, typer.Option("--explain", help="Also say what each answer rests on; as table and JSON. Takes a second.")
    ] = False,
) -> None:
    """Say how recordings sound. A file that fails stays in the list; the exit code is then 2."""
    if voice and profile:
        raise ParameterError("Answers adapt to a source or to a speaker: give --profile or --voice, not both.")
    engine = options.speech_engine(words, speech_model, language, google, yes_send_audio)
    history = open_history().open() if keep else None
    recognizer = load(model, profile)
    if voice:
        recognizer = recognizer.calibrated(voice)
    if engine and channels != "mix":
        raise ParameterError("Words are transcribed from all channels together: leave out --channels or --words.")
    explained = Explained(tuple(voice or ())) if explain else None
    rows = list(predictions(recognizer, files, engine, channels, track, explained))
    print_rows(rows, format, recognizer.labels)
    if history:
        history.keep(_as_kept(row) for row in rows if "error" not in row)
    if any("error" in row for row in rows):
        raise typer.Exit(REFUSED)


@dataclass(frozen=True)
class Explained:
    """That answers are explained, compared with recordings of the speaker if there are any."""

    voice: tuple[str, ...] = ()

    def row(self, recognizer: Recognizer, waveform: Waveform) -> dict[str, Any]:
        """Return a prediction with its explanation."""
        explanation = recognizer.explain(waveform, baseline=self.voice)
        return {**recognizer.predict(waveform).to_dict(), "explanation": explanation.to_dict()}


def predictions(
    recognizer: Recognizer,
    files: Iterable[str],
    engine: Engine | None = None,
    channels: Channels = "mix",
    track: int | None = None,
    explained: Explained | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a prediction, with its words if there is an `engine`, or `{"file", "error"}` for every recording.

    With `channels="each"` there is one for every channel of a recording.
    """
    passed_over: Counter[str] = Counter()
    for file in files:
        listing = Listing(passed_over)
        try:
            found = list(sources(file, listing))
            if engine is not None:  # which reads each recording once more
                found = [(reopenable(source, MAX_BYTES), name) for source, name in found]
        except OSError as error:
            yield unopened(file, error)
            continue
        except SerError as error:
            yield {"file": file, "error": str(error)}
            continue
        for source, name in found:
            for row in _rows(recognizer, source, name, channels, track, explained):
                yield row if engine is None or "error" in row else _with_words(row, source, engine)
        yield from listing.errors()
    say_passed_over(passed_over)


def _rows(
    recognizer: Recognizer, source: Any, name: str, channels: Channels, track: int | None, explained: Explained | None
) -> list[dict[str, Any]]:
    try:
        if explained is not None:
            waveforms = load_channels(source, recognizer.sample_rate, channels=channels, track=track)
            return [{**explained.row(recognizer, waveform), "file": name} for waveform in waveforms]
        analyses = recognizer.analyse_channels(source, channels=channels, track=track)
    except SerError as error:
        return [{"file": name, "error": str(error)}]
    return [{**recognizer.answer(analysis).to_dict(), "file": name} for analysis in analyses]


def _with_words(row: dict[str, Any], source: Any, engine: Engine) -> dict[str, Any]:
    try:
        with progress_bar("Transcribing") as progress:
            return {**row, **transcribe(source, engine, progress=progress).to_dict()}
    except SerError as error:
        return {"file": row["file"], "error": str(error)}


def _as_kept(row: dict[str, Any]) -> dict[str, Any]:
    """Return a prediction without its transcript and explanation, which the history does not keep."""
    return {key: value for key, value in row.items() if key not in ("text", "words", "explanation")}


def sources(file: str, listing: Listing) -> Iterator[tuple[Any, str]]:
    """Yield (source, name) of a file, of standard input, or of each recording in a folder.

    `listing` records what is left out of a folder.
    """
    if file not in ("", "-") and Path(file).is_dir():
        paths = sound_files(Path(file), listing)
        yield from ((str(path), str(path)) for path in paths)
        if not paths and not listing.unlisted:
            raise ParameterError(f"{file}: this folder {no_recordings(listing)}")
    else:
        yield options.recording(file), file
