"""Before money is spent: how many problems and repeats show a drop of a given size?

What a comparison can see depends on how much the difference of two answers to one problem varies.
That is measured on a past run with repeats, or on two past runs, or assumed and said so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ConfigError
from ..stats.mcnemar_power import power_of_mcnemar, problems_needed_mcnemar
from ..stats.power import (
    VarianceParts,
    difference_parts,
    power_of,
    problems_needed,
    variance_parts,
)
from ..types import Record
from .pairing import pair, per_problem
from .sources import Source

ICC = 0.7
"""Share of the variance that lies between problems, if no data says otherwise: a model answers most
problems the same way each time."""

CORRELATION = 0.95
"""Correlation of the true scores of two models over problems: a new build of a model finds nearly
the same problems hard."""


class Spread(Record, frozen=True, kw_only=True, omit_defaults=False):
    """How the difference of two answers to one problem varies."""

    between: float
    """Variance over problems of the true difference."""
    within: float
    """Random variance of one repeat, of both runs together."""
    binary: bool
    score: float
    problems: int | None
    """Problems of the run it was measured on."""
    basis: str
    """Where it is from, in words."""

    def sd(self, repeats: int, drop: float = 0.0) -> float:
        """Standard deviation of a problem's difference of means over ``repeats``.

        A drop of right and wrong answers is a share of the right ones, ``drop / score``, that turn
        wrong, each by its own chance. So many of the flips that chance alone would make are lost,
        and the drop itself is added: flips = within · (1 - drop / score) + drop. Problems that were
        right more often lose more, so the drop varies over problems as their scores do.
        """
        if not self.binary or not drop:
            return math.sqrt(self.between + self.within / repeats)
        lost = drop / self.score
        flips = self.within * max(0.0, 1 - lost) + drop
        scores = max(0.0, self.score * (1 - self.score) - self.within / 2)
        between = self.between + lost * lost * scores
        return math.sqrt(between + (flips - drop * drop - lost * lost * scores) / repeats)


class Planned(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One number of repeats."""

    repeats: int
    problems_needed: int | None
    """To find the drop with the power asked for; None if no number is enough."""
    detectable: float | None
    """Smallest drop found with that power on the problems there are."""
    power: float | None
    """Chance to find the drop on the problems there are."""
    rollouts_needed: int | None
    """Number of rollouts of one run."""
    exact: bool
    """Whether the power is that of McNemar's exact test; else it is a normal approximation."""


class PowerPlan(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What it takes."""

    drop: float
    alpha: float
    power: float
    problems: int | None
    spread: Spread
    rows: tuple[Planned, ...]


def spread_of_run(source: Source, *, correlation: float = CORRELATION, icc: float = ICC) -> Spread:
    """From one past run: a candidate like it, whose true scores correlate with its own so much.

    Without repeats the share of the variance that is chance is assumed (1 - ``icc``). Raises
    ConfigError for a run without scored problems.
    """
    rollouts = source.rollouts
    side = per_problem(rollouts) if rollouts is not None else None
    if rollouts is None or side is None or len(side.problems) < 2:
        raise ConfigError(
            "fewer than two problems have a verdict", where=str(source.path), hint="assume --score"
        )
    kept = ~np.isnan(rollouts.rewards)
    rewards, problems = rollouts.rewards[kept], rollouts.problems[kept]
    binary = bool(np.isin(rewards, (0.0, 1.0)).all())
    n = len(side.problems)
    if int(side.repeats.max()) > 1:
        parts = variance_parts(problems.astype(np.float64), rewards)
        basis = f"{n:,} problems × {int(side.repeats.max())} repeats of run {source.run_id}"
    else:
        parts = _assumed(float(rewards.var()), icc)
        basis = f"{n:,} problems of run {source.run_id}, {icc:.0%} of the variance assumed to be "
        basis += "between problems (it has no repeats)"
    basis += f"; true scores of the two correlate {correlation:g}"
    both = difference_parts(parts, parts, correlation)
    return Spread(
        between=both.between,
        within=both.within,
        binary=binary,
        score=float(side.means.mean()),
        problems=n,
        basis=basis,
    )


def spread_of_pair(baseline: Source, candidate: Source, *, icc: float = ICC) -> Spread:
    """From two past runs over the same problems. Raises ConfigError if too few are paired."""
    if baseline.rollouts is None or candidate.rollouts is None:
        raise ConfigError("no results.jsonl", where=f"{baseline.path} and {candidate.path}")
    pairs = pair(baseline.rollouts, candidate.rollouts)
    if pairs.n < 2:
        raise ConfigError(
            "fewer than two problems are paired", where=f"{baseline.path} and {candidate.path}"
        )
    total = float(pairs.differences.var(ddof=1))
    sides = (pairs.baseline_side, pairs.candidate_side)
    repeats = [float(np.mean(side.repeats)) for side in sides]
    if min(int(side.repeats.max()) for side in sides) > 1:
        noise = [float(side.within[side.repeats > 1].mean()) for side in sides]
        between = max(0.0, total - sum(w / k for w, k in zip(noise, repeats, strict=True)))
        within, said = sum(noise), "with repeats"
    else:
        within, between = (1 - icc) * total, icc * total
        said = f"{icc:.0%} of the variance assumed to be between problems"
        if max(repeats) == 1:
            within, between, said = total, 0.0, "as if all of it were chance"
    rewards = np.concatenate([pairs.baseline, pairs.candidate])
    return Spread(
        between=between,
        within=within,
        binary=bool(np.isin(rewards, (0.0, 1.0)).all()),
        score=float(pairs.baseline.mean()),
        problems=pairs.n,
        basis=f"{pairs.n:,} pairs of runs {baseline.run_id} and {candidate.run_id}, {said}",
    )


def spread_assumed(score: float, *, correlation: float = CORRELATION, icc: float = ICC) -> Spread:
    """From a score alone, of right and wrong answers."""
    parts = _assumed(score * (1 - score), icc)
    both = difference_parts(parts, parts, correlation)
    return Spread(
        between=both.between,
        within=both.within,
        binary=True,
        score=score,
        problems=None,
        basis=f"an assumed score of {score:g}, {icc:.0%} of the variance between problems; true "
        f"scores of the two correlate {correlation:g}",
    )


def plan_power(
    spread: Spread,
    drop: float,
    *,
    problems: int | None = None,
    repeats: Sequence[int] = (1, 2, 4, 8),
    alpha: float = 0.05,
    power: float = 0.8,
) -> PowerPlan:
    """What each number of repeats takes, for one-sided tests as `nel compare` makes them."""
    n = problems if problems is not None else spread.problems
    return PowerPlan(
        drop=drop,
        alpha=alpha,
        power=power,
        problems=n,
        spread=spread,
        rows=tuple(_row(spread, drop, n, k, alpha, power) for k in repeats),
    )


def _row(
    spread: Spread, drop: float, n: int | None, repeats: int, alpha: float, power: float
) -> Planned:
    exact = spread.binary and repeats == 1
    needed = _needed(spread, drop, repeats, alpha, power)
    return Planned(
        repeats=repeats,
        problems_needed=needed,
        detectable=None if n is None else _detectable(spread, n, repeats, alpha, power),
        power=None if n is None else _chance(spread, drop, n, repeats, alpha),
        rollouts_needed=needed * repeats if needed is not None else None,
        exact=exact,
    )


def _flips(spread: Spread, drop: float) -> tuple[float, float]:
    """Shares of problems that flip for the worse and for the better, of single verdicts."""
    flips = min(1.0, spread.sd(1, drop) ** 2 + drop * drop)
    return (flips + drop) / 2, (flips - drop) / 2


def _chance(spread: Spread, drop: float, n: int, repeats: int, alpha: float) -> float:
    if spread.binary and repeats == 1:
        return power_of_mcnemar(*_flips(spread, drop), n, alpha)
    step = _step(spread, repeats)
    return power_of(spread.sd(repeats, drop), n, drop, alpha=alpha, step=step)


def _needed(spread: Spread, drop: float, repeats: int, alpha: float, power: float) -> int | None:
    if spread.binary and drop > spread.score:
        return None
    if spread.binary and repeats == 1:
        return problems_needed_mcnemar(*_flips(spread, drop), alpha=alpha, power=power)
    sd = spread.sd(repeats, drop)
    step = _step(spread, repeats)
    return problems_needed(sd, drop, alpha=alpha, power=power, step=step) if sd else 1


def _step(spread: Spread, repeats: int) -> float:
    """The smallest difference there is between two sums of a problem's verdicts."""
    return 1 / repeats if spread.binary else 0.0


def _detectable(spread: Spread, n: int, repeats: int, alpha: float, power: float) -> float | None:
    """The smallest drop that is found, by bisection."""
    low, high = 0.0, spread.score if spread.binary else 10 * spread.sd(repeats)
    if _chance(spread, high, n, repeats, alpha) < power:
        return None
    for _ in range(24):
        middle = (low + high) / 2
        enough = _chance(spread, middle, n, repeats, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _assumed(variance: float, icc: float) -> VarianceParts:
    return VarianceParts(between=icc * variance, within=(1 - icc) * variance)
