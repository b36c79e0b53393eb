"""The verdict on one benchmark of two runs, in units of the score, on the paired difference.

========================================================  ============
nothing to pair, or too little of what was planned        INCONCLUSIVE
degradation significant, and larger than ``max_drop``     BLOCK
degradation significant, and smaller                      WARN
improvement significant                                   PASS
no problem's score differs                                PASS
the interval's worst end within ``max_drop``              PASS
anything else                                             INCONCLUSIVE
========================================================  ============
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from ..types import Record

MIN_PAIRS = 10
"""Fewer problems are no evidence, whatever they say."""
MIN_COVERAGE = 0.9
"""Share of the planned problems that must be paired, where a run states no floor of its own."""


class Verdict(enum.StrEnum):
    """What a comparison says."""

    PASS = "PASS"
    WARN = "WARN"
    BLOCK = "BLOCK"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 BLOCK, 2 WARN and INCONCLUSIVE."""
        return {Verdict.PASS: 0, Verdict.BLOCK: 1}.get(self, 2)


SEVERITY = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.BLOCK)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that decides for several benchmarks; INCONCLUSIVE where there is none."""
    return max(verdicts, key=SEVERITY.index, default=Verdict.INCONCLUSIVE)


class Evidence(Record, frozen=True, kw_only=True):
    """What a verdict rests on."""

    n: int
    """Paired problems."""
    coverage: float
    """Share of the planned problems that are paired."""
    floor: float
    changed: int
    """Problems whose score differs."""
    delta: float
    """Mean of candidate less baseline."""
    lower: float
    """Lower end of its interval."""
    p_worse: float
    p_better: float
    needed: int | None
    """Problems that would settle it; None if that is not known."""


def judge(evidence: Evidence, *, max_drop: float, alpha: float) -> tuple[Verdict, list[str]]:
    """The verdict, and why."""
    e = evidence
    if e.n < MIN_PAIRS:
        text = f"only {e.n} paired problem{'s' * (e.n != 1)}, at least {MIN_PAIRS} are needed"
        return Verdict.INCONCLUSIVE, [text]
    if e.coverage < e.floor:
        return Verdict.INCONCLUSIVE, [
            f"only {e.coverage:.1%} of the planned problems are paired, at least {e.floor:.1%} are "
            "needed: what is missing may be what differs"
        ]
    if e.p_worse < alpha and e.delta < 0:
        size = f"the drop of {_points(-e.delta)} is significant (p = {p_text(e.p_worse)})"
        if -e.delta > max_drop:
            return Verdict.BLOCK, [f"{size} and larger than the {_points(max_drop)} allowed"]
        return Verdict.WARN, [f"{size}, within the {_points(max_drop)} allowed"]
    if e.p_better < alpha and e.delta > 0:
        p = p_text(e.p_better)
        return Verdict.PASS, [f"the gain of {_points(e.delta)} is significant (p = {p})"]
    worst_end = max(0.0, -e.lower)
    if not e.changed:
        unseen = f"; one of up to {_points(worst_end)} could go unseen" if worst_end else ""
        return Verdict.PASS, [f"no difference on any of {e.n:,} problems{unseen}"]
    if e.lower >= -max_drop:
        return Verdict.PASS, [
            f"no significant drop, and a drop larger than {_points(worst_end)} is ruled out "
            f"({_points(max_drop)} allowed)"
        ]
    reasons = [
        f"no significant difference (p = {p_text(e.p_worse)}), but a drop of up to "
        f"{_points(worst_end)} is not ruled out ({_points(max_drop)} allowed)"
    ]
    if e.needed is not None:
        reasons.append(f"about {e.needed:,} problems would settle it, {e.n:,} are paired")
    return Verdict.INCONCLUSIVE, reasons


def p_text(p: float) -> str:
    """A p-value with three significant digits, never 0."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def _points(value: float) -> str:
    """A difference of scores. Shares are not assumed: 0.012, not 1.2 %."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if value else "0"
