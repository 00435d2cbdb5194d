"""Markdown tables and percentages."""

from __future__ import annotations

from ser.reporting.markdown import bare_percent, percent, table


def test_a_table_with_an_empty_cell():
    assert table(("a", ""), [("1", "2"), ("", "3")]) == "| a | |\n|---|---|\n| 1 | 2 |\n| | 3 |"


def test_percentages():
    assert percent(0.6744) == "67.4 %" and bare_percent(0.6744) == "67.4" and bare_percent(None) == "–"
