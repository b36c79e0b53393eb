"""One rollout as it went: the steps of its last attempt, each with the model calls behind it.

Steps and calls are written by different packages and share no id. Where a trajectory has as many
turns of the model as there are answered calls, they belong together in order; else by their times.
No call is left out: what belongs to no step stands after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ..steps import Step
from ..types import Record, RolloutKey
from .call import Call, calls
from .layout import TRAFFIC
from .result_row import ResultRow, read_rows
from .times import when
from .trajectory_row import TrajectoryRow, read_trajectories


class StepCalls(Record, frozen=True, kw_only=True):
    """A step, and the calls that led to it."""

    step: Step
    calls: tuple[Call, ...] = ()


class RolloutSteps(Record, frozen=True, kw_only=True):
    """The last attempt at a rollout."""

    benchmark: str
    key: RolloutKey
    attempt: int
    steps: tuple[StepCalls, ...]
    rest: tuple[Call, ...] = ()
    """Calls of no step, after the last one."""
    result: ResultRow | None = None

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls of the attempt."""
        return (*(call for step in self.steps for call in step.calls), *self.rest)

    @property
    def of_an_agent(self) -> bool:
        """Whether the attempt is more than a question, however many messages that has, and an
        answer. What a solver recorded while it worked has times."""
        own = [found.step for found in self.steps if not found.step.is_copied_context]
        turns = sum(step.is_turn for step in own)
        recorded = turns != 1 or any(step.timestamp for step in own)
        return any(step.tool_calls for step in own) or (recorded and len(own) > 2)


def rollout_steps(folder: Path, key: RolloutKey) -> RolloutSteps | None:
    """A rollout of a benchmark's folder; None where no steps of it are recorded."""
    row = next((row for row in read_trajectories(folder) if row.key == key), None)
    if row is None or not row.steps:
        return None
    made = [call for call in calls(folder / TRAFFIC) if call.key == key]
    attempt = _attempt(row, made)
    steps, rest = aligned(row.steps, [call for call in made if call.attempt == attempt])
    return RolloutSteps(
        benchmark=folder.resolve().name,
        key=key,
        attempt=attempt,
        steps=steps,
        rest=rest,
        result=next((found for found in read_rows(folder) if found.key == key), None),
    )


def aligned(
    steps: Sequence[Step], made: Sequence[Call]
) -> tuple[tuple[StepCalls, ...], tuple[Call, ...]]:
    """The steps with the calls behind each, and the calls behind none."""
    turns = [place for place, step in enumerate(steps) if step.is_turn]
    answered = sum(not call.failed for call in made)
    ends = [when(steps[place].timestamp) for place in turns]
    if answered == len(turns) or None in ends:
        places = _in_order(turns, made)
    else:
        places = _by_time(turns, [end for end in ends if end is not None], made)
    behind: dict[int | None, list[Call]] = {}
    for place, call in zip(places, made, strict=True):
        behind.setdefault(place, []).append(call)
    found = tuple(
        StepCalls(step=step, calls=tuple(behind.get(place, ()))) for place, step in enumerate(steps)
    )
    return found, tuple(behind.get(None, ()))


def _in_order(turns: Sequence[int], made: Sequence[Call]) -> list[int | None]:
    """One answered call each; those that failed belong to the next answered one."""
    places: list[int | None] = []
    turn = 0
    for call in made:
        places.append(turns[turn] if turn < len(turns) else None)
        turn += not call.failed
    return places


def _by_time(
    turns: Sequence[int], ends: Sequence[datetime], made: Sequence[Call]
) -> list[int | None]:
    """The first step that ended after the call did."""
    places = []
    for call in made:
        at = when(call.timestamp)
        after = (place for place, end in zip(turns, ends, strict=True) if at and end >= at)
        places.append(next(after, None))
    return places


def _attempt(row: TrajectoryRow, made: Sequence[Call]) -> int:
    known = {call.attempt for call in made}
    if row.attempts is not None and (row.attempts in known or not known):
        return row.attempts
    return max(known, default=1)
