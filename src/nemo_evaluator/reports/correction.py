"""Judged scores beside what people would give, as a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..judging.correction import Corrected
from ..stats.intervals import Interval as Estimate
from .blocks import Document, Forest, Interval, Notices, Tone

COLUMNS = ("Benchmark", "Score", "95 % CI", "n", "Labelled")


def correction_report(found: Sequence[Corrected]) -> Document:
    """Every benchmark: as judged, corrected, and by sensitivity and specificity."""
    first = found[0]
    lead = f"{first.benchmark}: {first.raw.value:.3f} as judged, {first.corrected.value:.3f} "
    lead += f"({first.corrected.lower:.3f} to {first.corrected.upper:.3f}) as people would judge"
    notes = dict.fromkeys(note for one in found for note in one.notes)
    return Document(
        title="Scores corrected for the judge's error",
        badges=(),
        lead=lead + ".",
        blocks=(
            Notices(tuple((Tone.UNSURE, note) for note in notes)),
            Forest(
                "Scores",
                COLUMNS,
                tuple(row for one in found for row in _rows(one)),
                within=(0.0, 1.0),
            ),
        ),
        sections=(),
    )


def _rows(one: Corrected) -> Iterator[Interval]:
    yield _row(f"{one.benchmark}, as judged", one.raw, "")
    labelled = f"{one.labelled:,}"
    yield _row(f"{one.benchmark}, prediction-powered", one.corrected, labelled)
    if one.rogan_gladen is not None:
        yield _row(f"{one.benchmark}, Rogan-Gladen", one.rogan_gladen, labelled)


def _row(name: str, found: Estimate, labelled: str) -> Interval:
    limits = f"[{found.lower:.3f}, {found.upper:.3f}]"
    cells = (f"{found.value:.3f}", limits, f"{found.n:,}", labelled)
    return Interval(name, found.value, found.lower, found.upper, cells)
