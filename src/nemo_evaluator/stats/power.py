"""Planning: how many problems and repeats show an effect, by the normal approximation.

Effects are in units of the score. ``sides`` is 1 for "worse" alone and 2 for either direction.
How often ``nel compare`` and ``nel gate`` show an effect, ``decisions/odds.py`` knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class VarianceParts:
    """Variance of one rollout's reward (or of a difference): of problems, and of repeats of one."""

    between: float
    within: float

    @property
    def icc(self) -> float:
        """Intraclass correlation, between / (between + within): how alike repeats are."""
        total = self.between + self.within
        return self.between / total if total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Design:
    """What a number of problems and repeats would give."""

    problems: int
    repeats: int
    rollouts: int
    error: float
    """Standard error of the mean."""
    detectable: float
    """Smallest effect found with the power asked for."""
    design_effect: float
    """Variance against that of as many rollouts, each of its own problem (Kish)."""


def minimum_detectable_effect(
    error_per_problem_sd: float,
    n: int,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 1,
    step: float = 0.0,
) -> float:
    """(z(1 - α/sides) + z(power)) · sd / √n, sd that of the per-problem differences (Miller 2024).

    The constant is 2.4865 one-sided at 5 % and 80 %, 2.8016 two-sided. ``step`` is the smallest
    difference one problem can show, 1/repeats for verdicts: a permutation or sign test counts ties
    and so needs step/n more (the correction for continuity); 0 for graded rewards.
    Example: minimum_detectable_effect(0.4, 1000) = 0.03145. Raises ValueError without a problem.
    """
    if n < 1:
        raise ValueError("an effect needs at least one problem")
    return _quantiles(alpha, power, sides) * error_per_problem_sd / math.sqrt(n) + step / n


def problems_needed(
    sd: float,
    effect: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 1,
    step: float = 0.0,
) -> int:
    """The fewest n at which ``minimum_detectable_effect`` is at most ``effect``.

    ((z(1 - α/sides) + z(power)) · sd / effect)², rounded up; with a ``step`` the larger root of
    n·effect - z·sd·√n - step. Raises ValueError for an effect of 0.
    Example: problems_needed(0.4, 0.01) = 9893; with single verdicts (step 1) 10092.
    """
    if effect == 0:
        raise ValueError("no number of problems shows an effect of 0")
    spread = _quantiles(alpha, power, sides) * sd
    root = (spread + math.sqrt(spread**2 + 4 * abs(effect) * step)) / (2 * abs(effect))
    return max(1, math.ceil(root**2 - 1e-9))


def power_of(
    sd: float,
    n: int,
    effect: float,
    *,
    alpha: float = 0.05,
    sides: int = 1,
    step: float = 0.0,
) -> float:
    """Chance that n problems find ``effect``: Φ((|effect|·n - step)/(sd·√n) - z(1 - α/sides)).

    Example: power_of(0.4, 9893, 0.01) = 0.8. Without spread any effect is found.
    """
    if sd == 0:
        return 1.0 if effect else 0.0
    shift = (abs(effect) * n - step) / (sd * math.sqrt(n))
    return NORMAL.cdf(shift - _critical(alpha, sides))


def variance_parts(problem_ids: Sequence[object] | Array, rewards: Array) -> VarianceParts:
    """Between and within variance of rewards from repeats, by one-way analysis of variance.

    within = Σ(n_i - 1)s_i² / Σ(n_i - 1); between = variance of the problem means -
    within · mean(1/n_i), at least 0 (unbiased before that, also with unequal repeats).
    Raises ValueError with fewer than two problems or no problem with two rewards.
    Example: rewards 1 1 | 1 0 | 0 0 | 1 1: within 0.125, between 0.1667.
    """
    _, codes, counts = np.unique(np.asarray(problem_ids), return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        raise ValueError("parts of the variance need two problems, and repeats of one of them")
    means = np.bincount(codes, weights=rewards) / counts
    residuals = rewards - means[codes]
    within = float(residuals @ residuals) / float((counts - 1).sum())
    between = float(means.var(ddof=1)) - within * float((1 / counts).mean())
    return VarianceParts(max(0.0, between), within)


def paired_sd(
    between_difference: float,
    within_a: float,
    within_b: float,
    repeats: int | tuple[int, int],
) -> float:
    """sd of a problem's difference: √(ω² + σ²_A/K_A + σ²_B/K_B) (Miller 2024); all are variances.

    ω² is the variance over problems of the true difference, 0 for a model against itself.
    Example: paired_sd(0.0, 0.1, 0.1, 4) = 0.2236.
    """
    a, b = (repeats, repeats) if isinstance(repeats, int) else repeats
    return math.sqrt(between_difference + within_a / a + within_b / b)


def difference_parts(a: VarianceParts, b: VarianceParts, correlation: float = 1.0) -> VarianceParts:
    """Parts of the variance of the difference of two models.

    between = b_A + b_B - 2·correlation·√(b_A·b_B), of true scores per problem; 1.0 is a candidate
    that finds the same problems hard, 0.0 one that has nothing in common.
    """
    shared = 2 * correlation * math.sqrt(a.between * b.between)
    return VarianceParts(max(0.0, a.between + b.between - shared), a.within + b.within)


def design_table(
    parts: VarianceParts,
    problems: Sequence[int],
    repeats_options: Sequence[int],
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 1,
) -> list[Design]:
    """What each number of problems and repeats gives: se = √((between + within/K) / n).

    More problems shrink both parts, repeats the second alone: for as many rollouts more problems
    are never worse. With ``difference_parts`` it plans a comparison (two runs, twice the cost).
    """
    total = parts.between + parts.within
    table = []
    for n in problems:
        for repeats in repeats_options:
            variance = parts.between + parts.within / repeats
            sd = math.sqrt(variance)
            effect = minimum_detectable_effect(sd, n, alpha=alpha, power=power, sides=sides)
            inflation = variance * repeats / total if total > 0 else 1.0
            table.append(Design(n, repeats, n * repeats, sd / math.sqrt(n), effect, inflation))
    return table


def kish_design_effect(size: float, icc: float) -> float:
    """Kish's design effect (1965), 1 + (m - 1)·ρ: rollouts over what they are worth.

    m repeats of a problem (or problems of a cluster) with intraclass correlation ρ.
    Example: 8 repeats with ρ = 0.5 give 4.5: 800 rollouts are worth 178 independent ones.
    """
    return 1 + (size - 1) * icc


def _critical(alpha: float, sides: int) -> float:
    if sides not in (1, 2):
        raise ValueError("a test has 1 or 2 sides")
    return NORMAL.inv_cdf(1 - alpha / sides)


def _quantiles(alpha: float, power: float, sides: int) -> float:
    return _critical(alpha, sides) + NORMAL.inv_cdf(power)
