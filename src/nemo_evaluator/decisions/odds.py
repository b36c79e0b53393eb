"""The chance of a verdict before the runs: how often is an event of ``damage.py`` shown?

An event is read off the interval that verdicts are read off, so a plan and a verdict are about the
same event. Single verdicts of independent problems are summed exactly over the numbers of flips;
all else (repeats, graded rewards, clusters) is an approximation by Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import NormalDist

import numpy as np

from ..stats.binomial import binomial_pmf, binomial_tail
from ..stats.student import t_quantile
from .damage import (
    SKEW_OF_MEANS,
    Damage,
    Sides,
    flips_rule_out,
    flips_show,
    less_sure,
    level_kept,
    unseen_share,
)
from .verdicts import MIN_PAIRS

MOST_PROBLEMS = 10_000_000
ROUGH = 1.5
"""Means of few problems are no t: the error is taken larger by this over their number."""
MUCH_WIDER = 1.18
TERMS = 30
"""Numbers of flips summed over; of more, every n-th (the terms differ little then)."""
TEETH = 12
"""Problems to look ahead for a drop of the chance, which is a saw in n where flips are counted."""
NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Event:
    """A damage larger than ``limit`` is shown, or it is ruled out."""

    limit: float
    ruled_out: bool = False


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of each problem in both runs."""

    damage: float
    variance: float
    """Of the difference of one problem's means."""
    flips: tuple[float, float] | None
    """Shares of problems lost and won; None where rewards are not single verdicts."""
    design_effect: float = 1.0
    """By which clusters of problems multiply the variance of the mean."""
    units: float = 1.0
    """Independent units per problem."""
    verdicts: bool = False
    """Whether rewards are right or wrong."""
    span: float | None = None
    """The most that a problem can change; None where that is not known."""
    size: float = 0.0
    """Of a change that is large among them: √(E d⁴/E d²)."""


def chance(event: Event, truth: Truth, n: int, level: float) -> float:
    """Chance that n problems show the event."""
    if n < MIN_PAIRS:
        return 0.0
    if truth.flips is not None:
        return _by_flips(event, *truth.flips, n, level)
    likely = _by_means(event, truth, n, level)
    if not truth.verdicts or truth.units == 1.0:
        return likely
    return min(likely, _by_whole_clusters(event, truth, n, level))


def fewest(event: Event, truth: Truth, level: float, power: float) -> int | None:
    """Fewest problems from which on the event is shown with this chance; None if ten million are
    too few."""
    if truth.flips is not None:
        lost, won = truth.flips
        return _fewest_by_flips(event, lost, won, level, power)
    return _fewest(lambda n: chance(event, truth, n, level), power, least=MIN_PAIRS, teeth=0)


@lru_cache(maxsize=16384)
def _fewest_by_flips(
    event: Event, lost: float, won: float, level: float, power: float
) -> int | None:
    @cache
    def found(n: int) -> float:
        return _by_flips(event, lost, won, n, level)

    return _fewest(found, power, least=MIN_PAIRS, teeth=TEETH)


def _fewest(found: Callable[[int], float], power: float, *, least: int, teeth: int) -> int | None:
    low, high = least - 1, least
    while found(high) < power:
        low, high = high, high * 2
        if high > MOST_PROBLEMS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) >= power else (middle, high)
    while short := [n for n in range(high + 1, high + teeth) if found(n) < power]:
        high = short[-1] + 1
    return high


def _by_flips(event: Event, lost: float, won: float, n: int, level: float) -> float:
    """With D ~ Bin(n, lost + won) flips, X ~ Bin(D, lost/(lost + won)) of them lost: the sum of
    P[D = d] · P[X ≥ b(d)], b(d) the fewest losses that show the damage (or do not rule it out)."""
    flips = min(1.0, lost + won)
    first, chances = binomial_pmf(n, flips)
    likely = np.flatnonzero(chances > 1e-7)
    # An odd stride meets odd and even numbers of flips alike; critical values alternate with them.
    likely = likely[:: len(likely) // TERMS // 2 * 2 + 1]
    weights = chances[likely] / chances[likely].sum()
    share = lost / flips if flips else 0.0
    beyond = np.array(
        [
            binomial_tail(_critical(event, d, n, level), d, share)
            for d in (first + int(i) for i in likely)
        ]
    )
    total = float(weights @ (1 - beyond if event.ruled_out else beyond))
    return min(1.0, max(0.0, total))


@lru_cache(maxsize=65536)
def _critical(event: Event, flips: int, n: int, level: float) -> int:
    """Fewest losses among the flips that show the damage, or that no longer rule it out;
    ``flips`` + 1 if none do."""
    low, high = -1, flips + 1
    while high - low > 1:
        lost = (low + high) // 2
        if event.ruled_out:
            reached = not flips_rule_out(lost, flips - lost, n, event.limit, level)
        else:
            reached = flips_show(lost, flips - lost, n, event.limit, level)
        low, high = (low, lost) if reached else (lost, high)
    return high


def _by_means(event: Event, truth: Truth, n: int, level: float) -> float:
    """P[noncentral t > its quantile], approximately: Φ((δ - q(1 - 1/4ν))/√(1 + q²/2ν))."""
    error = math.sqrt(truth.variance * truth.design_effect / n)
    if error == 0:
        return float(_flat(event, truth.damage, n, level))
    error *= 1 + ROUGH / n
    df = max(1.0, n * truth.units - 1)
    changed = _changed(truth, n) if event.ruled_out else n
    at = level_kept(level, n, changed)
    distance = (truth.damage - event.limit) * (-1 if event.ruled_out else 1) / error
    if event.ruled_out:
        at = _level_at_limit(event.limit, truth, n, at, error)
    wider = _score_width(event, truth)
    likely = _chance_beyond(distance, wider * t_quantile(1 - at, df), min(df, 2 * changed))
    if not event.ruled_out or truth.span is None:
        return likely
    unseen = unseen_share(n, level_kept(level, n, 0))
    edge = (event.limit - unseen * truth.span) / (1 - unseen)
    return min(likely, NORMAL.cdf((edge - truth.damage) / error)) if edge >= 0 else 0.0


def _changed(truth: Truth, n: int) -> float:
    """About how many of the problems change: the fewer, the less sure is the error itself."""
    if not truth.verdicts or not truth.size:
        return n
    return max(1.0, min(n, n * truth.variance / truth.size**2))


def _chance_beyond(distance: float, quantile: float, df: float) -> float:
    spread = math.sqrt(1 + quantile**2 / (2 * df))
    return NORMAL.cdf((distance - quantile * (1 - 1 / (4 * df))) / spread)


def _score_width(event: Event, truth: Truth) -> float:
    """How much wider than t's the score interval is that rules the limit out: if the damage were
    as large as the limit, more problems would change than do."""
    if not event.ruled_out or not truth.verdicts:
        return 1.0
    more = truth.size * event.limit / (2 * truth.variance)
    return min(MUCH_WIDER, math.sqrt(math.hypot(1, more)))


def _level_at_limit(limit: float, truth: Truth, n: int, level: float, error: float) -> float:
    """The level of the upper end where the damage seen is as large as just rules the limit out: the
    larger it is, the more of the changes seen are losses."""
    at, units, alike = level, n * truth.units, truth.design_effect * truth.units
    size = truth.size if truth.units == 1 else math.sqrt(min(1.0, alike))
    if not (scale := (units * truth.variance * alike) ** 1.5):
        return level
    for _ in range(3):
        seen = max(0.0, limit - t_quantile(1 - at, math.inf) * error)
        at = less_sure(level, size**2 * seen * units / scale, SKEW_OF_MEANS)
    return at


def _by_whole_clusters(event: Event, truth: Truth, n: int, level: float) -> float:
    """As if each cluster changed whole: the fewest changes that have the variance, which are the
    least alike from sample to sample."""
    drop = truth.damage
    variance = truth.variance * truth.design_effect * truth.units
    flips = min(1.0, max(abs(drop), variance + drop * drop))
    units = max(1, round(n * truth.units))
    if event.ruled_out and flips:
        level = _level_at_limit(event.limit, truth, n, level, math.sqrt(flips / units))
    return _by_flips(event, (flips + drop) / 2, (flips - drop) / 2, units, level)


def _flat(event: Event, damage: float, n: int, level: float) -> bool:
    """Whether n problems that all differ by the same damage show the event."""
    if n > 100_000:
        n = 100_000
    bounds = Damage(Sides(np.full(n, damage), np.zeros(n))).bounds(level)
    return bounds.upper <= event.limit if event.ruled_out else bounds.lower > event.limit
