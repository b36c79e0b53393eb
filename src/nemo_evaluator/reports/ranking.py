"""Ratings of models that judges compared, as a report."""

from __future__ import annotations

from ..stats.preferences import Rating, Ratings
from .blocks import Document, Facts, Forest, Interval, Tone

COLUMNS = ("Model", "Rating", "95 % CI", "Comparisons", "Won", "Tied")
NOTE = (
    "Bradley-Terry ratings with ties (Davidson 1970): 1000 is the average, 400 points are odds of "
    "10 to 1. Intervals by bootstrap over problems."
)


def ranking_report(found: Ratings) -> Document:
    """All models, the best first."""
    best = found.ratings[0]
    near = [one.model for one in found.ratings[1:] if one.upper >= best.lower]
    lead = f"{best.model} is rated highest, {best.rating:.0f} ({best.lower:.0f} to "
    lead += f"{best.upper:.0f})"
    lead += f"; the intervals of {', '.join(near)} reach into its own." if near else "."
    tie = found.ties / (2 + found.ties)
    facts = (
        ("problems", f"{found.problems:,}"),
        ("ties between equals", f"{tie:.1%}"),
        ("the answer shown first wins", f"{found.first_share:.1%} of decided ones between equals"),
    )
    return Document(
        title="Ratings of models",
        badges=(),
        lead=lead,
        blocks=(
            Forest("Ratings", COLUMNS, tuple(_row(one) for one in found.ratings), note=NOTE),
            Facts(facts),
        ),
        sections=(),
    )


def _row(one: Rating) -> Interval:
    return Interval(
        name=one.model,
        value=one.rating,
        lower=one.lower,
        upper=one.upper,
        cells=(
            f"{one.rating:.0f}",
            f"[{one.lower:.0f}, {one.upper:.0f}]",
            f"{one.comparisons:,}",
            f"{one.wins:,}",
            f"{one.ties:,}",
        ),
        tone=Tone.PLAIN,
    )
