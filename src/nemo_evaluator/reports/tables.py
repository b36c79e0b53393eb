"""Tables of ready texts in every format."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Sequence

from markupsafe import Markup

from .escape import csv_text, latex, markdown, markdown_code, one_line

Row = Sequence[str]
LONG = 24
"""A name of more characters may be broken into lines."""
NARROW = 4
"""Columns that have room on a phone."""
_NUMBER = re.compile(
    r"[-+−]?[\d,.]+( of [\d,]+| ?(%|ms|s|min|h|USD|k|M|tok/s|/s))?|\[[-+−\d., ∞]+\]"
    r"|[-+−]?[\d.]+ to [-+−]?[\d.]+|[\d.]+e[-+]\d+|—|no score"
)


def number_columns(rows: Sequence[Row]) -> list[bool]:
    """Which columns hold nothing but numbers (with units, intervals); the first holds names."""
    columns = range(len(rows[0])) if rows else range(0)
    return [
        i > 0
        and any(row[i] for row in rows)
        and all(_NUMBER.fullmatch(row[i]) for row in rows if row[i])
        for i in columns
    ]


def _flush_right(columns: Row, rows: Sequence[Row], code: Collection[int]) -> list[bool]:
    """Which columns stand at the right, their names included: numbers that are no model's words."""
    numbers = number_columns(rows) or [False] * len(columns)
    return [number and i not in code for i, number in enumerate(numbers)]


def text_table(columns: Row, rows: Sequence[Row], *, gap: str = "  ") -> Iterator[str]:
    """Aligned lines for a terminal."""
    cells = [[one_line(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    right = number_columns(cells[1:]) or [False] * len(columns)
    for row in cells:
        yield gap.join(
            f"{cell:>{width}}" if flush else f"{cell:<{width}}"
            for cell, width, flush in zip(row, widths, right, strict=True)
        ).rstrip()


def markdown_table(
    columns: Row, rows: Sequence[Row], *, code: Collection[int] = ()
) -> Iterator[str]:
    """Lines of a GitHub table; the columns in ``code`` hold words of a model."""
    right = _flush_right(columns, rows, code)
    kinds: list[Callable[[str], str]] = [
        markdown_code if i in code else markdown for i in range(len(columns))
    ]
    yield _piped(map(markdown, columns))
    yield _piped("---:" if flush else "---" for flush in right)
    for row in rows:
        yield _piped(kind(cell) for kind, cell in zip(kinds, row, strict=True))


def latex_table(columns: Row, rows: Sequence[Row]) -> Iterator[str]:
    """Lines of a ``booktabs`` tabular."""
    right = number_columns(rows) or [False] * len(columns)
    yield r"\begin{tabular}{" + "".join("r" if flush else "l" for flush in right) + "}"
    yield r"\toprule"
    yield " & ".join(map(latex, columns)) + r" \\"
    yield r"\midrule"
    for row in rows:
        yield " & ".join(map(latex, row)) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"


def csv_table(columns: Row, rows: Sequence[Sequence[str | float | int | bool | None]]) -> str:
    """A CSV document; None is an empty cell, a number has six decimals, a text is no formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def html_table(columns: Row, rows: Sequence[Row], *, code: Collection[int] = ()) -> Markup:
    """A table in a box of its own. Where the page is narrow, the box scrolls; a table of many
    columns becomes a list of cells under the name of its row."""
    right = _flush_right(columns, rows, code)
    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(_class(name, flush), name)
        for name, flush in zip(columns, right, strict=True)
    )
    body = Markup("\n").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                _html_cell(columns[i], i, cell, right[i], i in code) for i, cell in enumerate(row)
            )
        )
        for row in rows
    )
    kind = Markup(' class="stack"') if len(columns) > NARROW else Markup("")
    return Markup(
        '<div class="wide" tabindex="0"><table{}><thead><tr>{}</tr></thead>\n<tbody>{}</tbody>'
        "</table></div>"
    ).format(kind, head, body)


def _html_cell(column: str, position: int, text: str, number: bool, code: bool) -> Markup:
    if position == 0:
        return Markup('<th scope="row"{}>{}</th>').format(_class(text, False), text)
    if code:
        return Markup('<td class="words" data-name="{}"><code>{}</code></td>').format(column, text)
    return Markup('<td{} data-name="{}">{}</td>').format(_class(text, number), column, text)


def _class(text: str, number: bool) -> Markup:
    """Numbers stand at the right; long names may be broken anywhere."""
    if number:
        return Markup(' class="number"')
    return Markup(' class="long"') if len(text) > LONG else Markup("")


def _piped(cells: Iterator[str] | map[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _csv_cell(cell: str | float | int | bool | None) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return f"{cell:.6f}"
    return csv_text(cell) if isinstance(cell, str) else str(cell)
