"""Several candidates against one baseline: corrected for their number, and ranked.

Every candidate is one more chance of a false alarm, so p-values are adjusted over all candidates
and benchmarks before verdicts are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from ..stats.multiple import benjamini_hochberg, holm
from ..stats.ranks import rank_intervals
from ..types import Record
from .compare import CompareOptions, Comparison, compare, judged
from .pairing import PerProblem, per_problem
from .sources import Source
from .verdicts import Verdict

Correction = Literal["holm", "bh", "none"]


class Entry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One candidate on one benchmark, after correction."""

    candidate: str
    comparison: Comparison
    p_worse: float | None
    p_better: float | None
    verdict: Verdict


class Place(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One row of a leaderboard, over the problems all have in common."""

    name: str
    score: float
    rank: int
    rank_low: int
    """Best rank the data allow (95 %)."""
    rank_high: int
    n: int


class Field(Record, frozen=True, kw_only=True, omit_defaults=False):
    """All candidates."""

    baseline: str
    correction: Correction
    entries: tuple[Entry, ...]
    leaderboard: Mapping[str, tuple[Place, ...]]
    """By benchmark."""
    unmatched: tuple[str, ...]
    """Benchmarks that some of the runs do not have."""


def compare_all(
    baseline: tuple[str, Mapping[str, Source]],
    candidates: Sequence[tuple[str, Mapping[str, Source]]],
    options: CompareOptions,
    *,
    correction: Correction = "holm",
) -> Field:
    """Compare every candidate on every benchmark it shares with the baseline. Raises ConfigError
    for results that are not of the same thing."""
    name, sources = baseline
    found = [
        (label, compare(sources[benchmark], others[benchmark], options))
        for benchmark in sources
        for label, others in candidates
        if benchmark in others
    ]
    tested = [(label, c) for label, c in found if c.test is not None]
    worse = _adjusted([c.test.p_worse for _, c in tested if c.test], correction)
    better = _adjusted([c.test.p_better for _, c in tested if c.test], correction)
    adjusted = {id(c): (p, q) for (_, c), p, q in zip(tested, worse, better, strict=True)}
    everyone = [baseline, *candidates]
    all_names = {benchmark for _, others in everyone for benchmark in others}
    shared = [b for b in sources if all(b in others for _, others in candidates)]
    return Field(
        baseline=name,
        correction=correction,
        entries=tuple(_entry(label, c, adjusted.get(id(c))) for label, c in found),
        leaderboard={
            benchmark: places
            for benchmark in shared
            if (places := _leaderboard([(who, s[benchmark]) for who, s in everyone]))
        },
        unmatched=tuple(sorted(all_names - set(shared))),
    )


def _adjusted(p_values: list[float], correction: Correction) -> list[float]:
    if correction == "holm":
        return holm(p_values)
    return benjamini_hochberg(p_values) if correction == "bh" else p_values


def _entry(label: str, c: Comparison, adjusted: tuple[float, float] | None) -> Entry:
    if adjusted is None:
        return Entry(candidate=label, comparison=c, p_worse=None, p_better=None, verdict=c.verdict)
    corrected = judged(c, *adjusted)
    return Entry(
        candidate=label,
        comparison=corrected,
        p_worse=adjusted[0],
        p_better=adjusted[1],
        verdict=corrected.verdict,
    )


def _leaderboard(runs: Sequence[tuple[str, Source]]) -> tuple[Place, ...]:
    """Ranks over the problems that all have a verdict on; empty where there are none."""
    sides: list[PerProblem] = []
    for _, source in runs:
        if source.rollouts is None:
            return ()
        sides.append(per_problem(source.rollouts))
    common = sides[0].problems
    for side in sides[1:]:
        common = np.intersect1d(common, side.problems, assume_unique=True)
    if not len(common):
        return ()
    table = np.stack([side.means[np.searchsorted(side.problems, common)] for side in sides], axis=1)
    places = [
        Place(name=name, score=float(mean), rank=rank, rank_low=low, rank_high=high, n=len(common))
        for (name, _), mean, (rank, low, high) in zip(
            runs, table.mean(axis=0), rank_intervals(table), strict=True
        )
    ]
    return tuple(sorted(places, key=lambda place: (place.rank, place.name)))
