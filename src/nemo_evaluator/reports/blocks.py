"""What a report is made of: headings, tables, plots, notes. Texts are ready; plots keep numbers.

``text``, ``markdown`` and ``html`` each render every block, so no format says more than another;
where a format cannot draw, it writes the same as a line of text.
"""

from __future__ import annotations

import enum

import msgspec


class Tone(enum.StrEnum):
    """What a colour says; words and numbers beside it say the same."""

    PLAIN = "plain"
    GOOD = "good"
    UNSURE = "unsure"
    BAD = "bad"
    FAINT = "faint"


class Facts(msgspec.Struct, frozen=True):
    """Names and what they are."""

    rows: tuple[tuple[str, str], ...]
    title: str = ""


class Figure(msgspec.Struct, frozen=True):
    """One number that matters, large."""

    name: str
    value: str
    note: str = ""
    tone: Tone = Tone.PLAIN


class Figures(msgspec.Struct, frozen=True):
    """Numbers side by side."""

    items: tuple[Figure, ...]


class Notices(msgspec.Struct, frozen=True):
    """What a reader must know before believing the numbers."""

    items: tuple[tuple[Tone, str], ...]


class Table(msgspec.Struct, frozen=True):
    """A titled table. The columns in ``code`` hold words of a model."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    code: tuple[int, ...] = ()
    fold: int | None = None
    """Rows after this many are folded where a page can fold."""


class Interval(msgspec.Struct, frozen=True):
    """One row of a forest plot."""

    name: str
    value: float
    lower: float | None
    upper: float | None
    cells: tuple[str, ...]
    """The same as text, for the columns of the plot after the name."""
    tone: Tone = Tone.PLAIN
    limit: float | None = None
    """Its own limit, drawn as a line."""


class Forest(msgspec.Struct, frozen=True):
    """Numbers with their intervals on one axis; a table where nothing can be drawn."""

    title: str
    columns: tuple[str, ...]
    """Columns of the table: the name, then the cells."""
    rows: tuple[Interval, ...]
    within: tuple[float, float] | None = None
    """Where the axis ends at the latest: (0, 1) for shares."""
    limit: float | None = None
    """Drawn as a line."""
    note: str = ""
    zero: bool = False
    """Whether the axis holds 0, as that of differences must."""
    status: bool = False
    """Whether the first cell is a verdict, in the colour of the row."""
    fold: int | None = None
    """Rows after this many are folded where a page can fold."""


class Histogram(msgspec.Struct, frozen=True):
    """How many fall between each two edges."""

    title: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    unit: str
    log: bool
    marks: tuple[tuple[str, float], ...]
    """Quantiles, by name."""
    least: float
    most: float
    """The largest number; a few may lie beyond the edges, and are counted in the outermost bins."""


class Columns(msgspec.Struct, frozen=True):
    """A few counts side by side, in an order that means something."""

    title: str
    items: tuple[tuple[str, int], ...]
    note: str = ""


class Shares(msgspec.Struct, frozen=True):
    """A whole in parts."""

    title: str
    parts: tuple[tuple[str, int, Tone], ...]
    note: str = ""


class Words(msgspec.Struct, frozen=True):
    """A long text from outside, shown verbatim."""

    title: str
    text: str
    note: str = ""


class Sample(msgspec.Struct, frozen=True):
    """One rollout."""

    head: str
    parts: tuple[tuple[str, str], ...]
    """Name and text."""


class SampleList(msgspec.Struct, frozen=True):
    """Some rollouts of a kind: folded where a page can fold, elsewhere their number and where they
    can be looked up."""

    title: str
    items: tuple[Sample, ...]
    count: int
    """How many there are."""
    tone: Tone
    where: str
    """The command that shows them all."""


Block = (
    Facts | Figures | Notices | Table | Forest | Histogram | Columns | Shares | Words | SampleList
)


class Section(msgspec.Struct, frozen=True):
    """A part of a report with a heading. Its histograms stand side by side where there is room."""

    title: str
    blocks: tuple[Block, ...]
    lead: str = ""


class Document(msgspec.Struct, frozen=True):
    """A whole report."""

    title: str
    badges: tuple[tuple[Tone, str], ...]
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...]
    footer: str = ""
    lead: str = ""
    """What it comes to, in a sentence."""
    printed: bool = True
    """Whether the sections are on paper too: a page to be signed leaves them to the screen."""


def shares_text(shares: Shares) -> str:
    """The parts in words: ``right each time 28 (23.3 %), never right 1 (0.8 %)``."""
    whole = sum(count for _, count, _ in shares.parts)
    texts = (f"{name} {count:,} ({count / whole:.1%})" for name, count, _ in shares.parts if count)
    return ", ".join(texts).replace("%", " %")


def samples_text(samples: SampleList) -> str:
    """How many there are, and where to look them up."""
    return f"{samples.count:,} rollout{'s' * (samples.count > 1)}: {samples.where}"


def histogram_text(histogram: Histogram) -> str:
    """Count, quantiles and ends in words: ``480 answers: p50 1.65 ms, p90 2.89 ms, …``."""
    marks = (*histogram.marks, ("least", histogram.least), ("most", histogram.most))
    quantiles = ", ".join(f"{name} {rounded(x)}{histogram.unit}" for name, x in marks)
    return f"{sum(histogram.counts):,} answers: {quantiles}"


def columns_text(columns: Columns) -> str:
    """The counts in words."""
    return ", ".join(f"{name}: {count:,}" for name, count in columns.items)


def rounded(x: float) -> str:
    """Three digits, and never fewer than those before the point: 1.65, 12,345."""
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"
