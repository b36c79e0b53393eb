"""Numbers that are measured: of one rollout (a number or a ratio).

``metric_of`` is the one place that says what may stand under ``metrics``; whatever reads or writes
one asks it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from .records import Json


class Ratio(NamedTuple):
    """A rollout's share in a rate: the metric is the sum of the numerators over the sum of the
    denominators, so ``(0, 0)`` is a rollout that does not count. ``[numerator, denominator]`` in
    JSON."""

    numerator: float
    denominator: float


Metric: TypeAlias = float | Ratio


def metric_of(value: Json) -> Metric | None:
    """A finite number, or a pair of them as a ratio; None for anything else.

    >>> metric_of([1, 2])
    Ratio(numerator=1.0, denominator=2.0)
    """
    if isinstance(value, list | tuple):
        parts = [_number(part) for part in value]
        if len(parts) != 2 or parts[0] is None or parts[1] is None:
            return None
        return Ratio(parts[0], parts[1])
    return _number(value)


def metrics_in(value: Json) -> dict[str, Metric]:
    """The metrics of a mapping that was written earlier; what is none is left out."""
    if not isinstance(value, Mapping):
        return {}
    found = ((str(name), metric_of(item)) for name, item in value.items())
    return {name: metric for name, metric in found if metric is not None}


def _number(value: Any) -> float | None:
    if hasattr(value, "dtype") and hasattr(value, "item"):
        value = value.item()  # numpy's own
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
