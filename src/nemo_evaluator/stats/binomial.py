"""The binomial distribution: exact sums of probabilities, for any number of trials, without scipy.

Only the part of the distribution that a double can hold is built, so a million trials cost as
little as a thousand.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

REACH = 40
"""Standard deviations either side of the mode beyond which a probability is below 1e-300."""


def binomial_pmf(n: int, p: float) -> tuple[int, Array]:
    """The probabilities of X ~ Bin(n, p), from the first k that is not negligible.

    Built from the mode outwards by the ratios P(k+1)/P(k) = (n-k)/(k+1) · p/(1-p), then scaled to
    sum 1: no logarithm of a factorial, so no digits are lost.
    Example: binomial_pmf(2, 0.5) = (0, [0.25, 0.5, 0.25]).
    """
    if p <= 0 or p >= 1:
        return (0 if p <= 0 else n), np.ones(1)
    mode = min(n, math.floor((n + 1) * p))
    reach = math.ceil(REACH * math.sqrt(n * p * (1 - p))) + 2 * REACH
    first, last = max(0, mode - reach), min(n, mode + reach)
    up = np.arange(mode, last, dtype=np.float64)
    down = np.arange(mode, first, -1, dtype=np.float64)
    odds = p / (1 - p)
    above = np.cumprod((n - up) / (up + 1) * odds)
    below = np.cumprod(down / (n - down + 1) / odds)
    weights = np.concatenate([below[::-1], np.ones(1), above])
    return first, weights / weights.sum()


def binomial_tail(k: int, n: int, p: float) -> float:
    """P[X ≥ k], X ~ Bin(n, p). Example: binomial_tail(8, 10, 0.5) = 0.0546875."""
    if k <= 0 or k > n:
        return 1.0 if k <= 0 else 0.0
    first, weights = binomial_pmf(n, p)
    start = max(0, k - first)
    return min(1.0, float(weights[start:].sum()))
