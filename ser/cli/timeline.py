"""The command `timeline`: how a recording of any length sounds over time, on the screen or as a file for others."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ser.cli.output import in_words, out, print_doubts, progress_bar, save
from ser.cli.words import AgreedOption, GoogleOption, LanguageOption, SpeechModelOption, WordsOption, recogniser
from ser.cli.workbench import ModelOption
from ser.files import check_writable
from ser.types import EMOJI, ParameterError, Segment, Timeline

if TYPE_CHECKING:
    from ser.transcript.engines import Recogniser


class Format(StrEnum):
    """How a timeline is printed: a table for people, or one of `ser.timeline.formats.WRITERS`."""

    table = "table"
    json = "json"
    csv = "csv"
    srt = "srt"
    vtt = "vtt"
    audacity = "audacity"
    textgrid = "textgrid"


def timeline(
    file: Annotated[str, typer.Argument(help="A recording of up to four hours.")],
    model: ModelOption = None,
    format: Annotated[
        Format | None, typer.Option("--format", "-f", help="Default: what --out ends in, else table.")
    ] = None,
    place: Annotated[Path | None, typer.Option("--out", help="A file to write instead of standard output.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of this name.")] = False,
    words: WordsOption = False,
    speech_model: SpeechModelOption = None,
    language: LanguageOption = None,
    google: GoogleOption = False,
    agreed: AgreedOption = False,
) -> None:
    """Say how a long recording sounds over time: its speech in segments, and the share of each emotion."""
    from ser.timeline.formats import write

    chosen = _format(format, place)
    if place is not None:
        check_writable(place, force=force, source=file)
    hears = recogniser(words, speech_model, language, google, agreed)
    found = _with_progress(file, model)
    found = _with_words(found, file, hears) if hears else found
    if chosen is Format.table:
        _print_table(found)
    elif place is None:
        print(write(found, chosen), end="")
    else:
        save(write(found, chosen).encode(), place)
    _print_doubts(found)


def _format(format: Format | None, place: Path | None) -> Format:
    """The format asked for, or the one that a file's name ends in."""
    from ser.timeline.formats import WRITERS

    endings = {writer.ending.lower(): Format(name) for name, writer in WRITERS.items()}
    if format is None and place is not None and place.suffix.lower() not in endings:
        raise ParameterError(f"{place.name}: which --format? Known endings: {', '.join(endings)}.")
    chosen = format or (endings[place.suffix.lower()] if place else Format.table)
    if chosen is Format.table and place is not None:
        raise ParameterError(f"A table is for the screen; for a file choose --format {', '.join(WRITERS)}.")
    return chosen


def _with_progress(file: str, model: str | None) -> Timeline:
    from ser.inference.recognizer import load
    from ser.timeline.segments import timeline as find

    recognizer = load(model)
    with progress_bar("Listening") as progress:
        return find(file, recognizer, progress=progress)


def _with_words(found: Timeline, file: str, hears: Recogniser) -> Timeline:
    from ser.transcript.transcript import transcribe, with_words

    with progress_bar("Writing down") as progress:
        return with_words(found, transcribe(file, hears, progress=progress))


def _print_table(found: Timeline) -> None:
    from ser.timeline.formats import clock

    said = ["said"] if found.text is not None else []
    table = Table("from", "to", "sounds", "sure", "doubt", *said, box=None, header_style="dim")
    for segment in found.segments:
        table.add_row(*_cells(segment), *(Text(segment.text) for _ in said))
    if found.segments:
        out.print(table)
    shares = sorted(((share, label) for label, share in found.share.items() if share), reverse=True)
    told = ", ".join(f"{label} {share:.0%}" for share, label in shares)
    spoken = f"{clock(found.speech_s)} of speech in {clock(found.duration_s)}"
    out.print(f"{spoken}: {told}" if told else f"No speech was found in {clock(found.duration_s)}.", highlight=False)


def _cells(segment: Segment) -> tuple[str | Text, ...]:
    from ser.timeline.formats import clock

    doubt = Text(", ".join(map(in_words, segment.reasons)), style="yellow")
    sounds = f"{EMOJI[segment.label]} {segment.label}"
    return clock(segment.start_s), clock(segment.end_s), sounds, f"{segment.confidence:.0%}", doubt


def _print_doubts(found: Timeline) -> None:
    reasons = {reason for segment in found.segments for reason in segment.reasons}
    print_doubts(reasons | ({"cut_off"} if found.cut_off else set()))
