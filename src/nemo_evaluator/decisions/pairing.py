"""Pairs the problems of two runs. The unit is the problem: its mean over the repeats that have a
verdict. What stands on one side only, or has no verdict, is counted and never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ConfigError
from .metrics import MEAN_REWARD, ROUNDING, Metric, of_problems, values_of
from .rollouts import Bools, Floats, Ints, Rollouts


@dataclass(frozen=True, slots=True)
class PerProblem:
    """One side, a row per problem that has a verdict."""

    problems: Ints
    means: Floats
    repeats: Ints
    """Repeats with a verdict."""
    within: Floats
    """Variance of the rewards of one problem (n-1); 0 where there is one."""
    first: Ints
    """Position of its first rollout with a verdict."""
    seen: int
    """Problems with a line, with or without a verdict."""
    rollouts: int
    scored: int
    truncated: int
    """Scored rollouts that were cut off."""

    def known(self) -> PerProblem:
        """The problems whose metric is known: pass@k needs k verdicts."""
        kept = ~np.isnan(self.means)
        columns = ("problems", "means", "repeats", "within", "first")
        return replace(self, **{name: getattr(self, name)[kept] for name in columns})


def per_problem(
    rollouts: Rollouts, metric: Metric = MEAN_REWARD, *, correct_above: float = 0.0
) -> PerProblem:
    """The metric of every problem that has a verdict: a mean over its repeats, or pass@k of them.
    Raises ConfigError for a metric that the rows do not carry."""
    every = values_of(rollouts, metric, correct_above=correct_above)
    kept = np.flatnonzero(~np.isnan(every))
    values = every[kept]
    problems, first, codes = np.unique(
        rollouts.problems[kept], return_index=True, return_inverse=True
    )
    counts = np.bincount(codes, minlength=len(problems)).astype(np.int64)
    sums = _sums(codes, values, len(problems))
    means = sums / counts
    squares = _sums(codes, (values - means[codes]) ** 2, len(problems))
    return PerProblem(
        problems=problems,
        means=of_problems(metric, sums, counts),
        repeats=counts,
        within=np.divide(squares, counts - 1, out=np.zeros_like(squares), where=counts > 1),
        first=kept[first].astype(np.int64),
        seen=len(np.unique(rollouts.problems)),
        rollouts=len(rollouts),
        scored=len(kept),
        truncated=int(rollouts.truncated[kept].sum()),
    )


@dataclass(frozen=True, slots=True)
class Pairs:
    """The problems with a verdict on both sides, by index in the dataset."""

    problems: Ints
    baseline: Floats
    candidate: Floats
    baseline_rows: Ints
    """Position of the first scored rollout of each, in the side's rollouts."""
    candidate_rows: Ints
    categories: Sequence[str | None]
    clusters: Sequence[str] | None
    """One per problem, where the benchmark has clusters; a problem without is its own."""
    weights: Floats | None
    """One per problem, of mean 1, where every category counts alike."""
    union: int
    """Problems seen on either side."""
    baseline_side: PerProblem
    candidate_side: PerProblem

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.problems)

    @property
    def differences(self) -> Floats:
        """Candidate less baseline, per problem."""
        return self.candidate - self.baseline

    def weighted(self) -> Pairs:
        """The same, each value times its problem's weight: their mean is the metric."""
        if self.weights is None:
            return self
        one, other = self.baseline * self.weights, self.candidate * self.weights
        return replace(self, baseline=one, candidate=other, weights=None)

    def chosen(self, mask: Bools) -> tuple[Floats, Floats]:
        """Both sides of some of the pairs."""
        return self.baseline[mask], self.candidate[mask]


def pair(
    baseline: Rollouts,
    candidate: Rollouts,
    metric: Metric = MEAN_REWARD,
    *,
    correct_above: float = 0.0,
) -> Pairs:
    """Pair by problem. Repeats need not be as many on both sides, but for pass@k each problem must
    have k on both. Raises ConfigError for a metric that the rows do not carry."""
    one = per_problem(baseline, metric, correct_above=correct_above)
    other = per_problem(candidate, metric, correct_above=correct_above)
    problems, i, j = np.intersect1d(
        one.problems, other.problems, assume_unique=True, return_indices=True
    )
    known = ~(np.isnan(one.means[i]) | np.isnan(other.means[j]))
    problems, i, j = problems[known], i[known], j[known]
    rows = one.first[i]
    categories = _categories(baseline, rows, candidate, other.first[j])
    return Pairs(
        problems=problems,
        baseline=one.means[i],
        candidate=_tied(one.means[i], other.means[j]),
        baseline_rows=rows,
        candidate_rows=other.first[j],
        categories=categories,
        clusters=_coarser(
            clusters_of(baseline, rows, problems), clusters_of(candidate, other.first[j], problems)
        ),
        weights=macro_weights(categories) if metric.macro else None,
        union=len(np.union1d(baseline.problems, candidate.problems)),
        baseline_side=one,
        candidate_side=other,
    )


def macro_weights(categories: Sequence[str | None]) -> Floats:
    """Weights by which every category counts alike; problems without one are a category. Raises
    ConfigError where there are none."""
    if categories and all(name is None for name in categories):
        raise ConfigError("a macro metric needs categories, and the rows have none")
    names = np.array([name or "" for name in categories], dtype=np.str_)
    _, codes, counts = np.unique(names, return_inverse=True, return_counts=True)
    return np.asarray(len(names) / (len(counts) * counts[codes]), dtype=np.float64)


def _sums(codes: Ints, values: Floats, size: int) -> Floats:
    return np.bincount(codes, weights=values, minlength=size).astype(np.float64)


def _tied(baseline: Floats, candidate: Floats) -> Floats:
    """The candidate's values, those of the baseline where the two differ by rounding alone:
    0.1 + 0.2 is no gain over 0.3, nor 0.1 + 0.2 - 0.3 over 0 where other values are of such size.
    """
    largest = float(np.abs(np.concatenate([baseline, candidate])).max(initial=0.0))
    same = np.isclose(candidate, baseline, rtol=ROUNDING, atol=ROUNDING * largest)
    return np.where(same, baseline, candidate)


def _categories(
    baseline: Rollouts, rows: Ints, candidate: Rollouts, others: Ints
) -> list[str | None]:
    return [
        baseline.categories[i] if baseline.categories[i] is not None else candidate.categories[j]
        for i, j in zip(rows.tolist(), others.tolist(), strict=True)
    ]


def _coarser(one: list[str] | None, other: list[str] | None) -> list[str] | None:
    """The clusters that make fewer units, where the sides do not name the same ones: problems that
    either side takes for dependent are not evidence of their own."""
    if one is None or other is None:
        return other if one is None else one
    return one if len(set(one)) <= len(set(other)) else other


def clusters_of(rollouts: Rollouts, rows: Ints, problems: Ints) -> list[str] | None:
    """The cluster of each problem, of which ``rows`` are rollouts; None where none is named."""
    named = [rollouts.clusters[i] for i in rows.tolist()]
    if all(name is None for name in named):
        return None
    return [
        f"problem {problem}" if name is None else f"cluster {name}"
        for name, problem in zip(named, problems.tolist(), strict=True)
    ]
