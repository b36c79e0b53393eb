"""All benchmarks together: how likely is a drop larger than allowed, in any of them and on average?

Each benchmark's chance is read off the interval its verdict is read off; what is assumed to put
them together is said beside the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from ..stats.student import chi_squared_tail
from ..types import Record
from .damage import LEVEL, Bounds, Damage

ASSUMPTIONS = (
    "before the runs every size of a drop was equally likely",
    "errors of different benchmarks are independent; the range holds for any dependence",
    "rollouts without a verdict count against the candidate",
)


class Part(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One benchmark of a suite."""

    benchmark: str
    limit: float
    beyond: float
    """Chance that its true drop is larger than the limit."""


class Suite(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The benchmarks that decide, together."""

    parts: tuple[Part, ...]
    any_beyond: float
    """Chance that at least one true drop is larger than its limit."""
    any_range: tuple[float, float]
    """The same however the benchmarks depend on each other."""
    damage: Bounds
    """Mean over the benchmarks, each with the same weight."""
    limit: float
    """Mean of the limits."""
    mean_beyond: float
    """Chance that the mean of the true drops is larger than the mean of the limits."""
    differ: float | None
    """p-value of "all benchmarks dropped alike" (Cochran's Q); None for one alone."""
    assumptions: tuple[str, ...] = ASSUMPTIONS


def suite_of(items: Sequence[tuple[str, Damage, float]]) -> Suite | None:
    """The suite of (benchmark, its damage, its limit); None where there are none, or where an
    interval has no ends."""
    bounds = [damage.bounds() for _, damage, _ in items]
    if not items or not all(math.isfinite(b.lower) and math.isfinite(b.upper) for b in bounds):
        return None
    parts = tuple(
        Part(benchmark=name, limit=limit, beyond=damage.chance_beyond(limit))
        for name, damage, limit in items
    )
    chances = [part.beyond for part in parts]
    pooled, errors = _pooled(bounds)
    limit = math.fsum(part.limit for part in parts) / len(parts)
    error = math.hypot(*errors) / len(errors)
    z = (pooled.damage - limit) / error if error else math.copysign(math.inf, pooled.damage - limit)
    return Suite(
        parts=parts,
        any_beyond=1 - math.prod(1 - p for p in chances),
        any_range=(max(chances), min(1.0, math.fsum(chances))),
        damage=pooled,
        limit=limit,
        mean_beyond=NormalDist().cdf(z) if math.isfinite(z) else float(z > 0),
        differ=_differ([b.damage for b in bounds], errors),
    )


def _pooled(bounds: Sequence[Bounds]) -> tuple[Bounds, list[float]]:
    """The mean damage, each end's distance from it joined as independent ones are; and the standard
    errors that the intervals amount to."""
    n, z = len(bounds), NormalDist().inv_cdf(1 - LEVEL)
    mean = math.fsum(b.damage for b in bounds) / n
    below = math.hypot(*(b.damage - b.lower for b in bounds)) / n
    above = math.hypot(*(b.upper - b.damage for b in bounds)) / n
    errors = [(b.upper - b.lower) / (2 * z) for b in bounds]
    return Bounds(damage=mean, lower=mean - below, upper=mean + above), errors


def _differ(damages: Sequence[float], errors: Sequence[float]) -> float | None:
    if len(damages) < 2 or not all(errors):
        return None
    weights = [1 / error**2 for error in errors]
    mean = math.fsum(w * d for w, d in zip(weights, damages, strict=True)) / math.fsum(weights)
    q = math.fsum(w * (d - mean) ** 2 for w, d in zip(weights, damages, strict=True))
    return chi_squared_tail(q, len(damages) - 1)
