"""The policy of `nel gate`, version 1: how large a drop each benchmark may show.

Fields from ``equivalence`` on are ours, and so are ``rules``, ``correction`` and
``require_all_of_baseline``: under ``rules: published`` they are off unless set.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field

from ..aliases import attributes
from .base import ConfigRecord
from .several_models import BETWEEN

SUPPORTED = ("mean_reward", "pass@1")
"""What the published rules can judge a benchmark by that decides."""
MIN_PROBLEMS = 10
MAX_TRUNCATION = 0.1
"""With more answers cut off than this, a score is one of the length limit, not of the model."""

NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Rules(enum.StrEnum):
    """By which rules verdicts are given."""

    SOUND = "sound"
    """Error rates are as stated, also at the limit and where few answers changed."""
    PUBLISHED = "published"
    """Those of the published format, number by number."""


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
    """What is compared: `mean_reward`, `pass@k`, `pass^k`, `scorer:NAME`, a metric of the
    benchmark, `truncation_rate`, `no_answer_rate`, `latency_ms`, `tokens`, `cost_usd`; `macro:`
    before the name weighs every category alike. A benchmark that decides must name it."""
    direction: Direction = Direction.HIGHER
    """`higher_is_better` or `lower_is_better`; where it is not set, rates of failure, latency and
    tokens are better when lower."""
    equivalence: NonNegative | None = None
    """The difference must be shown to lie within ± this margin, by two one-sided tests."""
    min_problems: int = Field(MIN_PROBLEMS, ge=2)
    """Paired problems below which nothing is decided."""
    min_coverage: Share = 0.9
    """Share of the planned rollouts that must have a verdict, on either side."""
    max_truncation_rate: Share | None = MAX_TRUNCATION
    """Largest share of the candidate's answers that may be cut off."""
    max_category_drop: NonNegative | None = None
    """Largest damage that is allowed in any one category, in units of the score."""
    require_calibration: bool = False
    """A judged score decides as people would judge it, with its wider interval: both runs must
    carry a calibration of their judge."""
    dataset_revision: str | None = None
    """Revision, or digest of the rows, that both runs must have evaluated."""

    @property
    def higher_is_better(self) -> bool | None:
        """What the policy says; None where it leaves that to the metric."""
        if "direction" not in self.model_fields_set:
            return None
        return self.direction is Direction.HIGHER


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
    rules: Rules = Rules.SOUND
    """`sound`: false GO and NO-GO stay within 2.5 % each. `published`: the published rules."""
    correction: Literal["none", "holm"] | None = None
    """`holm`: the chance of one false NO-GO over all rules of all benchmarks that decide stays at
    2.5 %. By default `holm` under sound rules and `none` under published ones."""
    require_all_of_baseline: bool | None = None
    """A benchmark of the baseline that the candidate lacks is missing, listed or not. On by default
    under sound rules."""

    @property
    def published(self) -> bool:
        """Whether the published rules hold."""
        return self.rules is Rules.PUBLISHED

    @property
    def corrected(self) -> bool:
        """Whether breaches are corrected for their number."""
        return self.correction == "holm" or (self.correction is None and not self.published)

    @property
    def complete(self) -> bool:
        """Whether the candidate must have every benchmark of the baseline."""
        required = self.require_all_of_baseline
        return not self.published if required is None else required

    def rules_of(self, benchmark: str) -> GateRules:
        """The rules that hold for a benchmark."""
        entry = self.benchmarks.get(benchmark)
        own = {} if entry is None else {n: getattr(entry, n) for n in entry.model_fields_set}
        found = self.defaults.model_copy(update=own)
        if self.published and "max_truncation_rate" not in found.model_fields_set:
            found = found.model_copy(update={"max_truncation_rate": None})
        return found

    def written_out(self, names: Collection[str]) -> GatePolicy:
        """The same for the benchmarks with these names: the rules of one that was asked of several
        models (``models: [a, b]``) are those of each, ``gsm8k@a`` and ``gsm8k@b``."""
        found: dict[str, GateEntry] = {}
        for name, entry in self.benchmarks.items():
            each = [one for one in names if one.startswith(name + BETWEEN)]
            for one in [name] if name in names or not each else each:
                if one == name or one not in self.benchmarks:
                    found[one] = entry
        return self.model_copy(update={"benchmarks": found})

    def required(self) -> list[str]:
        """The listed benchmarks that decide."""
        return [name for name in self.benchmarks if self.rules_of(name).tier is not Tier.ADVISORY]


__getattr__ = attributes(__name__)
