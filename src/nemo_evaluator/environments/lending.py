"""The one place that decides which sandbox an answer is verified in.

Invariant: an answer that is in a workspace is verified there or not at all; a fresh sandbox would
say that nothing was done.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext

from ..errors import ConfigError, InfraError
from ..sandboxes.contract import Sandbox, SandboxSpec
from ..types import Failure, Phase, Problem, Solution
from .contract import VerifyTools


def lent(
    problem: Problem, solution: Solution, tools: VerifyTools, spec: SandboxSpec | None, where: str
) -> AbstractAsyncContextManager[Sandbox | None]:
    """The sandbox of one verification: the solver's workspace, a fresh one, or None where neither
    the problem nor the scorer (``spec``) needs one. Raises InfraError where the workspace is gone.
    """
    if solution.workspace and tools.workspace is None:
        raise InfraError(
            "the workspace that the answer is in is gone; the problem must be solved again",
            kind=Failure.SANDBOX,
            phase=Phase.VERIFY,
            peer=where,
        )
    wanted = problem.workspace or spec
    if wanted is None:
        return nullcontext()
    if solution.workspace and tools.workspace is not None:
        return tools.workspace.acquire(problem.handover.verifier or wanted)
    if tools.sandboxes is None:
        raise ConfigError("needs a sandbox", where=where, hint="set sandbox: {type: local}")
    return tools.sandboxes.acquire(wanted)


async def let_go(solution: Solution, tools: VerifyTools) -> None:
    """The workspace is not needed any more: a judge, who takes long, is asked without it."""
    if solution.workspace and tools.workspace is not None:
        await tools.workspace.let_go()
