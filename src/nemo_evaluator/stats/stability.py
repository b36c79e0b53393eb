"""How steady a model is on the same problem: what its repeats agree on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .passk import pass_hat_k, reported_k

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stability:
    """Stability over problems with two or more repeats."""

    n: int
    """Problems."""
    always_right: float
    always_wrong: float
    mixed: float
    """Shares of problems; they sum to 1."""
    within_variance: float
    """Mean over problems of the unbiased variance of the reward between repeats."""
    pass_hat: dict[int, float]
    """pass^k, the chance that k repeats are all right, for each k that every problem has."""


def stability(
    problem_ids: Sequence[object] | Array, rewards: Array, *, correct_above: float = 0.0
) -> Stability | None:
    """Stability over repeats, from one row per rollout; None if no problem has two.

    A reward above ``correct_above`` is right.
    Example: rewards 1 1 | 1 0 | 0 0 | 1 1: half always right, a quarter always wrong, a quarter
    mixed, within_variance 0.125, pass^1 0.625, pass^2 0.5.
    """
    _, codes, found = np.unique(np.asarray(problem_ids), return_inverse=True, return_counts=True)
    counts = found.astype(np.float64)
    if not len(counts) or counts.max() < 2:
        return None
    repeated = counts >= 2
    right = np.bincount(codes, weights=rewards > correct_above).astype(np.float64)
    means = np.bincount(codes, weights=rewards) / counts
    squares = np.bincount(codes, weights=(rewards - means[codes]) ** 2)
    right, counts, squares = right[repeated], counts[repeated], squares[repeated]
    always, never = float((right == counts).mean()), float((right == 0).mean())
    return Stability(
        n=len(counts),
        always_right=always,
        always_wrong=never,
        mixed=float(((right > 0) & (right < counts)).mean()),
        within_variance=float((squares / (counts - 1)).mean()),
        pass_hat={k: _pass_hat(counts, right, k) for k in reported_k(int(counts.min()))},
    )


def _pass_hat(counts: Array, right: Array, k: int) -> float:
    pairs, times = np.unique(np.stack([counts, right]), axis=1, return_counts=True)
    values = [pass_hat_k(int(n), int(c), k) for n, c in pairs.T]
    return float(np.dot(values, times) / times.sum())
