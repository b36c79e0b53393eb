"""pass@k and pass^k from attempts per problem."""

from __future__ import annotations

import math


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of k attempts is right, given c right of n (Chen et al. 2021):
    1 - C(n-c, k) / C(n, k), unbiased.

    Example: pass_at_k(10, 3, 2) = 0.5333. Raises ValueError unless 0 ≤ c ≤ n and 1 ≤ k ≤ n.
    """
    _check(n, c, k)
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Chance that all of k attempts are right (pass^k, Yao et al. 2024): C(c, k) / C(n, k).

    Example: pass_hat_k(4, 3, 2) = 0.5. Raises ValueError unless 0 ≤ c ≤ n and 1 ≤ k ≤ n.
    """
    _check(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


def reported_k(repeats: int) -> list[int]:
    """The k worth a line: 1, the powers of two below ``repeats``, and ``repeats``."""
    powers = [2**i for i in range(repeats.bit_length()) if 2**i < repeats]
    return [*powers, repeats]


def _check(n: int, c: int, k: int) -> None:
    if not 0 <= c <= n:
        raise ValueError(f"{c} right of {n} attempts cannot be")
    if not 1 <= k <= n:
        raise ValueError(f"k={k} needs between 1 and {n} attempts")
