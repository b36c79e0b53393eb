"""Confidence intervals for quantiles of many numbers, such as the median latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from .intervals import Array, Interval, clustered_error, wilson


def quantile_interval(
    values: Array, q: float, clusters: Sequence[object] | None = None, *, confidence: float = 0.95
) -> Interval:
    """A quantile with its interval: the share of numbers below it has one, and its ends are turned
    back into numbers (Woodruff 1952).

    The share's interval is Wilson's, for as many independent numbers as the clusters are worth: the
    answers to one problem are alike. Raises ValueError without values, and unless 0 < q < 1.
    Example: the median of 1, 2, …, 99: 50 [40.4, 59.6].
    """
    if not len(values):
        raise ValueError("a quantile needs values")
    if not 0 < q < 1:
        raise ValueError("a quantile is between 0 and 1")
    value = float(np.quantile(values, q))
    below = (values <= value).astype(np.float64)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    lower, upper = wilson(q, max(1.0, _effective(below, clusters)), z)
    low, high = np.quantile(values, [lower, upper])
    return Interval(value, float(low), float(high), len(values), "woodruff")


def _effective(below: Array, clusters: Sequence[object] | None) -> float:
    """How many independent numbers would tell the share as well."""
    n, share = len(below), float(below.mean())
    if clusters is None or share in (0.0, 1.0):
        return float(n if clusters is None else len(set(clusters)))
    error, groups = clustered_error(below, clusters)
    if not math.isfinite(error) or error <= 0.0:
        return float(groups)
    return min(float(n), share * (1 - share) / error**2)
