"""Markdown: tables and percentages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NONE = "–"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join([_line(head), "|---" * len(head) + "|", *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|"


def percent(fraction: float) -> str:
    """Format a fraction in per cent with one decimal."""
    return f"{100 * fraction:.1f} %"


def bare_percent(fraction: float | None) -> str:
    """Format a fraction as `percent` does, without the sign; None as a dash."""
    return NONE if fraction is None else f"{100 * fraction:.1f}"
