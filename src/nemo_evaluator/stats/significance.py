"""Tests of "the candidate is as good as the baseline" on paired problems: each returns a p-value.

``alternative`` says what is tested for: "worse" (the candidate is), "better" or "two-sided".
Differences are candidate - baseline, one per problem; repeats are averaged before they come here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from .binomial import binomial_pmf, binomial_tail
from .student import t_cdf
from .units import cluster_sums

Array = npt.NDArray[np.float64]
Alternative = Literal["worse", "better", "two-sided"]

SIGNS_DRAWN_ONE_BY_ONE = 20_000
"""Problems up to which a permutation draws the very signs that others with the same seed draw."""
BLOCK = 500_000
"""Signs held in memory at once."""


def mcnemar(
    regressions: int,
    improvements: int,
    *,
    mid_p: bool = False,
    alternative: Alternative = "worse",
) -> float:
    """McNemar's exact test (1947): P[X ≥ b], X ~ Bin(b + c, ½), b regressions, c improvements.

    Two-sided: twice the smaller tail, at most 1. ``mid_p`` counts half of P[X = b] (Fagerland,
    Lydersen & Laake 2013). No discordant pair: 1.0. Raises ValueError if a count is negative.
    Example: mcnemar(8, 2) = 0.0547, mid-p 0.0327; mcnemar(15, 2) = 0.00117.
    """
    if regressions < 0 or improvements < 0:
        raise ValueError("counts of flips cannot be negative")
    discordant = regressions + improvements
    if discordant == 0:
        return 1.0
    if alternative == "two-sided":
        more = max(regressions, improvements)
        return min(1.0, 2 * _half_tail(more, discordant, mid_p))
    return _half_tail(regressions if alternative == "worse" else improvements, discordant, mid_p)


def sign_test(differences: Array, alternative: Alternative = "worse") -> float:
    """The sign test: McNemar's on the numbers of falls and rises; ties are dropped.

    A difference within rounding error of 0, such as 0.1 + 0.2 - 0.3, is a tie.
    Example: 15 falls and 3 rises: 0.00377; nothing but ties: 1.0.
    """
    rounding = 1e-12 * float(np.abs(differences).max(initial=0.0))
    falls = int((differences < -rounding).sum())
    rises = int((differences > rounding).sum())
    return mcnemar(falls, rises, alternative=alternative)


def permutation(
    differences: Array,
    clusters: Sequence[object] | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 42,
    alternative: Alternative = "worse",
    tolerance: float = 1e-9,
) -> float:
    """Permutation of signs (Fisher 1935): p = (1 + #{permuted mean ≥ observed}) / (resamples + 1).

    The mean is of baseline - candidate for "worse"; under no difference its sign is a coin's, per
    problem or, with ``clusters``, per cluster. Means closer than ``tolerance`` times the mean size
    of a difference are equal, so ties count whatever their rounding errors; 0 compares floats as
    they come. Up to 20,000 units the signs are numpy's ``default_rng(seed).choice([-1, 1],
    (resamples, n))``, drawn in blocks; above, eight to a random byte. No units or no difference
    at all: 1.0.
    Example: [-0.5]·20 + [0.1]·5: 0.0001; [-.3, -.1, .2, -.4, .1, -.2, 0, -.3], seed 123: 0.0891.
    """
    sums = differences if clusters is None else cluster_sums(differences, clusters)
    if not len(sums) or not sums.any():
        return 1.0
    drops = np.ascontiguousarray(-sums if alternative == "worse" else sums, dtype=np.float64)
    observed = float(drops.mean())
    size: Callable[[Array], Array] = np.abs if alternative == "two-sided" else np.asarray
    threshold = (abs(observed) if alternative == "two-sided" else observed) - tolerance * float(
        np.abs(drops).mean()
    )
    means = _means_by_draw if len(drops) <= SIGNS_DRAWN_ONE_BY_ONE else _means_by_byte
    reached = sum(int((size(block) >= threshold).sum()) for block in means(drops, resamples, seed))
    return (1 + reached) / (resamples + 1)


def t_p_value(delta: float, error: float, df: float, alternative: Alternative = "worse") -> float:
    """Student's test of ``delta`` (candidate - baseline) with standard error ``error``.

    An error that is not known (NaN, or df < 1) is no evidence: 1.0.
    Example: t_p_value(-0.02, 0.01, 99) = 0.0241.
    """
    if not df >= 1 or not error >= 0:
        return 1.0
    if error == 0:
        favoured = {"worse": delta < 0, "better": delta > 0, "two-sided": delta != 0}
        return 0.0 if favoured[alternative] else 1.0
    t = delta / error
    if alternative == "two-sided":
        return min(1.0, 2 * t_cdf(-abs(t), df))
    return t_cdf(t if alternative == "worse" else -t, df)


def _half_tail(k: int, n: int, mid_p: bool) -> float:
    tail = binomial_tail(k, n, 0.5)
    if not mid_p:
        return tail
    first, weights = binomial_pmf(n, 0.5)
    at = k - first
    return tail - (float(weights[at]) / 2 if 0 <= at < len(weights) else 0.0)


def _means_by_draw(drops: Array, resamples: int, seed: int) -> Iterator[Array]:
    """Means under the signs ``choice([-1, 1], (resamples, n))`` would give, block by block.

    ``choice`` draws integers(0, 2) row by row, so blocks of rows continue the same stream.
    """
    generator = np.random.default_rng(seed)
    n = len(drops)
    rows = max(1, BLOCK // n)
    for start in range(0, resamples, rows):
        signs = generator.integers(0, 2, size=(min(rows, resamples - start), n))
        signs *= 2
        signs -= 1
        yield (signs * drops).mean(axis=1)


def _means_by_byte(drops: Array, resamples: int, seed: int) -> Iterator[Array]:
    """Means under random signs, eight to a byte: a table of 256 sums per eight problems."""
    raw = np.random.default_rng(seed).bit_generator
    n = len(drops)
    padded = np.concatenate([drops, np.zeros(-n % 8)]).reshape(-1, 8)
    signs = (np.arange(256)[:, None] >> np.arange(8) & 1) * 2.0 - 1.0
    words = -(-resamples // 8)
    totals = np.zeros(resamples)
    for eight in padded:
        drawn = raw.random_raw(words).view(np.uint8)[:resamples]
        totals += (signs @ eight).take(drawn)
    yield totals / n
