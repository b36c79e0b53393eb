"""Showing that a difference is small: absence of significance is not evidence of absence."""

from __future__ import annotations

from .significance import t_p_value


def tost(delta: float, error: float, df: float, margin_low: float, margin_high: float) -> float:
    """Two one-sided tests (Schuirmann 1987) that ``delta`` lies between the margins: one p-value.

    The larger of the p-values of delta > margin_low and delta < margin_high; below α it says
    that the 1 - 2α interval lies within the margins. Raises ValueError unless low < high.
    Example: tost(0.001, 0.004, 499, -0.01, 0.01) = 0.0124.
    """
    if not margin_low < margin_high:
        raise ValueError("the lower margin must be below the upper one")
    return max(
        t_p_value(delta - margin_low, error, df, "better"),
        t_p_value(delta - margin_high, error, df, "worse"),
    )


def non_inferiority(delta: float, error: float, df: float, margin: float) -> float:
    """One-sided p-value that the candidate is worse by less than ``margin`` (a positive number).

    Example: non_inferiority(-0.002, 0.004, 499, 0.01) = 0.0230. Raises ValueError if negative.
    """
    if margin < 0:
        raise ValueError("the margin of non-inferiority cannot be negative")
    return t_p_value(delta + margin, error, df, "better")
