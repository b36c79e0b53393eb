"""Numbers as a reader of a report sees them; what is not known is a dash, never 0."""

from __future__ import annotations

import math

from ..results.published import Measure

UNKNOWN = "—"
SHARE_DIGITS = 3
"""Decimals of a share of 1, unless its interval is so narrow that a fourth says something."""
MOST_DIGITS = 4


def score(value: float | None) -> str:
    """A score on its own: three decimals; fewer where the number is large."""
    return UNKNOWN if value is None else _number(value, SHARE_DIGITS if abs(value) < 1000 else 1)


def value(measure: Measure) -> str:
    """A score with as many decimals as its interval gives a meaning to."""
    return _number(measure.value, digits(measure))


def interval(measure: Measure) -> str:
    """``[0.592, 0.692]``, with as many decimals as the score."""
    if measure.ci_lower is None or measure.ci_upper is None:
        return UNKNOWN
    decimals = digits(measure)
    return f"[{_number(measure.ci_lower, decimals)}, {_number(measure.ci_upper, decimals)}]"


def digits(measure: Measure) -> int:
    """Decimals such that half of the interval has two digits: 0.819 ± 0.04, 61.3 ± 2.4.

    Shares have three at least, as they are known to readers.
    """
    low, high = measure.ci_lower, measure.ci_upper
    share = abs(measure.value) <= 1
    if low is None or high is None or not math.isfinite(high - low) or high <= low:
        return SHARE_DIGITS if abs(measure.value) < 1000 else 1
    wanted = 1 - math.floor(math.log10((high - low) / 2))
    return min(MOST_DIGITS, max(SHARE_DIGITS if share else 0, wanted))


def problems(n: int | None, whole: int | None) -> str:
    """``200 of 1,319`` where a score rests on a part of the dataset's problems."""
    if n is None or whole is None or n >= whole:
        return count(n)
    return f"{n:,} of {whole:,}"


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}"


def count(value: int | None) -> str:
    """``12,345``."""
    return UNKNOWN if value is None else f"{value:,}"


def percent(share: float | None) -> str:
    """``64.2 %``. What is not quite all or nothing never looks like it."""
    if share is None:
        return UNKNOWN
    text = f"{share * 100:.1f}"
    if text == "100.0" and share < 1:
        text = "99.9"
    if text == "0.0" and share > 0:
        text = "<0.1"
    return f"{text} %"


def part(some: int | None, whole: int | None) -> str:
    """A share of a count that may be unknown or 0."""
    return UNKNOWN if some is None or not whole else percent(some / whole)


def usd(cost: float | None) -> str:
    """``0.0421 USD``."""
    return UNKNOWN if cost is None else f"{usd_value(cost)} USD"


def usd_value(cost: float) -> str:
    """``0.0421``."""
    return f"{cost:,.2f}" if cost >= 100 else f"{cost:.4f}"


def duration(seconds: float | None) -> str:
    """``350 ms``, ``12.5 s``, ``3.2 min``, ``1.5 h``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def milliseconds(value: float | None) -> str:
    """A latency in milliseconds."""
    return UNKNOWN if value is None else duration(value / 1000)
