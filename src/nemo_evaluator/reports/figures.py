"""Numbers as a reader of a report sees them; what is not known is a dash, never 0."""

from __future__ import annotations

from ..results.read_bundle import Measure

UNKNOWN = "—"


def score(value: float | None) -> str:
    """Four decimals; fewer where the number is large."""
    if value is None:
        return UNKNOWN
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"


def interval(measure: Measure) -> str:
    """``[0.5920, 0.6920]``."""
    if measure.ci_lower is None or measure.ci_upper is None:
        return UNKNOWN
    return f"[{score(measure.ci_lower)}, {score(measure.ci_upper)}]"


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
    if cost is None:
        return UNKNOWN
    return f"{cost:,.2f} USD" if cost >= 100 else f"{cost:.4f} USD"


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
    """Of a latency."""
    return UNKNOWN if value is None else duration(value / 1000)
