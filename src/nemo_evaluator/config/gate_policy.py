"""The policy of `nel gate`, version 1: how large a drop each benchmark may show.

Fields from ``equivalence`` on, and ``correction``, are ours; they are off unless set.
"""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from pydantic import Field

from ..aliases import attributes
from .base import ConfigRecord

SUPPORTED = ("mean_reward", "pass@1")
MIN_PROBLEMS = 10

NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Tier(enum.StrEnum):
    """How much a benchmark counts. Critical and supporting ones decide, advisory ones never."""

    CRITICAL = "critical"
    SUPPORTING = "supporting"
    ADVISORY = "advisory"


class Direction(enum.StrEnum):
    """Which way is better."""

    HIGHER = "higher_is_better"
    LOWER = "lower_is_better"


class GateRules(ConfigRecord):
    """The rules for one benchmark, or for all that set none of their own."""

    tier: Tier = Tier.SUPPORTING
    """`critical`, `supporting` or `advisory`."""
    max_drop: NonNegative = 0.015
    """Largest damage that is allowed, in units of the score."""
    max_relative_drop: NonNegative | None = None
    """Largest damage as a share of the baseline's score."""
    relative_guard_below: Share | None = None
    """The relative rule holds only for baselines below this score."""
    metric: str | None = None
    """`mean_reward` or `pass@1`; a benchmark that decides must name it."""
    direction: Direction = Direction.HIGHER
    """`higher_is_better` or `lower_is_better`."""
    equivalence: NonNegative | None = None
    """The difference must be shown to lie within ± this margin, by two one-sided tests."""
    min_problems: int = Field(MIN_PROBLEMS, ge=2)
    """Paired problems below which nothing is decided."""
    min_coverage: Share = 0.9
    """Share of the planned problems that must be paired."""
    max_truncation_rate: Share | None = None
    """Largest share of the candidate's answers that may be cut off."""
    dataset_revision: str | None = None
    """Revision, or digest of the rows, that both runs must have evaluated."""


class GateEntry(GateRules):
    """The rules of one benchmark; what is left out is taken from the defaults."""


class GatePolicy(ConfigRecord):
    """What must hold for a release."""

    version: Literal[1] = 1
    """Version of this schema."""
    defaults: GateRules = Field(default_factory=lambda: GateRules())
    """Rules for benchmarks that set none of their own, and for those that are not listed."""
    benchmarks: dict[str, GateEntry] = Field(default_factory=dict)
    """Benchmark → its rules. Those listed must be there."""
    correction: Literal["none", "holm"] = "none"
    """`holm`: the chance of one false NO-GO over all benchmarks that decide stays at 2.5 %."""

    def rules(self, benchmark: str) -> GateRules:
        """The rules that hold for a benchmark."""
        entry = self.benchmarks.get(benchmark)
        if entry is None:
            return self.defaults
        own = {name: getattr(entry, name) for name in entry.model_fields_set}
        return self.defaults.model_copy(update=own)

    def required(self) -> list[str]:
        """The listed benchmarks that decide."""
        return [name for name in self.benchmarks if self.rules(name).tier is not Tier.ADVISORY]


__getattr__ = attributes(__name__)
