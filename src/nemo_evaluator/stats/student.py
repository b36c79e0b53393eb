"""Quantiles of Student's t and the normal distribution, without scipy.

No result may depend on an optional library, so the few functions needed are here.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

TINY = 1e-300


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: float) -> float:
    """The p-quantile of Student's t with ``df`` degrees of freedom (``math.inf``: normal).

    Example: t_quantile(0.975, 4) = 2.7764; t_quantile(0.975, inf) = 1.9600. By bisection on the
    distribution function, to 1e-12.
    """
    if not 0 < p < 1:
        raise ValueError("p must lie between 0 and 1")
    if df == math.inf:
        return NormalDist().inv_cdf(p)
    if p < 0.5:
        return -t_quantile(1 - p, df)
    low, high = 0.0, 2.0
    while t_cdf(high, df) < p:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if high - low < 1e-12 * max(1.0, high):
            break
        low, high = (middle, high) if t_cdf(middle, df) < p else (low, middle)
    return (low + high) / 2


def t_cdf(t: float, df: float) -> float:
    """P(T ≤ t), from the regularised incomplete beta function (Abramowitz & Stegun 26.7.1); of the
    normal distribution where ``df`` is infinite."""
    if math.isinf(df):
        return NormalDist().cdf(t)
    half = 0.5 * beta_cdf(df / 2, 0.5, df / (df + t * t))
    return 1 - half if t >= 0 else half


def beta_cdf(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(b, a, 1 - x)
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return math.exp(log_front) / a * _continued_fraction(a, b, x)


@lru_cache(maxsize=65536)
def beta_quantile(p: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = p, by bisection to 1e-15. Example: beta_quantile(0.5, 2, 2) = 0.5."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(a, b, middle) < p else (low, middle)
    return (low + high) / 2


def chi_squared_tail(q: float, df: int) -> float:
    """P[X ≥ q] of a chi-squared variable, by Wilson and Hilferty's cube root (1931): off by less
    than 0.005 from 1 degree of freedom on. Example: chi_squared_tail(9.488, 4) = 0.0503."""
    spread = 2 / (9 * df)
    return NormalDist().cdf((1 - spread - (q / df) ** (1 / 3)) / math.sqrt(spread))


def _continued_fraction(a: float, b: float, x: float) -> float:
    """Lentz's method."""
    c, d = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _off_zero(1 + term * d)
            c = _off_zero(1 + term / c)
            step = c * d
            result *= step
        if abs(step - 1) < 1e-15:
            break
    return result


def _off_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
