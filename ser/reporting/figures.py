"""Figures of the model card, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.metrics import ECE_BINS
from ser.reporting.style import BLUE, DARK, GREY, RED, new_figure
from ser.types import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

History = dict[str, list[float]]


def write_figures(folder: Path, manifest: dict[str, Any], curves: Sequence[History]) -> None:
    """Write a PNG file for each figure into `folder`; reliability and coverage if the manifest has them."""
    folder.mkdir(exist_ok=True)
    scores = manifest["metrics"]["folds"]
    figures = {
        "confusion": confusion(scores["confusion"], manifest["labels"]),
        "recall": emotion_bars(scores["recall"], "recall on unseen speakers, %", 3.4),
        "speakers": speakers(scores["uar_by_speaker"]),
        "training": training_curves(curves),
    }
    for name, draw in (("reliability", reliability), ("coverage", risk_coverage)):
        if manifest["metrics"].get(name):
            figures[name] = draw(**manifest["metrics"][name])
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Draw the confusion matrix: rows are true emotions and sum to 100 %, columns are predictions."""
    figure, [[axes]] = new_figure(6.2, 5.4)
    counts = np.asarray(matrix, float)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 55 else DARK
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="intended by the speaker", title="Unseen speakers, per cent of each emotion")
    axes.spines[:].set_visible(False)
    return figure


def emotion_bars(fractions: Mapping[str, float | None], xlabel: str, height: float) -> Figure:
    """Draw a fraction of each emotion in per cent; None counts as 0."""
    figure, [[axes]] = new_figure(6.2, height)
    values = [100 * (value or 0) for value in fractions.values()]
    bars = axes.barh(list(fractions), values, color=[COLOURS[label] for label in fractions])
    axes.bar_label(bars, fmt="%.0f %%", padding=4)
    axes.set(xlim=(0, 100), xlabel=xlabel)
    axes.invert_yaxis()
    return figure


def speakers(uar_by_speaker: dict[str, float]) -> Figure:
    """Draw the UAR of every speaker by the network that was trained without the speaker."""
    figure, [[axes]] = new_figure(7.2, 3.2)
    names = [name.rsplit("/", 1)[-1] for name in uar_by_speaker]
    values = [100 * value for value in uar_by_speaker.values()]
    axes.bar(names, values, color=BLUE)
    axes.axhline(float(np.mean(values)), color=RED, linewidth=1)
    axes.set(ylim=(0, 100), xlabel="speaker", ylabel="UAR, %")
    axes.tick_params(axis="x", labelrotation=90 if len(names) > 12 else 0)
    return figure


def training_curves(curves: Sequence[History]) -> Figure:
    """Draw loss and accuracy by epoch: thin lines for the folds, thick for their mean."""
    figure, [panels] = new_figure(8.6, 3.2, columns=2)
    for axes, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        for key, colour, name in ((quantity, GREY, "training"), (f"val_{quantity}", BLUE, "inner speakers")):
            if key not in curves[0]:  # trained without validation
                continue
            lines = np.array([curve[key] for curve in curves])
            epochs = np.arange(1, lines.shape[1] + 1)
            axes.plot(epochs, lines.T, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(epochs, lines.mean(axis=0), color=colour, linewidth=2, label=name)
        axes.set(xlabel="epoch", ylabel=quantity)
    panels[0].legend(frameon=False)
    return figure


def reliability(confidence: Sequence[float], accuracy: Sequence[float], count: Sequence[int]) -> Figure:
    """Draw the accuracy by confidence (perfect calibration is the diagonal), and the number of answers below."""
    figure, [[axes], [below]] = new_figure(5.2, 5.4, rows=2, height_ratios=(4, 1), sharex=True)
    stated, right = 100 * np.asarray(confidence), 100 * np.asarray(accuracy)
    width = 100 / ECE_BINS
    axes.plot((0, 100), (0, 100), color=GREY, linewidth=1, linestyle="--")
    axes.vlines(stated, stated, right, color=RED, alpha=0.35, linewidth=6)
    axes.plot(stated, right, color=BLUE, linewidth=2, marker="o", markersize=5, clip_on=False)
    below.bar((np.floor(stated / width) + 0.5) * width, count, width=0.9 * width, color=GREY)
    error = np.average(np.abs(stated - right), weights=count)
    axes.text(4, 94, f"calibration error {error:.1f} %")
    axes.set(xlim=(0, 100), ylim=(0, 100), ylabel="correct on unseen speakers, %")
    below.set(xlabel="confidence, %", ylabel="answers")
    return figure


def risk_coverage(coverage: Sequence[float], accuracy: Sequence[float]) -> Figure:
    """Draw the accuracy of the most confident share of the answers."""
    figure, [[axes]] = new_figure(6.2, 3.6)
    given, right = 100 * np.asarray(coverage), 100 * np.asarray(accuracy)
    axes.plot(given, right, color=BLUE, linewidth=2)
    for level, what in ((50, "the most confident half"), (100, "all")):
        point = given[given >= level - 1e-9][0], right[given >= level - 1e-9][0]
        axes.plot(*point, "o", color=RED, clip_on=False)
        axes.annotate(f"{point[1]:.0f} % of {what}", point, (-4, -16), textcoords="offset points", ha="right")
    low = 10 * np.floor(max(right.min() - 8, 0) / 10)
    axes.set(xlim=(0, 100), ylim=(low, 101), xlabel="share of answers, most confident first, %", ylabel="correct, %")
    return figure


def robustness(report: dict[str, Any]) -> Figure:
    """Draw the UAR under each distortion of `ser.evaluation.robustness` with its interval and the allowed minimum."""
    rows = report["rows"]
    figure, [[axes]] = new_figure(7.2, 0.42 * len(rows) + 1.2)
    scores = 100 * np.array([row["uar"] for row in rows])
    low, high = 100 * np.array([row["uar_interval"] for row in rows]).T
    colours = [{True: BLUE, False: RED, None: GREY}[row["holds"]] for row in rows]
    axes.barh([row["name"] for row in rows], scores, color=colours, height=0.7)
    axes.errorbar(scores, range(len(rows)), xerr=(scores - low, high - scores), fmt="none", ecolor=DARK, capsize=3)
    for row, score in enumerate(scores):
        axes.text(1, row, f"{score:.1f} %", color="white", va="center", fontsize=9)
    for place, row in enumerate(rows):
        if row["holds"] is not None:
            allowed = scores[0] - 100 * row["allowed_loss"]
            axes.plot([allowed, allowed], [place - 0.35, place + 0.35], color=DARK, linewidth=1, linestyle="--")
    axes.set(xlim=(0, 100), xlabel="UAR on unseen speakers, %, with 95 % interval; dashed: allowed minimum")
    axes.invert_yaxis()
    return figure
