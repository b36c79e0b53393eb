"""The damage as people would judge: a judged score's difference with the judge's error carried on.

Runs that were given a calibration of their judge publish ``NAME:corrected`` beside the judge's
score. The difference of two such scores has the interval of the paired difference, widened by what
the labelled rows leave open of each side (Zou & Donner 2008): the judge may be wrong about one
model in other ways than about the other.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from ..types import Record
from .damage import LEVEL, Bounds, Damage, smallest_level
from .metrics import PASS_1, REWARD, Metric
from .sources import Source

SUFFIX = ":corrected"
PUBLISHED_Z = NormalDist().inv_cdf(0.975)
"""Of the intervals in a bundle."""


class Corrected(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One side: what labelled rows add to the judge's score."""

    raw: float
    score: float
    """As people would judge."""
    below: float
    """Distance of the lower limit that is the labelled rows' part."""
    above: float


class Calibrated(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Both sides of a judged benchmark, corrected."""

    metric: str
    """As the bundles name the corrected score."""
    baseline: Corrected
    candidate: Corrected
    higher_is_better: bool = True

    def bounds(self, damage: Damage, level: float = LEVEL) -> Bounds:
        """The damage as people would judge."""
        plain = damage.bounds(level)
        sign = 1.0 if self.higher_is_better else -1.0
        one, other = self.baseline, self.candidate
        moved = sign * ((one.score - one.raw) - (other.score - other.raw))
        less, more = (one.below, other.above), (one.above, other.below)
        if not self.higher_is_better:
            less, more = more, less
        scale = max(0.0, NormalDist().inv_cdf(1 - level)) / PUBLISHED_Z
        below = math.hypot(plain.damage - plain.lower, *(scale * part for part in less))
        above = math.hypot(plain.upper - plain.damage, *(scale * part for part in more))
        value = plain.damage + moved
        return Bounds(damage=value, lower=value - below, upper=value + above)

    def p_beyond(self, damage: Damage, limit: float) -> float:
        """One-sided p-value of "the damage is no larger than ``limit``"."""
        return smallest_level(lambda level: self.bounds(damage, level).lower > limit)


def calibrated(baseline: Source, candidate: Source, metric: Metric) -> Calibrated | None:
    """Both corrected scores; None unless both runs publish one for the metric."""
    name = f"{metric.name}{SUFFIX}"
    if baseline.value(name) is None and metric.name in (REWARD, PASS_1):
        found = _of_the_reward(baseline)
        name = found[0] if len(found) == 1 else name
    sides = [_corrected(source, name, metric.name) for source in (baseline, candidate)]
    if sides[0] is None or sides[1] is None:
        return None
    return Calibrated(
        metric=name,
        baseline=sides[0],
        candidate=sides[1],
        higher_is_better=metric.higher_is_better,
    )


def _of_the_reward(source: Source) -> list[str]:
    """Corrected scores of judges whose verdict is the reward: they have no metric of their own."""
    names = source.published.metrics if source.published is not None else ()
    return [
        name for name in names if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) not in names
    ]


def _corrected(source: Source, name: str, raw: str) -> Corrected | None:
    found, plain = source.value(name), source.value(raw)
    if found is None or plain is None:
        return None
    score, low, high = found
    value, below, above = plain
    if low is None or high is None or below is None or above is None:
        return None
    return Corrected(
        raw=value,
        score=score,
        below=_part(score - low, value - below),
        above=_part(high - score, above - value),
    )


def _part(whole: float, known: float) -> float:
    """What joins ``known`` to ``whole``; all of it where the score lies at its end."""
    return math.sqrt(max(0.0, whole * whole - known * known))
