"""The answer to a query as text: an aligned table, CSV or JSON, piece by piece."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain, islice

import msgspec

from ..reports.escape import csv_text, one_line
from ..results.tables import TABLES, Cell
from .query import Answer

WIDTH = 60
"""Characters of a cell in a table."""
MEASURED = 1000
"""Lines by which the widths of columns are chosen."""
BATCH = 1000


def written(answer: Answer, form: str) -> Iterator[str]:
    """``table``, ``csv``, ``json`` or ``jsonl``."""
    if form == "table":
        yield from _table(answer)
    elif form == "csv":
        yield from _csv(answer)
    else:
        yield from _json(answer, lines=form == "jsonl")


def described() -> str:
    """Every table with its columns."""
    parts = []
    for table in TABLES.values():
        parts.append(f"{table.name}: {table.about}\n")
        width = max(len(column.name) for column in table.columns)
        parts += [f"  {column.name:<{width}}  {column.type}\n" for column in table.columns]
    return "".join(parts)


def _table(answer: Answer) -> Iterator[str]:
    """Aligned columns; numbers to the right, long texts shortened."""
    first = list(islice(answer.rows, MEASURED))
    shown = [[_shown(cell) for cell in row] for row in first]
    heads = [one_line(name) for name in answer.columns]
    widths = [
        max([len(head), *(len(row[place]) for row in shown)]) for place, head in enumerate(heads)
    ]
    right = [
        all(isinstance(row[place], int | float) or row[place] is None for row in first)
        for place in range(len(heads))
    ]
    yield _line(heads, widths, right)
    yield "  ".join("-" * width for width in widths) + "\n"
    for row in shown:
        yield _line(row, widths, right)
    for cells in answer.rows:
        yield _line([_shown(cell) for cell in cells], widths, right)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [
        cell.rjust(width) if to_the_right else cell.ljust(width)
        for cell, width, to_the_right in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(parts).rstrip() + "\n"


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.6g}"
    text = one_line(cell) if isinstance(cell, str) else str(cell)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _csv(answer: Answer) -> Iterator[str]:
    rows = chain([answer.columns], answer.rows)
    while part := list(islice(rows, BATCH)):
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for row in part:
            writer.writerow([csv_text(cell) if isinstance(cell, str) else cell for cell in row])
        yield out.getvalue()


def _json(answer: Answer, *, lines: bool) -> Iterator[str]:
    encode = msgspec.json.Encoder().encode
    start, between, end = ("", "\n", "") if lines else ("[", ",\n ", "]\n")
    yield start
    for number, row in enumerate(answer.rows):
        text = encode(dict(zip(answer.columns, row, strict=True))).decode()
        yield (between if number and not lines else "") + text + ("\n" if lines else "")
    yield end
