"""What a report is made of: headings, tables, plots, notes. Texts are ready; plots keep numbers.

``text``, ``markdown`` and ``html`` each render every block, so no format says more than another;
where a format cannot draw, it writes the same as a line of text.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Tone(enum.StrEnum):
    """What a colour says; words and numbers beside it say the same."""

    PLAIN = "plain"
    GOOD = "good"
    UNSURE = "unsure"
    BAD = "bad"
    FAINT = "faint"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they are."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that matters, large."""

    name: str
    value: str
    note: str = ""
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers side by side."""

    items: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Notices:
    """What a reader must know before believing the numbers."""

    items: tuple[tuple[Tone, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table. The columns in ``code`` hold words of a model."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    code: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """One row of a forest plot."""

    name: str
    value: float
    lower: float | None
    upper: float | None
    cells: tuple[str, ...]
    """The same as text, for the columns of the plot after the name."""
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Forest:
    """Numbers with their intervals on one axis; a table where nothing can be drawn."""

    title: str
    columns: tuple[str, ...]
    """Of the table: the name, then the cells."""
    rows: tuple[Interval, ...]
    within: tuple[float, float] | None = None
    """Where the axis ends at the latest: (0, 1) for shares."""
    limit: float | None = None
    """Drawn as a line."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many fall between each two edges."""

    title: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    unit: str
    log: bool
    marks: tuple[tuple[str, float], ...]
    """Quantiles, by name."""


@dataclass(frozen=True, slots=True)
class Shares:
    """A whole in parts."""

    title: str
    parts: tuple[tuple[str, int, Tone], ...]
    note: str = ""


Block = Facts | Figures | Notices | Table | Forest | Histogram | Shares


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report with a heading. Its histograms stand side by side where there is room."""

    title: str
    blocks: tuple[Block, ...]
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    badges: tuple[tuple[Tone, str], ...]
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...]
    footer: str = ""


def shares_text(shares: Shares) -> str:
    """The parts in words: ``right each time 28 (23.3 %), never right 1 (0.8 %)``."""
    whole = sum(count for _, count, _ in shares.parts)
    said = (f"{name} {count:,} ({count / whole:.1%})" for name, count, _ in shares.parts if count)
    return ", ".join(said).replace("%", " %")


def histogram_text(histogram: Histogram) -> str:
    """The quantiles in words."""
    marks = (f"{name} {x:,.4g}{histogram.unit}" for name, x in histogram.marks)
    least, most = histogram.edges[0], histogram.edges[-1]
    ends = f"from {least:,.4g} to {most:,.4g}{histogram.unit}"
    return ", ".join((*marks, ends))
