"""A candidate that was looked at while it ran: which problems count, and by which intervals.

A run that may stop when a gate is decided (`nel eval run --stop-when decided`) chooses its own end,
so an ordinary interval does not hold there. Its damage is read off limits that hold at every look
(``stats/sequential.py``). The lower limit, which shows a drop, is taken at the whole level at all
looks; the upper one, which rules a drop out, at half of it, and where the run went on to its last
problem, the ordinary limit at the other half counts too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ..stats.sequential import Looks, log_evidence, lower_limit
from ..stats.units import cluster_sizes, cluster_sums
from .rollouts import Bools, Floats, Rollouts
from .sources import Source

AT_LOOKS = 0.5
"""Share of the level of ruling a drop out that is spent before the last problem."""
METHOD = "always valid (betting)"
AT_ANY_END = "; the intervals hold at an end that the answers have chosen"


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


def as_decided(baseline: Source, candidate: Source) -> tuple[Source, Source]:
    """Both sides as they are to be compared: where the candidate stopped early, over the problems
    its decision rests on. What was still on its way then is left out: it came back in an order of
    its own."""
    found, rollouts = candidate.stopping, candidate.rollouts
    if found is None or rollouts is None or candidate.watched is not None:
        return baseline, candidate
    looks = Looks(found.rule.horizon, found.rule.largest)
    whole = len(rollouts) >= _planned(candidate)
    if found.decision is None or whole:
        return baseline, replace(candidate, watched=Watched(looks, stopped=False))
    over = found.decision.problems
    return _only(baseline, over), _only(candidate, over, Watched(looks, stopped=True))


def note_on(source: Source) -> str | None:
    """What a reader must know of a side that was looked at while it ran."""
    found, watched = source.stopping, source.watched
    if found is None:
        return None
    if watched is not None and not watched.stopped:
        return (
            "was looked at while it ran: a drop is shown by limits that hold at every look, and "
            "ruled out at half of the level"
        )
    if watched is None and source.rollouts is not None and len(source.rollouts) >= _planned(source):
        return None
    return None if found.text is None else found.text + AT_ANY_END * (watched is not None)


def _planned(source: Source) -> int:
    """Rollouts that its looks were planned for."""
    return source.stopping.rule.problems * source.repeats() if source.stopping is not None else 0


def unneeded(candidates: Iterable[Source]) -> frozenset[str]:
    """The benchmarks that were not run, because a decision on others made the answer certain."""
    decisions = (c.stopping.decision for c in candidates if c.stopping is not None)
    return frozenset(name for d in decisions if d is not None for name in d.pending)


def _only(source: Source, problems: Iterable[int], watched: Watched | None = None) -> Source:
    wanted = np.fromiter(problems, dtype=np.int64)
    rollouts = source.rollouts
    kept = None if rollouts is None else _rows(rollouts, np.isin(rollouts.problems, wanted))
    return replace(source, given=kept, counted=len(wanted), watched=watched)


def _rows(rollouts: Rollouts, kept: Bools) -> Rollouts:
    changes: dict[str, Any] = {}
    for name in (field.name for field in fields(rollouts)):
        column = getattr(rollouts, name)
        if isinstance(column, np.ndarray):
            changes[name] = column[kept]
        elif name in ("categories", "clusters"):
            changes[name] = [value for value, k in zip(column, kept, strict=True) if k]
    return replace(rollouts, **changes)
