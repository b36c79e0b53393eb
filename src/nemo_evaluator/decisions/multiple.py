"""Several candidates against one baseline: corrected for their number, and ranked.

Every candidate is one more chance of a false alarm, so p-values are adjusted over all candidates
and benchmarks before verdicts are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from ..stats.multiple import benjamini_hochberg, holm
from ..stats.ranks import rank_intervals
from ..types import Record
from .compare import Comparison, compare, judged, judged_as_published
from .looks import chose_its_end
from .metrics import metric_named
from .options import CompareOptions
from .pairing import PerProblem, clusters_of, macro_weights, per_problem
from .sources import Source
from .verdicts import Shown, Verdict

Correction = Literal["holm", "bh", "none"]
EVENTS = ("worse", "beyond", "within", "better")


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
    for results that are not comparable."""
    name, sources = baseline
    found = [
        (label, compare(sources[benchmark], others[benchmark], options))
        for benchmark in sources
        for label, others in candidates
        if benchmark in others
    ]
    corrected = _corrected([c for _, c in found], correction)
    everyone = [baseline, *candidates]
    all_names = {benchmark for _, others in everyone for benchmark in others}
    shared = [b for b in sources if all(b in others for _, others in candidates)]
    return Field(
        baseline=name,
        correction=correction,
        entries=tuple(
            Entry(candidate=label, comparison=c, p_worse=p, p_better=q, verdict=c.verdict)
            for (label, _), (c, p, q) in zip(found, corrected, strict=True)
        ),
        leaderboard={
            benchmark: places
            for benchmark in shared
            if (places := _leaderboard([(who, s[benchmark]) for who, s in everyone], options))
        },
        unmatched=tuple(sorted(all_names - set(shared))),
    )


def _corrected(
    found: Sequence[Comparison], correction: Correction
) -> list[tuple[Comparison, float | None, float | None]]:
    """Each comparison judged by p-values corrected for the number of all, with those of a drop and
    of a gain. Every event is a family of its own: a BLOCK and a PASS are both choices among many.
    """
    tested = [c for c in found if c.test is not None or c.evidence is not None]
    p_values = [_p_values(c) for c in tested]
    families = [_adjusted([row[i] for row in p_values], correction) for i in range(len(EVENTS))]
    corrected = {}
    for c, adjusted in zip(tested, zip(*families, strict=True), strict=True):
        if c.evidence is None:
            verdict = judged_as_published(c, adjusted[0], adjusted[-1])
        else:
            shown = (p <= c.options.level for p in adjusted)
            events = Shown(**dict(zip(EVENTS, shown, strict=True)))
            verdict = judged(msgspec.structs.replace(c, shown=events))
        corrected[id(c)] = (verdict, adjusted[0], adjusted[-1])
    return [corrected.get(id(c), (c, None, None)) for c in found]


def _p_values(c: Comparison) -> tuple[float, float, float, float]:
    """Of the four events; by the published rule only of a drop and of a gain."""
    if c.evidence is None:
        assert c.test is not None
        return c.test.p_worse, 1.0, 1.0, c.test.p_better
    damage, limit = c.evidence, c.options.max_drop
    return (
        damage.p_beyond(0.0),
        damage.p_beyond(limit),
        damage.p_within(limit),
        damage.p_within(0.0),
    )


def _adjusted(p_values: list[float], correction: Correction) -> list[float]:
    if correction == "holm":
        return holm(p_values)
    return benjamini_hochberg(p_values) if correction == "bh" else p_values


def _leaderboard(runs: Sequence[tuple[str, Source]], options: CompareOptions) -> tuple[Place, ...]:
    """Ranks over the problems that all have a verdict on, the best first whichever way the metric
    points; the unit is the cluster where there are clusters. A run that stopped early has no place:
    it chose its end, where such ranks do not hold. Empty where there are no problems, or no two
    runs."""
    runs = [(name, source) for name, source in runs if not chose_its_end(source)]
    if len(runs) < 2:
        return ()
    metric = metric_named(options.metric, higher_is_better=options.higher_is_better)
    sides: list[PerProblem] = []
    for _, source in runs:
        if source.rollouts is None:
            return ()
        side = per_problem(source.rollouts, metric, correct_above=options.correct_above)
        sides.append(side.known())
    common = sides[0].problems
    for side in sides[1:]:
        common = np.intersect1d(common, side.problems, assume_unique=True)
    if not len(common):
        return ()
    table = np.stack([side.means[np.searchsorted(side.problems, common)] for side in sides], axis=1)
    rollouts, rows = runs[0][1].rollouts, sides[0].first[np.searchsorted(sides[0].problems, common)]
    assert rollouts is not None
    if metric.macro:
        table = table * macro_weights([rollouts.categories[i] for i in rows.tolist()])[:, None]
    ranks = rank_intervals(
        table if metric.higher_is_better else -table, clusters_of(rollouts, rows, common)
    )
    places = [
        Place(name=name, score=float(mean), rank=rank, rank_low=low, rank_high=high, n=len(common))
        for (name, _), mean, (rank, low, high) in zip(runs, table.mean(axis=0), ranks, strict=True)
    ]
    return tuple(sorted(places, key=lambda place: (place.rank, place.name)))
