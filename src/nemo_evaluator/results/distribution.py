"""Distributions as histograms with round edges: what a report draws of very many numbers."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

from ..types import Record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

BINS = 24
"""About this many; round edges decide."""
PER_DECADE = 10
SKEWED = 8.0
"""Where the 99th percentile is more than this many times the median, bins grow by equal factors."""

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
SPAN = 1e6
"""Bins of equal factors begin at the largest number over this at the lowest."""


class Distribution(Record, frozen=True, kw_only=True, omit_defaults=False):
    """How many numbers fall between each two edges."""

    unit: str
    edges: tuple[float, ...]
    """One more than there are counts."""
    counts: tuple[int, ...]
    """The first and the last take what lies beyond the edges too: a few outliers do not stretch
    the plot."""
    log: bool
    """The edges grow by equal factors."""
    n: int
    min: float
    p50: float
    p90: float
    p99: float
    max: float


def distribution(values: Floats, unit: str, *, whole: bool = False) -> Distribution | None:
    """The histogram of some numbers, none of them negative; None if there are none.

    ``whole``: the numbers are counts, so no bin is narrower than 1.
    Example: 0, 1, …, 99 in bins of 5: 20 of 5 each.
    """
    import numpy as np

    if not len(values):
        return None
    p50, p90, p99 = np.quantile(values, [0.5, 0.9, 0.99])
    low = float(np.quantile(values, 0.002, method="lower"))
    high = float(np.quantile(values, 0.998, method="higher"))
    log = bool(low > 0 and p99 > SKEWED * p50)
    edges = _factors(max(low, high / SPAN), high) if log else _steps(low, high, whole)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
    return Distribution(
        unit=unit,
        edges=tuple(float(f"{edge:.6g}") for edge in edges),
        counts=tuple(int(count) for count in counts),
        log=log,
        n=len(values),
        min=round(float(values.min()), 3),
        p50=round(float(p50), 3),
        p90=round(float(p90), 3),
        p99=round(float(p99), 3),
        max=round(float(values.max()), 3),
    )


def _steps(low: float, high: float, whole: bool) -> Floats:
    """Equal steps of 1, 2 or 5 times a power of ten; from 0 unless all lies far above it."""
    import numpy as np

    low = 0.0 if low < high / 2 else low
    least = max((high - low) / BINS, high * 1e-3, 1e-6)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))
    if whole:
        step = max(step, 1.0)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    if whole and last * step <= high:
        last += 1  # a bin holds its left edge, so the largest count needs one of its own
    return np.arange(first, last + 1, dtype=np.float64) * step


def _factors(low: float, high: float) -> Floats:
    import numpy as np

    first = math.floor(math.log10(low) * PER_DECADE + 1e-9)
    last = max(math.ceil(math.log10(high) * PER_DECADE - 1e-9), first + 1)
    return np.asarray(10.0 ** (np.arange(first, last + 1) / PER_DECADE), dtype=np.float64)


def percentiles(values: array[float]) -> dict[str, float]:
    """The quantiles of some numbers, by name; none where there are no numbers."""
    import numpy as np

    if not values:
        return {}
    found = np.quantile(np.frombuffer(values), list(QUANTILES.values()))
    return {name: round(float(value), 3) for name, value in zip(QUANTILES, found, strict=True)}
