"""The ratio of two totals with its interval: what was used by how often something came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .intervals import Array, Interval, unbounded_interval
from .student import t_quantile
from .units import effective_units

METHOD = "ratio (Fieller)"
STEPS = 50
"""Halvings of a bracket: its ends then agree in all digits."""
LARGEST = 2.0**40
"""Times the ratio itself, beyond which a limit is taken for none."""


def ratio_interval(
    above: Array,
    below: Array,
    clusters: Sequence[object] | None = None,
    *,
    confidence: float = 0.95,
) -> Interval:
    """Sum of ``above`` over sum of ``below``, both of one non-negative value per problem.

    The interval holds every ratio θ that the data do not contradict: those for which the interval
    of the mean of ``above - θ·below`` holds 0 (Fieller, JRSS B 16, 1954, with the t test of
    ``unbounded_interval``). Where ``below`` cannot be told from 0 it has no upper limit (inf): a
    few successes say little about the price of one. Where ``below`` is the same throughout, as
    many as z²/(n + z²) of it may be missing and unseen. Raises ValueError where ``below`` is 0.
    Example: costs 1, 2, 3, 4, of which the second and the fourth succeeded: 5 [1.287, inf]; the
    same five times over: 5 [3.473, 8.924].
    """
    if not below.sum() > 0:
        raise ValueError("the denominators of a ratio are 0")
    ratio = float(above.sum() / below.sum())

    def possible(theta: float) -> bool:
        found = unbounded_interval(above - theta * below, clusters, confidence=confidence)
        return found.lower <= 0 <= found.upper

    if ratio == 0:
        return Interval(0.0, 0.0, 0.0, len(above), METHOD)
    lower = 0.0 if possible(0.0) else _edge(possible, inside=ratio, outside=0.0)
    upper = _upper(possible, ratio)
    if float(np.ptp(below)) <= 1e-12:
        z = t_quantile(0.5 + confidence / 2, math.inf)
        upper /= 1 - z * z / (effective_units(clusters, len(below)) + z * z)
    return Interval(ratio, lower, upper, len(above), METHOD)


def _upper(possible: Callable[[float], bool], ratio: float) -> float:
    reached = 1.0
    while possible(2 * reached * ratio):
        reached *= 2
        if reached > LARGEST:
            return math.inf
    return _edge(possible, inside=reached * ratio, outside=2 * reached * ratio)


def _edge(possible: Callable[[float], bool], *, inside: float, outside: float) -> float:
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        if possible(middle):
            inside = middle
        else:
            outside = middle
    return inside
