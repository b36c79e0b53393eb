"""Bootstrap intervals of a mean, seeded, in blocks of bounded memory.

For scores the closed forms of ``intervals`` cover better at the edges; these are for comparison
with other tools and for skewed rewards.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from .units import cluster_sizes, cluster_sums

Array = npt.NDArray[np.float64]
BLOCK = 4_000_000
"""Draws held in memory at once."""


def bootstrap(
    values: Array, *, resamples: int = 10_000, seed: int = 42, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron 1979).

    Example: ten values, half of them 1 and half 0: about (0.2, 0.8).
    """
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(_means(values, resamples, seed), [tail, 1 - tail])
    return float(lower), float(upper)


def bca_bootstrap(
    values: Array, *, resamples: int = 10_000, seed: int = 42, confidence: float = 0.95
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of the mean (Efron 1987).

    Percentiles Φ(z0 + (z0 + z)/(1 - a(z0 + z))): z0 from the share of resampled means below the
    mean (ties half), a = Σl³ / (6·(Σl²)^1.5) of l = mean - values. Collapses where all are alike.
    Example: [1, 2, 3, 4, 10]: about (2.0, 8.2), the plain percentiles being (1.8, 7.0).
    """
    normal = NormalDist()
    means = _means(values, resamples, seed)
    mean = float(values.mean())
    below = float((means < mean).sum() + (means <= mean).sum()) / (2 * len(means))
    if float(np.ptp(values)) == 0.0 or not 0 < below < 1:
        return float(means.min()), float(means.max())
    bias = normal.inv_cdf(below)
    # The jackknife's means differ from the mean by (mean - x)/(n - 1); the factor cancels.
    influence = values - mean
    acceleration = float((influence**3).sum()) / (6 * float((influence**2).sum()) ** 1.5)
    shares = []
    for z in (normal.inv_cdf((1 - confidence) / 2), normal.inv_cdf((1 + confidence) / 2)):
        shares.append(normal.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))))
    lower, upper = np.quantile(means, shares)
    return float(lower), float(upper)


def cluster_bootstrap(
    values: Array,
    clusters: Sequence[object],
    *,
    resamples: int = 10_000,
    seed: int = 42,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of the mean from resampling whole clusters (Davison & Hinkley 1997, 3.8).

    Each resample's mean is its sum over its own number of values.
    Example: [1, 1, 0, 0] in clusters a, a, b, b: (0.0, 1.0).
    """
    sums, sizes = cluster_sums(values, clusters), cluster_sizes(clusters, len(values))
    generator = np.random.default_rng(seed)
    means: list[Array] = []
    for size in _blocks(resamples, len(sums)):
        drawn = generator.integers(0, len(sums), size=(size, len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(lower), float(upper)


def _means(values: Array, resamples: int, seed: int) -> Array:
    generator = np.random.default_rng(seed)
    n = len(values)
    return np.concatenate(
        [
            values[generator.integers(0, n, size=(size, n))].mean(axis=1)
            for size in _blocks(resamples, n)
        ]
    )


def _blocks(resamples: int, n: int) -> list[int]:
    rows = max(1, BLOCK // n)
    return [min(rows, resamples - start) for start in range(0, resamples, rows)]
