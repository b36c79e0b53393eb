"""A judged score beside what people would give, as a record."""

from __future__ import annotations

from ..stats.intervals import Interval
from ..types import Record


class Corrected(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The score of one benchmark, as judged and as people would see it."""

    benchmark: str
    model: str
    metric: str
    raw: Interval
    corrected: Interval
    """Prediction-powered: raw, plus people's excess over the judge on the labelled rows."""
    rogan_gladen: Interval | None
    """By the judge's sensitivity and specificity; None where grades are no verdicts."""
    labelled: int
    judge: str
    """Model that was calibrated."""
    notes: tuple[str, ...]
