"""What the rollouts without a verdict could say at worst and at best.

A wrong answer that times out is missing, not wrong; if enough of them are, a drop hides among what
is missing. So a decision is made on all planned rollouts: once with every missing one counted
against the candidate, once with every one counted for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .damage import Damage, Sides
from .interim_damage import Watched
from .metrics import REWARD, Metric, of_problems, values_of
from .pairing import Pairs, macro_weights
from .rollouts import Floats, Ints, Rollouts
from .sources import Source


def damage_of(
    baseline: Source,
    candidate: Source,
    pairs: Pairs,
    metric: Metric,
    *,
    correct_above: float = 0.0,
) -> Damage:
    """The damage over the paired problems, and its bounds over the planned ones."""
    assert baseline.rollouts is not None and candidate.rollouts is not None
    weighted, limits = pairs.weighted(), value_range(metric, baseline, candidate)
    span = span_of(metric, baseline, candidate)
    seen = Sides(weighted.baseline, weighted.candidate, pairs.clusters, span, pairs.weights)
    watched = watched_of(baseline, candidate, metric)
    head = Damage(seen, metric.higher_is_better, watched=watched)
    sides = [_Counts.of(source, metric, correct_above) for source in (baseline, candidate)]
    planned = [source.planned() or 0 for source in (baseline, candidate)]
    problems = np.union1d(baseline.rollouts.problems, candidate.rollouts.problems)
    unseen = max(0, *(n - len(problems) for n in planned))
    if limits is None or (not unseen and all(side.complete(problems) for side in sides)):
        return head
    bad, good = limits if metric.higher_is_better else limits[::-1]
    clusters = _clusters(baseline.rollouts, candidate.rollouts, problems, unseen)
    weights = _weights(baseline.rollouts, candidate.rollouts, problems, unseen, metric)
    one, other = sides
    worst = Sides(
        one.filled(problems, unseen, good, metric) * weights,
        other.filled(problems, unseen, bad, metric) * weights,
        clusters,
        span,
        weights if metric.macro else None,
    )
    best = Sides(
        one.filled(problems, unseen, bad, metric) * weights,
        other.filled(problems, unseen, good, metric) * weights,
        clusters,
        span,
        weights if metric.macro else None,
    )
    return replace(head, worst=worst, best=best)


def watched_of(baseline: Source, candidate: Source, metric: Metric) -> Watched | None:
    """How the damage is read where the candidate was looked at while it ran: with the range of the
    metric, which a weighted one has not. Without a range nothing is decided by looks, so at the
    last problem the ordinary limits hold."""
    if candidate.watched is None or baseline.rollouts is None or candidate.rollouts is None:
        return candidate.watched
    within = None if metric.macro else value_range(metric, baseline, candidate)
    if within is None and not candidate.watched.stopped:
        return None
    return replace(candidate.watched, within=within)


def _weights(
    baseline: Rollouts, candidate: Rollouts, problems: Ints, unseen: int, metric: Metric
) -> Floats:
    """The problems' weights in the metric; those never seen weigh as much as any."""
    if not metric.macro:
        return np.ones(len(problems) + unseen)
    named: dict[int, str | None] = {}
    for rollouts in (candidate, baseline):
        named |= zip(rollouts.problems.tolist(), rollouts.categories, strict=True)
    seen = macro_weights([named[problem] for problem in problems.tolist()])
    return np.append(seen, np.full(unseen, seen.max(initial=1.0)))


@dataclass(frozen=True, slots=True)
class _Counts:
    """One side by problem: what was planned, what has a verdict, and the sum of its values."""

    problems: Ints
    planned: Ints
    scored: Ints
    sums: Floats
    repeats: int
    """Planned of a problem that this side never reached."""

    @classmethod
    def of(cls, source: Source, metric: Metric, correct_above: float) -> _Counts:
        rollouts = source.rollouts
        assert rollouts is not None
        values = values_of(rollouts, metric, correct_above=correct_above)
        known = ~np.isnan(values)
        problems, codes = np.unique(rollouts.problems, return_inverse=True)
        size = len(problems)
        lines = np.bincount(codes, minlength=size).astype(np.int64)
        repeats = source.repeats()
        sums = np.bincount(codes[known], weights=values[known], minlength=size)
        return cls(
            problems=problems,
            planned=np.maximum(lines, repeats),
            scored=np.bincount(codes[known], minlength=size).astype(np.int64),
            sums=sums.astype(np.float64),
            repeats=repeats,
        )

    def complete(self, problems: Ints) -> bool:
        """Whether every one of these problems has all its verdicts."""
        return len(self.problems) == len(problems) and bool((self.scored == self.planned).all())

    def filled(self, problems: Ints, unseen: int, value: float, metric: Metric) -> Floats:
        """The metric of every problem, what is missing counted as ``value``."""
        at = np.searchsorted(problems, self.problems)
        planned = np.full(len(problems) + unseen, self.repeats, dtype=np.int64)
        scored, sums = np.zeros_like(planned), np.zeros(len(planned))
        planned[at], scored[at], sums[at] = self.planned, self.scored, self.sums
        return of_problems(metric, sums + (planned - scored) * value, planned)


def ends_by_problem(
    source: Source, metric: Metric, problems: Ints, limits: tuple[float, float]
) -> tuple[Floats, Floats]:
    """The metric of each of these problems, which are sorted, with everything that is missing
    counted as the least a value can be, and as the most."""
    counts = _Counts.of(source, metric, 0.0)
    every = np.union1d(problems, counts.problems)
    at = np.searchsorted(every, problems)
    low, high = (counts.filled(every, 0, end, metric)[at] for end in limits)
    return low, high


def span_of(metric: Metric, baseline: Source, candidate: Source) -> float | None:
    """The most that a value can change; None where that is not known."""
    limits = value_range(metric, baseline, candidate)
    return None if limits is None else limits[1] - limits[0]


def value_range(metric: Metric, baseline: Source, candidate: Source) -> tuple[float, float] | None:
    """The least and the most a value can be; None where that is not known."""
    if metric.verdicts or metric.name.endswith("_rate") or metric.name == "strict":
        return 0.0, 1.0
    if metric.name != REWARD:
        return None
    declared = [source.reward_range() for source in (baseline, candidate)]
    ranges = [found for found in declared if found is not None]
    assert baseline.rollouts is not None and candidate.rollouts is not None
    rewards = np.concatenate([baseline.rollouts.rewards, candidate.rollouts.rewards])
    rewards = rewards[~np.isnan(rewards)]
    ends = [0.0, 1.0] if not ranges else [x for pair in ranges for x in pair]
    return float(min(*ends, *_ends(rewards))), float(max(*ends, *_ends(rewards)))


def _ends(values: Floats) -> tuple[float, ...]:
    return (float(values.min()), float(values.max())) if len(values) else ()


def _clusters(
    baseline: Rollouts, candidate: Rollouts, problems: Ints, unseen: int
) -> Sequence[str] | None:
    named: dict[int, str] = {}
    for rollouts in (candidate, baseline):
        for problem, cluster in zip(rollouts.problems.tolist(), rollouts.clusters, strict=True):
            if cluster is not None:
                named[problem] = f"cluster {cluster}"
    if not named:
        return None
    found = [named.get(problem, f"problem {problem}") for problem in problems.tolist()]
    return found + [f"unseen {i}" for i in range(unseen)]
