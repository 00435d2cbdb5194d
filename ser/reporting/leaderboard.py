"""Shows a leaderboard: its JSON, its tables in Markdown and its picture. Every number comes from the board."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JSON, MARKDOWN, PICTURE = (f"leaderboard.{ending}" for ending in ("json", "md", "png"))
NONE = "–"
DARK, PALE = "#1f2937", "#8A8F98"
UNSEEN: dict[str, Any] = {"color": "#3969AC", "markersize": 8}
SHARED: dict[str, Any] = {"color": "#E68310", "markersize": 8, "markerfacecolor": "white", "markeredgewidth": 1.8}
CLAIM: dict[str, Any] = {"color": "#CF1C54", "markersize": 7, "markeredgewidth": 2}


def write(out: Path, board: dict[str, Any]) -> None:
    """The three files in `out`, the JSON last."""
    out.mkdir(parents=True, exist_ok=True)
    picture(board).savefig(out / PICTURE, dpi=160)
    write_atomically(out / MARKDOWN, markdown(board))
    write_atomically(out / JSON, json.dumps(board, indent=1) + "\n")


# --- Markdown ---


def markdown(board: dict[str, Any]) -> str:
    """What was measured, what it costs, unheard corpora where known, and published anchors with their protocols."""
    parts = [_introduction(board), scores_table(board), _NOTES]
    parts += [_section("What they cost", costs_table(board)), _ABOUT_COSTS]
    if any(row["left_out"] for row in board["rows"]):
        parts.append(_section("Corpora never heard", left_out_table(board)))
    parts.append(_section("Published anchors", anchors_table(board)))
    return "\n\n".join(parts) + "\n"


def _introduction(board: dict[str, Any]) -> str:
    return f"""# Leaderboard

Written by `python -m ser leaderboard`, {board["created"][:10]}. {board["clips"]:,} recordings of {board["speakers"]}
actors ({board["corpus"].upper()}), in per cent.

- **Unseen actors**: six published folds; every recording is answered by a network that never heard its actor. UAR is
  the mean over emotions of the share answered right, its 95 % interval is over actors.
- **Random 80/20**, as most figures are published: the test actors were training actors too, which inflates them.

![Leaderboard]({PICTURE})"""


_NOTES = """\
Fewer emotions are easier to tell apart: compare within the same set, and with chance. In the doubled corpus every
recording lies twice, as in the copy that most people download; a random split then tests mostly on recordings that
were trained on. Listeners could answer neutral for calm and calm for neutral, which is the score beside theirs."""

_ABOUT_COSTS = """\
An answer: from the waveform in memory to the label, on one thread, the median over clips of all actors. Training: all
fits of a fold, which are two where the epochs are chosen on inner actors (D; A and B were measured so, too). Epochs:
the median fold."""


def scores_table(board: dict[str, Any]) -> str:
    """Every system by both protocols, with the listeners and its own claim."""
    listeners = board["listeners"]
    head = ("system", "emotions (chance)", "UAR, unseen actors", "accuracy", "macro F1", "accuracy, neutral = calm")
    rows = [_scores_cells(row) for row in board["rows"]]
    rows.append([listeners["title"], "8", *[""] * 3, f"**{_percent(listeners['accuracy'])}**", "", "", ""])
    return _table((*head, "random 80/20: UAR", "random 80/20: accuracy", "own claim"), rows)


def _scores_cells(row: dict[str, Any]) -> list[str]:
    folds, chance = row["folds"] or {}, row["random"] or {}
    merged = folds.get("neutral_calm_merged", {}) if {"neutral", "calm"} <= set(row["labels"]) else {}
    return [
        _title(row),
        f"{len(row['labels'])} ({_percent(1 / len(row['labels']))})",
        _with_interval(folds.get("uar"), folds.get("uar_interval")),
        _percent(folds.get("accuracy")),
        _percent(folds.get("macro_f1")),
        _percent(merged.get("accuracy")),
        _percent(chance.get("uar")),
        _percent(chance.get("accuracy")),
        _claim(row["claim"]),
    ]


def _title(row: dict[str, Any]) -> str:
    if "paths" in row:
        return f"{row['title']}, doubled corpus ({row['paths']:,} paths)"
    return f"**{row['title']}**" if row["kind"] == "ours" else row["title"]


def _claim(claim: dict[str, Any] | None) -> str:
    if claim is None:
        return "none stated"
    low, high = (_percent(value) for value in claim["accuracy"])
    return f"{low if low == high else f'{low} to {high}'} ({claim['protocol']})"


def costs_table(board: dict[str, Any]) -> str:
    """Size, time of an answer from waveform to label, training time of a fold, and what ended its fits."""
    head = (
        "system",
        "parameters (trainable)",
        "file, MB",
        "an answer, ms",
        "training a fold, min",
        "epochs",
        "ended by",
    )
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
    return _table(head, rows)


def left_out_table(board: dict[str, Any]) -> str:
    """UAR on corpora that a network never heard, with the number of labels that could be scored."""
    known = [row for row in board["rows"] if row["left_out"]]
    corpora = list(dict.fromkeys(corpus for row in known for corpus in row["left_out"]))
    rows = [[_title(row), *(_left_out(row["left_out"].get(corpus)) for corpus in corpora)] for row in known]
    return _table(("system", *corpora), rows)


def _left_out(scored: dict[str, Any] | None) -> str:
    return NONE if scored is None else f"{_percent(scored['uar'])} ({len(scored['labels'])} labels)"


def anchors_table(board: dict[str, Any]) -> str:
    """What others reached on unseen actors of the same corpus, each with its protocol."""
    listeners = board["listeners"]
    rows = [
        [
            anchor["title"],
            "yes" if anchor["pretrained"] else "no",
            _with_interval(anchor["uar"], anchor.get("interval")),
            _percent(anchor.get("accuracy")),
            _percent(anchor.get("random_uar")),
            anchor["protocol"],
            anchor["source"],
        ]
        for anchor in board["anchors"]
    ]
    rows = [*_one_out_rows(board), *rows]
    who = [listeners["title"], NONE, NONE, _percent(listeners["accuracy"]), NONE]
    rows.append([*who, listeners["protocol"], listeners["source"]])
    return _table(("system", "pre-trained", "UAR", "accuracy", "UAR, random split", "protocol", "source"), rows)


def _one_out_rows(board: dict[str, Any]) -> list[list[str]]:
    """Our models by the protocol of most anchors."""
    return [
        [
            f"**{name}**",
            "no",
            _with_interval(found["uar"], found["uar_interval"]),
            _percent(found["accuracy"]),
            NONE,
            "leave one actor out",
            "`experiments/one_out.py`",
        ]
        for name, found in board.get("one_out", {}).items()
    ]


def _section(title: str, table: str) -> str:
    return f"## {title}\n\n{table}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None or interval is None:
        return _percent(value)
    return f"**{_percent(value)}** [{_percent(interval[0])}, {_percent(interval[1])}]"


def _percent(fraction: float | None) -> str:
    return NONE if fraction is None else f"{100 * fraction:.1f}"


# --- Picture ---


def picture(board: dict[str, Any]) -> Figure:
    """UAR of every system on unseen actors with its interval, beside the random split and its own claim.

    Vertical lines are listeners and anchors; a grey tick is chance.
    """
    from matplotlib.figure import Figure

    rows = board["rows"]
    figure = Figure(figsize=(9, 1.6 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for height, row in enumerate(rows):
        _draw_name(axes, height, row)
        _draw_scores(axes, height, row)
    _draw_lines(axes, board)
    axes.set(xlim=(0, 100), ylim=(len(rows) - 0.4, -0.6), yticks=[])
    axes.set_xlabel("UAR, %; claims and listeners: accuracy, %")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_name(axes: Any, height: int, row: dict[str, Any]) -> None:
    about = f"{row['paths']:,} paths, every recording twice" if "paths" in row else f"{len(row['labels'])} emotions"
    weight = "bold" if row["kind"] == "ours" else "normal"
    place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "right"}
    axes.text(-0.01, height - 0.04, row["title"], va="bottom", fontsize=9.5, weight=weight, **place)
    axes.text(-0.01, height + 0.04, about, va="top", fontsize=8, color=PALE, **place)


def _draw_scores(axes: Any, height: int, row: dict[str, Any]) -> None:
    """Chance, claim, random split and unseen actors of one system; the latter two joined by a line."""
    axes.plot(100 / len(row["labels"]), height, "|", color=PALE, markersize=10)
    if row["claim"]:
        claim = [100 * value for value in row["claim"]["accuracy"]]
        axes.plot(claim, [height] * 2, "x-", **CLAIM)
        _draw_number(axes, claim[-1], height, below=True, color=CLAIM["color"])
    scores = {name: 100 * row[name]["uar"] for name in ("random", "folds") if row[name]}
    axes.plot(list(scores.values()), [height] * len(scores), color=PALE, linewidth=1, zorder=1)
    for name, score in scores.items():
        axes.plot(score, height, "o", **(UNSEEN if name == "folds" else SHARED))
        _draw_number(axes, score, height)
    if row["folds"]:
        interval = [100 * value for value in row["folds"]["uar_interval"]]
        axes.plot(interval, [height] * 2, color=UNSEEN["color"], linewidth=5, alpha=0.3, solid_capstyle="butt")


def _draw_number(axes: Any, score: float, height: int, *, below: bool = False, color: str = DARK) -> None:
    """The number above its mark, or below; white behind it, so that no line runs through."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85}
    place: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "top" if below else "bottom"}
    axes.annotate(
        f"{score:.1f}", (score, height), (0, -6 if below else 5.5), fontsize=8, color=color, bbox=box, **place
    )


def _draw_lines(axes: Any, board: dict[str, Any]) -> None:
    """Listeners and the anchors that have a short name, labelled above in pairs: one to the left, one to the right."""
    listeners = board["listeners"]
    lines = [(listeners["accuracy"], listeners["title"])]
    lines += [(anchor["uar"], anchor["short"]) for anchor in board["anchors"] if "short" in anchor]
    for place, (value, name) in enumerate(sorted(lines)):
        human = name == listeners["title"]
        axes.axvline(100 * value, color=DARK, linewidth=1, linestyle="-" if human else ":", alpha=0.7, zorder=0)
        axes.annotate(
            f"{name} {100 * value:.1f}",
            (100 * value, 1),
            (-3 if place % 2 == 0 else 3, 3 + 12 * (place // 2)),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if place % 2 == 0 else "left",
            fontsize=8.5,
            color=DARK,
        )


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], marker="o", linestyle="", label="unseen actors, 95 % interval", **UNSEEN),
        Line2D([], [], marker="o", linestyle="", label="random 80/20, inflated", **SHARED),
        Line2D([], [], marker="x", linestyle="", label="own claim (accuracy)", **CLAIM),
        Line2D([], [], marker="|", linestyle="", label="chance", color=PALE, markersize=10),
    ]
