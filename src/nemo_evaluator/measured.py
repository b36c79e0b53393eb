"""Numbers that are measured: of one rollout (a number or a ratio), or of all of a benchmark.

``metric_of`` is the one place that says what may stand under ``metrics``; whatever reads or writes
one asks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from .records import Json, Record

LARGEST = 1e100
"""The largest number of a rollout: sums of squares of larger ones would overflow."""


def can_be_averaged(value: float) -> bool:
    """Whether a number is finite, and means and variances of such numbers are."""
    return abs(value) <= LARGEST


class Ratio(NamedTuple):
    """A rollout's share in a rate: the metric is the sum of the numerators over the sum of the
    denominators, so ``(0, 0)`` is a rollout that does not count. ``[numerator, denominator]`` in
    JSON."""

    numerator: float
    denominator: float


Metric: TypeAlias = float | Ratio


class Measure(Record, frozen=True, kw_only=True):
    """A number about all rows of a benchmark, or of a group of them, that is no mean of theirs."""

    name: str
    value: float
    stderr: float | None = None
    """Its standard error; None: unknown, then it has no interval."""
    n: int
    """Problems it is about."""
    filter: str = "none"
    """What was done to the answers before: two measures of one name may differ in it."""
    higher_is_better: bool = True
    group: str | None = None
    """The part of the benchmark it is about; None: all of it."""

    @property
    def key(self) -> str:
        """The measure's name among the metrics of the benchmark: ``GROUP/NAME,FILTER``."""
        group = "" if self.group is None else f"{self.group}/"
        return group + self.name + ("" if self.filter == "none" else f",{self.filter}")


class Measures(Record, frozen=True, kw_only=True):
    """What sums up a benchmark, where a measure may be without a value."""

    measures: tuple[Measure, ...] = ()
    absent: Mapping[str, str] = {}
    """Why a measure has no value ("is infinite"), by its key."""
    raised: tuple[str, ...] = ()
    """Keys of those in ``absent`` whose function raised an error: the user can fix it."""


def metric_of(value: Json) -> Metric | None:
    """A number that can be averaged, or a pair of them as a ratio; None for anything else.

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


def _number(value: object) -> float | None:
    if hasattr(value, "dtype") and hasattr(value, "item"):
        value = value.item()  # numpy's own
    if not isinstance(value, int | float) or not can_be_averaged(value):
        return None
    return float(value)
