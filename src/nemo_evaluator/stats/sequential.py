"""Evidence that may be looked at after every problem: it holds whenever the looking ends.

An ordinary interval that is read again and again misses the truth at some look far more often than
stated. Here one bets against "the mean is no larger than m": no bettor multiplies the stake by 40
at any time with a chance above 1/40 if that is true (Ville), so such a gain is evidence at every
look. The bets are fixed in advance, so the gain does not depend on the order of what was seen, and
it grows with every value: what is missing may be counted at its worst.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

EDGE = 0.9
"""Share of the stake that one value may lose."""
TYPICAL = 2.5
"""The smallest bet, in bets that suit a mean one can just tell at the horizon (0.025, widest)."""
STEP = 1.6
"""Ratio of neighbouring bets."""
STEPS = 60


@dataclass(frozen=True, slots=True)
class Looks:
    """What is fixed before the first look."""

    horizon: int
    """Independent units planned: problems, or clusters of them."""
    largest: int = 1
    """Problems of the largest unit."""

    def bets(self, width: float) -> Array:
        """Bets per unit of a value, for values within a range of this width."""
        top = 2 * EDGE / width
        just = math.sqrt(2 * math.log(40) / max(1, self.horizon)) * 2 / width
        low = min(TYPICAL * just, top / STEP)
        count = 1 + math.ceil(math.log(top / low) / math.log(STEP))
        return np.geomspace(low, top, count)


class Wealth:
    """What betting on a mean larger than ``mean`` has made of a stake of 1."""

    def __init__(self, mean: float, within: tuple[float, float], looks: Looks) -> None:
        """``within``: the least and the most a value of one problem can be."""
        self._mean = mean
        room = mean - within[0]
        bets = looks.bets(within[1] - within[0])
        self._bets: list[float] = (np.minimum(bets, EDGE / room) if room > 0 else bets).tolist()
        self._whole, self._largest = within, looks.largest
        self._logs = [0.0] * len(self._bets)

    def add_one(self, total: float, size: int = 1) -> None:
        """One further unit. Raises ValueError as ``add`` does."""
        low, high = self._whole
        slack = 1e-9 * (high - low) * size
        self._check(low * size - slack <= total <= high * size + slack, size)
        gain = (total - self._mean * size) / self._largest
        for i, bet in enumerate(self._bets):
            self._logs[i] += math.log1p(bet * gain)

    def add(self, sums: Array, sizes: Array | None = None, counts: Array | None = None) -> None:
        """Further units: the sum of each one's problems, the number of them, and how often such a
        unit was seen (once, where nothing is said). Raises ValueError for a unit that is larger, or
        values that are further out, than was said before the first look."""
        sizes = np.ones(len(sums)) if sizes is None else sizes
        low, high = self._whole
        slack = 1e-9 * (high - low) * sizes
        inside = (sums >= low * sizes - slack) & (sums <= high * sizes + slack)
        self._check(bool(inside.all()), int(sizes.max(initial=0)))
        gains = (sums - self._mean * sizes) / self._largest
        logs = np.log1p(np.array(self._bets)[:, None] * gains)
        added = logs.sum(axis=1) if counts is None else logs @ counts
        self._logs = [a + b for a, b in zip(self._logs, added.tolist(), strict=True)]

    @property
    def log(self) -> float:
        """Natural logarithm of the mean over the bets; at most log(1/α) with a chance of 1 - α at
        all looks together, if the mean is no larger."""
        top = max(self._logs)
        return top + math.log(math.fsum(math.exp(x - top) for x in self._logs) / len(self._logs))

    def _check(self, inside: bool, size: int) -> None:
        if not inside:
            low, high = self._whole
            raise ValueError(f"a value outside [{low}, {high}] breaks the guarantee")
        if size > self._largest:
            raise ValueError(f"a cluster of more than {self._largest} problems")


def log_evidence(
    sums: Array,
    sizes: Array | None,
    mean: float,
    *,
    within: tuple[float, float],
    looks: Looks,
    counts: Array | None = None,
) -> float:
    """Log evidence that the mean over problems is larger than ``mean``.

    The mixture Σ w_j ∏(1 + λ_j (x - m)) of Waudby-Smith and Ramdas (2023, section 4) over a few
    bets λ_j that suit the planned number of units; x is the sum over a cluster and m its size times
    the mean, both by the size of the largest cluster. It holds for independent units of any
    distribution within the range. Example: 36 problems lost of 36, mean 0.05: 19.8.
    """
    if not mean < within[1]:
        return -math.inf
    if mean < within[0]:
        return math.inf
    wealth = Wealth(mean, within, looks)
    wealth.add(sums, sizes, counts)
    return wealth.log


def lower_limit(
    sums: Array,
    sizes: Array | None = None,
    *,
    level: float,
    within: tuple[float, float],
    looks: Looks,
) -> float:
    """The limit below which the mean over problems lies with a chance of at most ``level``, however
    many looks were taken: every smaller mean has evidence of 1/level or more against it.

    Example: 100 problems without a change, within ±1, level 0.025, 1,000 planned: -0.057.
    """
    sums, sizes, counts = _once_each(sums, sizes)
    low, high = within
    if not len(sums):
        return low
    needed = math.log(1 / level)
    for _ in range(STEPS):
        middle = (low + high) / 2
        found = log_evidence(sums, sizes, middle, within=within, looks=looks, counts=counts)
        low, high = (middle, high) if found >= needed else (low, middle)
    return low


def first_shown(values: Array, sizes: Array, mean: float, looks: Looks, level: float) -> Array:
    """For each row of sums of units of these sizes, values within ±1: the number of units at the
    first look that shows a mean over problems larger than ``mean``; one more than there are where
    none does."""
    bets = np.minimum(looks.bets(2.0), EDGE / (mean + 1))
    gains = (values - mean * sizes) / looks.largest
    evidence = np.full(values.shape, -np.inf)
    for bet in bets:
        evidence = np.logaddexp(evidence, np.log1p(bet * gains).cumsum(axis=1))
    shown = evidence - math.log(len(bets)) >= math.log(1 / level)
    found = np.where(shown.any(axis=1), shown.argmax(axis=1) + 1, values.shape[1] + 1)
    return np.asarray(found, dtype=np.float64)


def _once_each(sums: Array, sizes: Array | None) -> tuple[Array, Array, Array]:
    """Equal units once, with their number: single verdicts differ in three ways at most."""
    both = np.column_stack([sums, np.ones(len(sums)) if sizes is None else sizes])
    units, counts = np.unique(both, axis=0, return_counts=True)
    return units[:, 0], units[:, 1], counts.astype(np.float64)
