"""Intervals that hold at every look: a run may be watched and stopped at any time.

A 95 % interval of the usual kind, looked at after every problem, misses the truth at some look far
more often than in 5 %. A confidence sequence holds the truth at all looks at once with 95 %.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

CELLS = 2000
"""Candidate means tried over the range; limits are rounded outwards to one of them."""
BLOCK = 500
"""Values taken at a time."""


def confidence_sequence(
    values: Array, *, alpha: float = 0.05, bound: float | tuple[float, float] = (0.0, 1.0)
) -> tuple[Array, Array]:
    """Lower and upper limits of the mean after 1, 2, ... values, all true at once with 1 - alpha.

    ``values`` in random order, between ``bound`` (or ±``bound``: 1.0 for differences of rewards in
    [0, 1]). The hedged capital of Waudby-Smith and Ramdas (2023, theorem 3): bets λ_t =
    √(2·ln(2/α) / (v_{t-1}·t·ln(t + 1))) for and against each mean m, v the running variance; m is
    ruled out once max(½∏(1 + λ(x - m)), ½∏(1 - λ(x - m))) ≥ 1/α. Limits only narrow; they are
    rounded outwards to 1/2000 of the range. It holds for independent draws from any distribution.
    Raises ValueError for a value outside the bound.
    Example: 500 times 1 of rewards in [0, 1]: the lower limit is 0.985.
    """
    low, high = (-bound, bound) if isinstance(bound, int | float) else bound
    if not len(values):
        return np.empty(0), np.empty(0)
    if values.min() < low or values.max() > high:
        raise ValueError(f"a value outside [{low}, {high}] breaks the guarantee")
    scaled = (np.asarray(values, dtype=np.float64) - low) / (high - low)
    bets = _bets(scaled, alpha)
    grid = np.linspace(0.0, 1.0, CELLS + 1)
    inner = np.clip(grid, 1 / (4 * CELLS), 1 - 1 / (4 * CELLS))
    up, down = np.zeros(CELLS + 1), np.zeros(CELLS + 1)
    lower, upper = np.empty(len(scaled)), np.empty(len(scaled))
    for start in range(0, len(scaled), BLOCK):
        part = slice(start, start + BLOCK)
        x, bet = scaled[part, None] - inner, bets[part, None]
        gain = up + np.cumsum(np.log1p(np.minimum(bet, 0.5 / inner) * x), axis=0)
        loss = down + np.cumsum(np.log1p(-np.minimum(bet, 0.5 / (1 - inner)) * x), axis=0)
        up, down = gain[-1], loss[-1]
        threshold = math.log(2 / alpha)
        # The first and the last mean not ruled out, and one cell outwards.
        lower[part] = (gain < threshold).argmax(axis=1) - 1
        upper[part] = CELLS - (loss < threshold)[:, ::-1].argmax(axis=1) + 1
    lower = np.maximum.accumulate(np.maximum(lower, 0) / CELLS)
    upper = np.minimum.accumulate(np.minimum(upper, CELLS) / CELLS)
    return low + lower * (high - low), low + upper * (high - low)


def _bets(scaled: Array, alpha: float) -> Array:
    """Bets for each value, from those before it alone."""
    t = np.arange(1, len(scaled) + 1, dtype=np.float64)
    mean = (0.5 + np.cumsum(scaled)) / (t + 1)
    variance = (0.25 + np.cumsum((scaled - mean) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], variance[:-1]])
    return np.asarray(np.sqrt(2 * math.log(2 / alpha) / (before * t * np.log(t + 1))))
