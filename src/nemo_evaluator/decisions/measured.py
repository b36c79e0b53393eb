"""A measure that a benchmark makes of all its rows (an F1, a perplexity), compared between two runs
by the errors that both tell.

Rows cannot be paired, so both are taken for independent: the interval is wider than that of pairs,
and never too narrow where the runs saw the same problems.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from ..results.published import AGGREGATE, Measure
from ..stats.paired import PairedDifference
from .damage import Bounds
from .sources import Source

METHOD = "errors of both runs, taken for independent"


class Told(NamedTuple):
    """One measure as both runs tell it."""

    baseline: Measure
    candidate: Measure

    @property
    def higher_is_better(self) -> bool:
        """The benchmark's own word."""
        return self.baseline.higher_is_better

    @property
    def n(self) -> int:
        """Problems, of the run that has fewer."""
        return min(self.baseline.n or 0, self.candidate.n or 0)

    @property
    def error(self) -> float | None:
        """The standard error of the difference; None where a run tells none of its own."""
        if self.baseline.stderr is None or self.candidate.stderr is None:
            return None
        return math.hypot(self.baseline.stderr, self.candidate.stderr)

    def difference(self, level: float) -> PairedDifference | None:
        """Candidate - baseline, each end at the one-sided level; None without an error."""
        if self.error is None:
            return None
        delta = self.candidate.value - self.baseline.value
        half = NormalDist().inv_cdf(1 - level) * self.error
        ends = (delta - half, delta + half)
        return PairedDifference(delta, self.error, *ends, self.n, self.n, METHOD)


def told_by_both(baseline: Source, candidate: Source, metric: str) -> Told | None:
    """A measure of all rows that both bundles hold; None for anything else."""
    if baseline.published is None or candidate.published is None:
        return None
    one = baseline.published.metrics.get(metric)
    other = candidate.published.metrics.get(metric)
    if one is None or other is None or AGGREGATE not in (one.method, other.method):
        return None
    return Told(one, other)


def coverage_of(baseline: Source, candidate: Source) -> float:
    """Share of the planned rollouts with a verdict, of the run that has less."""
    found = [s.published.coverage for s in (baseline, candidate) if s.published is not None]
    known = [share for share in found if share is not None]
    return min(known, default=0.0)


def damage_of(difference: PairedDifference, *, higher_is_better: bool) -> Bounds:
    """How much worse the candidate is."""
    if higher_is_better:
        ends = (-difference.delta, -difference.upper, -difference.lower)
    else:
        ends = (difference.delta, difference.lower, difference.upper)
    return Bounds(damage=ends[0] + 0.0, lower=ends[1], upper=ends[2])
