"""How long an agent may work: the configured time, the task's, or the larger, under a cap.

Invariant: an agent is ended a little before the engine would end the rollout, so that what it has
done by then is verified instead of being lost.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..types import Problem
from .contract import SolveTools

if TYPE_CHECKING:
    from ..config.solver_fields import TimeLimitFields

AGENT_TIMEOUT = "agent_timeout_sec"
"""Where the metadata of a problem says how long its task gives an agent, in seconds."""
MARGIN = 0.02
"""Part of a rollout's time that is left for ending the agent, at most `MOST_MARGIN` seconds."""
MOST_MARGIN = 30.0
OF_BENCHMARK = "benchmark.timeout"
LEAST = 1.0
"""Seconds that an agent gets in any case."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """How long one rollout's agent may work."""

    seconds: float
    why: str
    """What set it, for messages: ``run_timeout``, ``the task``, ``max_agent_timeout`` or
    ``benchmark.timeout``."""


def task_seconds(problem: Problem) -> float | None:
    """The time that a problem's task gives an agent; None where it says none, or nonsense."""
    seconds = problem.metadata.get(AGENT_TIMEOUT)
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        log.warning("problem %d: %s is %r, which is ignored", problem.idx, AGENT_TIMEOUT, seconds)
        return None
    return float(seconds)


def time_limit(config: TimeLimitFields, problem: Problem, tools: SolveTools) -> TimeLimit:
    """How long the agent of this rollout may work from now on.

    ``override`` (or a task without a time): ``run_timeout``, else what is left of the rollout;
    ``task``: the task's time; ``max``: the larger of both. ``max_agent_timeout`` caps the result.
    Never more than what is left of the rollout's own time (``benchmark.timeout``).
    """
    whole = TimeLimit(_seconds_left(tools), OF_BENCHMARK)
    own = TimeLimit(config.run_timeout, "run_timeout") if config.run_timeout else whole
    task = task_seconds(problem)
    chosen = own
    if task is not None and config.timeout_strategy != "override":
        of_task = TimeLimit(task, "the task")
        larger = max(own, of_task, key=lambda limit: limit.seconds)
        chosen = of_task if config.timeout_strategy == "task" else larger
    if (cap := config.max_agent_timeout) is not None and cap < chosen.seconds:
        chosen = TimeLimit(cap, "max_agent_timeout")
    return min(chosen, whole, key=lambda limit: limit.seconds)


def _seconds_left(tools: SolveTools) -> float:
    """Seconds of the rollout's time that an agent may use from now on."""
    context = tools.context
    deadline = context.until() if context.until is not None else context.deadline
    if deadline is None:
        return float("inf")
    left = deadline - time.monotonic()
    return max(LEAST, left - margin_of(left))


def margin_of(seconds: float) -> float:
    """What of a rollout's time is left for ending its agent."""
    return min(MOST_MARGIN, max(LEAST, MARGIN * seconds))
