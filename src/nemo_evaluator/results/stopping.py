"""What a run that may stop when a gate is decided notes of that: the rule it looks by, planned
before the first answer, and the decision. Whoever judges the run later must know both, because an
ordinary interval does not hold at an end that the answers have chosen.
"""

from __future__ import annotations

from ..types import Record


class StoppingRule(Record, frozen=True, kw_only=True):
    """By what the answers of one benchmark are looked at."""

    policy: str
    """Name of the policy's file."""
    policy_digest: str
    baseline: str
    """Run id of the baseline."""
    problems: int
    """Problems planned."""
    horizon: int
    """Independent units planned: problems, or clusters of them."""
    largest: int = 1
    """Problems of the largest unit."""


class Decision(Record, frozen=True, kw_only=True):
    """Why a benchmark ended before its last problem."""

    status: str
    """``PASS`` or ``BREACH``."""
    reason: str
    problems: tuple[int, ...]
    """The problems that it rests on: the first of the random order, without a gap."""
    verdict: str | None = None
    """The policy's answer, where this benchmark made it certain: ``GO`` or ``NO-GO``."""
    pending: tuple[str, ...] = ()
    """Benchmarks of the run that had not begun, or that decide nothing: they may be missing."""


class Stopping(Record, frozen=True, kw_only=True):
    """The rule of a benchmark, and what was decided by it."""

    rule: StoppingRule
    decision: Decision | None = None

    @property
    def text(self) -> str | None:
        """The decision in a sentence; None where there is none."""
        found = self.decision
        if found is None:
            return None
        what = f"{found.verdict} was" if found.verdict else f"a {found.status} was"
        return (
            f"stopped early: {what} certain by {self.rule.policy} after {len(found.problems):,} "
            f"of {self.rule.problems:,} problems"
        )


class Watched(Record, frozen=True, kw_only=True, tag_field="event", tag="watched"):
    """From here on the answers are looked at, to end the benchmark when a gate is decided."""

    rule: StoppingRule


class Decided(Record, frozen=True, kw_only=True, tag_field="event", tag="decided"):
    """The benchmark may end: what the policy says of it is certain."""

    at: float
    decision: Decision


def stopping_after(known: Stopping | None, event: Watched | Decided) -> Stopping | None:
    """What is known after a further event of the journal; a rule that changes nothing keeps the
    decision, and a decision without its rule says nothing."""
    if isinstance(event, Watched):
        same = known is not None and known.rule == event.rule
        return known if same else Stopping(rule=event.rule)
    return None if known is None else Stopping(rule=known.rule, decision=event.decision)
