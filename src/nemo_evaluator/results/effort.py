"""What an agent used for its tasks: money, tokens, turns and time, by the tasks that it solved.

About rollouts with a verdict, by the attempt that it is about: what failed attempts and judges cost
stands in the accounts of the run. The same numbers follow from the rows of ``results.jsonl``.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..types import Record, Solution

FULL = 1.0 - 1e-9
"""Reward from which a task without a plain verdict counts as solved."""


class Quantity(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A number that is no share of anything, with its 95 % interval over problems."""

    value: float
    ci_lower: float
    ci_upper: float | None
    """None: no limit; too little was solved to tell."""
    n: int
    """Problems."""


class Effort(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What the rollouts with a verdict of a benchmark for agents took."""

    rollouts: int
    solved: int
    cost_usd: float | None
    """Of those rollouts whose price is known."""
    tokens: int
    cost_per_solved: Quantity | None
    """US dollars; None where nothing was solved, or no price is known."""
    tokens_per_solved: Quantity | None
    turns: Quantity | None
    """Answered calls of the model per rollout; None where none was asked."""
    seconds: Quantity | None
    """Of a rollout, from its first command or request until the agent ended."""
    ended_by: Mapping[str, int] = {}
    """Rollouts that a limit ended, by limit."""


def is_solved(correct: bool | None, reward: float) -> bool:
    """Whether a verdict says that the task is solved: correct, or else the full reward."""
    return reward >= FULL if correct is None else correct


def is_agents(solution: Solution) -> bool:
    """Whether an agent made it, and not one question, or several of one problem."""
    asked = bool(solution.answers)
    return bool(
        solution.trajectory
        or solution.workspace
        or solution.ended_by is not None
        or any(step.tool_calls for step in solution.steps)
        or (not asked and (solution.steps or solution.calls > 1))
    )
