"""The common style of all figures: colours, and axes without a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, RED, ORANGE = "#3969AC", "#CF1C54", "#E68310"
DARK, GREY = "#1f2937", "#8A8F98"


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **layout: Any) -> tuple[Figure, Any]:
    """Return a figure (inches) without the global state of pyplot, and its axes, shape (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, **layout)
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels
