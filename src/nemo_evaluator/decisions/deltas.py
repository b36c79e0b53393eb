"""Every metric and measure that the bundles of two runs share, as it stands there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .sources import Source


def score_deltas(baseline: Source, candidate: Source) -> dict[str, dict[str, Any]]:
    """Every metric both bundles have, as they stand there."""
    found = {}
    for metric in baseline.scores:
        one, other = baseline.value(metric), candidate.value(metric)
        if one is None or other is None:
            continue
        bounds = (one[1], one[2], other[1], other[2])
        overlap = None in bounds or not (other[2] < one[1] or one[2] < other[1])  # type: ignore[operator]
        found[metric] = {**_delta(one[0], other[0]), "ci_overlap": overlap}
    return found


def runtime_deltas(baseline: Source, candidate: Source) -> dict[str, dict[str, Any]]:
    """Tokens and speed, where both bundles tell them."""
    one, other = baseline.scores.get("runtime"), candidate.scores.get("runtime")
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return {}
    return {
        name: _delta(float(one[name]), float(other[name]))
        for name in ("total_tokens", "steps_per_second", "tokens_per_second")
        if isinstance(one.get(name), int | float) and isinstance(other.get(name), int | float)
    }


def _delta(one: float, other: float) -> dict[str, float]:
    return {
        "baseline": one,
        "candidate": other,
        "delta": other - one,
        "relative_pct": (other - one) / one * 100 if one else 0.0,
    }
