"""A report for a terminal: 100 columns, what decides first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from functools import singledispatch

from .blocks import (
    Block,
    Columns,
    Document,
    Facts,
    Figures,
    Forest,
    Histogram,
    Notices,
    SampleList,
    Shares,
    Table,
    Tone,
    Words,
    columns_text,
    histogram_text,
    samples_text,
    shares_text,
)
from .escape import one_line, visible
from .tables import text_table

WIDTH = 100


def to_text(document: Document) -> str:
    """The whole report."""
    head = ", ".join(text for _, text in document.badges)
    lead = f"{head}: {document.lead}" if head and document.lead else head or document.lead
    parts = [
        one_line(document.title),
        "\n".join(textwrap.wrap(lead, WIDTH, subsequent_indent="  ")),
    ]
    parts += _blocks(document.blocks)
    for section in document.sections:
        title = one_line(section.title)
        lead = "\n".join(textwrap.wrap(section.lead, WIDTH))
        parts += [f"{title}\n{'-' * len(title)}", lead, *_blocks(section.blocks)]
    parts.append("\n".join(textwrap.wrap(document.footer, WIDTH)))
    return "\n\n".join(filter(None, parts)) + "\n"


def _blocks(blocks: tuple[Block, ...]) -> Iterator[str]:
    for block in blocks:
        lines = [f"  {line}" for line in block_text(block)]
        title = getattr(block, "title", "")
        if lines:
            yield "\n".join([one_line(title), *lines] if title else lines)


@singledispatch
def block_text(block: Block) -> Iterator[str]:
    """The lines of a block, without its heading; none where there is nothing to show."""
    raise TypeError(type(block))


@block_text.register
def _(block: Facts) -> Iterator[str]:
    wide = max((len(name) for name, _ in block.rows), default=0)
    for name, value in block.rows:
        yield from textwrap.wrap(
            f"{name:<{wide}}  {one_line(value)}", WIDTH - 2, subsequent_indent=" " * (wide + 2)
        )


@block_text.register
def _(block: Figures) -> Iterator[str]:
    for item in block.items:
        yield f"{item.name}: {item.value}" + (f" ({item.note})" if item.note else "")


@block_text.register
def _(block: Notices) -> Iterator[str]:
    for tone, text in block.items:
        mark = "" if tone is Tone.PLAIN else "warning: "
        yield from textwrap.wrap(f"{mark}{one_line(text)}", WIDTH - 2, subsequent_indent="  ")


@block_text.register
def _(block: Table) -> Iterator[str]:
    if block.rows:
        yield from text_table(block.columns, block.rows)
        yield from textwrap.wrap(block.note, WIDTH - 2)


@block_text.register
def _(block: Forest) -> Iterator[str]:
    if block.rows:
        yield from text_table(block.columns, [(row.name, *row.cells) for row in block.rows])
        yield from textwrap.wrap(block.note, WIDTH - 2)


@block_text.register
def _(block: Histogram) -> Iterator[str]:
    yield from textwrap.wrap(histogram_text(block), WIDTH - 2)


@block_text.register
def _(block: Columns) -> Iterator[str]:
    yield from textwrap.wrap(columns_text(block), WIDTH - 2)


@block_text.register
def _(block: Shares) -> Iterator[str]:
    yield from textwrap.wrap(shares_text(block), WIDTH - 2)


@block_text.register
def _(block: Words) -> Iterator[str]:
    for line in visible(block.text).splitlines():
        yield from textwrap.wrap(line, WIDTH - 4, initial_indent="  ", subsequent_indent="  ") or [
            ""
        ]
    yield from textwrap.wrap(block.note, WIDTH - 2)


@block_text.register
def _(block: SampleList) -> Iterator[str]:
    yield from textwrap.wrap(samples_text(block), WIDTH - 2)
