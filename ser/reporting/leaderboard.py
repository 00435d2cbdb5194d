"""A leaderboard as JSON, Markdown tables and a picture; all numbers come from the board."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.files import write_atomically
from ser.reporting.markdown import NONE, bare_percent, table
from ser.reporting.style import BLUE, DARK, GREY, ORANGE, RED, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JSON, MARKDOWN, PICTURE = (f"leaderboard.{ending}" for ending in ("json", "md", "png"))
UNSEEN_NOTE = """UAR over the labels that system and corpus share. `voice` and `small` were trained on several corpora;
each is scored by networks that were trained without it. All others know RAVDESS alone, published designs by the network
of their random split. **Alone** is the answer to one recording; the other tables are of answers that are adapted to
unlabelled clips of the corpus or of the speaker, by their scores alone, which works for every system. Drawn clips are
not scored; the mean is over the corpora that a system has."""
UNSEEN_TABLES = (
    ("Alone", "uar"),
    ("With 10 clips of the corpus", "adapted_10"),
    ("With 20 clips of the corpus", "adapted_20"),
    ("With five clips of the speaker", "calibrated"),
)
UNSEEN: dict[str, Any] = {"color": BLUE, "markersize": 8}
SHARED: dict[str, Any] = {"color": ORANGE, "markersize": 8, "markerfacecolor": "white", "markeredgewidth": 1.8}
CLAIM: dict[str, Any] = {"color": RED, "markersize": 7, "markeredgewidth": 2}


def write(out: Path, board: dict[str, Any]) -> None:
    """Write the three files into `out`, the JSON last."""
    out.mkdir(parents=True, exist_ok=True)
    picture(board).savefig(out / PICTURE, dpi=160)
    write_atomically(out / MARKDOWN, markdown(board))
    write_atomically(out / JSON, json.dumps(board, indent=1) + "\n")


def markdown(board: dict[str, Any]) -> str:
    """Return the report: scores, costs, unseen corpora if there are any, and published anchors."""
    left_out = any(row["left_out"] for row in board["rows"])
    unseen = f"## Unseen corpora\n\n{UNSEEN_NOTE}{_anew(board)}\n\n{left_out_tables(board)}\n\n" if left_out else ""
    return f"""# Leaderboard

Written by `ser leaderboard`, {board["created"][:10]}. {board["clips"]:,} recordings of {board["speakers"]}
actors ({board["corpus"].upper()}), in per cent.

- **Unseen actors**: six published folds; every recording is tested by a network trained without its actor. UAR is the
  mean recall over emotions, its 95 % interval is over actors.
- **Random 80/20**, as in most publications: test actors are training actors, too, which inflates the scores.

![Leaderboard]({PICTURE})

{scores_table(board)}

Fewer emotions are easier to tell apart: compare within the same set, and with chance. The doubled corpus has every
recording twice, as the most downloaded copy; a random split of it tests mostly on training recordings. For listeners
neutral and calm counted as the same; compare them with the column that does so, too.

## What they cost

{costs_table(board)}

An answer: from the waveform in memory to the label, on one thread, the median over clips of all actors. Training: all
fits of a fold; these are two if the epochs are chosen on inner actors (D; A and B were measured so, too). Epochs: the
median fold.

{unseen}## Published anchors

{anchors_table(board)}
"""


def _anew(board: dict[str, Any]) -> str:
    """Return a sentence on networks that were trained anew for the table of unseen corpora, if there are any."""
    scores = {row["title"].split(":")[0]: row["asked_random_uar"] for row in board["rows"] if "asked_random_uar" in row}
    said = ", ".join(f"{name} {bare_percent(uar)}" for name, uar in scores.items())
    return f"\nSome were trained anew for this table; their UAR on the random split: {said}." if said else ""


def scores_table(board: dict[str, Any]) -> str:
    """Return the scores of every system by both protocols, with its claim, and of listeners."""
    listeners = board["listeners"]
    head = ("system", "emotions (chance)", "UAR, unseen actors", "accuracy", "macro F1", "accuracy, neutral = calm")
    rows = [_scores_cells(row) for row in board["rows"]]
    rows.append([listeners["title"], "8", *[""] * 3, f"**{bare_percent(listeners['accuracy'])}**", "", "", ""])
    return table((*head, "random 80/20: UAR", "random 80/20: accuracy", "own claim"), rows)


def _scores_cells(row: dict[str, Any]) -> list[str]:
    folds, random = row["folds"] or {}, row["random"] or {}
    merged = folds.get("neutral_calm_merged", {}) if {"neutral", "calm"} <= set(row["labels"]) else {}
    scores = (folds.get("accuracy"), folds.get("macro_f1"), merged.get("accuracy"))
    return [
        _title(row),
        f"{len(row['labels'])} ({bare_percent(1 / len(row['labels']))})",
        _with_interval(folds.get("uar"), folds.get("uar_interval")),
        *map(bare_percent, (*scores, random.get("uar"), random.get("accuracy"))),
        _claim(row["claim"]),
    ]


def _title(row: dict[str, Any]) -> str:
    if "paths" in row:
        return f"{row['title']}, doubled corpus ({row['paths']:,} paths)"
    return f"**{row['title']}**" if row["kind"] == "ours" else row["title"]


def _claim(claim: dict[str, Any] | None) -> str:
    if claim is None:
        return "none stated"
    values = dict.fromkeys(map(bare_percent, claim["accuracy"]))  # one if the lowest is the highest
    return f"{' to '.join(values)} ({claim['protocol']})"


def costs_table(board: dict[str, Any]) -> str:
    """Return the size, answer time, training time of a fold and stopping criterion of every system."""
    columns = ("parameters (trainable)", "file, MB", "an answer, ms", "training a fold, min", "epochs", "ended by")
    rows = [
        [
            _title(row),
            f"{row['parameters']:,} ({row['trainable']:,})",
            f"{row['bytes'] / 1e6:.2f}",
            f"{row['ms']:.1f}",
            NONE if row["minutes"] is None else f"{row['minutes']:.1f}",
            NONE if row["epochs"] is None else f"{row['epochs']:.0f}",
            row["ended"] or NONE,
        ]
        for row in board["rows"]
    ]
    return table(("system", *columns), rows)


def left_out_tables(board: dict[str, Any]) -> str:
    """Return a table of UAR on unseen corpora for each way to answer that some system was scored in."""
    scored = [row for row in board["rows"] if row["left_out"]]
    corpora = list(dict.fromkeys(corpus for row in scored for corpus in row["left_out"]))
    tables = []
    for title, key in UNSEEN_TABLES:
        rows = [cells for row in scored if (cells := _left_out_cells(row, corpora, key))]
        if rows:
            tables.append(f"### {title}\n\n{table(('system', *corpora, 'mean'), rows)}")
    return "\n\n".join(tables)


def _left_out_cells(row: dict[str, Any], corpora: Sequence[str], key: str) -> list[str]:
    """Return a row of one of the tables, with the number of scored labels in the first; empty without scores."""
    scores = {corpus: each for corpus in corpora if key in (each := row["left_out"].get(corpus, {}))}
    if not scores:
        return []
    labels = {corpus: f" ({len(each['labels'])} labels)" if key == "uar" else "" for corpus, each in scores.items()}
    cells = {corpus: f"{bare_percent(each[key])}{labels[corpus]}" for corpus, each in scores.items()}
    mean = statistics.fmean(each[key] for each in scores.values())
    return [_title(row), *(cells.get(corpus, NONE) for corpus in corpora), bare_percent(mean)]


def anchors_table(board: dict[str, Any]) -> str:
    """Return published scores on unseen actors of the same corpus, each with its protocol, and ours by the same."""
    source = {"protocol": "leave one actor out", "source": "`experiments/one_out.py`"}
    ours = [
        {"title": f"**{name}**", "pretrained": scores.get("pretrained", False), "interval": scores["uar_interval"]}
        | {"uar": scores["uar"], "accuracy": scores["accuracy"], **source}
        for name, scores in board.get("one_out", {}).items()
    ]
    rows = [
        [
            system["title"],
            {True: "yes", False: "no"}.get(system.get("pretrained"), NONE),
            _with_interval(system.get("uar"), system.get("interval")),
            bare_percent(system.get("accuracy")),
            bare_percent(system.get("random_uar")),
            system["protocol"],
            system["source"],
        ]
        for system in (*ours, *board["anchors"], board["listeners"])
    ]
    return table(("system", "pre-trained", "UAR", "accuracy", "UAR, random split", "protocol", "source"), rows)


def _with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None or interval is None:
        return bare_percent(value)
    return f"**{bare_percent(value)}** [{bare_percent(interval[0])}, {bare_percent(interval[1])}]"


def picture(board: dict[str, Any]) -> Figure:
    """Draw the UAR of every system on unseen actors with its interval, on the random split, and its claim.

    Vertical lines are listeners and anchors; a grey tick is chance.
    """
    rows = board["rows"]
    figure, [[axes]] = new_figure(9, 1.6 + 0.45 * len(rows))
    for height, row in enumerate(rows):
        _draw_name(axes, height, row)
        _draw_scores(axes, height, row)
    _draw_lines(axes, board)
    axes.set(xlim=(0, 100), ylim=(len(rows) - 0.4, -0.6), yticks=[])
    axes.set_xlabel("UAR, %; claims and listeners: accuracy, %")
    axes.spines["left"].set_visible(False)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_name(axes: Any, height: int, row: dict[str, Any]) -> None:
    about = f"{row['paths']:,} paths, every recording twice" if "paths" in row else f"{len(row['labels'])} emotions"
    weight = "bold" if row["kind"] == "ours" else "normal"
    left: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "right"}
    axes.text(-0.01, height - 0.04, row["title"], va="bottom", fontsize=9.5, weight=weight, **left)
    axes.text(-0.01, height + 0.04, about, va="top", fontsize=8, color=GREY, **left)


def _draw_scores(axes: Any, height: int, row: dict[str, Any]) -> None:
    """Draw chance, claim, random split and unseen actors of a system, the latter two joined by a line."""
    axes.plot(100 / len(row["labels"]), height, "|", color=GREY, markersize=10)
    if row["claim"]:
        claim = [100 * value for value in row["claim"]["accuracy"]]
        axes.plot(claim, [height] * 2, "x-", **CLAIM)
        _draw_number(axes, claim[-1], height, below=True, color=CLAIM["color"])
    scores = {name: 100 * row[name]["uar"] for name in ("random", "folds") if row[name]}
    axes.plot(list(scores.values()), [height] * len(scores), color=GREY, linewidth=1, zorder=1)
    for name, score in scores.items():
        axes.plot(score, height, "o", **(UNSEEN if name == "folds" else SHARED))
        _draw_number(axes, score, height)
    if row["folds"]:
        interval = [100 * value for value in row["folds"]["uar_interval"]]
        axes.plot(interval, [height] * 2, color=UNSEEN["color"], linewidth=5, alpha=0.3, solid_capstyle="butt")


def _draw_number(axes: Any, score: float, height: int, *, below: bool = False, color: str = DARK) -> None:
    """Write a number above or below its mark, on white so that no line crosses it."""
    aligned: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "top" if below else "bottom"}
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85}
    offset = (0, -6 if below else 5.5)
    axes.annotate(f"{score:.1f}", (score, height), offset, fontsize=8, color=color, bbox=box, **aligned)


def _draw_lines(axes: Any, board: dict[str, Any]) -> None:
    """Draw lines for listeners and anchors with a short name; labels are on the left and right in turn."""
    listeners = board["listeners"]
    lines = [(listeners["accuracy"], listeners["title"])]
    lines += [(anchor["uar"], anchor["short"]) for anchor in board["anchors"] if "short" in anchor]
    for index, (value, name) in enumerate(sorted(lines)):
        human = name == listeners["title"]
        axes.axvline(100 * value, color=DARK, linewidth=1, linestyle="-" if human else ":", alpha=0.7, zorder=0)
        axes.annotate(
            f"{name} {100 * value:.1f}",
            (100 * value, 1),
            (-3 if index % 2 == 0 else 3, 3 + 12 * (index // 2)),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if index % 2 == 0 else "left",
            fontsize=8.5,
            color=DARK,
        )


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], marker="o", linestyle="", label="unseen actors, 95 % interval", **UNSEEN),
        Line2D([], [], marker="o", linestyle="", label="random 80/20, inflated", **SHARED),
        Line2D([], [], marker="x", linestyle="", label="own claim (accuracy)", **CLAIM),
        Line2D([], [], marker="|", linestyle="", label="chance", color=GREY, markersize=10),
    ]
