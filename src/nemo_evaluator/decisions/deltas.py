"""Every metric and measure that the bundles of two runs share, as it stands there."""

from __future__ import annotations

import math
from typing import Any

from ..results.published import AGGREGATE
from .sources import Source, Told

Z_95 = 1.959963984540054


def score_deltas(baseline: Source, candidate: Source) -> dict[str, dict[str, Any]]:
    """Every metric both bundles have, as they stand there."""
    found = {}
    for metric in baseline.published.metrics if baseline.published is not None else ():
        one, other = baseline.value(metric), candidate.value(metric)
        if one is None or other is None:
            continue
        found[metric] = {**_delta(one[0], other[0]), "ci_overlap": _overlap(one, other)}
        found[metric] |= _of_measures(baseline, candidate, metric)
    return found


def _overlap(one: Told, other: Told) -> bool:
    """Whether two intervals overlap; those that are not known might."""
    (_, low, high), (_, other_low, other_high) = one, other
    if low is None or high is None or other_low is None or other_high is None:
        return True
    return other_high >= low and high >= other_low


def _of_measures(baseline: Source, candidate: Source, metric: str) -> dict[str, Any]:
    """What else is known of a measure that a benchmark makes of all rows: its direction, and the
    interval of the difference by the errors that both runs tell. Rows cannot be paired."""
    assert baseline.published is not None and candidate.published is not None
    one, other = baseline.published.metrics[metric], candidate.published.metrics[metric]
    if AGGREGATE not in (one.method, other.method):
        return {}
    fields: dict[str, Any] = {"measure": True, "higher_is_better": one.higher_is_better}
    if one.stderr is not None and other.stderr is not None:
        half = Z_95 * math.hypot(one.stderr, other.stderr)
        fields["ci_lower"] = other.value - one.value - half
        fields["ci_upper"] = other.value - one.value + half
    return fields


def runtime_deltas(baseline: Source, candidate: Source) -> dict[str, dict[str, Any]]:
    """Tokens and speed, where both bundles tell them."""
    if baseline.published is None or candidate.published is None:
        return {}
    one, other = baseline.published.runtime, candidate.published.runtime
    pairs = {
        "total_tokens": (one.total_tokens, other.total_tokens),
        "steps_per_second": (one.steps_per_second, other.steps_per_second),
        "tokens_per_second": (one.tokens_per_second, other.tokens_per_second),
    }
    return {
        name: _delta(float(a), float(b))
        for name, (a, b) in pairs.items()
        if a is not None and b is not None
    }


def _delta(one: float, other: float) -> dict[str, float]:
    return {
        "baseline": one,
        "candidate": other,
        "delta": other - one,
        "relative_pct": (other - one) / one * 100 if one else 0.0,
    }
