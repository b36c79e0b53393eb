"""A candidate that was looked at while it ran: which problems count, and by which intervals.

A run that may stop when a gate is decided (`nel eval run --stop-when decided`) chooses its own end,
so an ordinary interval does not hold there. Its damage is read off limits that hold at every look
(``stats/sequential.py``). The lower limit, which shows a drop, is taken at the whole level at all
looks; the upper one, which rules a drop out, at half of it, and where the run went on to its last
problem, the ordinary limit at the other half counts too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ..stats.sequential import Looks
from ..types import Record
from .interim_damage import Watched
from .rollouts import Bools, Rollouts
from .sources import Source

AT_LOOKS = 0.5
"""Share of the level of ruling a drop out that is spent before the last problem."""
METHOD = "always valid (betting)"
AT_ANY_END = "; the intervals hold at an end that the answers have chosen"


def as_decided(baseline: Source, candidate: Source) -> tuple[Source, Source]:
    """Both sides as they are to be compared: where the candidate stopped early, over the problems
    its decision rests on. What was still on its way then is left out: it came back in an order of
    its own."""
    found, rollouts = candidate.stopping, candidate.rollouts
    if found is None or rollouts is None or candidate.watched is not None:
        return baseline, candidate
    looks = Looks(found.rule.horizon, found.rule.largest)
    if found.decision is None or not chose_its_end(candidate):
        return baseline, replace(candidate, watched=Watched(looks, stopped=False))
    over = found.decision.problems
    return _restricted_to(baseline, over), _restricted_to(
        candidate, over, Watched(looks, stopped=True)
    )


class StoppedEarly(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A candidate that is judged at an end that its answers have chosen."""

    policy: str
    """Whose answer was certain."""
    certain: str
    """``GO`` or ``NO-GO``; ``PASS`` where that of one benchmark alone."""
    problems: int
    """Those that the decision rests on."""
    planned: int
    ordinary: tuple[float, float]
    """The ordinary 95 % interval of the change, which decides nothing here."""

    @property
    def after(self) -> str:
        """How far the run came."""
        return f"stopped early, after {self.problems:,} of {self.planned:,} problems"


def stopped_of(candidate: Source, ordinary: tuple[float, float]) -> StoppedEarly | None:
    """How a candidate stopped early; None where it did not."""
    found = candidate.stopping
    if found is None or found.decision is None or not stopped_early(candidate):
        return None
    return StoppedEarly(
        policy=found.rule.policy,
        certain=found.decision.verdict or found.decision.status,
        problems=len(found.decision.problems),
        planned=found.rule.problems,
        ordinary=ordinary,
    )


def stopped_early(candidate: Source) -> bool:
    """Whether the candidate is judged at an end that its answers have chosen."""
    return candidate.watched is not None and candidate.watched.stopped


def chose_its_end(source: Source) -> bool:
    """Whether a run stopped before its last problem because a gate was decided."""
    found, rollouts = source.stopping, source.rollouts
    if found is None or found.decision is None or rollouts is None:
        return False
    return len(rollouts) < _planned(source)


def note_on(source: Source) -> str | None:
    """What a reader must know of a side that was looked at while it ran."""
    found, watched = source.stopping, source.watched
    if found is None:
        return None
    if watched is not None and not watched.stopped:
        return (
            "was looked at while it ran: a drop is shown by limits that hold at every look, and "
            "ruled out at half of the level"
        )
    if watched is None and not chose_its_end(source):
        return None
    return None if found.text is None else found.text + AT_ANY_END * (watched is not None)


def _planned(source: Source) -> int:
    """Rollouts that its looks were planned for."""
    return source.stopping.rule.problems * source.repeats() if source.stopping is not None else 0


def unneeded(candidates: Iterable[Source]) -> frozenset[str]:
    """The benchmarks that were not run, because a decision on others made the answer certain."""
    decisions = (c.stopping.decision for c in candidates if c.stopping is not None)
    return frozenset(name for d in decisions if d is not None for name in d.pending)


def _restricted_to(
    source: Source, problems: Iterable[int], watched: Watched | None = None
) -> Source:
    wanted = np.fromiter(problems, dtype=np.int64)
    rollouts = source.rollouts
    kept = None if rollouts is None else _rows(rollouts, np.isin(rollouts.problems, wanted))
    return replace(source, given=kept, counted=len(wanted), watched=watched)


def _rows(rollouts: Rollouts, kept: Bools) -> Rollouts:
    changes: dict[str, Any] = {}
    for name in (field.name for field in fields(rollouts)):
        column = getattr(rollouts, name)
        if isinstance(column, np.ndarray):
            changes[name] = column[kept]
        elif name in ("categories", "clusters"):
            changes[name] = [value for value, k in zip(column, kept, strict=True) if k]
    return replace(rollouts, **changes)
