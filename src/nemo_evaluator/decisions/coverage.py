"""How much of what was planned is evidence, counted in rollouts: a problem of which half the
rollouts have no verdict is half there."""

from __future__ import annotations

import numpy as np

from ..types import Record
from .pairing import Pairs, PerProblem
from .sources import Source
from .verdicts import MIN_COVERAGE


class SideCoverage(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What of one side is evidence."""

    planned: int | None
    """Problems."""
    problems: int
    """Problems with a verdict."""
    repeats: int
    """Rollouts planned of each problem."""
    planned_rollouts: int
    rollouts: int
    scored: int
    truncated: int
    only_here: int
    """Problems with a verdict on this side alone."""


def coverage(
    baseline: Source, candidate: Source, pairs: Pairs
) -> tuple[float, dict[str, SideCoverage]]:
    """The share of the planned rollouts that have a verdict on a paired problem, of the side that
    has less; and both sides. Planned is every problem that either side planned or shows."""
    planned = [p for p in (baseline.planned(), candidate.planned()) if p is not None]
    whole = max([pairs.union, *planned])
    shares, sides = [], {}
    for name, source, side in (
        ("baseline", baseline, pairs.baseline_side),
        ("candidate", candidate, pairs.candidate_side),
    ):
        sides[name] = _side(source, side, pairs.n, whole)
        paired = np.isin(side.problems, pairs.problems, assume_unique=True)
        shares.append(int(side.repeats[paired].sum()) / sides[name].planned_rollouts)
    return min(shares), sides


def floor_of(baseline: Source, candidate: Source, chosen: float | None) -> float:
    """The coverage that is asked for: as chosen, else as the runs asked of themselves."""
    if chosen is not None:
        return chosen
    own = [floor for floor in (baseline.floor(), candidate.floor()) if floor is not None]
    return max(own) if own else MIN_COVERAGE


def _side(source: Source, side: PerProblem, n: int, whole: int) -> SideCoverage:
    rollouts = source.rollouts
    assert rollouts is not None
    lines, repeats = np.unique(rollouts.problems, return_counts=True)[1], source.repeats()
    unseen = max(0, whole - len(lines)) * repeats
    return SideCoverage(
        planned=source.planned(),
        problems=len(side.problems),
        repeats=repeats,
        planned_rollouts=int(np.maximum(lines, repeats).sum()) + unseen,
        rollouts=side.rollouts,
        scored=side.scored,
        truncated=side.truncated,
        only_here=len(side.problems) - n,
    )
