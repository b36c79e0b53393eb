"""Confidence intervals for means, made for the edges too: all right, all wrong, one problem.

The unit is the problem (its mean over repeats), or the cluster of problems where the dataset has
clusters: rollouts of one problem are not independent, and an interval that treats them so is too
narrow (Miller, "Adding Error Bars to Evals", 2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .student import t_quantile
from .units import cluster_sums

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its confidence interval."""

    value: float
    lower: float
    upper: float
    n: int
    """Problems it is a mean over."""
    method: str


def wilson(p: float, n: float, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval (1927) for a share ``p`` of ``n``; lies in [0, 1].

    Example: wilson(0.5, 10) = (0.2366, 0.7634); wilson(1.0, 10) = (0.7225, 1.0).
    """
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(max(0.0, p * (1 - p) / n + z * z / (4 * n * n)))
    scale = 1 + z * z / n
    lower = 0.0 if p == 0 else max(0.0, (centre - spread) / scale)
    upper = 1.0 if p == 1 else min(1.0, (centre + spread) / scale)
    return lower, upper


def clustered_error(values: Array, clusters: Sequence[object] | None) -> tuple[float, int]:
    """Standard error of a mean and the number of independent units G.

    sqrt(G/(G-1) · Σ_g e_g²) / N, with e_g the sum of residuals of cluster g (Miller 2024, eq. 4).
    Example: 50 ones in one cluster, 50 zeros in another: 0.5 (and 0.0503 if taken as independent).
    """
    n = len(values)
    residuals = values - values.mean()
    sums = residuals if clusters is None else cluster_sums(residuals, clusters)
    groups = len(sums)
    if groups < 2:
        return math.nan, groups
    return math.sqrt(groups / (groups - 1) * float(sums @ sums)) / n, groups


def mean_interval(
    values: Array, clusters: Sequence[object] | None = None, *, confidence: float = 0.95
) -> Interval:
    """The mean of per-problem values with an interval. ``values`` must not be empty.

    Values in [0, 1] get Wilson's interval at the effective sample size p(1-p)/se² (Kish's design
    effect), so it stays in [0, 1] and keeps its width where all values are 0 or all are 1. Other
    values get mean ± t(G-1)·se. One unit alone says nothing: Wilson with n = 1, or no width known.
    """
    p, n = float(values.mean()), len(values)
    error, groups = clustered_error(values, clusters)
    bounded = bool(values.min() >= 0.0 and values.max() <= 1.0)
    quantile = t_quantile(0.5 + confidence / 2, groups - 1) if groups > 1 else math.nan
    if not bounded:
        if groups < 2:
            return Interval(p, -math.inf, math.inf, n, "none (one unit)")
        return Interval(p, p - quantile * error, p + quantile * error, n, "t")
    independent = groups == n
    z = t_quantile(0.5 + confidence / 2, math.inf)
    if independent and bool(np.isin(values, (0.0, 1.0)).all()):
        return Interval(p, *wilson(p, n, z), n, "wilson")
    if p in (0.0, 1.0) or groups < 2:
        return Interval(p, *wilson(p, groups, z), n, "wilson (units)")
    name = "wilson (by problem)" if independent else "wilson (clustered)"
    if error == 0.0:
        return Interval(p, p, p, n, name)
    return Interval(p, *wilson(p, p * (1 - p) / error**2, quantile), n, name)


def bootstrap(
    values: Array, *, resamples: int = 10_000, seed: int = 42, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean, in blocks of bounded memory.

    Example: ten values, half of them 1 and half 0: about (0.2, 0.8).
    """
    generator = np.random.default_rng(seed)
    n = len(values)
    block = max(1, min(resamples, 4_000_000 // n))
    means: list[Array] = []
    done = 0
    while done < resamples:
        size = min(block, resamples - done)
        means.append(values[generator.integers(0, n, size=(size, n))].mean(axis=1))
        done += size
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(lower), float(upper)
