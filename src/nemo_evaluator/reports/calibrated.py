"""Judged scores of two runs beside what people would give them."""

from __future__ import annotations

from collections.abc import Sequence

from ..decisions.compare import Comparison, scale_of_comparison
from ..decisions.sentences import told
from .blocks import Table

COLUMNS = ("Benchmark", "Metric", "Baseline", "as people", "Candidate", "as people", "As people")
NOTE = (
    "Corrected by labelled rows (prediction-powered); the interval of the change carries the "
    "judge's error on either side."
)


def calibrated_table(comparisons: Sequence[Comparison]) -> Table:
    """Every benchmark whose runs both carry a calibration of their judge."""
    rows = tuple(row for c in comparisons for row in _rows(c))
    return Table("As people would judge", COLUMNS, rows, NOTE)


def _rows(c: Comparison) -> Sequence[tuple[str, ...]]:
    found = c.calibrated
    if found is None or c.evidence is None:
        return ()
    scale = scale_of_comparison(c)
    bounds = found.bounds(c.evidence, c.options.level)
    scores = (found.baseline.raw, found.baseline.score, found.candidate.raw, found.candidate.score)
    text = told("", bounds, c.options.max_drop, scale)
    return ((c.benchmark, found.metric, *map(scale.score, scores), text),)
