"""A page about a decision, and its three readings: text, markdown, HTML.

A page is made of ready texts, so every format says the same.
"""

from __future__ import annotations

import html
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH = 100
GOOD, BAD, UNSURE = "good", "bad", "unsure"
TONES = {
    "PASS": GOOD,
    "GO": GOOD,
    "HELD": GOOD,
    "BLOCK": BAD,
    "NO-GO": BAD,
    "BREACH": BAD,
    "MISSING": BAD,
    "BROKE": BAD,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they are."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A titled table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    """A titled list."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Differences with their intervals on one axis, and where the limit lies."""

    title: str
    rows: tuple[tuple[str, float, float, float], ...]
    """Name, lower end, middle, upper end; ends may be infinite."""
    limit: float | None = None
    """Drawn as a line, at minus this value."""


Block = Facts | Grid | Points | Plot


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    title: str
    verdict: str
    sentence: str
    """Why, in one sentence."""
    blocks: tuple[Block, ...]


def to_text(page: Page) -> str:
    """For a terminal: the verdict first, 100 columns."""
    parts = [
        f"{page.title}\n",
        *textwrap.wrap(f"{page.verdict}: {page.sentence}", WIDTH, subsequent_indent="  "),
    ]
    for block in page.blocks:
        lines = list(_text_block(block))
        if lines:
            parts += ["", *lines]
    return "\n".join(parts) + "\n"


def to_markdown(page: Page, level: int = 1) -> str:
    """For a merge request."""
    mark = "#" * level
    parts = [f"{mark} {_md(page.title)}", "", f"**{page.verdict}** — {_md(page.sentence)}"]
    for block in page.blocks:
        lines = list(_md_block(block, mark + "#"))
        if lines:
            parts += ["", *lines]
    return "\n".join(parts) + "\n"


def tone(word: str) -> str:
    """Good, bad, or neither."""
    return TONES.get(word, UNSURE)


def _text_block(block: Block) -> Iterator[str]:
    if isinstance(block, Facts):
        wide = max((len(name) for name, _ in block.rows), default=0)
        for name, value in block.rows:
            yield from textwrap.wrap(
                f"{name:<{wide}}  {value}",
                WIDTH,
                initial_indent="  ",
                subsequent_indent=" " * (wide + 4),
            )
    elif isinstance(block, Points):
        if block.items:
            yield block.title
        for item in block.items:
            yield from textwrap.wrap(item, WIDTH, initial_indent="  - ", subsequent_indent="    ")
    elif isinstance(block, Grid) and block.rows:
        yield block.title
        yield from _aligned([block.columns, *block.rows])
        if block.note:
            yield f"  {block.note}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns under their heads; those of numbers to the right."""
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    right = _numeric(cells[1:])
    for row in cells:
        line = "  ".join(
            f"{cell:>{width}}" if flush else f"{cell:<{width}}"
            for cell, width, flush in zip(row, widths, right, strict=True)
        )
        yield f"  {line}".rstrip()


def _numeric(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns hold nothing but numbers; the first holds names."""
    columns = range(len(rows[0])) if rows else range(0)
    return [i > 0 and all(_is_number(row[i]) for row in rows if row[i]) for i in columns]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?[\d,.]+ ?%?|\[[-+\d., ∞]+\]|—", text) is not None


def _md_block(block: Block, mark: str) -> Iterator[str]:
    if isinstance(block, Facts):
        yield "| | |"
        yield "|---|---|"
        yield from (f"| {_md(name)} | {_md(value)} |" for name, value in block.rows)
    elif isinstance(block, Points):
        if block.items:
            yield from (f"{mark} {_md(block.title)}", "")
        yield from (f"- {_md(item)}" for item in block.items)
    elif isinstance(block, Grid) and block.rows:
        yield from (f"{mark} {_md(block.title)}", "")
        yield "| " + " | ".join(_md(column) for column in block.columns) + " |"
        yield "|" + "---|" * len(block.columns)
        yield from ("| " + " | ".join(_md(cell) for cell in row) + " |" for row in block.rows)
        if block.note:
            yield from ("", _md(block.note))


def _md(text: str) -> str:
    """One line in which nothing is markup."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))


def to_html(page: Page) -> str:
    """The body of a page; ``html_document`` makes a file of one or several."""
    mark = f'<span class="verdict {tone(page.verdict)}">{html.escape(page.verdict)}</span>'
    parts = [
        f"<h1>{html.escape(page.title)}</h1>",
        f"<p class=sentence>{mark} {html.escape(page.sentence)}</p>",
    ]
    return "\n".join([*parts, *(part for block in page.blocks for part in _html_block(block))])


def _html_block(block: Block) -> Iterator[str]:
    if isinstance(block, Facts):
        rows = "".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
            for name, value in block.rows
        )
        yield f"<dl>{rows}</dl>"
    elif isinstance(block, Points) and block.items:
        items = "".join(f"<li>{html.escape(item)}</li>" for item in block.items)
        yield f"<h2>{html.escape(block.title)}</h2><ul>{items}</ul>"
    elif isinstance(block, Plot) and block.rows:
        yield f"<h2>{html.escape(block.title)}</h2><div class=wide>{_forest(block)}</div>"
    elif isinstance(block, Grid) and block.rows:
        right = _numeric(block.rows)
        head = "".join(
            f"<th{_side(flush)}>{html.escape(column)}</th>"
            for column, flush in zip(block.columns, right, strict=True)
        )
        body = "\n".join("<tr>" + "".join(map(_cell, row, right)) + "</tr>" for row in block.rows)
        note = f"<p class=note>{html.escape(block.note)}</p>" if block.note else ""
        yield (
            f"<h2>{html.escape(block.title)}</h2><div class=wide><table><thead><tr>{head}</tr>"
            f"</thead><tbody>{body}</tbody></table></div>{note}"
        )


def _side(right: bool) -> str:
    return " class=number" if right else ""


def _cell(text: str, right: bool) -> str:
    if text in TONES or text in ("WARN", "INCONCLUSIVE", "INSUFFICIENT_EVIDENCE"):
        return f'<td><span class="verdict {tone(text)}">{html.escape(text)}</span></td>'
    return f"<td{_side(right)}>{html.escape(text)}</td>"


def _forest(plot: Plot) -> str:
    """Bars of intervals around their middles; what is beyond the axis ends at its edge."""
    ends = [x for _, *row in plot.rows for x in row if abs(x) != float("inf")]
    reach = max([abs(x) for x in ends] + [plot.limit or 0.0, 1e-6]) * 1.1
    wide, left, top, high = 640, 180, 18, 26
    bottom = top + high * len(plot.rows)

    def at(x: float) -> float:
        return left + (min(max(x, -reach), reach) + reach) / (2 * reach) * (wide - left - 20)

    def upright(kind: str, x: float) -> str:
        return f'<line class="{kind}" x1="{at(x):.1f}" x2="{at(x):.1f}" y1="{top}" y2="{bottom}"/>'

    def label(x: float, y: float, text: str, kind: str = "tick") -> str:
        where = f'x="{at(x):.1f}" y="{y}" text-anchor="middle"'
        return f'<text class="{kind}" {where}>{html.escape(text)}</text>'

    parts = [
        f'<svg viewBox="0 0 {wide} {bottom + 22}" role="img" '
        f'aria-label="{html.escape(plot.title)}">'
    ]
    for x in _ticks(reach):
        parts += [upright("axis" if x == 0 else "grid", x), label(x, bottom + 16, f"{x:g}")]
    if plot.limit:
        name = f"allowed {-plot.limit:g}"
        parts += [upright("limit", -plot.limit), label(-plot.limit, 12, name, "tick bad")]
    for i, (name, low, middle, upper) in enumerate(plot.rows):
        y = top + high * i + high / 2
        kind = BAD if upper < 0 else GOOD if low > 0 else UNSURE
        shown = name if len(name) <= 26 else name[:25] + "…"
        parts += [
            f'<text x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{html.escape(shown)}</text>',
            f'<line class="bar {kind}" x1="{at(low):.1f}" x2="{at(upper):.1f}" y1="{y}" y2="{y}"/>',
            f'<circle class="{kind}" cx="{at(middle):.1f}" cy="{y}" r="4"/>',
        ]
    return "".join([*parts, "</svg>"])


def _ticks(reach: float) -> list[float]:
    """Round numbers on both sides of 0, two or so on each."""
    power = 10.0 ** math.floor(math.log10(reach))
    step = next(m * power for m in (0.5, 1, 2.5, 5) if reach / (m * power) < 3.2)
    count = int(reach / step)
    return [round(i * step, 12) for i in range(-count, count + 1)]


def html_document(title: str, bodies: Sequence[str]) -> str:
    """One self-contained file, light or dark as the reader's system is."""
    return (
        f"{_HEAD.replace('TITLE', html.escape(title))}\n" + "\n".join(bodies) + "\n</body></html>\n"
    )


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif;
  --line: #8883; --soft: #666; --good: #1a7f37; --bad: #cf222e; --unsure: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --soft: #aaa; --good: #3fb950; --bad: #ff7b72;
  --unsure: #d29922; } }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 2rem 0 .5rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
.sentence { font-size: 1.05rem; }
.verdict { font-weight: 600; padding: .1rem .5rem; border-radius: .3rem; border: 1px solid;
  white-space: nowrap; font-size: .9em; }
.good { color: var(--good); stroke: var(--good); } .bad { color: var(--bad); stroke: var(--bad); }
.unsure { color: var(--unsure); stroke: var(--unsure); }
circle.good { fill: var(--good); } circle.bad { fill: var(--bad); }
circle.unsure { fill: var(--unsure); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93em;
  overflow-wrap: normal; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; } .note { color: var(--soft); }
svg { width: 100%; max-width: 44rem; min-width: 30rem; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; stroke: none; }
svg .tick { fill: var(--soft); } .grid { stroke: var(--line); }
svg .tick.bad { fill: var(--bad); stroke: none; }
.axis { stroke: var(--soft); }
.limit { stroke: var(--bad); stroke-dasharray: 4 3; } .bar { stroke-width: 3; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; } }
</style></head><body>"""
