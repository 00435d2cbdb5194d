"""File formats of a timeline: tables, subtitles, and labels for Audacity and Praat; with the transcript, if any."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from textwrap import indent

from ser.tables import segment_columns, segment_rows, segments_to_parquet, to_csv
from ser.types import EMOJI, Segment, Timeline, Word, lookup

Interval = tuple[float, float, str]  # start and end in seconds, text
QUOTE = '"'


@dataclass(frozen=True)
class Writer:
    """A format: its function, the ending of its files and its media type."""

    write: Callable[[Timeline], str | bytes]
    ending: str
    media_type: str


def write(timeline: Timeline, format: str) -> str | bytes:
    """Return the timeline in one of `WRITERS`, as text for a UTF-8 file or bytes; `ParameterError` for others."""
    return lookup(format, WRITERS, "format").write(timeline)


def _json(timeline: Timeline) -> str:
    return json.dumps(timeline.to_dict(), indent=1) + "\n"


def _csv(timeline: Timeline) -> str:
    """Write one row a segment, with the columns of its Parquet file."""
    return to_csv(segment_rows(timeline), segment_columns(timeline))


def _srt(timeline: Timeline) -> str:
    cues = enumerate(timeline.segments, start=1)
    return "\n".join(f"{number}\n{_cue(segment, ',', segment.text)}\n" for number, segment in cues)


def _vtt(timeline: Timeline) -> str:
    cues = (f"\n{_cue(segment, '.', html.escape(segment.text, quote=False))}\n" for segment in timeline.segments)
    return "WEBVTT\n" + "".join(cues)


def _audacity(timeline: Timeline) -> str:
    """Write what Audacity's File > Import > Labels takes."""
    lines = []
    for segment in timeline.segments:
        label = ": ".join(filter(None, (_caption(segment), segment.text)))
        lines.append(f"{segment.start_s:.6f}\t{segment.end_s:.6f}\t{label}\n")
    return "".join(lines)


def _textgrid(timeline: Timeline) -> str:
    """Write Praat's text form: tiers of labels, confidences, reasons and words, the first three for each channel.

    Intervals without text are silence.
    """
    cells: dict[str, Callable[[Segment], str]] = {
        "emotion": lambda segment: segment.label,
        "confidence": lambda segment: f"{segment.confidence:.3f}",
        "doubt": lambda segment: " ".join(segment.reasons),
    }
    tiers: dict[str, list[Interval]] = {
        f"{name} {channel}".rstrip(): [(segment.start_s, segment.end_s, text(segment)) for segment in part.segments]
        for channel, part in _of_channels(timeline)
        for name, text in cells.items()
    }
    if timeline.text is not None:
        tiers["words"] = _apart(word for segment in timeline.segments for word in segment.words or ())
    bounds = f"xmin = 0\nxmax = {timeline.duration_s}\n"
    text = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n{bounds}'
    text += f"tiers? <exists>\nsize = {len(tiers)}\nitem []:\n"
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        filled = list(_filled(intervals, timeline.duration_s))
        tier = f'class = "IntervalTier"\nname = "{name}"\n{bounds}intervals: size = {len(filled)}\n'
        text += f"    item [{number}]:\n{indent(tier, 8 * ' ')}"
        for rank, (start_s, end_s, label) in enumerate(filled, start=1):
            interval = f'xmin = {start_s}\nxmax = {end_s}\ntext = "{label.replace(QUOTE, 2 * QUOTE)}"\n'
            text += f"        intervals [{rank}]:\n{indent(interval, 12 * ' ')}"
    return text


def _of_channels(timeline: Timeline) -> list[tuple[str, Timeline]]:
    """Return the name and the timeline of each channel that was heard apart; one without a name for a mean of all."""
    return [(channel, timeline.of_channel(channel)) for channel in timeline.channels] or [("", timeline)]


def _parquet(timeline: Timeline) -> bytes:
    return segments_to_parquet(timeline)


def _filled(intervals: list[Interval], duration_s: float) -> Iterator[Interval]:
    """Yield the intervals and the silence between them, which fill the recording without gap or overlap."""
    last_s = 0.0
    for start_s, end_s, text in intervals:
        if start_s > last_s:
            yield last_s, start_s, ""
        yield start_s, end_s, text
        last_s = end_s
    if last_s < duration_s:
        yield last_s, duration_s, ""


def _apart(words: Iterable[Word]) -> list[Interval]:
    """Return words as intervals without overlap; a word that lies within the one before is joined to it."""
    apart: list[Interval] = []
    for word in words:
        start_s = max(word.start_s, apart[-1][1]) if apart else word.start_s
        if word.end_s > start_s:
            apart.append((start_s, word.end_s, word.word))
        else:
            *_, (start_s, end_s, text) = apart
            apart[-1] = (start_s, end_s, f"{text} {word.word}")
    return apart


def _caption(segment: Segment) -> str:
    channel = f"{segment.channel}: " if segment.channel else ""
    return f"{channel}{segment.label}{'?' if segment.uncertain else ''} {segment.confidence:.0%}"


def _cue(segment: Segment, point: str, text: str) -> str:
    """Return times, emoji and caption of a subtitle and, on the next line, what was said."""
    times = f"{clock(segment.start_s, point)} --> {clock(segment.end_s, point)}"
    return f"{times}\n{EMOJI[segment.label]} {_caption(segment)}\n{text}".rstrip()


def clock(time_s: float, point: str = ".") -> str:
    """Return a time as hours, minutes, seconds and milliseconds: 00:01:02.345."""
    seconds, milliseconds = divmod(round(1000 * time_s), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{milliseconds:03d}"


WRITERS = {
    "json": Writer(_json, ".json", "application/json"),
    "csv": Writer(_csv, ".csv", "text/csv"),
    "srt": Writer(_srt, ".srt", "application/x-subrip"),
    "vtt": Writer(_vtt, ".vtt", "text/vtt"),
    "audacity": Writer(_audacity, ".txt", "text/plain"),
    "textgrid": Writer(_textgrid, ".TextGrid", "text/plain"),
    "parquet": Writer(_parquet, ".parquet", "application/vnd.apache.parquet"),
}
