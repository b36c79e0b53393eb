"""The verdict on one benchmark of two runs, in units of the score, on the paired difference.

=================================================================  ============
too few problems, too little of what was planned                   INCONCLUSIVE
a drop larger than ``max_drop`` is shown                           BLOCK
a drop is shown, whether larger than ``max_drop`` or not is open   WARN
a drop is shown, and it is within ``max_drop``                     WARN
a drop larger than ``max_drop`` is ruled out                       PASS
anything else                                                      INCONCLUSIVE
=================================================================  ============

"Shown" is one thing everywhere: the 95 % interval of the damage lies on one side of the limit
(``damage.py``), corrected where several are tested. ``published.py`` has the rule of the published
format, in which a significant drop blocks where its estimate is beyond the limit.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from ..types import Record
from .damage import Bounds

LEAST_P = 1e-99
"""Below this a p-value is told as such: floats end somewhere."""
MIN_PAIRS = 10
"""Fewer problems are no evidence, whatever they say."""
MIN_COVERAGE = 0.9
"""Share of the planned problems that must be paired, where a run states no floor of its own."""


CORRECTED = ", which is not shown after the correction for the number of comparisons"


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


class Shown(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Which of the four events are shown."""

    worse: bool
    """There is a drop."""
    beyond: bool
    """There is one larger than the limit."""
    within: bool
    """There is none larger than the limit."""
    better: bool
    """There is a gain."""


class Evidence(Record, frozen=True, kw_only=True):
    """What a verdict rests on."""

    n: int
    """Paired problems."""
    coverage: float
    """Share of what was planned that is there."""
    floor: float
    damage: Bounds
    shown: Shown
    sentence: str
    """What the bounds say, in words."""
    needed: int | None
    """Problems on which two equal models would pass; None if that is not known."""
    doubts: tuple[str, ...] = ()
    """Why the numbers may not be what they seem: nothing passes with one of them."""


def judge(e: Evidence, *, max_drop: float) -> tuple[Verdict, list[str]]:
    """The verdict, and why; doubts are named whatever it is."""
    verdict, reasons = _judged(e, max_drop)
    if not e.doubts:
        return verdict, reasons
    if verdict is Verdict.PASS:
        return Verdict.INCONCLUSIVE, [*e.doubts, *reasons]
    return verdict, [*reasons, *e.doubts]


def _judged(e: Evidence, max_drop: float) -> tuple[Verdict, list[str]]:
    if e.n < MIN_PAIRS:
        return Verdict.INCONCLUSIVE, [too_few(e.n)]
    if e.shown.beyond:
        return Verdict.BLOCK, [e.sentence]
    if e.coverage < e.floor:
        return Verdict.INCONCLUSIVE, [too_little(e.coverage, e.floor)]
    if e.shown.worse:
        return Verdict.WARN, [e.sentence + CORRECTED * (e.damage.lower > max_drop)]
    if e.shown.better or e.shown.within:
        return Verdict.PASS, [e.sentence]
    reasons = [e.sentence + CORRECTED * (e.damage.lower > 0)]
    if e.needed is not None and e.needed > e.n:
        reasons.append(
            f"if there is no drop, about {e.needed:,} problems would rule it out, {e.n:,} are "
            "paired"
        )
    return Verdict.INCONCLUSIVE, reasons


def too_few(n: int) -> str:
    """Not enough problems for any verdict."""
    return f"only {n} paired problem{'s' * (n != 1)}, at least {MIN_PAIRS} are needed"


def too_little(coverage: float, floor: float) -> str:
    """Not enough of what was planned."""
    return (
        f"only {coverage:.1%} of what was planned has a verdict on both sides, at least "
        f"{floor:.1%} is needed: the missing problems may be those that differ"
    )


def p_text(p: float) -> str:
    """``p = 0.012``, never ``p = 0``."""
    return f"p {p_number(p)}" if p < LEAST_P else f"p = {p_number(p)}"


def p_number(p: float) -> str:
    """A p-value alone: three decimals, or a power of ten."""
    if p < LEAST_P:
        return f"< {LEAST_P:.0e}"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def points(value: float) -> str:
    """A difference of scores. Shares are not assumed: 0.012, not 1.2 %."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if value else "0"
