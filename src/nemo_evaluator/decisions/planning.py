"""Before money is spent: how many problems and repeats show a drop of a given size, or rule it out?

Both are events of the interval that ``compare`` and ``gate`` decide by (``odds.py``), and their
"problems needed" is computed here. What a comparison can see depends on how much the difference of
two answers to one problem varies: measured on a past run with repeats, or on two past runs, or
assumed and said so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from ..errors import ConfigError
from ..stats.paired import paired_difference
from ..stats.power import VarianceParts, difference_parts, variance_parts
from ..stats.units import effective_units
from ..types import Record
from .comparability import other_problems, same_run
from .damage import LEVEL
from .metrics import MEAN_REWARD
from .missing import span_of
from .odds import Event, Truth, chance, fewest
from .pairing import Pairs, PerProblem, clusters_of, pair, per_problem
from .rollouts import Floats
from .sources import Source

ICC = 0.7
"""Share of the variance that lies between problems, if no data says otherwise: a model answers most
problems the same way each time."""

CORRELATION = 0.95
"""Correlation of the true scores of two models over problems: a new build of a model finds nearly
the same problems hard."""

PRECISION = 1e-3
"""Of a drop that is found by bisection, as a share of it."""

POWER = 0.8
"""How often the event shall be shown, where nothing else is asked for."""


class Clustering(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Problems that stand or fall together."""

    design_effect: float
    """Variance of the mean against that of as many independent problems."""
    units: float
    """Independent clusters per problem."""


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
    room: float = math.inf
    """Largest drop that there can be."""
    clusters: Clustering | None = None
    span: float | None = None
    """The most that a reward can change; None where that is not known."""

    def truth(self, drop: float, repeats: int) -> Truth:
        """What is true of each problem if the candidate is worse by ``drop``."""
        variance = self.variance(repeats, drop)
        alike = repeats == 1 or not self.within
        single = self.binary and alike and self.clusters is None
        flips = min(1.0, max(abs(drop), variance + drop * drop))
        clusters = self.clusters or Clustering(design_effect=1.0, units=1.0)
        return Truth(
            damage=drop,
            variance=variance,
            flips=((flips + drop) / 2, (flips - drop) / 2) if single else None,
            design_effect=clusters.design_effect,
            units=clusters.units,
            verdicts=self.binary,
            span=self.span,
            size=self._size(repeats, variance),
        )

    def _size(self, repeats: int, variance: float) -> float:
        """Of a large change of one problem: as chance makes it where verdicts are repeated, the
        whole where repeats agree; of grades as if they were normal."""
        if not self.binary:
            return math.sqrt(3 * variance)
        return 1 / math.sqrt(repeats) if self.within else 1.0

    def variance(self, repeats: int, drop: float = 0.0) -> float:
        """Variance of a problem's difference of means over ``repeats``.

        A drop of right and wrong answers is a share of the right ones, ``drop / score``, that turn
        wrong, each by its own chance. So many of the flips that chance alone would make are lost,
        and the drop itself is added: flips = within · (1 - drop / score) + drop. Problems that were
        right more often lose more, so the drop varies over problems as their scores do. Where
        repeats never differ, those of a lost problem do not either, and repeats gain nothing.
        """
        if not self.within:
            repeats = 1
        if not self.binary or not drop:
            return self.between + self.within / repeats
        lost = drop / self.score
        flips = self.within * max(0.0, 1 - lost) + drop
        scores = max(0.0, self.score * (1 - self.score) - self.within / 2)
        between = self.between + lost * lost * scores
        return max(0.0, between + (flips - drop * drop - lost * lost * scores) / repeats)


class Planned(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One number of repeats."""

    repeats: int
    problems_needed: int | None
    """To show the drop with the power asked for; None if no number is enough."""
    problems_to_rule_out: int | None
    """To rule the drop out, where there is none, with that power: what a PASS or a GO needs."""
    detectable: float | None
    """Smallest drop shown with that power on the problems there are."""
    power: float | None
    """Chance to show the drop on the problems there are."""
    power_to_rule_out: float | None
    """Chance to rule the drop out on the problems there are, where there is none."""
    rollouts_needed: int | None
    """Number of rollouts of one run that show the drop."""
    exact: bool
    """Whether the power is summed exactly; else it is an approximation."""


class PowerPlan(Record, frozen=True, kw_only=True, omit_defaults=False):
    """How many problems and repeats a decision takes."""

    drop: float
    alpha: float
    power: float
    problems: int | None
    spread: Spread
    rows: tuple[Planned, ...]


def spread_of_run(source: Source, *, correlation: float = CORRELATION, icc: float = ICC) -> Spread:
    """From one past run: a candidate like it, whose true scores correlate with its own this much.

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
        parts = assumed(float(rewards.var()), icc)
        basis = f"{n:,} problems of run {source.run_id}, {icc:.0%} of the variance assumed to be "
        basis += "between problems (it has no repeats)"
    basis += f"; true scores of the two correlate {correlation:g}"
    both = difference_parts(parts, parts, correlation)
    clusters = _clustering(side.means, clusters_of(rollouts, side.first, side.problems))
    score = float(side.means.mean())
    return Spread(
        between=both.between,
        within=both.within,
        binary=binary,
        score=score,
        problems=n,
        basis=basis + _clustering_note(clusters),
        room=score - min(0.0, float(rewards.min())),
        clusters=clusters,
        span=span_of(MEAN_REWARD, source, source),
    )


def spread_of_pair(baseline: Source, candidate: Source, *, icc: float = ICC) -> Spread:
    """From two past runs over the same problems. Raises ConfigError if too few are paired, if they
    are not the same problems, and if it is one run given twice."""
    where = f"{baseline.path} and {candidate.path}"
    if baseline.rollouts is None or candidate.rollouts is None:
        raise ConfigError("no results.jsonl", where=where)
    if same_run(baseline, candidate):
        hint = "give one past run, or two different ones"
        raise ConfigError(
            "they are the same run, which shows no difference", where=where, hint=hint
        )
    pairs = pair(baseline.rollouts, candidate.rollouts)
    if pairs.n < 2:
        raise ConfigError("fewer than two problems are paired", where=where)
    if differs := other_problems(baseline, candidate, pairs):
        raise ConfigError(
            f"the problems are not the same: they differ in {'; '.join(map(str, differs))}",
            where=where,
            hint="plan with one past run",
        )
    spread = spread_of_pairs(pairs, span_of(MEAN_REWARD, baseline, candidate), icc=icc)
    basis = f"{pairs.n:,} pairs of runs {baseline.run_id} and {candidate.run_id}, {spread.basis}"
    return msgspec.structs.replace(spread, basis=basis)


def spread_of_pairs(pairs: Pairs, span: float | None, *, icc: float = ICC) -> Spread:
    """From paired problems, of which there must be two, and the most that one can change."""
    weighted = pairs.weighted()
    differences = weighted.differences
    sides = (pairs.baseline_side, pairs.candidate_side)
    rewards = np.concatenate([weighted.baseline, weighted.candidate])
    repeats = [float(np.mean(side.repeats)) for side in sides]
    single = max(int(side.repeats.max()) for side in sides) == 1
    binary = all(_verdicts(side) for side in sides)
    total = float(differences.var(ddof=1))
    if binary and single:
        # Flips, whichever way: two equal models flip as often.
        within, between = float(np.mean(differences**2)), 0.0
        basis = "as if all of it were chance"
    elif single:
        within, between, basis = total, 0.0, "as if all of it were chance"
    elif min(int(side.repeats.max()) for side in sides) > 1:
        noise = [float(side.within[side.repeats > 1].mean()) for side in sides]
        between = max(0.0, total - sum(w / k for w, k in zip(noise, repeats, strict=True)))
        within, basis = sum(noise), "with repeats"
    else:
        within, between = (1 - icc) * total, icc * total
        basis = f"{icc:.0%} of the variance assumed to be between problems"
    clusters = _clustering(differences, pairs.clusters)
    score = float(weighted.baseline.mean())
    return Spread(
        between=between,
        within=within,
        binary=binary,
        score=score,
        problems=pairs.n,
        basis=basis + _clustering_note(clusters),
        room=score - min(0.0, float(rewards.min())),
        clusters=clusters,
        span=span,
    )


def spread_assumed(score: float, *, correlation: float = CORRELATION, icc: float = ICC) -> Spread:
    """From a score alone, of right and wrong answers."""
    parts = assumed(score * (1 - score), icc)
    both = difference_parts(parts, parts, correlation)
    return Spread(
        between=both.between,
        within=both.within,
        binary=True,
        score=score,
        problems=None,
        basis=f"an assumed score of {score:g}, {icc:.0%} of the variance between problems; true "
        f"scores of the two correlate {correlation:g}",
        room=score,
        span=1.0,
    )


def plan_power(
    spread: Spread,
    drop: float,
    *,
    problems: int | None = None,
    repeats: Sequence[int] = (1, 2, 4, 8),
    alpha: float = LEVEL,
    power: float = POWER,
) -> PowerPlan:
    """What each number of repeats takes; ``alpha`` is the one-sided level of the verdict."""
    n = problems if problems is not None else spread.problems
    return PowerPlan(
        drop=drop,
        alpha=alpha,
        power=power,
        problems=n,
        spread=spread,
        rows=tuple(_row(spread, drop, n, k, alpha, power) for k in repeats),
    )


def to_rule_out(
    spread: Spread, drop: float, repeats: int, *, alpha: float = LEVEL, power: float = POWER
) -> int | None:
    """Problems on which two equal models rule out a drop larger than this with the power: what
    ``compare`` and ``gate`` name as needed."""
    return fewest(Event(drop, ruled_out=True), spread.truth(0.0, repeats), alpha, power)


def detectable_drop(
    spread: Spread, n: int, repeats: int, *, alpha: float = LEVEL, power: float = POWER
) -> float | None:
    """The smallest drop that n problems show with the power, by bisection; None if none is."""

    def enough(drop: float) -> bool:
        return chance(Event(0.0), spread.truth(drop, repeats), n, alpha) >= power

    low, high = 0.0, min(spread.room, 1.0 + 10 * math.sqrt(spread.variance(repeats)))
    if high <= 0 or not enough(high):
        return None
    # About 3 standard errors: a start that spares half of the steps.
    for guess in (2 * math.sqrt(spread.variance(repeats) / n), 4 * math.sqrt(high / n)):
        if low < guess < high:
            low, high = (low, guess) if enough(guess) else (guess, high)
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _row(
    spread: Spread, drop: float, n: int | None, repeats: int, alpha: float, power: float
) -> Planned:
    possible, shown, none = drop <= spread.room, Event(0.0), spread.truth(0.0, repeats)
    there = spread.truth(drop, repeats) if possible else None
    needed = fewest(shown, there, alpha, power) if there is not None else None
    ruled_out = Event(drop, ruled_out=True)
    return Planned(
        repeats=repeats,
        problems_needed=needed,
        problems_to_rule_out=fewest(ruled_out, none, alpha, power),
        detectable=None
        if n is None
        else detectable_drop(spread, n, repeats, alpha=alpha, power=power),
        power=None if n is None or there is None else chance(shown, there, n, alpha),
        power_to_rule_out=None if n is None else chance(ruled_out, none, n, alpha),
        rollouts_needed=needed * repeats if needed is not None else None,
        exact=none.flips is not None,
    )


def _verdicts(side: PerProblem) -> bool:
    """Whether all rewards are right or wrong: then the variance within a problem is as its mean
    has it."""
    count, mean = side.repeats, side.means
    inside = bool(((mean >= 0) & (mean <= 1)).all())
    return inside and np.allclose(side.within * (count - 1), count * mean * (1 - mean), atol=1e-9)


def _clustering(values: Floats, clusters: Sequence[str] | None) -> Clustering | None:
    """How much clusters add to the variance of the mean; no less than nothing."""
    if clusters is None:
        return None
    n = len(values)
    together, alone = (paired_difference(np.zeros(n), values, given) for given in (clusters, None))
    effect = (together.error / alone.error) ** 2 if together.units > 1 and alone.error else 1.0
    return Clustering(design_effect=max(1.0, effect), units=effective_units(clusters, n) / n)


def _clustering_note(clusters: Clustering | None) -> str:
    if clusters is None:
        return ""
    return f"; clusters multiply the variance by {clusters.design_effect:.1f}"


def assumed(variance: float, icc: float) -> VarianceParts:
    """Parts of a variance, by the share that is between problems."""
    return VarianceParts(between=icc * variance, within=(1 - icc) * variance)
