"""How damage is read where the candidate was looked at while it ran: limits that hold at every look
(``stats/sequential.py``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..stats.sequential import Looks, log_evidence, lower_limit
from ..stats.units import cluster_sizes, cluster_sums
from .rollouts import Floats


@dataclass(frozen=True, slots=True)
class Watched:
    """How the damage of a candidate that was looked at is read."""

    looks: Looks
    stopped: bool
    """It ended before its last problem."""
    within: tuple[float, float] | None = None
    """The least and the most a value of a problem can be; None where that is not known, and then
    nothing is known before the end."""

    def excess_within(self, sign: float, kept: float) -> tuple[float, float]:
        """The range of sign · (kept · baseline - candidate)."""
        assert self.within is not None
        low, high = self.within
        allowed = sorted((kept * low, kept * high))
        ends = (sign * (allowed[0] - high), sign * (allowed[1] - low))
        return min(ends), max(ends)

    def limit(
        self,
        values: Floats,
        clusters: Sequence[object] | None,
        within: tuple[float, float],
        level: float,
    ) -> float:
        """The lower limit of the mean of ``values`` at every look."""
        sums, sizes = _units(values, clusters)
        if sizes is not None and sizes.max(initial=0.0) > self.looks.largest:
            return -math.inf
        return lower_limit(sums, sizes, level=level, within=within, looks=self.looks)

    def p_value(
        self,
        values: Floats,
        clusters: Sequence[object] | None,
        within: tuple[float, float],
        mean: float,
    ) -> float:
        """One-sided p-value of "the mean of ``values`` is no larger than ``mean``"."""
        sums, sizes = _units(values, clusters)
        if sizes is not None and sizes.max(initial=0.0) > self.looks.largest:
            return 1.0
        found = log_evidence(sums, sizes, mean, within=within, looks=self.looks)
        return min(1.0, math.exp(-found))


def _units(values: Floats, clusters: Sequence[object] | None) -> tuple[Floats, Floats | None]:
    if clusters is None:
        return values, None
    return cluster_sums(values, clusters), cluster_sizes(clusters, len(values))
