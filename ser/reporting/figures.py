"""Pictures for the model card and the notebook, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.metrics import ECE_BINS
from ser.types import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

History = dict[str, list[float]]


def write_figures(folder: Path, manifest: dict[str, Any], curves: Sequence[History]) -> None:
    """Confusion matrix, recall per emotion, speakers and training curves as PNG files in `folder`.

    Reliability and coverage too, where the manifest holds them.
    """
    folder.mkdir(exist_ok=True)
    scores = manifest["metrics"]["folds"]
    figures = {
        "confusion": confusion(scores["confusion"], manifest["labels"]),
        "recall": recall(scores["recall"]),
        "speakers": speakers(scores["uar_by_speaker"]),
        "training": training_curves(curves),
    }
    figures |= {
        name: draw(**manifest["metrics"][name])
        for name, draw in (("reliability", reliability), ("coverage", risk_coverage))
        if manifest["metrics"].get(name)
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Rows are true emotions and sum to 100 %; columns are answers."""
    figure, axes = _figure(6.2, 5.4)
    counts = np.asarray(matrix, float)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 55 else "#1f2937"
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="answered", ylabel="meant by the speaker", title="Unseen speakers, per cent of each emotion")
    axes.spines[:].set_visible(False)
    return figure


def recall(recalls: dict[str, float | None]) -> Figure:
    """Share of each emotion that was answered right."""
    figure, axes = _figure(6.2, 3.4)
    labels = list(recalls)
    values = [100 * (value or 0) for value in recalls.values()]
    bars = axes.barh(labels, values, color=[COLOURS[label] for label in labels])
    axes.bar_label(bars, fmt="%.0f %%", padding=4)
    axes.set(xlim=(0, 100), xlabel="recall on unseen speakers, %")
    axes.invert_yaxis()
    return figure


def speakers(uar_by_speaker: dict[str, float]) -> Figure:
    """UAR of every speaker, each answered by a network that never heard the speaker."""
    figure, axes = _figure(7.2, 3.2)
    names = [name.rsplit("/", 1)[-1] for name in uar_by_speaker]
    values = [100 * value for value in uar_by_speaker.values()]
    axes.bar(names, values, color="#3969AC")
    axes.axhline(float(np.mean(values)), color="#CF1C54", linewidth=1)
    axes.set(ylim=(0, 100), xlabel="speaker", ylabel="UAR, %")
    axes.tick_params(axis="x", labelrotation=90 if len(names) > 12 else 0)
    return figure


def training_curves(curves: Sequence[History]) -> Figure:
    """Loss and accuracy by epoch: thin lines for the folds, thick for their mean; training is noisy and mixed."""
    figure, panels = _figure(8.6, 3.2, columns=2)
    for axes, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        for key, colour, name in ((quantity, "#8A8F98", "training"), (f"val_{quantity}", "#3969AC", "inner speakers")):
            if key not in curves[0]:  # networks that nobody watched
                continue
            lines = np.array([curve[key] for curve in curves])
            epochs = np.arange(1, lines.shape[1] + 1)
            axes.plot(epochs, lines.T, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(epochs, lines.mean(axis=0), color=colour, linewidth=2, label=name)
        axes.set(xlabel="epoch", ylabel=quantity)
    panels[0].legend(frameon=False)
    return figure


def reliability(confidence: Sequence[float], accuracy: Sequence[float], count: Sequence[int]) -> Figure:
    """How often answers of each confidence were right: on the diagonal where it keeps its word; answers below."""
    figure, (axes, below) = _figure(5.2, 5.4, rows=2, height_ratios=(4, 1), sharex=True)
    stated, right = 100 * np.asarray(confidence), 100 * np.asarray(accuracy)
    width = 100 / ECE_BINS
    axes.plot((0, 100), (0, 100), color="#8A8F98", linewidth=1, linestyle="--")
    axes.vlines(stated, stated, right, color="#CF1C54", alpha=0.35, linewidth=6)
    axes.plot(stated, right, color="#3969AC", linewidth=2, marker="o", markersize=5, clip_on=False)
    below.bar((np.floor(stated / width) + 0.5) * width, count, width=0.9 * width, color="#8A8F98")
    error = np.average(np.abs(stated - right), weights=count)
    axes.text(4, 94, f"calibration error {error:.1f} %")
    axes.set(xlim=(0, 100), ylim=(0, 100), ylabel="right on unseen speakers, %")
    below.set(xlabel="stated confidence, %", ylabel="answers")
    return figure


def risk_coverage(coverage: Sequence[float], accuracy: Sequence[float]) -> Figure:
    """How often the answers given are right when only the surest share of them is given."""
    figure, axes = _figure(6.2, 3.6)
    given, right = 100 * np.asarray(coverage), 100 * np.asarray(accuracy)
    axes.plot(given, right, color="#3969AC", linewidth=2)
    for level, what in ((50, "the surest half"), (100, "all")):
        point = given[given >= level - 1e-9][0], right[given >= level - 1e-9][0]
        axes.plot(*point, "o", color="#CF1C54", clip_on=False)
        axes.annotate(f"{point[1]:.0f} % of {what}", point, (-4, -16), textcoords="offset points", ha="right")
    low = 10 * np.floor(max(right.min() - 8, 0) / 10)
    axes.set(xlim=(0, 100), ylim=(low, 101), xlabel="answers given, the surest first, %", ylabel="right, %")
    return figure


def robustness(report: dict[str, Any]) -> Figure:
    """UAR under each distortion of `ser.evaluation.robustness`, with its interval, and the least that is allowed."""
    rows = report["rows"]
    figure, axes = _figure(7.2, 0.42 * len(rows) + 1.2)
    scores = 100 * np.array([row["uar"] for row in rows])
    low, high = 100 * np.array([row["uar_interval"] for row in rows]).T
    colours = ["#CF1C54" if row["holds"] is False else "#3969AC" if row["holds"] else "#8A8F98" for row in rows]
    axes.barh([row["name"] for row in rows], scores, color=colours, height=0.7)
    axes.errorbar(scores, range(len(rows)), xerr=(scores - low, high - scores), fmt="none", ecolor="#1f2937", capsize=3)
    for place, score in enumerate(scores):
        axes.text(1, place, f"{score:.1f} %", color="white", va="center", fontsize=9)
    axes.axvline(scores[0] - 100 * report["allowed_loss"], color="#1f2937", linewidth=1, linestyle="--")
    axes.set(xlim=(0, 100), xlabel="UAR on unseen speakers, %, with 95 % interval; dashed: the least allowed")
    axes.invert_yaxis()
    return figure


def _figure(width: float, height: float, columns: int = 1, rows: int = 1, **layout: Any) -> tuple[Figure, Any]:
    """A figure without the global state of pyplot, and its axes without a box."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, **layout)
    for panel in np.atleast_1d(axes):
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes
