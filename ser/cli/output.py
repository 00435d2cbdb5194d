"""How the command line prints: results on stdout, everything else on stderr; and its exit code."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from ser.files import by_ending, unwritable, write_atomically
from ser.tables import columns, flat, to_csv
from ser.types import EMOJI, PHRASES, QUALITY, REASONS, SELF, SILENT

Report = Literal["table", "json"]
Format = Literal["table", "json", "csv"]

PLAIN: Any = {"highlight": False, "markup": False, "emoji": False}  # brackets and colons in names are text
out = Console(**PLAIN)
err = Console(stderr=True, **PLAIN)
# Characters that control a terminal, turn the order of its text or stand for bytes that are no UTF-8; a file's name may
# hold them.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
REFUSED = 2  # the exit code if a request is refused, or a file cannot be predicted
WIDE = 100  # characters; a narrower table with sex and intensity leaves out the second emotion
NARROW = 70  # characters; a narrower table leaves out all three
NAME_WIDTH = 12  # characters that the shortest form of a file's name has
LONG_S = 20.0  # from which a single answer comes with a hint at timelines
BAR_WIDTH = 30  # characters of a probability of 1
FAILED = Text("no answer", style="red")
PLAIN_TYPES = ("<bool>", "<str>", "<list[str]>", "<list[int]>")  # which say nothing beside an option's help


class _Plain:
    """Help whose paragraphs fill the lines, and parameters without the types of `PLAIN_TYPES`."""

    def __init__(self, *args: Any, help: str | None = None, **attributes: Any) -> None:
        paragraphs = inspect.cleandoc(help or "").split("\n\n")
        filled = "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs)
        super().__init__(*args, help=filled, **attributes)  # type: ignore[call-arg]

    def get_params(self, ctx: Any) -> list[Any]:
        params = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            display = getattr(param, "display_type_rich", None)  # earlier Typers lack it, and the types
            if display and display(ctx) in PLAIN_TYPES:
                param.display_type_rich = lambda ctx: None
        return params


class PlainCommand(_Plain, TyperCommand):
    """A command with short help."""


class PlainGroup(_Plain, TyperGroup):
    """A group of commands with short help."""


class Name:
    """A file's name in a table, shortened to the width of its column: first by a folder, then in the middle."""

    def __init__(self, name: str, folder: str = "") -> None:
        self.name = visible(name)
        self.short = f"…/{visible(name.removeprefix(folder))}" if folder else self.name

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = cell_len(self.name)
        return Measurement(min(width, NAME_WIDTH), width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        name = self.name if cell_len(self.name) <= options.max_width else self.short
        yield Text(shorten(name, options.max_width), no_wrap=True)


def shorten(text: str, width: int) -> str:
    """Return a text of at most `width` cells: its beginning and, twice as long, its end."""
    if cell_len(text) <= width:
        return text
    head = set_cell_size(text, (width - 1) // 3).rstrip()
    return f"{head}…{set_cell_size(text[::-1], width - 1 - cell_len(head))[::-1].lstrip()}"


def is_attended() -> bool:
    """Return whether standard input is a terminal, at which a question can be answered."""
    return sys.stdin is not None and sys.stdin.isatty()


def exists(path: str) -> bool:
    with suppress(OSError, ValueError):  # too long for a path, or in a folder that may not be searched
        return Path(path).exists()
    return False


def visible(text: str) -> str:
    """Escape the characters of a text that control a terminal, line breaks included."""
    return UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def in_words(reasons: Collection[str]) -> str:
    return ", ".join(reason.replace("_", " ") for reason in reasons)


def say(text: str, style: str | None = None) -> None:
    """Print one line on stderr, however narrow the terminal is."""
    err.print(visible(text), style=style, soft_wrap=True)


def say_passed_over(endings: Mapping[str, int]) -> None:
    """Print how many files of a folder are no recordings, by their endings, if there are any."""
    if endings:
        say(f"passed over: {by_ending(endings)}")


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float, float | None], None]]:
    """Show a bar on stderr if that is a terminal; yield the function that takes (done, total)."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_rows(rows: list[dict[str, Any]], format: Format, labels: tuple[str, ...]) -> None:
    """Print predictions and errors; as a table, a single prediction is shown with all its emotions."""
    if format == "json":
        print(json.dumps(rows, indent=1))
    elif format == "csv":
        print_csv(rows, labels)
    elif len(rows) == 1 and "error" not in rows[0]:
        print_prediction(rows[0])
    else:
        print_table(rows)


def print_csv(rows: list[dict[str, Any]], labels: tuple[str, ...], first: tuple[str, ...] = ()) -> None:
    """Print predictions and errors as CSV; `first` names the columns before theirs."""
    fields = [*first, *columns(labels)]
    fields += ["text"] if any("text" in row for row in rows) else []
    print(to_csv(map(flat, rows), fields), end="")


def print_prediction(row: dict[str, Any]) -> None:
    """Print one prediction: a bar for every emotion, the likeliest first, then sex, intensity and doubt."""
    out.print(Name(_named(row)))
    if SILENT in row["reasons"]:  # all emotions are alike
        out.print("nothing")
    else:
        out.print(bars(dict(sorted(row["probabilities"].items(), key=lambda item: -item[1]))))
    heads = [f"{head} {_head(row, head)}" for head in ("sex", "intensity") if row.get(head) is not None]
    if heads:
        out.print(", ".join(heads))
    if row["reasons"]:
        out.print(f"in doubt: {in_words(row['reasons'])}", style="yellow")
    if "close_call" in row["reasons"] and row.get("top"):  # stored answers have none
        out.print(f"likely: {in_words(row['top'])}")
    if row.get("quality"):
        out.print(f"recording: {in_words(row['quality'])}")
    if row.get("adapted"):
        out.print(adapted_line(row["adapted"]))
    if "explanation" in row:
        out.print(_why(row["explanation"]))
    if "text" in row:
        out.print(_text(row))
    print_reasons([*row["reasons"], *row.get("quality", ())])
    if row["duration_s"] >= LONG_S:
        long = f"one answer for {row['duration_s']:.0f} s"
        say(f"{long}: `ser timeline` shows how emotions change over time", style="dim")


def adapted_line(adapted: dict[str, Any]) -> str:
    """Return what answers are adapted to, in words."""
    if adapted["source"] == SELF:
        return "adapted to its own speech"
    recordings = "recording" if adapted["clips"] == 1 else "recordings"
    return f"adapted to the source {visible(adapted['source'])}, {adapted['clips']} {recordings}"


def bars(probabilities: Mapping[str, float]) -> Table:
    """Return a bar for each emotion in the given order, the likeliest in bold."""
    table = Table.grid(padding=(0, 1))
    for label, share in probabilities.items():
        style = "bold" if share == max(probabilities.values()) else "dim"
        bar: Any = ProgressBar(total=1.0, completed=share, width=BAR_WIDTH)
        table.add_row(f"{EMOJI[label]} {label}", bar, f"{share:4.0%}", style=style)
    return table


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print one line a recording, then errors and texts, which are wider than a column, then the reasons for doubt."""
    heads = [head for head in ("sex", "intensity") if any(row.get(head) is not None for row in rows)]
    heads = [] if out.width < NARROW else heads if heads and out.width < WIDE else ["next", *heads]
    table = Table("file", box=None, header_style="dim", pad_edge=False)
    for heading in ("sounds", "likely", *heads, "doubt"):
        table.add_column(heading, no_wrap=heading != "doubt")
    folder = _common_folder([row["file"] for row in rows])
    for row in rows:
        table.add_row(Name(_named(row), folder), *([FAILED] if "error" in row else _cells(row, heads)))
    out.print(table)
    for row in rows:
        if "error" in row:
            out.print(Text(visible(_error(row)), style="red"))
        if "explanation" in row:
            out.print(Text.assemble((f"{visible(row['file'])} ", "dim"), _why(row["explanation"])))
        if "text" in row:
            out.print(Text.assemble((f"{visible(row['file'])}: ", "dim"), _text(row)))
    for line in sorted({adapted_line(row["adapted"]) for row in rows if row.get("adapted")}):
        out.print(line)
    print_reasons({name for row in rows for key in ("reasons", "quality") for name in row.get(key, ())})


def _common_folder(names: Sequence[str]) -> str:
    """Return the folder with which several names begin, so that columns can show where they differ; else ""."""
    folders = zip(*(name.split("/")[:-1] for name in names), strict=False)
    shared = [each[0] for each in takewhile(lambda each: len(set(each)) == 1, folders)]
    return "/".join([*shared, ""]) if len(names) > 1 and any(shared) else ""


def _named(row: dict[str, Any]) -> str:
    """Return the name of a recording, with the channel or the sound track if it is one of several."""
    parts = [] if row.get("channel") is None else [row["channel"]]
    parts += [] if row.get("track") is None else [f"track {row['track']}"]
    return f"{row['file']} ({', '.join(parts)})" if parts else row["file"]


def print_reasons(reasons: Collection[str]) -> None:
    """Print the sentence of each reason for doubt and fault on stderr, in the order of `REASONS` and `QUALITY`."""
    for reason, sentence in {**REASONS, **QUALITY}.items():
        if reason in reasons:
            say(f"{in_words([reason])}: {sentence}", style="dim")


def _error(row: dict[str, Any]) -> str:
    """Return an error with the folder of its file, as the file was named."""
    name = Path(row["file"]).name
    return f"{row['file']}{row['error'].removeprefix(name)}" if row["error"].startswith(f"{name}:") else row["error"]


def _text(row: dict[str, Any]) -> Text:
    return Text(row["text"]) if row["text"] else Text("no words were recognised", style="dim")


def _why(explanation: dict[str, Any]) -> Text:
    """Return what an answer rests on, with the points of probability that hiding it takes away."""
    voice = "the speaker's own" if explanation["reference"] == "speaker" else "a neutral voice"
    lines = [
        f"{PHRASES[group['name']][group['direction']]} ({group['z']:+.1f} sd from {voice}), without it "
        f"{-100 * group['effect']:.0f} points"
        for group in explanation["groups"]
    ]
    if stretches := explanation["stretches"]:
        times = " and ".join(f"{stretch['start_s']:.1f} to {stretch['end_s']:.1f} s" for stretch in stretches)
        points = " and ".join(f"{-100 * stretch['effect']:.0f}" for stretch in stretches)
        lines.append(f"{times}, without it {points} points")
    return Text("\n".join(f"why: {line}" for line in lines or ["nothing stands out clearly"]))


def _cells(row: dict[str, Any], heads: list[str]) -> tuple[Any, ...]:
    """Return the cells of one prediction; `heads` names the columns between the confidence and the doubt."""
    doubt = Text(in_words(row["reasons"]), style="yellow")
    if row.get("quality"):
        doubt.append(f"{'; ' if row['reasons'] else ''}{in_words(row['quality'])}", style="dim")
    more = [_head(row, head) for head in heads]
    if SILENT in row["reasons"]:
        return "nothing", "", *more, doubt
    return f"{EMOJI[row['label']]} {row['label']}", f"{row['confidence']:.0%}", *more, doubt


def _head(row: dict[str, Any], head: str) -> str:
    """Return the cell of the second emotion, the sex or the intensity; empty if the model does not give it."""
    if head == "next":
        label, share = sorted(row["probabilities"].items(), key=lambda item: -item[1])[1]
        return "" if SILENT in row["reasons"] else f"{label} {share:.0%}"
    if row[head] is None:
        return ""
    if head == "intensity":
        return f"{row[head]:.0%}"
    sex, share = max(row["sex"].items(), key=lambda item: item[1])
    return f"{sex} {share:.0%}"


def print_bytes(content: bytes) -> None:
    """Print the content of a file."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def save(content: bytes, path: Path) -> None:
    """Write a result to a file atomically, and say so on stderr."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise unwritable(path, error) from error
    say(f"Written to {path}")
