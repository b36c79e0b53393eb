"""A forest plot: a table with a plot in each row, all on one axis; on a phone a card per row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from .. import svg
from ..blocks import Forest, Interval
from ..tables import number_columns
from .folding import folded, split

LONG = 30
"""A name of more characters may be broken into lines."""
_NOTHING = Markup("")


def forest_html(block: Forest) -> Markup:
    """The plot; empty where there are no rows."""
    if not block.rows:
        return _NOTHING
    axis = _axis(block)
    first, rest = split(block.rows, block.fold)
    table = _table(block, axis, first)
    if rest:
        table += folded(_table(block, axis, rest), len(rest))
    note = Markup('<p class="note">{}</p>').format(block.note) if block.note else _NOTHING
    return table + note


def _axis(block: Forest) -> svg.Axis:
    """Holds every interval and every limit, of folded rows too."""
    ends = [
        end
        for row in block.rows
        for end in (row.lower, row.value, row.upper, row.limit)
        if end is not None
    ]
    ends += [x for x, held in ((block.limit, True), (0.0, block.zero)) if held and x is not None]
    return svg.axis_around(ends, within=block.within)


def _table(block: Forest, axis: svg.Axis, rows: Sequence[Interval]) -> Markup:
    right = number_columns([(row.name, *row.cells) for row in block.rows])[1:]
    sides = [Markup(' class="number"') if flush else _NOTHING for flush in right]
    body = _join(_row(axis, row, block, sides) for row in rows)
    kind = "forest verdicts" if block.status else "forest"
    return (
        Markup('<div class="wide" tabindex="0"><table class="{}"><thead><tr>{}</tr></thead>')
        + Markup('<tbody>{}</tbody><tfoot><tr><td></td><td class="plot">{}</td></tr></tfoot>')
        + Markup("</table></div>")
    ).format(kind, _head(block, sides), body, svg.scale(axis))


def _head(block: Forest, sides: list[Markup]) -> Markup:
    name, *others = block.columns
    cells = _join(
        Markup('<th scope="col"{}>{}</th>').format(side, other)
        for side, other in zip(sides, others, strict=True)
    )
    return Markup('<th scope="col">{}</th><th class="plot"></th>{}').format(name, cells)


def _row(axis: svg.Axis, row: Interval, block: Forest, sides: list[Markup]) -> Markup:
    drawn = svg.interval(
        axis,
        row.value,
        row.lower,
        row.upper,
        tone=row.tone.value,
        limit=block.limit if row.limit is None else row.limit,
        about=f"{row.name}: {' '.join(row.cells[:2])}",
    )
    cells = _join(
        Markup('<td{} data-name="{}">{}</td>').format(side, name, cell)
        for side, name, cell in zip(sides, block.columns[1:], _cells_of(block, row), strict=True)
    )
    kind = "long" if len(row.name) > LONG else "short"
    return Markup('<tr><th scope="row" class="{}">{}</th><td class="plot">{}</td>{}</tr>').format(
        kind, row.name, drawn, cells
    )


def _cells_of(block: Forest, row: Interval) -> Sequence[str]:
    """The cells; a verdict in its colour."""
    if not block.status:
        return row.cells
    word = Markup("_<wbr>").join(row.cells[0].split("_"))  # a long word may be broken
    badge = Markup('<span class="verdict {}">{}</span>').format(row.tone.value, word)
    return (badge, *row.cells[1:])


def _join(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
