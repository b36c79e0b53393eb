"""Confidence intervals for means, made for the edges too: all right, all wrong, one problem.

The unit is the problem (its mean over repeats), or the cluster of problems where the dataset has
clusters: rollouts of one problem are not independent, and an interval that treats them so is too
narrow (Miller, "Adding Error Bars to Evals", 2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .student import beta_cdf, beta_quantile, t_quantile
from .units import cluster_sums, corrected_sums, effective_units

Array = npt.NDArray[np.float64]

UNSEEN = 0.75
"""Whole failures (or flips) that an estimate of the variance is blended with: where few were seen,
their size and spread are known badly, and the next may be larger than those seen. The least that
gives the coverage that docs/statistics.md states; its cost in width fades with their number."""


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


def clopper_pearson(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval (Clopper & Pearson 1934): never covers less than it says, often more.

    The shares at which P[X ≥ x] and P[X ≤ x] are (1 - confidence)/2: quantiles of beta
    distributions. Example: clopper_pearson(0, 10) = (0, 0.3085). Raises ValueError unless
    0 ≤ successes ≤ n and n ≥ 1.
    """
    _check_share(successes, n)
    tail = (1 - confidence) / 2
    lower = beta_quantile(tail, successes, n - successes + 1) if successes else 0.0
    upper = 1 - beta_quantile(tail, n - successes, successes + 1) if successes < n else 1.0
    return lower, upper


def mid_p(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval with half of P[X = x] in each tail (Lancaster 1961).

    Close to what it says on average, where the exact one is too wide.
    Example: mid_p(0, 10) = (0, 0.2589); mid_p(5, 10) = (0.2120, 0.7880).
    """
    _check_share(successes, n)
    tail = (1 - confidence) / 2
    return _mid_p_lower(successes, n, tail), 1 - _mid_p_lower(n - successes, n, tail)


def clustered_error(values: Array, clusters: Sequence[object] | None) -> tuple[float, int]:
    """Standard error of a mean and the number of independent units G.

    sqrt(G/(G-1) · Σ_g e_g²) / N, with e_g the sum of residuals of cluster g (Miller 2024, eq. 4).
    NaN with one unit. Raises ValueError unless there is one label per value.
    Example: 50 ones in one cluster, 50 zeros in another: 0.5 (and 0.0503 if taken as independent).
    """
    n = len(values)
    residuals = values - values.mean()
    sums = residuals if clusters is None else cluster_sums(residuals, clusters)
    groups = len(sums)
    if groups < 2:
        return math.nan, groups
    return math.sqrt(groups / (groups - 1) * float(sums @ sums)) / n, groups


def clt_interval(
    values: Array, clusters: Sequence[object] | None = None, *, confidence: float = 0.95
) -> Interval:
    """mean ± z·se by the central limit theorem, for many units; may leave [0, 1].

    Example: [1, 0, 1, 0, 1]: 0.6 [0.1199, 1.0801]. One unit: no limits.
    """
    return _symmetric(values, clusters, math.inf, confidence)


def t_interval(
    values: Array, clusters: Sequence[object] | None = None, *, confidence: float = 0.95
) -> Interval:
    """mean ± t(G-1)·se; may leave [0, 1], and has no width where all values are alike.

    Example: [.5, -.5, .3, -.3, .1]: 0.02 [-0.4950, 0.5350]. One unit: no limits.
    """
    units = len(values) if clusters is None else len(set(clusters))
    return _symmetric(values, clusters, units - 1, confidence)


def mean_interval(
    values: Array,
    clusters: Sequence[object] | None = None,
    *,
    confidence: float = 0.95,
    within: tuple[float, float] | None = None,
) -> Interval:
    """The mean of per-problem values with an interval. ``values`` must not be empty.

    ``within`` is the least and the most that a value can be: the interval lies inside it and keeps
    its width at its ends. By default it is (0, 1) where all values are in it, else unknown.

    Single verdicts (all values at the ends) get Wilson's interval, widened to the mid-p one where
    that is wider (Wilson alone covers 92 % where few are right). Other values get Wilson's at the
    effective sample size p(1-p)/se² (Kish's design effect) with t's quantile, se blended with
    UNSEEN whole failures, widened to ``tilted`` where rare values lie far from the others. Where
    all values are alike, as many as z²/(n + z²) may be otherwise and unseen. Without a range:
    mean ± t·se, widened to ``tilted``. se² and the degrees of freedom of t allow for unequal
    clusters (``corrected_sums``). One unit alone says nothing: Wilson with n = 1, or no limits.
    Raises ValueError for values outside ``within``.
    Example: [90, 80, 100, 95, 85] within (0, 100): 90 [27.92, 97.57].
    """
    if within is None:
        if not (values.min() >= 0.0 and values.max() <= 1.0):
            return unbounded_interval(values, clusters, confidence=confidence)
        return _bounded(values, clusters, confidence)
    low, high = within
    slack = 1e-9 * (high - low)
    if not low < high or values.min() < low - slack or values.max() > high + slack:
        raise ValueError(f"values of {values.min():g} to {values.max():g} in [{low:g}, {high:g}]")
    if within == (0.0, 1.0):
        return _bounded(np.clip(values, 0.0, 1.0), clusters, confidence)
    scaled = np.clip((values - low) / (high - low), 0.0, 1.0)
    found = _bounded(scaled, clusters, confidence)
    lower, upper = (low + end * (high - low) for end in (found.lower, found.upper))
    return Interval(float(values.mean()), lower, upper, found.n, found.method)


def tilted(mean: float, variance: float, third: float, quantile: float) -> tuple[float, float]:
    """Score interval of a mean whose variance changes with it as in its exponential family.

    All μ with (mean - μ)² ≤ q²·(v + (μ - mean)·κ/v), v and κ the variance and the third cumulant of
    the mean: under exponential tilting dv/dμ = κ/v (Barndorff-Nielsen & Cox, Asymptotic Techniques,
    1989, 4.3). Of skewed values it reaches further to the side where the rare ones lie; of rare 0s
    or 1s it is about Wilson's.
    Example: 4 of 100 right, v = .04·.96/100, κ = .04·.96·.92/100²: (0.0154, 0.0999), Wilson's is
    (0.0157, 0.0984), and ±1.96·√v is (0.0016, 0.0784).
    """
    if variance <= 0:
        return mean, mean
    middle = quantile**2 * third / variance / 2
    spread = math.sqrt(middle * middle + quantile**2 * variance)
    return mean + middle - spread, mean + middle + spread


def unbounded_interval(
    values: Array, clusters: Sequence[object] | None = None, *, confidence: float = 0.95
) -> Interval:
    """``mean_interval`` of values that may be anything, wherever these happen to lie."""
    p, n = float(values.mean()), len(values)
    sums = corrected_sums(values - p, clusters)
    if len(sums) < 2:
        return Interval(p, -math.inf, math.inf, n, "none (one unit)")
    squares, cubes = float(sums @ sums) / n**2, float((sums * sums) @ sums) / n**3
    units = effective_units(clusters, n)
    quantile = t_quantile(0.5 + confidence / 2, max(1.0, units - 1))
    half = quantile * math.sqrt(squares)
    if _alike(values, p, math.sqrt(squares)):
        z = t_quantile(0.5 + confidence / 2, math.inf)
        half = max(half, z * z / (units + z * z) * abs(p))
        return Interval(p, p - half, p + half, n, "t")
    lower, upper = tilted(p, squares, cubes, quantile)
    return Interval(p, min(p - half, lower), max(p + half, upper), n, "t")


def _bounded(values: Array, clusters: Sequence[object] | None, confidence: float) -> Interval:
    """The interval of values in [0, 1]."""
    p, n = float(values.mean()), len(values)
    z = t_quantile(0.5 + confidence / 2, math.inf)
    sums = corrected_sums(values - p, clusters)
    independent = len(sums) == n
    if independent and bool(np.isin(values, (0.0, 1.0)).all()):
        return Interval(p, *_share(round(p * n), n, confidence, z), n, "wilson, mid-p")
    error = math.sqrt(float(sums @ sums)) / n
    units = effective_units(clusters, n)
    if len(sums) < 2 and np.ptp(values) > 1e-12:
        return Interval(p, *wilson(p, 1, z), n, "wilson (units)")
    if _alike(values, p, error):
        unseen = z * z / (units + z * z)
        return Interval(p, p * (1 - unseen), p + unseen * (1 - p), n, "wilson (units)")
    quantile = t_quantile(0.5 + confidence / 2, max(1.0, units - 1))
    lower, upper = wilson(p, _effective_size(p, error, units), quantile)
    low, high = _with_unseen(p, sums, n, z)
    name = "wilson (by problem)" if independent else "wilson (clustered)"
    return Interval(p, max(0.0, min(lower, low)), min(1.0, max(upper, high)), n, name)


def _with_unseen(p: float, sums: Array, n: int, quantile: float) -> tuple[float, float]:
    """``tilted``, as if UNSEEN/(1 + k) of a unit more were at the end of the range, k = (Σs²)²/Σs⁴
    the number of units that the variance rests on: where it rests on few, rarer and larger
    deviations may be unseen."""
    squares, cubes = float(sums @ sums), float((sums * sums) @ sums)
    k = squares * squares / float((sums * sums) @ (sums * sums))
    weight = UNSEEN / (1 + k)
    ends = []
    for side, end in ((0, -p), (1, 1 - p)):
        whole = end * n / len(sums)
        variance = (squares + weight * whole**2) / n**2
        ends.append(tilted(p, variance, (cubes + weight * whole**3) / n**3, quantile)[side])
    return ends[0], ends[1]


def _alike(values: Array, mean: float, error: float) -> bool:
    return float(np.ptp(values)) <= 1e-12 or error <= 1e-12 * abs(mean)


def within_problem_interval(
    attempts: Array, right: Array, *, confidence: float = 0.95
) -> Interval | None:
    """What a re-run of the same problems would give: mean ± z·sqrt(Σ p(1-p)/(n_i - 1)) / P.

    The noise of repeats alone (p = c_i/n_i over problems with two attempts or more, P all
    problems): it says nothing of other problems, and is 0 where each was solved always or never.
    None without repeats. Not clipped to [0, 1].
    Example: attempts [3, 3, 3, 3], right [1, 2, 0, 3]: 0.5 [0.2690, 0.7310].
    """
    attempts, right = np.asarray(attempts, np.float64), np.asarray(right, np.float64)
    if not len(attempts) or attempts.max() <= 1:
        return None
    share = right / attempts
    repeated = attempts >= 2
    noise = share[repeated] * (1 - share[repeated]) / (attempts[repeated] - 1)
    z = t_quantile(0.5 + confidence / 2, math.inf)
    half = z * math.sqrt(float(noise.sum())) / len(attempts)
    mean = float(share.mean())
    return Interval(mean, mean - half, mean + half, len(attempts), "within problems")


def _symmetric(
    values: Array, clusters: Sequence[object] | None, df: float, confidence: float
) -> Interval:
    mean = float(values.mean())
    error, groups = clustered_error(values, clusters)
    if groups < 2:
        return Interval(mean, -math.inf, math.inf, len(values), "none (one unit)")
    half = t_quantile(0.5 + confidence / 2, df) * error
    name = "normal" if df == math.inf else "t"
    return Interval(mean, mean - half, mean + half, len(values), name)


def _effective_size(p: float, error: float, units: float) -> float:
    """p(1-p)/se², the variance blended with that of UNSEEN failures of whole units."""
    size = p * (1 - p) / error**2
    failures = size * min(p, 1 - p)
    variance = failures * error**2 + UNSEEN * p * (1 - p) / units
    return p * (1 - p) * (failures + UNSEEN) / variance


@lru_cache(maxsize=4096)
def _share(successes: int, n: int, confidence: float, z: float) -> tuple[float, float]:
    score, exact = wilson(successes / n, n, z), mid_p(successes, n, confidence=confidence)
    return min(score[0], exact[0]), max(score[1], exact[1])


def _mid_p_lower(successes: int, n: int, tail: float) -> float:
    """The p with ½P[X ≥ x] + ½P[X > x] = tail, by Newton's steps kept within a bracket."""
    if successes == 0:
        return 0.0
    low, high = 0.0, successes / n
    x, rest = successes, n - successes
    p = min(max(wilson(successes / n, n)[0], 1e-12), high * (1 - 1e-9))
    log_ways = math.lgamma(n + 1) - math.lgamma(x + 1) - math.lgamma(rest + 1)
    for _ in range(100):
        above = beta_cdf(x + 1, rest, p) if rest else 0.0
        excess = (beta_cdf(x, rest + 1, p) + above) / 2 - tail
        low, high = (low, p) if excess > 0 else (p, high)
        mass = math.exp(log_ways + x * math.log(p) + rest * math.log1p(-p))
        step = excess / (mass * (x / p + rest / (1 - p)) / 2 + 1e-300)
        following = p - step
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - p) < 1e-13:
            break
        p = following
    return p


def _check_share(successes: int, n: int) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} right of {n} cannot be")
