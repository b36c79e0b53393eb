"""Power of McNemar's exact test, exactly: the normal formula promises too much where flips are few.

With D ~ Bin(n, r + i) flips, of which X ~ Bin(D, r/(r + i)) are regressions, the power is
Σ_d P[D = d] · P[X ≥ b(d)], b(d) the fewest regressions among d flips with a p-value below α.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from .binomial import binomial_pmf, binomial_tail
from .power import problems_needed

MOST_PROBLEMS = 50_000_000
MOST_TERMS = 400
"""Numbers of flips summed over; of more, every so many-th (the terms differ little then)."""
TEETH = 12
"""Problems to look ahead for a drop of the power: one critical value holds for about two flips."""


def power_of_mcnemar(p_regress: float, p_improve: float, n: int, alpha: float = 0.05) -> float:
    """Chance that the one-sided exact test finds the candidate worse, on n problems.

    ``p_regress`` and ``p_improve`` are the shares of problems that flip for the worse and better.
    Raises ValueError unless both are at least 0 and sum to at most 1.
    Example: power_of_mcnemar(0.06, 0.03, 1000) = 0.9269.
    """
    if p_regress < 0 or p_improve < 0 or p_regress + p_improve > 1:
        raise ValueError("the shares of flips must be at least 0 and sum to at most 1")
    flips = p_regress + p_improve
    if flips == 0 or n < 1:
        return 0.0
    share = p_regress / flips
    first, chances = binomial_pmf(n, flips)
    likely = np.flatnonzero(chances > 1e-15)
    # An odd stride meets odd and even numbers of flips alike; critical values alternate with them.
    likely = likely[:: len(likely) // MOST_TERMS // 2 * 2 + 1]
    weights = chances[likely] / chances[likely].sum()
    found = [_rejects(first + int(i), share, alpha) for i in likely]
    return min(1.0, float(weights @ np.array(found)))


def problems_needed_mcnemar(
    p_regress: float, p_improve: float, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Fewest problems from which on the exact test finds the drop with at least ``power``.

    By bisection from the normal formula's n, then past the teeth of the saw that the power of an
    exact test is in n where nearly every problem flips.
    Raises ValueError unless p_regress > p_improve.
    Example: problems_needed_mcnemar(0.06, 0.03) = 664.
    """
    if p_regress <= p_improve:
        raise ValueError("only a drop can be found: p_regress must exceed p_improve")
    drop, flips = p_regress - p_improve, p_regress + p_improve
    guess = problems_needed(
        math.sqrt(max(0.0, flips - drop**2)), drop, alpha=alpha, power=power, step=1.0
    )
    if guess > MOST_PROBLEMS:
        raise ValueError(f"more than {MOST_PROBLEMS:,} problems would be needed")
    low, high = 0, guess
    while power_of_mcnemar(p_regress, p_improve, high, alpha) < power:
        low, high = high, high + high // 8 + 4
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_of_mcnemar(p_regress, p_improve, middle, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    while short := [
        n
        for n in range(high + 1, high + TEETH)
        if power_of_mcnemar(p_regress, p_improve, n, alpha) < power
    ]:
        high = short[-1] + 1
    return high


@lru_cache(maxsize=65536)
def _rejects(flips: int, share: float, alpha: float) -> float:
    """Chance that so many flips, a ``share`` of them regressions, are significant."""
    return binomial_tail(_critical(flips, alpha), flips, share)


@lru_cache(maxsize=65536)
def _critical(flips: int, alpha: float) -> int:
    """Fewest regressions among ``flips`` with P[Bin(flips, ½) ≥ them] < α; flips + 1 if none."""
    first, weights = binomial_pmf(flips, 0.5)
    tails = np.cumsum(weights[::-1])[::-1]
    return first + int(np.searchsorted(-tails, -alpha, side="right"))
