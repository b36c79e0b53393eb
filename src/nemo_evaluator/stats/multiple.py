"""Corrections for many comparisons: adjusted p-values, in the order given.

An adjusted p-value below α is significant over the whole family. Each raises ValueError for a p
outside [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence


def bonferroni(p: Sequence[float]) -> list[float]:
    """min(1, m·p): the chance of any false alarm is at most α. Example: [.01, .04]: [.02, .08]."""
    _check(p)
    return [min(1.0, len(p) * value) for value in p]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down procedure (1979): as safe as Bonferroni's and never weaker.

    The i-th smallest (from 0) times m - i, no less than the one before, at most 1.
    Example: [0.01, 0.04, 0.03]: [0.03, 0.06, 0.06].
    """
    _check(p)
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg (1995): the expected share of false alarms among alarms is at most α.

    The i-th smallest (from 1) times m / i, no more than the one after.
    Example: [0.01, 0.04, 0.03]: [0.03, 0.04, 0.04].
    """
    _check(p)
    adjusted, smallest = [0.0] * len(p), 1.0
    order = sorted(range(len(p)), key=p.__getitem__)
    for rank in range(len(p), 0, -1):
        index = order[rank - 1]
        smallest = min(smallest, p[index] * len(p) / rank)
        adjusted[index] = smallest
    return adjusted


def _check(p: Sequence[float]) -> None:
    if not all(0 <= value <= 1 for value in p):
        raise ValueError("a p-value lies between 0 and 1")
