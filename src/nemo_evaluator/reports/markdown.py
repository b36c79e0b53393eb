"""A report as markdown. What another format draws stands here as a table or a sentence."""

from __future__ import annotations

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
from .escape import markdown, markdown_block
from .tables import markdown_table

MARKS = {Tone.BAD: "**Warning:** ", Tone.UNSURE: "**Note:** "}


def to_markdown(document: Document) -> str:
    """The whole report."""
    parts = [f"# {markdown(document.title)}"]
    badges = " · ".join(f"**{markdown(text)}**" for _, text in document.badges)
    parts.append(" — ".join(filter(None, (badges, markdown(document.lead)))))
    parts += _blocks(document.blocks)
    for section in document.sections:
        parts.append(f"## {markdown(section.title)}")
        if section.lead:
            parts.append(markdown(section.lead))
        parts += _blocks(section.blocks)
    if document.footer:
        parts.append(markdown(document.footer))
    return "\n\n".join(filter(None, parts)) + "\n"


@singledispatch
def block_lines(block: Block) -> Iterator[str]:
    """The lines of a block, without its heading; none where there is nothing to show."""
    raise TypeError(type(block))


@block_lines.register
def _(block: Facts) -> Iterator[str]:
    yield from (f"- {markdown(name)}: {markdown(value)}" for name, value in block.rows)


@block_lines.register
def _(block: Figures) -> Iterator[str]:
    for item in block.items:
        note = f" ({markdown(item.note)})" if item.note else ""
        yield f"- {markdown(item.name)}: **{markdown(item.value)}**{note}"


@block_lines.register
def _(block: Notices) -> Iterator[str]:
    yield from (f"- {MARKS.get(tone, '')}{markdown(text)}" for tone, text in block.items)


@block_lines.register
def _(block: Table) -> Iterator[str]:
    if block.rows:
        yield from markdown_table(block.columns, block.rows, code=block.code)
        yield from _note(block.note)


@block_lines.register
def _(block: Forest) -> Iterator[str]:
    if block.rows:
        yield from markdown_table(block.columns, [(row.name, *row.cells) for row in block.rows])
        yield from _note(block.note)


@block_lines.register
def _(block: Histogram) -> Iterator[str]:
    yield markdown(histogram_text(block))


@block_lines.register
def _(block: Columns) -> Iterator[str]:
    yield markdown(columns_text(block))
    yield from _note(block.note)


@block_lines.register
def _(block: Shares) -> Iterator[str]:
    if any(count for _, count, _ in block.parts):
        yield markdown(shares_text(block))
        yield from _note(block.note)


@block_lines.register
def _(block: Words) -> Iterator[str]:
    yield from markdown_block(block.text)
    yield from _note(block.note)


@block_lines.register
def _(block: SampleList) -> Iterator[str]:
    yield markdown(samples_text(block))


def _blocks(blocks: tuple[Block, ...]) -> Iterator[str]:
    for block in blocks:
        lines = "\n".join(block_lines(block))
        if lines:
            title = getattr(block, "title", "")
            yield f"### {markdown(title)}\n\n{lines}" if title else lines


def _note(text: str) -> Iterator[str]:
    if text:
        yield from ("", markdown(text))
