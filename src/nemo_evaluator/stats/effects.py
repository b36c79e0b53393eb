"""Sizes of a difference, beside its p-value."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def cohens_dz(differences: Array) -> float | None:
    """Cohen's d of paired differences (1988): mean / sd (ddof 1), in sds and not in units of score.

    None with fewer than two, or where all differ alike (no sd to measure by).
    Example: [0.5]·20 + [-0.1]·5: 1.5513.
    """
    if len(differences) < 2:
        return None
    mean, sd = float(differences.mean()), float(differences.std(ddof=1))
    if sd <= 1e-12 * float(np.abs(differences).max()):
        return None
    return mean / sd


def cohens_h(baseline: float, candidate: float) -> float:
    """Cohen's h of two shares (1988): 2·asin(√candidate) - 2·asin(√baseline).

    Example: cohens_h(0.5, 0.25) = -0.5236. Raises ValueError outside [0, 1].
    """
    if not (0 <= baseline <= 1 and 0 <= candidate <= 1):
        raise ValueError("Cohen's h compares shares between 0 and 1")
    return 2 * math.asin(math.sqrt(candidate)) - 2 * math.asin(math.sqrt(baseline))


def discordant_odds_ratio(regressions: int, improvements: int) -> float | None:
    """Odds of a flip being a regression, b/c: the conditional odds ratio of matched pairs.

    Infinite if nothing improved, None without a flip. Example: (15, 2): 7.5.
    """
    if improvements == 0:
        return math.inf if regressions else None
    return regressions / improvements


def relative_change(baseline: float, candidate: float) -> float | None:
    """(candidate - baseline) / |baseline|; None of a baseline of 0. Example: (0.8, 0.76): -0.05."""
    if baseline == 0:
        return None
    return (candidate - baseline) / abs(baseline)
