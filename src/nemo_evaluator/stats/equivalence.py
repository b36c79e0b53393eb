"""Showing that a difference is small: absence of significance is not evidence of absence.

The p-values need a standard error; where nothing or everything differs alike there is none, and
``equivalent`` decides by the score interval, which knows how little few problems prove.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .paired import paired_difference
from .significance import t_p_value

Array = npt.NDArray[np.float64]


def equivalent(
    baseline: Array,
    candidate: Array,
    margin_low: float,
    margin_high: float,
    clusters: Sequence[object] | None = None,
    *,
    alpha: float = 0.05,
) -> bool:
    """Whether the 1 - 2α interval of the paired difference lies within the margins.

    The same decision as ``tost`` where that applies (Schuirmann 1987). ``math.inf`` as the upper
    margin makes it non-inferiority. Raises ValueError unless low < high.
    Example: no flip in 50 problems does not show a difference within 2 points; in 200 it does.
    """
    _check(margin_low, margin_high)
    found = paired_difference(baseline, candidate, clusters, confidence=1 - 2 * alpha)
    return margin_low < found.lower and found.upper < margin_high


def tost(delta: float, error: float, df: float, margin_low: float, margin_high: float) -> float:
    """Two one-sided tests (Schuirmann 1987) that ``delta`` lies between the margins: one p-value.

    The larger of the p-values of delta > margin_low and delta < margin_high; below α it says
    that the 1 - 2α interval lies within the margins. 1.0 without an error (0 or NaN): no spread
    was seen, see ``equivalent``. Raises ValueError unless low < high.
    Example: tost(0.001, 0.004, 499, -0.01, 0.01) = 0.0124.
    """
    _check(margin_low, margin_high)
    if error == 0:
        return 1.0
    return max(
        t_p_value(delta - margin_low, error, df, "better"),
        t_p_value(delta - margin_high, error, df, "worse"),
    )


def non_inferiority(delta: float, error: float, df: float, margin: float) -> float:
    """One-sided p-value that the candidate is worse by less than ``margin`` (a positive number).

    1.0 without an error, as ``tost``. Raises ValueError for a negative margin.
    Example: non_inferiority(-0.002, 0.004, 499, 0.01) = 0.0230.
    """
    if margin < 0:
        raise ValueError("the margin of non-inferiority cannot be negative")
    if error == 0:
        return 1.0
    return t_p_value(delta + margin, error, df, "better")


def _check(margin_low: float, margin_high: float) -> None:
    if not margin_low < margin_high:
        raise ValueError("the lower margin must be below the upper one")
