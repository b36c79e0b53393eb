"""The damage of one metric: how much worse the candidate is, with an interval that holds.

Damage is positive where the candidate is worse, whichever way the metric points. ``compare``,
``gate`` and ``power`` speak of the same four events, all read off one interval: a drop is shown,
a drop beyond the limit is shown, a drop within the limit is shown, a gain is shown. The interval
keeps its width where few problems or none changed, and its ends hold whatever the rollouts without
a verdict would have said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..stats.binomial import binomial_tail
from ..stats.intervals import clopper_pearson
from ..stats.paired import (
    TANGO,
    PairedDifference,
    flip_skewness,
    paired_difference,
    skewness_of_mean,
    tango,
    tango_below,
)
from ..stats.student import t_quantile
from ..types import Record
from .interim_damage import Watched
from .interim_looks import AT_LOOKS
from .rollouts import Floats

LEVEL = 0.025
"""One-sided level of every event: the ends of a 95 % interval."""
SMALL, FEW, MANY = 100, 20, 0.05
"""With this few problems, or flips, score limits miss their level by up to a quarter: they are
taken at three quarters, and at ever more of the level with more of both, at most at 98.75 % of it.
"""
SPARE = 0.25
SKEW = 0.25
"""The end of an interval towards zero is too sure where most changes go one way: the chance to miss
grows by the skewness g of the mean, times z³/6 (Edgeworth's first term); that end is taken at
exp(-g·z³/4) of the level, a little more than is needed."""
SKEW_OF_MEANS = 0.45
"""The same of a mean whose error is estimated: it misses by φ(z)·(2z² + 1)·g/6 more, which is
0.45·g·z³ of a level of 2.5 %."""
LOPSIDED = 5
"""With this few flips one way and more the other, the exact limit of the more is asked too."""
LOWEST_P = 1e-9
LOWEST_LEVEL = 1e-14
BARELY = 1e-12


class Bounds(Record, frozen=True, kw_only=True):
    """An estimate of the damage and its limits, each at the one-sided level."""

    damage: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of the paired problems: one value each, a mean over repeats."""

    baseline: Floats
    candidate: Floats
    clusters: Sequence[object] | None = None
    span: float | None = None
    """The most that a problem can change; None where that is not known."""
    weights: Floats | None = None
    """What the values were multiplied by, where problems do not count alike."""

    def parts(self, baseline: Floats) -> Iterator[tuple[float, Sides]]:
        """The problems of one weight each, as they are without it, with their share of the mean."""
        assert self.weights is not None
        for weight in np.unique(self.weights):
            at = np.flatnonzero(self.weights == weight)
            clusters = None if self.clusters is None else [self.clusters[i] for i in at.tolist()]
            part = Sides(baseline[at] / weight, self.candidate[at] / weight, clusters)
            yield weight * len(at) / len(baseline), part


@dataclass(frozen=True, slots=True)
class Damage:
    """What is known of the damage. ``seen`` are the paired problems; ``worst`` and ``best`` are all
    planned ones with every rollout without a verdict counted against, or for, the candidate; they
    are None where nothing is missing, or where the metric has no bounds."""

    seen: Sides
    higher_is_better: bool = True
    worst: Sides | None = None
    best: Sides | None = None
    watched: Watched | None = None
    """How limits are taken where the candidate was looked at while it ran."""

    @property
    def n(self) -> int:
        """Paired problems."""
        return len(self.seen.baseline)

    def bounds(self, level: float = LEVEL, *, share: float = 0.0) -> Bounds:
        """Damage beyond ``share`` of the baseline's score (0: the damage itself)."""
        if self.watched is not None:
            return self._at_every_look(self.watched, level, share)
        seen = self._bounds(self.seen, level, share)
        lower, upper = seen.lower, seen.upper
        if self.worst is not None:
            upper = max(upper, self._bounds(self.worst, level, share).upper)
        if self.best is not None:
            lower = min(lower, self._bounds(self.best, level, share).lower)
        return Bounds(damage=seen.damage, lower=lower, upper=upper)

    def p_beyond(self, limit: float, *, share: float = 0.0) -> float:
        """One-sided p-value of "the damage is no larger than ``limit``": the smallest level at
        which the interval lies beyond it."""
        if self.watched is not None:
            return self._p_at_looks(self.watched, limit, share, 1.0)
        return self._p(lambda b: b.lower > limit, share)

    def p_within(self, limit: float, *, share: float = 0.0) -> float:
        """One-sided p-value of "the damage is larger than ``limit``"."""
        if self.watched is not None:
            found = self._p_at_looks(self.watched, limit, share, -1.0) / AT_LOOKS
            if not self.watched.stopped:
                found = min(found, self.unwatched().p_within(limit, share=share) / (1 - AT_LOOKS))
            return min(1.0, found)
        return self._p(lambda b: b.upper <= limit, share)

    def chance_beyond(self, limit: float) -> float:
        """Chance that the true damage is larger than ``limit``, every size having been equally
        likely before: by the side of the interval that the limit lies on, so that its width with
        few changes, and what is missing, count. One half where the limit lies between the two."""
        within, beyond = self.p_within(limit), self.p_beyond(limit)
        if within < 1.0:
            return within
        return 1 - beyond if beyond < 1.0 else 0.5

    def _p(self, shown: Callable[[Bounds], bool], share: float) -> float:
        return smallest_level(lambda level: shown(self.bounds(level, share=share)))

    def _at_every_look(self, watched: Watched, level: float, share: float) -> Bounds:
        """Limits that hold whenever the run ended; the ordinary ones too where it did not choose
        its end."""
        values, _ = self._excess(self.seen, watched, share)
        lower, upper = -math.inf, math.inf
        if watched.within is not None:
            lower = min(self._limit(watched, level, share, v, 1.0) for v in self._views(1.0))
            at = level * AT_LOOKS
            upper = -min(self._limit(watched, at, share, v, -1.0) for v in self._views(-1.0))
        if not watched.stopped:
            rest = self.unwatched().bounds(level * (1 - AT_LOOKS), share=share)
            upper = min(upper, rest.upper)
        return Bounds(damage=float(values.mean()), lower=lower, upper=upper)

    def _views(self, side: float) -> list[Sides]:
        """What the damage may be, at its least (1) or at its most (-1)."""
        other = self.best if side > 0 else self.worst
        return [self.seen] if other is None else [self.seen, other]

    def unwatched(self) -> Damage:
        """The same by ordinary limits, which hold at a planned end."""
        return replace(self, watched=None)

    def _excess(
        self, sides: Sides, watched: Watched, share: float
    ) -> tuple[Floats, tuple[float, float]]:
        """The damage of every problem beyond ``share`` of the baseline, and its range."""
        sign = 1.0 if self.higher_is_better else -1.0
        kept = 1 - sign * share
        values = sign * (kept * sides.baseline - sides.candidate)
        known = watched.within is not None
        return values, watched.excess_within(sign, kept) if known else (-math.inf, math.inf)

    def _limit(
        self, watched: Watched, level: float, share: float, sides: Sides, side: float
    ) -> float:
        values, (low, high) = self._excess(sides, watched, share)
        within = (low, high) if side > 0 else (-high, -low)
        return watched.limit(side * values, sides.clusters, within, level)

    def _p_at_looks(self, watched: Watched, limit: float, share: float, side: float) -> float:
        if watched.within is None:
            return 1.0
        found = LOWEST_P
        for sides in self._views(side):
            values, (low, high) = self._excess(sides, watched, share)
            within = (low, high) if side > 0 else (-high, -low)
            p = watched.p_value(side * values, sides.clusters, within, side * limit)
            found = max(found, p)
        return found

    def _bounds(self, sides: Sides, level: float, share: float) -> Bounds:
        """The bounds of one view of the data. A share of the baseline's score is allowed by
        shrinking the baseline: the mean of candidate - (1 - share) · baseline, whose error knows
        that the baseline's score is an estimate; its width is at least that of the plain
        difference, whose interval knows of flips that were not seen."""
        sign = 1.0 if self.higher_is_better else -1.0
        plain = _limits(sides, sides.baseline, level)
        low, high = sorted((-sign * plain[1], -sign * plain[2]))
        damage = -sign * plain[0]
        unseen = _unseen(sides, damage, level)
        # No event on the other side of zero: a drop, or a gain, that is shown stays shown.
        high = max(high, damage + unseen) if high >= 0 else high
        low = min(low, damage - unseen) if low <= 0 else low
        if share:
            allowed = share * abs(float(sides.baseline.mean()))
            # A smaller score is worse where higher is better, a larger one where lower is.
            shrunk = _limits(sides, sides.baseline * (1 - sign * share), level)
            ends = sorted((-sign * shrunk[1], -sign * shrunk[2]))
            damage -= allowed
            low, high = min(low - allowed, ends[0]), max(high - allowed, ends[1])
        return Bounds(damage=damage, lower=low, upper=high)


def smallest_level(shown: Callable[[float], bool]) -> float:
    """The smallest one-sided level at which something is shown: its p-value, by bisection."""
    low, high = LOWEST_P, 0.5
    if not shown(high):
        return 1.0
    if shown(low):
        return low
    for _ in range(16):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high


def _limits(sides: Sides, baseline: Floats, level: float) -> tuple[float, float, float]:
    """Mean of candidate - baseline, its lower and its upper limit."""
    mean, lower, upper = _limits_alike(sides, baseline, level)
    if sides.weights is None:
        return mean, lower, upper
    below, above = _by_weight(sides, baseline, level)
    return mean, min(lower, mean - below), max(upper, mean + above)


def _by_weight(sides: Sides, baseline: Floats, level: float) -> tuple[float, float]:
    """How far the limits of a mean of parts reach down and up, by those of the parts, which are
    independent (MOVER: Zou & Donner 2008). A part of four problems that is a third of the mean has
    wide limits, also where none of the four changed."""
    below = above = 0.0
    for share, part in sides.parts(baseline):
        mean, lower, upper = _limits_alike(part, part.baseline, level)
        if not math.isfinite(upper - lower):  # one unit: anything that the values can do
            whole = float(np.ptp(np.concatenate([part.baseline, part.candidate, [0.0, 1.0]])))
            lower, upper = -whole, whole
        below += (share * (mean - lower)) ** 2
        above += (share * (upper - mean)) ** 2
    return math.sqrt(below), math.sqrt(above)


def _limits_alike(sides: Sides, baseline: Floats, level: float) -> tuple[float, float, float]:
    """The same for problems that count alike. Summed exactly over all numbers
    of flips (docs/statistics.md), each keeps its level."""
    n, changed = len(baseline), int(np.count_nonzero(sides.candidate != baseline))
    at = level_kept(level, n, changed)
    found = paired_difference(baseline, sides.candidate, sides.clusters, confidence=1 - 2 * at)
    if found.method == TANGO:
        lost = int(np.count_nonzero(sides.candidate < baseline))
        lower, upper = _by_flips(found, lost, changed - lost, n, at)
        return found.delta, lower, upper
    if found.units < 2:
        return found.delta, found.lower, found.upper
    return found.delta, *_by_means(sides, baseline, found, at)


def _by_means(
    sides: Sides, baseline: Floats, found: PairedDifference, level: float
) -> tuple[float, float]:
    """Limits of a mean: those of t, that away from zero less sure where few changes are large, for
    a sample with few of them has a small spread too."""
    lower, upper = found.lower, found.upper
    skew = skewness_of_mean(sides.candidate - baseline, sides.clusters)
    stricter = 1 - 2 * less_sure(level, abs(skew), SKEW_OF_MEANS)
    wider = paired_difference(baseline, sides.candidate, sides.clusters, confidence=stricter)
    if skew < 0:
        lower = min(lower, wider.lower)
    elif skew > 0:
        upper = max(upper, wider.upper)
    return lower, upper


def _unseen(sides: Sides, damage: float, level: float) -> float:
    """Whole problems may be lost, or won, of which the sample has none: how much that could be. The
    limits of single verdicts know of it already."""
    if sides.span is None or level >= 0.5:
        return 0.0
    n = len(sides.baseline)
    return max(0.0, sides.span - abs(damage)) * unseen_share(n, level_kept(level, n, 0))


def unseen_share(n: int, level: float) -> float:
    """Share of problems that may have changed, none of n having done so (score limit)."""
    z = _quantile(level)
    return z * z / (n + z * z)


def _by_flips(
    found: PairedDifference, lost: int, won: int, n: int, level: float
) -> tuple[float, float]:
    """Limits of (won - lost)/n: the score limits, that towards zero less sure where most flips go
    one way, and the exact limit of their number where nearly all do."""
    exact_lower, exact_upper = _lopsided(lost, won, n, level)
    lower, upper = found.lower, found.upper
    wider = tango(won, lost, n, _quantile(less_sure(level, flip_skewness(lost, won, n))))
    if lost > won:
        upper = _to_zero(upper, wider[1])
    elif won > lost:
        lower = -_to_zero(-lower, -wider[0])
    return min(lower, exact_lower), max(upper, exact_upper)


def _to_zero(upper: float, wider: float) -> float:
    """The wider of two upper limits, but no further than just past zero: that most changes go one
    way is no reason to think that the truth lies the other way."""
    return max(upper, min(wider, BARELY))


def level_kept(level: float, n: int, changed: float) -> float:
    """The level at which limits are taken so that they keep ``level``."""
    spare = SPARE * min(1.0, max(MANY, SMALL / n, FEW / max(1.0, changed)))
    return level * (1 - spare) if level < 0.5 else level


def less_sure(level: float, skewness: float, share: float = SKEW) -> float:
    """The level at which the end is taken that skewness makes too sure."""
    if level >= 0.5 or skewness <= 0:
        return level
    return max(LOWEST_LEVEL, level * math.exp(-share * skewness * _quantile(level) ** 3))


def flips_show(lost: int, won: int, n: int, limit: float, level: float = LEVEL) -> bool:
    """Whether this many flips of single verdicts show a damage larger than ``limit``: as
    ``Damage.bounds`` has it, without computing the interval."""
    at = level_kept(level, n, lost + won)
    stricter = less_sure(at, flip_skewness(lost, won, n)) if lost > won and limit >= 0 else at
    if not tango_below(won, lost, n, _quantile(stricter), -limit):
        return False
    if min(lost, won) > LOPSIDED or lost <= won or at >= 0.5:
        return True
    return _surely_more(lost, n, limit + won / n, at)


def flips_rule_out(lost: int, won: int, n: int, limit: float, level: float = LEVEL) -> bool:
    """Whether this many flips of single verdicts rule a damage larger than ``limit`` out."""
    at = level_kept(level, n, lost + won)
    stricter = less_sure(at, flip_skewness(lost, won, n)) if won > lost and limit <= 0 else at
    if not tango_below(lost, won, n, _quantile(stricter), limit):
        return False
    if min(lost, won) > LOPSIDED or won <= lost or at >= 0.5:
        return True
    return _surely_more(won, n, lost / n - limit, at)


def _surely_more(count: int, n: int, share: float, level: float) -> bool:
    """Whether the exact lower limit of count/n is above ``share``."""
    return share < 0 or (share < 1 and binomial_tail(count, n, share) < level)


@lru_cache(maxsize=4096)
def _quantile(level: float) -> float:
    return t_quantile(1 - level, math.inf)


def _lopsided(lost: int, won: int, n: int, level: float) -> tuple[float, float]:
    """Where nearly all flips go one way, the exact limit of their number: the score limit of a few
    flips is too sure that they are as many as that."""
    if min(lost, won) > LOPSIDED or level >= 0.5:
        return math.inf, -math.inf
    lower, upper = math.inf, -math.inf
    if won > lost:
        lower = clopper_pearson(won, n, confidence=1 - 2 * level)[0] - lost / n
    if lost > won:
        upper = won / n - clopper_pearson(lost, n, confidence=1 - 2 * level)[0]
    return lower, upper
