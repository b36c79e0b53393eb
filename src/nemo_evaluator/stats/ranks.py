"""Places of several models on the same problems, as far as the data tell them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .student import t_quantile
from .units import cluster_sums, corrected_sums, effective_units

Array = npt.NDArray[np.float64]


MOST_UNITS = 2000
"""Beyond it units are bootstrapped in as many groups of equal size: the same to three digits."""


class RankInterval(NamedTuple):
    """A model's place by its mean, and the best and worst place that the data allow."""

    rank: int
    low: int
    high: int


def rank_intervals(
    scores: Array,
    clusters: Sequence[object] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 42,
) -> list[RankInterval]:
    """Ranks of the columns of ``scores`` [problems × models], 1 the highest mean, with intervals.

    A model ranks below those that are significantly better than it and above those significantly
    worse. The differences of all pairs are tested at once, against the largest studentised
    difference in bootstraps of whole problems or clusters (Mogstad, Romano, Shaikh & Wilhelm 2024,
    simultaneous), so that each interval holds the true rank with at least ``confidence``. Errors
    allow for unequal clusters (``corrected_sums``), and few clusters raise the critical value as
    they raise t's quantile over the normal one. Two models that differ on fewer units than a sign
    test needs (6 at 95 %) are not told apart. Equal means share the better rank. Raises ValueError
    without problems or models.
    Example: of three models the first two alike and the third far below: (1, 1, 2), (2, 1, 2),
    (3, 3, 3).
    """
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError("ranks need a table of problems × models")
    models = scores.shape[1]
    means = scores.mean(axis=0)
    ranks = 1 + (means[None, :] > means[:, None] + 1e-12).sum(axis=1)
    residuals = scores - means
    units = np.column_stack([corrected_sums(column, clusters) for column in residuals.T])
    if len(units) < 2:
        return [RankInterval(int(rank), 1, models) for rank in ranks]
    apart = _studentised(means, len(scores), units)
    apart[_differing(scores, clusters) < 1 - math.log2(1 - confidence)] = 0.0
    df = max(1.0, effective_units(clusters, len(scores)) - 1)
    critical = _as_t(float(np.quantile(_largest(units, resamples, seed), confidence)), df)
    low = 1 + (apart < -critical).sum(axis=1)
    high = models - (apart > critical).sum(axis=1)
    return [
        RankInterval(int(rank), min(int(rank), int(best)), max(int(rank), int(worst)))
        for rank, best, worst in zip(ranks, low, high, strict=True)
    ]


def _differing(scores: Array, clusters: Sequence[object] | None) -> Array:
    """[j, k]: the number of units on which two models differ. All alike, they show no error; how
    little a few of them prove, only their number tells: the two-sided p-value of a sign test is at
    least 2^(1 - number)."""
    if clusters is not None:
        scores = np.column_stack([cluster_sums(column, clusters) for column in scores.T])
    gaps = [np.abs(scores - column[:, None]) > 1e-12 for column in scores.T]
    return np.array([gap.sum(axis=0) for gap in gaps], dtype=np.float64)


def _as_t(critical: float, df: float) -> float:
    """The quantile of t at the level at which ``critical`` is one of the normal distribution.
    Example: 1.96 with 5 degrees of freedom: 2.5706."""
    level = NormalDist().cdf(critical)
    return t_quantile(level, df) if 0.5 < level < 1 else math.inf if level >= 1 else critical


def _studentised(means: Array, n: int, residuals: Array) -> Array:
    """[j, k]: mean of j - mean of k, over its standard error; infinite where that is 0."""
    differences = (means[:, None] - means[None, :]) * n
    differences[np.abs(differences) <= 1e-12 * n] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(differences / _errors(residuals), nan=0.0, posinf=np.inf))


def _largest(residuals: Array, resamples: int, seed: int) -> Array:
    """The largest studentised difference of two models, of each resample."""
    generator = np.random.default_rng(seed)
    if len(residuals) > MOST_UNITS:
        order = generator.permutation(len(residuals))
        residuals = np.add.reduceat(
            residuals[order], np.linspace(0, len(order), MOST_UNITS, endpoint=False, dtype=int)
        )
    n, models = residuals.shape
    errors = _errors(residuals)
    scale = np.where(errors > 0, errors, np.inf)
    found = []
    rows = max(1, 1_000_000 // (models * models + n))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = generator.multinomial(n, np.full(n, 1 / n), size=size) - 1.0
        sums = drawn @ residuals
        found.append(np.abs((sums[:, :, None] - sums[:, None, :]) / scale).max(axis=(1, 2)))
    return np.concatenate(found)


def _errors(residuals: Array) -> Array:
    """Standard error of the sum of each two columns' differences."""
    covariance = residuals.T @ residuals
    variances = np.diag(covariance)
    squares = variances[:, None] + variances[None, :] - 2 * covariance
    squares[squares <= 1e-14 * len(residuals)] = 0.0
    return np.asarray(np.sqrt(squares))
