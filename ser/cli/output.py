"""How the command line prints: results on stdout, everything else on stderr; and its exit code."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ser.files import unwritable, write_atomically
from ser.tables import columns, flat
from ser.types import EMOJI, REASONS, SILENT

out = Console()
err = Console(stderr=True)
# What commands a terminal, or turns the order of its text; anybody may put it into a file's name.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
REFUSED = 2  # the exit code where something was refused, or a file could not be answered
WIDE = 100  # characters; on a narrower terminal the second emotion gives its room to the files' names
FAILED = Text("no answer", style="red")


def attended() -> bool:
    """Whether somebody can answer a question: standard input is a terminal, and was not closed."""
    return sys.stdin is not None and sys.stdin.isatty()


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"
    csv = "csv"


class Scores(StrEnum):
    """How scores are printed."""

    table = "table"
    json = "json"


def visible(text: str) -> str:
    """A name or a sentence with a name in it as one line that cannot command a terminal."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float, float | None], None]]:
    """A bar on stderr while work goes on, where that is a terminal; gives what is to be told (done, whole) about it."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


def print_rows(rows: list[dict[str, Any]], format: Format, labels: tuple[str, ...]) -> None:
    if format is Format.json:
        print(json.dumps(rows, indent=1))
    elif format is Format.csv:
        print_csv(rows, labels)
    else:
        _print_table(rows)


def print_csv(rows: list[dict[str, Any]], labels: tuple[str, ...], first: tuple[str, ...] = ()) -> None:
    """Answers, and errors, as CSV; `first` names what stands before them."""
    fields = [*first, *columns(labels)]
    fields += ["text"] if any("text" in row for row in rows) else []
    writer = csv.DictWriter(sys.stdout, fields, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(map(flat, rows))


def _print_table(rows: list[dict[str, Any]]) -> None:
    """One line a recording; the sentence behind each doubt stands once, on stderr."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("file", overflow="fold")
    more = [heading for heading in ("sex", "intensity") if any(row.get(heading) is not None for row in rows)]
    more = more if more and out.width < WIDE else ["next", *more]
    for heading in ("sounds", "sure", *more, "doubt"):
        table.add_column(heading, no_wrap=heading != "doubt")
    for row in rows:
        table.add_row(Text(visible(row["file"])), *([FAILED] if "error" in row else _cells(row, more)))
    out.print(table)
    for row in rows:  # what is longer than a column is wide
        if "error" in row:
            out.print(Text(visible(row["error"]), style="red"))
        if "text" in row:
            name = visible(row["file"])
            out.print(Text.assemble((f"{name}: ", "dim"), row["text"] or ("no words were heard", "dim")))
    print_doubts({reason for row in rows for reason in row.get("reasons", ())})


def print_doubts(reasons: Collection[str]) -> None:
    """The sentence behind each reason for doubt, once, in the order of `REASONS`."""
    for reason, sentence in REASONS.items():
        if reason in reasons:
            err.print(f"{in_words(reason)}: {sentence}", style="dim", highlight=False, soft_wrap=True)


def print_shares(answer: dict[str, Any]) -> None:
    """The probability of every emotion of one answer, the likeliest first, and why it may be in doubt."""
    table = Table.grid(padding=(0, 2))
    for label, share in sorted(answer["probabilities"].items(), key=lambda item: -item[1]):
        table.add_row(f"{EMOJI[label]} {label}", f"{share:.1%}")
    out.print(table, highlight=False)
    print_doubts(answer["reasons"])


def _cells(row: dict[str, Any], more: list[str]) -> tuple[Any, ...]:
    """Cells of one answer; `more` names the columns between the answer and the doubt."""
    ranked = sorted(row["probabilities"].items(), key=lambda item: -item[1])
    label, confidence = ranked[0]
    doubt = Text(", ".join(map(in_words, row["reasons"])), style="yellow")
    heads = [_next(row, ranked) if heading == "next" else _head(row, heading) for heading in more]
    if SILENT in row["reasons"]:  # all emotions are alike then
        return "nothing", "", *heads, doubt
    return f"{EMOJI[label]} {label}", f"{confidence:.0%}", *heads, doubt


def _next(row: dict[str, Any], ranked: list[tuple[str, float]]) -> str:
    return "" if SILENT in row["reasons"] else f"{ranked[1][0]} {ranked[1][1]:.0%}"


def _head(row: dict[str, Any], heading: str) -> str:
    if row[heading] is None:
        return ""
    if heading == "intensity":
        return f"{row['intensity']:.0%}"
    sex, likely = max(row["sex"].items(), key=lambda item: item[1])
    return f"{sex} {likely:.0%}"


def in_words(reason: str) -> str:
    return reason.replace("_", " ")


def print_report(report: dict[str, Any]) -> None:
    low, high = report["uar_interval"]
    merged = report["neutral_calm_merged"]
    summary = Table.grid(padding=(0, 2))
    for name, value in (
        ("model, corpus", f"{report['model']} on {report['corpus']}"),
        ("protocol", f"{report['protocol']}: {report['note']}"),
        ("clips", f"{report['clips']} of {report['speakers']} speakers"),
        ("UAR", f"{report['uar']:.1%}  (95 % interval over speakers {low:.1%} to {high:.1%})"),
        ("accuracy", f"{report['accuracy']:.1%}"),
        ("macro F1", f"{report['macro_f1']:.1%}"),
        ("calibration error", f"{report['calibration_error']:.1%}"),
        ("neutral = calm", f"accuracy {merged['accuracy']:.1%}, UAR {merged['uar']:.1%}  (as listeners were scored)"),
        ("left out", ", ".join(f"{count} {label}" for label, count in report["excluded"].items()) or "nothing"),
        ("errors", str(len(report["errors"]))),
    ):
        summary.add_row(name, value)
    out.print(summary, highlight=False)
    table = Table("meant \\ answered", *report["labels"], "recall", box=None, header_style="dim")
    for label, counts in zip(report["labels"], report["confusion"], strict=True):
        recall = report["recall"][label]
        table.add_row(label, *map(str, counts), "no clips" if recall is None else f"{recall:.0%}")
    out.print(table, highlight=False)


def save(content: bytes, path: Path) -> None:
    """Write a result to a file, whole or not at all, and say so on stderr."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise unwritable(path, error) from error
    err.print(f"Written to {visible(str(path))}", markup=False, highlight=False, soft_wrap=True)
