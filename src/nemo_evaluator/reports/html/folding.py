"""Rows beyond the first few, in a part of the page that opens at a click."""

from __future__ import annotations

from typing import TypeVar

from markupsafe import Markup

Row = TypeVar("Row")


def split(rows: tuple[Row, ...], fold: int | None) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """What is shown and what is folded."""
    return (rows, ()) if fold is None else (rows[:fold], rows[fold:])


def folded(table: Markup, count: int) -> Markup:
    """A table of this many rows behind a line that opens it."""
    return Markup('<details class="more"><summary>{:,} more</summary>{}</details>').format(
        count, table
    )
