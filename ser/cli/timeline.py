"""The command `timeline`: how a recording of any length sounds over time, on the screen or as a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from ser.audio.loading import MAX_TIMELINE_BYTES
from ser.audio.sources import reopenable
from ser.cli import options
from ser.cli.output import adapted_line, in_words, out, print_bytes, print_reasons, progress_bar, save
from ser.files import check_writable, encodable
from ser.inference.recognizer import load
from ser.timeline.formats import WRITERS, write
from ser.transcript.transcript import transcribe, with_words
from ser.types import EMOJI, ParameterError, Segment, Timeline

HOUR_S = 3600
# A table for the screen, and `WRITERS`.
Format = Literal["table", "json", "csv", "srt", "vtt", "audacity", "textgrid", "parquet"]


def timeline(
    file: Annotated[str, typer.Argument(help="A recording of up to four hours, or - for standard input.")],
    model: options.ModelOption = None,
    profile: options.ProfileOption = None,
    adapt: Annotated[
        Literal["self", "none"],
        typer.Option(help="Adapt to the recording's own speech, from a minute of it, unless there is a profile."),
    ] = "self",
    channels: options.ChannelsOption = "mix",
    track: options.TrackOption = None,
    format: Annotated[
        Format | None, typer.Option("--format", "-f", help="Default: what --out ends in, else table.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A file to write instead of standard output.")] = None,
    force: options.ForceOption = False,
    words: options.WordsOption = False,
    speech_model: options.SpeechModelOption = None,
    language: options.LanguageOption = None,
    google: options.GoogleOption = False,
    yes_send_audio: options.SendOption = False,
) -> None:
    """Say how a long recording sounds over time: its speech in segments, and the share of each emotion."""
    chosen = _format(format, out)
    if out is not None:
        check_writable(out, force=force, source=file)
    engine = options.speech_engine(words, speech_model, language, google, yes_send_audio)
    if engine and channels != "mix":
        raise ParameterError("Words are transcribed from all channels together: leave out --channels or --words.")
    recognizer, source = load(model, profile), options.recording(file)
    if engine:
        source = reopenable(source, MAX_TIMELINE_BYTES)
    with progress_bar("Predicting") as progress:
        made = recognizer.timeline(source, progress=progress, adapt=adapt, channels=channels, track=track)
        segments = replace(made, file=file)
    if engine:
        with progress_bar("Transcribing") as progress:
            segments = with_words(segments, transcribe(source, engine, progress=progress))
    if chosen == "table":
        print_table(segments)
    elif out is None:
        content = write(segments, chosen)
        print_bytes(content) if isinstance(content, bytes) else print(content, end="")
    else:
        save(_encoded(segments, chosen), out)
    reasons = {reason for segment in segments.segments for reason in segment.reasons}
    print_reasons(reasons | ({"cut_off"} if segments.cut_off else set()))


def _encoded(timeline: Timeline, format: str) -> bytes:
    content = write(timeline, format)
    return content if isinstance(content, bytes) else encodable(content).encode()


def _format(format: str | None, path: Path | None) -> str:
    """Return the format asked for, or the one that a file's name ends in."""
    endings = {writer.ending.lower(): name for name, writer in WRITERS.items()}
    if format is None and path is not None and path.suffix.lower() not in endings:
        raise ParameterError(f"{path.name}: which --format? Known endings: {', '.join(endings)}.")
    chosen = format or (endings[path.suffix.lower()] if path else "table")
    if chosen == "table" and path is not None:
        raise ParameterError(f"A table is for the screen; for a file choose --format {', '.join(WRITERS)}.")
    return chosen


def print_table(timeline: Timeline) -> None:
    """Print the segments of a timeline and the share of each emotion."""
    said = ["said"] if timeline.text is not None else []
    channel = ["channel"] if timeline.channels else []
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in (*channel, "from", "to", "sounds", "likely", "doubt", *said):
        table.add_column(heading, no_wrap=heading not in ("doubt", "said"))
    hours = timeline.duration_s >= HOUR_S
    for segment in timeline.segments:
        apart = (segment.channel or "" for _ in channel)
        table.add_row(*apart, *_cells(segment, hours), *(Text(segment.text) for _ in said))
    if timeline.segments:
        out.print(table)
    if timeline.track is not None:
        out.print(f"Sound track {timeline.track}.")
    if timeline.adapted is not None:
        out.print(adapted_line(timeline.adapted._asdict()))
    for name in timeline.channels:
        out.print(f"{name}: {_shares(timeline.of_channel(name), hours)}")
    if len(timeline.channels) != 1:
        out.print(_shares(timeline, hours))


def _shares(timeline: Timeline, hours: bool) -> str:
    shares = sorted(((share, label) for label, share in timeline.share.items() if share), reverse=True)
    emotions = ", ".join(f"{label} {share:.0%}" for share, label in shares)
    speech, total = clock(timeline.speech_s, hours), clock(timeline.duration_s, hours)
    return f"{speech} of speech in {total}: {emotions}" if emotions else f"No speech was found in {total}."


def _cells(segment: Segment, hours: bool) -> tuple[str | Text, ...]:
    doubt = Text(in_words(segment.reasons), style="yellow")
    sounds = f"{EMOJI[segment.label]} {segment.label}"
    return clock(segment.start_s, hours), clock(segment.end_s, hours), sounds, f"{segment.confidence:.0%}", doubt


def clock(time_s: float, hours: bool) -> str:
    """Return minutes, seconds and tenths, with or without hours: 0:22.3, 1:00:22.3."""
    seconds, tenth = divmod(round(10 * time_s), 10)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}.{tenth}" if hours else f"{minutes}:{second:02d}.{tenth}"
