"""Places of several models on the same problems, as far as the data tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .units import cluster_sums

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
    worse; its differences from all others are tested at once, against the largest studentised
    difference in bootstraps of whole problems (or clusters), so each interval holds the true rank
    with at least ``confidence`` (Mogstad, Romano, Shaikh & Wilhelm 2024). Equal means share the
    better rank. One unit tells nothing apart. Raises ValueError without problems or models.
    Example: of three models the first two alike and the third far below: (1, 1, 2), (2, 1, 2),
    (3, 3, 3).
    """
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError("ranks need a table of problems × models")
    models = scores.shape[1]
    means = scores.mean(axis=0)
    ranks = 1 + (means[None, :] > means[:, None] + 1e-12).sum(axis=1)
    units = scores - means
    if clusters is not None:
        units = np.column_stack([cluster_sums(column, clusters) for column in units.T])
    if len(units) < 2:
        return [RankInterval(int(rank), 1, models) for rank in ranks]
    apart = _studentised(means, len(scores), units)
    critical = np.quantile(_largest(units, resamples, seed), confidence, axis=0)[:, None]
    low = 1 + (apart < -critical).sum(axis=1)
    high = models - (apart > critical).sum(axis=1)
    return [
        RankInterval(int(rank), min(int(rank), int(best)), max(int(rank), int(worst)))
        for rank, best, worst in zip(ranks, low, high, strict=True)
    ]


def _studentised(means: Array, n: int, residuals: Array) -> Array:
    """[j, k]: mean of j - mean of k, over its standard error; infinite where that is 0."""
    differences = (means[:, None] - means[None, :]) * n
    differences[np.abs(differences) <= 1e-12 * n] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(differences / _errors(residuals), nan=0.0, posinf=np.inf))


def _largest(residuals: Array, resamples: int, seed: int) -> Array:
    """[resample, j]: the largest studentised difference of model j from another, of resamples."""
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
        sums = generator.multinomial(n, np.full(n, 1 / n), size=size) @ residuals
        found.append(np.abs((sums[:, :, None] - sums[:, None, :]) / scale).max(axis=2))
    return np.concatenate(found)


def _errors(residuals: Array) -> Array:
    """Standard error of the sum of each two columns' differences."""
    n, models = residuals.shape
    covariance = np.cov(residuals, rowvar=False).reshape(models, models) * n
    variances = np.diag(covariance)
    squares = variances[:, None] + variances[None, :] - 2 * covariance
    squares[squares <= 1e-14 * n] = 0.0
    return np.asarray(np.sqrt(squares))
