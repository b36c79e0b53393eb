"""The verdict by the rule of the published format (``rules: published``).

A significant drop blocks where its estimate is larger than the limit, and warns where it is not; no
change at all passes, and so does an interval whose worst end is within the limit.
"""

from __future__ import annotations

from ..types import Record
from .verdicts import MIN_PAIRS, Verdict, p_text, points, too_few, too_little

ALPHA = 0.05
"""One-sided level of the published test."""


class PublishedEvidence(Record, frozen=True, kw_only=True):
    """What the published rule looks at."""

    n: int
    coverage: float
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


def judge_published(
    e: PublishedEvidence, *, max_drop: float, alpha: float
) -> tuple[Verdict, list[str]]:
    """The verdict, and why."""
    if e.n < MIN_PAIRS:
        return Verdict.INCONCLUSIVE, [too_few(e.n)]
    if e.coverage < e.floor:
        return Verdict.INCONCLUSIVE, [too_little(e.coverage, e.floor)]
    if e.p_worse < alpha and e.delta < 0:
        size = f"the drop of {points(-e.delta)} is significant ({p_text(e.p_worse)})"
        if -e.delta > max_drop:
            return Verdict.BLOCK, [f"{size} and larger than the {points(max_drop)} allowed"]
        return Verdict.WARN, [f"{size}, within the {points(max_drop)} allowed"]
    if e.p_better < alpha and e.delta > 0:
        p = p_text(e.p_better)
        return Verdict.PASS, [f"the gain of {points(e.delta)} is significant ({p})"]
    worst_end = max(0.0, -e.lower)
    if not e.changed:
        unseen = f"; one of up to {points(worst_end)} could remain undetected" if worst_end else ""
        return Verdict.PASS, [f"no difference on any of {e.n:,} problems{unseen}"]
    if e.lower >= -max_drop:
        return Verdict.PASS, [
            f"no significant drop, and a drop larger than {points(worst_end)} is ruled out "
            f"({points(max_drop)} allowed)"
        ]
    reasons = [
        f"no significant difference ({p_text(e.p_worse)}), but a drop of up to "
        f"{points(worst_end)} is not ruled out ({points(max_drop)} allowed)"
    ]
    if e.needed is not None:
        reasons.append(f"about {e.needed:,} problems would settle it, {e.n:,} are paired")
    return Verdict.INCONCLUSIVE, reasons
