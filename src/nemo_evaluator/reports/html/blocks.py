"""Blocks of a report as HTML. Texts are escaped by ``Markup.format``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch

from markupsafe import Markup

from .. import svg
from ..blocks import (
    Block,
    Columns,
    Document,
    Facts,
    Figures,
    Forest,
    Histogram,
    Notices,
    Sample,
    SampleList,
    Section,
    Shares,
    Table,
    Tone,
    Words,
    columns_text,
    histogram_text,
    shares_text,
)
from ..escape import anchor, visible
from ..tables import html_table
from .folding import folded, split
from .forest import forest_html
from .page import html_page

_NOTHING = Markup("")
PAPER = Markup(
    '<p class="note paper">The details of each benchmark are in the file of this page.</p>'
)


def to_html(document: Document) -> str:
    """A report as one file."""
    parts = [
        Markup("<header><h1>{}</h1>{}</header>").format(document.title, _badges(document)),
        inner_html(document),
        _NOTHING if document.printed else PAPER,
        Markup(
            '<div class="sign" aria-hidden="true"><span>Name</span><span>Signature</span>'
            "<span>Date</span></div>"
        ),
        Markup("<footer>{}</footer>").format(document.footer),
    ]
    return html_page(document.title, Markup("\n").join(filter(None, parts)))


def inner_html(document: Document) -> Markup:
    """A report between its heading and its foot, for a page that has its own."""
    anchors = Anchors()
    sections = [(section, anchors.new(section.title)) for section in document.sections]
    parts = [
        Markup('<p class="verdict-lead">{}</p>').format(document.lead) if document.lead else "",
        *_blocks(document.blocks, anchors),
        _contents([(section.title, name) for section, name in sections]),
        *(_section(section, name, anchors, document.printed) for section, name in sections),
    ]
    return Markup("\n").join(filter(None, parts))


class Anchors:
    """Ids of headings, each once."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}

    def new(self, title: str) -> str:
        """An id made of the title."""
        name = anchor(title)
        count = self._given[name] = self._given.get(name, 0) + 1
        return name if count == 1 else self.new(f"{title} {count}")


def heading(level: int, title: str, name: str) -> Markup:
    """A heading that can be linked to."""
    link = Markup('<a class="anchor" href="#{}" aria-label="Link to this part">#</a>').format(name)
    return Markup('<h{0} id="{1}">{2} {3}</h{0}>').format(level, name, title, link)


@singledispatch
def block_html(block: Block) -> Markup:
    """One block, without its heading. Empty where there is nothing to show."""
    raise TypeError(type(block))


@block_html.register
def _(block: Facts) -> Markup:
    rows = _join(Markup("<dt>{}</dt><dd>{}</dd>").format(*row) for row in block.rows)
    return Markup('<dl class="facts">{}</dl>').format(rows) if block.rows else _NOTHING


@block_html.register
def _(block: Figures) -> Markup:
    items = _join(
        Markup(
            '<div class="figure {}"><div class="name">{}</div><div class="value">{}</div>{}</div>'
        ).format(
            item.tone.value,
            item.name,
            item.value,
            Markup('<div class="aside">{}</div>').format(item.note) if item.note else "",
        )
        for item in block.items
    )
    return Markup('<div class="figures">{}</div>').format(items) if block.items else _NOTHING


@block_html.register
def _(block: Notices) -> Markup:
    """A box for each tone, in the order in which they come."""
    return _join(
        Markup('<ul class="notices {}">{}</ul>').format(
            tone.value, _join(Markup("<li>{}</li>").format(text) for text in texts)
        )
        for tone, texts in _by_tone(block).items()
    )


def _by_tone(block: Notices) -> dict[Tone, list[str]]:
    found: dict[Tone, list[str]] = {}
    for tone, text in block.items:
        found.setdefault(tone, []).append(text)
    return found


@block_html.register
def _(block: Table) -> Markup:
    if not block.rows:
        return _NOTHING
    first, rest = split(block.rows, block.fold)
    table = html_table(block.columns, first, code=block.code)
    if rest:
        more = html_table(block.columns, rest, code=block.code)
        table += folded(more, len(rest))
    return table + _note(block.note)


block_html.register(Forest, forest_html)


@block_html.register
def _(block: Histogram) -> Markup:
    drawn = svg.histogram(
        block.edges,
        block.counts,
        marks=block.marks,
        log=block.log,
        unit=block.unit,
        about=f"{block.title}: {histogram_text(block)}",
    )
    return Markup('<figure><figcaption>{}</figcaption>{}<p class="note">{}</p></figure>').format(
        block.title, drawn, histogram_text(block)
    )


@block_html.register
def _(block: Columns) -> Markup:
    drawn = svg.columns(block.items, about=f"{block.title}: {columns_text(block)}")
    return Markup("<figure><figcaption>{}</figcaption>{}{}</figure>").format(
        block.title, drawn, _note(block.note)
    )


@block_html.register
def _(block: Shares) -> Markup:
    whole = sum(count for _, count, _ in block.parts)
    if not whole:
        return _NOTHING
    drawn = svg.shares(
        [(count / whole, tone.value) for _, count, tone in block.parts if count],
        about=f"{block.title}: {shares_text(block)}",
    )
    legend = _join(
        Markup('<li><i class="{}"></i>{} {:,} ({:.1f}&nbsp;%)</li>').format(
            tone.value, name, count, 100 * count / whole
        )
        for name, count, tone in block.parts
        if count
    )
    return Markup('<div class="shares">{}<ul class="legend">{}</ul></div>{}').format(
        drawn, legend, _note(block.note)
    )


@block_html.register
def _(block: Words) -> Markup:
    size = f"{len(block.text):,} characters"
    summary = f"{block.note}, {size}" if block.note else size
    return Markup("<details><summary>{}</summary><pre>{}</pre></details>").format(
        summary, visible(block.text)
    )


@block_html.register
def _(block: SampleList) -> Markup:
    items = _join(map(_sample, block.items))
    listed = "all" if len(block.items) == block.count else f"the first {len(block.items):,}"
    return Markup(
        '<details class="samples"><summary><b class="{}">{:,}</b> rollout{}, {} listed here'
        "</summary>{}</details>{}"
    ).format(
        block.tone.value,
        block.count,
        "s" * (block.count > 1),
        listed,
        items,
        _note(_not_listed(block)),
    )


def _not_listed(block: SampleList) -> str:
    rest = block.count - len(block.items)
    return f"{rest:,} more are not listed here: {block.where}" if rest else ""


def _sample(sample: Sample) -> Markup:
    rows = _join(
        Markup("<dt>{}</dt><dd><pre>{}</pre></dd>").format(name, text or "(none)")
        for name, text in sample.parts
    )
    return Markup('<details class="sample"><summary>{}</summary><dl>{}</dl></details>').format(
        sample.head, rows
    )


def _section(section: Section, name: str, anchors: Anchors, printed: bool) -> Markup:
    lead = Markup('<p class="lead">{}</p>').format(section.lead) if section.lead else _NOTHING
    parts = [heading(2, section.title, name), lead, *_blocks(section.blocks, anchors)]
    kind = _NOTHING if printed else Markup(' class="screen"')
    return Markup("<section{}>{}</section>").format(kind, Markup("\n").join(filter(None, parts)))


def _blocks(blocks: tuple[Block, ...], anchors: Anchors) -> Iterator[Markup]:
    """Each with its heading; histograms side by side."""
    plots: list[Markup] = []
    for block in blocks:
        if isinstance(block, Histogram | Columns):
            plots.append(block_html(block))
            continue
        if plots:
            yield Markup('<div class="plots">{}</div>').format(_join(plots))
            plots = []
        shown = block_html(block)
        title = getattr(block, "title", "")
        if shown and title:
            yield heading(3, title, anchors.new(title))
        yield shown
    if plots:
        yield Markup('<div class="plots">{}</div>').format(_join(plots))


def _badges(document: Document) -> Markup:
    items = _join(
        Markup('<span class="badge {}">{}</span>').format(tone.value, text)
        for tone, text in document.badges
    )
    return Markup('<div class="badges">{}</div>').format(items) if items else _NOTHING


def _contents(links: list[tuple[str, str]]) -> Markup:
    if len(links) < 3:
        return _NOTHING
    items = _join(Markup('<li><a href="#{1}">{0}</a></li>').format(*link) for link in links)
    return Markup('<nav aria-label="Contents"><ul>{}</ul></nav>').format(items)


def _note(text: str) -> Markup:
    return Markup('<p class="note">{}</p>').format(text) if text else _NOTHING


def _join(parts: Iterator[Markup] | list[Markup]) -> Markup:
    return Markup("").join(parts)
