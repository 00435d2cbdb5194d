"""Pictures for the model card and the notebook, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.types import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

History = dict[str, list[float]]


def write_figures(folder: Path, manifest: dict[str, Any], curves: Sequence[History]) -> None:
    """Confusion matrix, recall per emotion, speakers and training curves as PNG files in `folder`."""
    folder.mkdir(exist_ok=True)
    scores = manifest["metrics"]["folds"]
    figures = {
        "confusion": confusion(scores["confusion"], manifest["labels"]),
        "recall": recall(scores["recall"]),
        "speakers": speakers(scores["uar_by_speaker"]),
        "training": training_curves(curves),
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
            lines = np.array([curve[key] for curve in curves])
            epochs = np.arange(1, lines.shape[1] + 1)
            axes.plot(epochs, lines.T, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(epochs, lines.mean(axis=0), color=colour, linewidth=2, label=name)
        axes.set(xlabel="epoch", ylabel=quantity)
    panels[0].legend(frameon=False)
    return figure


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Any]:
    """A figure without the global state of pyplot, and its axes without a box."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns)
    for panel in np.atleast_1d(axes):
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes
