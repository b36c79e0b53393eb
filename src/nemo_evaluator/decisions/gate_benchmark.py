"""How one benchmark stands under a policy, with the rules that were applied."""

from __future__ import annotations

import msgspec

from ..config.gate_policy import GateRules, Tier
from ..types import Record
from .compare import Comparison
from .gate_rules import Rule, Status
from .policy_odds import Had


class BenchmarkGate(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One benchmark under the policy. Scores are means over the paired problems."""

    benchmark: str
    tier: Tier
    status: Status
    rules: GateRules
    listed: bool
    metric: str | None = None
    higher_is_better: bool = True
    baseline_score: float | None = None
    candidate_score: float | None = None
    delta: float | None = None
    delta_ci_lower: float | None = None
    delta_ci_upper: float | None = None
    n_paired: int = 0
    coverage: float | None = None
    truncation_rate: float | None = None
    applied: tuple[Rule, ...] = ()
    warnings: tuple[str, ...] = ()
    comparison: Comparison | None = None
    had: Had | None = None
    """What its odds rest on; None where nothing was paired."""

    @property
    def decides(self) -> bool:
        """Whether the benchmark bears on the verdict."""
        return self.tier is not Tier.ADVISORY

    @property
    def reasons(self) -> list[str]:
        """What speaks against a pass, breaches first; or the rule that passed."""
        open_ = [rule for rule in self.applied if rule.status is not Status.PASS]
        open_.sort(key=lambda rule: rule.status is not Status.BREACH)
        against = [rule.explanation for rule in open_]
        return list(dict.fromkeys(against or [rule.explanation for rule in self.applied]))


def with_rules(head: BenchmarkGate, applied: list[Rule]) -> BenchmarkGate:
    """The status follows from the rules: a breach, else what is open, else a pass."""
    statuses = {rule.status for rule in applied}
    order = (Status.BREACH, Status.INSUFFICIENT_EVIDENCE, Status.PASS)
    status = next(status for status in order if status in statuses)
    return msgspec.structs.replace(head, status=status, applied=tuple(applied))
