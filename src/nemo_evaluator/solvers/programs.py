"""An agent that is a program of somebody else: where it runs, and what its failure means.

It runs in the workspace of the rollout, or in a private folder of this machine; both know the same
few operations. Invariants: the program's own files (with the key of its session) are gone before
anything is verified; a program whose environment failed it (it never reached its model, or the
model's endpoint failed) gives an error, never an answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from ..errors import BudgetExceeded, InfraError, ModelError, PermanentError
from ..sandboxes.contract import MAX_TRANSFER, Command, ExecResult, Sandbox
from ..sandboxes.host import HostFolder
from ..traffic.door.sessions import Endpoint
from ..types import EndedBy, Failure, Problem
from .contract import SolveTools

Where = Literal["workspace", "host"]
SHOWN_CHARS = 500
"""How much of what a program said an error shows."""
NOT_FOUND = (126, 127)
"""Exit codes of a shell that could not start a program."""
OF_THE_MODEL = {
    Failure.BAD_REQUEST,
    Failure.CONTEXT_WINDOW,
    Failure.CONTENT_FILTER,
    Failure.REFUSAL,
    Failure.BUDGET,
}
"""Failed calls that say something about the model, or about a limit; all others are failures of
what is around it."""
PERMANENT = {Failure.AUTH, Failure.QUOTA}
"""No other rollout would fare better. What is not found may be what the agent asked for."""


class Runs(Protocol):
    """What a `Sandbox` and a `HostFolder` have in common."""

    async def exec(  # noqa: D102
        self,
        command: Command,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        output_bytes: int | None = None,
    ) -> ExecResult: ...

    async def upload(self, path: str, data: bytes) -> None: ...  # noqa: D102

    async def download(  # noqa: D102
        self, path: str, *, max_bytes: int = MAX_TRANSFER
    ) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where one agent runs."""

    runs: Runs
    cwd: str
    """Where it works: the task's files are there, and what it leaves is the answer."""
    own: str
    """A folder for what is the program's own, outside of ``cwd``; removed at the end."""
    inside: bool
    """Whether that is in a sandbox."""

    async def door(self, tools: SolveTools) -> Endpoint:
        """The model, as it is reached from here."""
        return await tools.door(inside=self.inside)


@asynccontextmanager
async def place_for(problem: Problem, tools: SolveTools, where: Where) -> AsyncIterator[Place]:
    """The place of an agent. What it changed on this machine (``host``) is copied back into the
    workspace. Raises InfraError where there is no workspace for the files of a problem."""
    workspace = tools.workspace.sandbox if tools.workspace is not None else None
    if where == "workspace":
        if workspace is None:
            raise InfraError(
                "the agent works in a sandbox, and there is none", kind=Failure.SANDBOX
            )
        own = "/tmp/.nel-agent"
        yield Place(workspace, workspace.spec.cwd, own, inside=True)
        await workspace.exec(["rm", "-rf", own])
        return
    if workspace is None and problem.workspace is not None:
        raise InfraError(
            "the problem has a workspace, and the benchmark no sandbox to verify it in: "
            "set sandbox: {type: local}",
            kind=Failure.SANDBOX,
        )
    folder = await HostFolder.open()
    try:
        cwd = folder.path / "work"
        await folder.restore("work", b"" if workspace is None else await workspace.save("."))
        yield Place(folder, str(cwd), str(folder.path / "own"), inside=False)
        if workspace is not None:
            await _replace(workspace, await folder.save("work"))
    finally:
        await folder.close()


async def _replace(workspace: Sandbox, archive: bytes) -> None:
    """Make the files of a workspace those of an archive."""
    await workspace.exec("find . -mindepth 1 -delete")
    await workspace.restore(".", archive)


def judge_failure(tools: SolveTools, result: ExecResult, said: str) -> EndedBy | None:
    """What it means that a program failed: the limit that ended it, or None where the failure is
    the agent's own.

    Raises InfraError where nothing is known about the agent, ModelError where the model refused all
    it was asked, BudgetExceeded where a limit left it nothing to work with.
    """
    text = " ".join(said.split())[-SHOWN_CHARS:]
    what = f"the agent ended with exit code {result.exit_code}: {text or 'it said nothing'}"
    if result.exit_code in NOT_FOUND:
        raise InfraError(f"the agent could not be started: {text}", kind=Failure.SANDBOX)
    if result.killed_by is not None:
        killed = f"the agent was killed ({result.killed_by}): {text}"
        raise InfraError(killed, kind=Failure.SANDBOX)
    return judge_session(tools, what)


def judge_session(tools: SolveTools, what: str) -> EndedBy | None:
    """The same for an agent of any kind, by what became of its calls; ``what``: how it failed."""
    if tools.model is None:
        return None
    used = tools.model.session(tools.context)
    if used.failing in PERMANENT:
        raise PermanentError(f"{what} ({used.failing.value} of its model)", kind=used.failing)
    if used.failing is not None and used.failing not in OF_THE_MODEL:
        raise InfraError(f"{what} ({used.failing.value} of its model)", kind=used.failing)
    if used.answers:
        overflown = used.failing is Failure.CONTEXT_WINDOW
        return EndedBy.CONTEXT if overflown else used.ended_by
    if used.failing is Failure.BUDGET:
        raise BudgetExceeded(what)
    if used.failing is not None:
        raise ModelError(what, kind=used.failing)
    raise InfraError(f"the agent failed before it asked its model: {what}", kind=Failure.BUG)
