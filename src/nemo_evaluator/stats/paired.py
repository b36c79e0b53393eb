"""The difference of two runs over the same problems, with an interval.

The unit is the problem (its mean over repeats) or the cluster of problems. The interval keeps its
width where little or nothing has changed: no flip in a thousand problems does not prove that there
is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .intervals import UNSEEN
from .student import t_quantile
from .units import cluster_sums, corrected_sums, effective_units

Array = npt.NDArray[np.float64]

TANGO = "score (Tango)"
"""The method of single verdicts of independent problems."""
LARGEST = 8.0
"""Of eight repeats one may have flipped where it was seen, and all eight where it was not."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean of candidate - baseline over problems, with its interval."""

    delta: float
    error: float
    """Standard error; NaN where one unit alone says nothing."""
    lower: float
    upper: float
    n: int
    """Problems."""
    units: int
    """Independent ones: problems, or clusters of problems."""
    method: str


def paired_difference(
    baseline: Array,
    candidate: Array,
    clusters: Sequence[object] | None = None,
    *,
    confidence: float = 0.95,
) -> PairedDifference:
    """Mean of candidate - baseline over problems, each value a mean over repeats.

    Single verdicts (0 or 1) of independent problems get Tango's score interval (1998). All else
    gets mean ± t(df)·se, se by cluster (``corrected_sums``), widened where needed to the score
    interval of as many flips of the size seen (``score_limits``): t alone is too narrow where few
    problems changed, and has no width where all differ alike. df is Kish's effective number of
    units, N²/Σm², minus 1. One unit alone: no limits are known.
    Raises ValueError if the arrays are empty, differ in length or are not finite.
    Example: 1000 problems without a flip: 0 [-0.0038, 0.0038]; 3 of them lost: -0.003
    [-0.0088, 0.0009].
    """
    differences = _paired_differences(baseline, candidate)
    n = len(differences)
    delta = float(differences.mean())
    residuals = corrected_sums(differences - delta, clusters)
    units = len(residuals)
    error = math.sqrt(float(residuals @ residuals)) / n if units > 1 else math.nan
    z = t_quantile(0.5 + confidence / 2, math.inf)
    if clusters is None and _binary(baseline) and _binary(candidate):
        lost, won = int((differences < 0).sum()), int((differences > 0).sum())
        lower, upper = tango(won, lost, n, z)
        return PairedDifference(delta, error, lower, upper, n, units, TANGO)
    if units < 2:
        return PairedDifference(delta, math.nan, -math.inf, math.inf, n, units, "none (one unit)")
    sums, unseen = differences, UNSEEN
    if clusters is not None:
        sums, unseen = cluster_sums(differences, clusters) * (units / n), 0.0
    df = max(1.0, effective_units(clusters, n) - 1)
    spread = t_quantile(0.5 + confidence / 2, df) * error
    whole = float(np.ptp(np.concatenate([baseline, candidate, [0.0, 1.0]])))
    lower, upper = score_limits(sums, whole, z, unseen)
    name = "t" if clusters is None else "t (clustered)"
    if lower < delta - spread or upper > delta + spread:
        name += ", score"
    return PairedDifference(
        delta,
        error,
        max(-whole, min(delta - spread, lower)),
        min(whole, max(delta + spread, upper)),
        n,
        units,
        name,
    )


def tango(won: float, lost: float, n: float, z: float) -> tuple[float, float]:
    """Tango's score interval (Statistics in Medicine 17, 1998) for (won - lost)/n.

    All D with |won - lost - nD| ≤ z·sqrt(n(2q + D(1 - D))), q the most likely share of losses
    given D: (sqrt(B² - 4AC) - B)/2A with A = 2n, B = -won - lost + (2n - won + lost)·D,
    C = -lost·D(1 - D). The counts need not be whole.
    Example: tango(0, 0, 1000, 1.96) = (-0.0038, 0.0038); 7 lost and 1 won of 21 (Fagerland,
    Lydersen & Laake 2014): (-0.517, -0.026).
    """
    upper = _tango_upper(won, lost, n, z)
    return -_tango_upper(lost, won, n, z), upper


def flip_skewness(lost: int, won: int, n: int) -> float:
    """Size of the skewness of (won - lost)/n, from as many flips: that of ``skewness_of_mean``.

    0 where the rarer changes are those of the other side. Example: 9 lost of 1000: 0.33.
    """
    mean, flips = abs(lost - won) / n, lost + won
    squares = flips - n * mean * mean
    cubes = abs(lost - won) - 3 * mean * flips + 2 * n * mean**3
    return max(0.0, cubes) / squares**1.5 if squares > 0 else 0.0


def skewness_of_mean(differences: Array, clusters: Sequence[object] | None = None) -> float:
    """Skewness Σe³/(Σe²)^1.5 of a mean, e the deviations of problems (or sums of clusters).

    0 where it does not have the sign of the mean: rare changes the other way.
    Example: 9 of 1000 differ by -1: -0.33.
    """
    mean = float(differences.mean())
    e = differences - mean
    if clusters is not None:
        e = cluster_sums(e, clusters)
    squares = float(e @ e)
    cubes = float((e * e) @ e)
    return cubes / squares**1.5 if squares > 0 and cubes * mean > 0 else 0.0


def score_limits(
    differences: Array, whole: float, z: float, unseen: float = 0.0
) -> tuple[float, float]:
    """Score interval of a mean of differences as if they were flips of one size.

    The size u = Σd²/Σ|d| and the numbers of flips Σd⁺/u and Σd⁻/u keep both the mean and the
    variance (for flips of size 1 this is ``tango``). u is blended with ``unseen`` flips of up to
    LARGEST times the size and at most ``whole``, the most that rewards can differ: where few flips
    were seen the next may be larger.
    Where all differ by the same u, others may yet turn up that differ by 0 or 2u: mean ±
    u·z²/(n + z²). Where none differs the size is ``whole``.
    Example: 3 of 1000 differ by -0.25, nothing unseen: (-0.0022, 0.0002).
    """
    n = len(differences)
    total = float(np.abs(differences).sum())
    squares = float(differences @ differences)
    if squares == 0.0:  # also where all are so small that their squares are 0
        half = whole * z * z / (n + z * z)
        return -half, half
    size = squares / total
    if np.ptp(differences) <= 1e-12 * size:
        half = size * z * z / (n + z * z)
        mean = float(differences.mean())
        return mean - half, mean + half
    size = (total + unseen * min(whole, LARGEST * size)) / (total / size + unseen)
    won = float(differences[differences > 0].sum()) / size
    lost = -float(differences[differences < 0].sum()) / size
    lower, upper = tango(won, lost, n, z)
    return size * lower, size * upper


def _tango_upper(won: float, lost: float, n: float, z: float) -> float:
    low, high = (won - lost) / n, 1.0
    if high - low < 1e-15:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _compatible(won, lost, n, z, middle) else (low, middle)
    return low


def tango_below(won: float, lost: float, n: float, z: float, limit: float) -> bool:
    """Whether Tango's upper limit for (won - lost)/n lies below ``limit``, without computing it.

    Example: no flip in 80 problems has an upper limit of 0.0458, below 0.05 but not below 0.04.
    """
    return limit > (won - lost) / n and (limit >= 1 or not _compatible(won, lost, n, z, limit))


def _compatible(won: float, lost: float, n: float, z: float, true: float) -> bool:
    """Whether a true difference is within z restricted standard errors above the one seen."""
    b = -won - lost + (2 * n - won + lost) * true
    c = -lost * true * (1 - true)
    q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = max(0.0, n * (2 * q + true * (1 - true)))
    return n * true - won + lost <= z * math.sqrt(variance)


def _paired_differences(baseline: Array, candidate: Array) -> Array:
    if len(baseline) != len(candidate) or len(baseline) == 0:
        raise ValueError(f"{len(baseline)} and {len(candidate)} problems cannot be paired")
    differences = np.asarray(candidate, dtype=np.float64) - baseline
    if not np.isfinite(differences).all():
        raise ValueError("a value that is not finite has no difference")
    return differences


def _binary(values: Array) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())
