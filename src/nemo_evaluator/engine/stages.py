"""Problems that go on after an answer: what was done is checked in the workspace, and the next is
asked there.

Invariants: nothing of the agent runs while its work is checked; what was paid and done in earlier
stages stays in the one answer that comes of all of them.
"""

from __future__ import annotations

import msgspec

from ..environments.contract import Environment, Staged
from ..environments.user_code import contained
from ..errors import ConfigError
from ..solvers.contract import Solver, SolveTools
from ..types import Json, Problem, Solution
from .failures import checked

STAGES = "stages"
"""Where the details of a solution say what became of earlier stages."""


async def solved_in_stages(
    solver: Solver, environment: Environment, problem: Problem, tools: SolveTools
) -> Solution:
    """The answer to a problem, and to what follows from it."""
    solution = await _solved(solver, problem, tools)
    done: list[Json] = []
    while problem.goes_on and solution.error is None:
        if tools.workspace is None or not isinstance(environment, Staged):
            raise ConfigError("a problem in stages needs a solver that works in a workspace")
        sandbox = tools.workspace.sandbox
        await sandbox.end_processes()
        outcome, following = await environment.next_stage(problem, sandbox)
        done.append(outcome)
        if following is not None:
            problem = following
            solution = _combined(solution, await _solved(solver, problem, tools))
        details = {**solution.details, STAGES: list(done)}
        solution = msgspec.structs.replace(solution, details=details)
        if following is None:
            break
    return solution


async def _solved(solver: Solver, problem: Problem, tools: SolveTools) -> Solution:
    with contained("the solver"):
        solution = await solver.solve(problem, tools)
    return checked(solution)


def _combined(before: Solution, last: Solution) -> Solution:
    """The last answer, with what all of them used and did."""
    usd = [cost for cost in (before.cost_usd, last.cost_usd) if cost is not None]
    return msgspec.structs.replace(
        last,
        usage=before.usage + last.usage,
        calls=before.calls + last.calls,
        tries=before.tries + last.tries,
        cost_usd=sum(usd) if usd else None,
        latency_ms=before.latency_ms + last.latency_ms,
        steps=(*before.steps, *last.steps),
        trajectory=(*before.trajectory, *last.trajectory),
        ended_by=last.ended_by or before.ended_by,
        simulated=before.simulated or last.simulated,
    )
