"""The contract between the engine and whatever turns a problem into a solution."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..errors import ConfigError
from ..sandbox_spec import SolverNeeds
from ..sandboxes.contract import Sandbox
from ..services.contract import OpenServer
from ..traffic.door.sessions import Endpoint
from ..traffic.types import CallContext
from ..types import Json, Problem, Record, Solution
from .steps import Steps

if TYPE_CHECKING:
    from ..traffic.client import Model

__all__ = [
    "MODEL",
    "Archive",
    "Endpoint",
    "Handover",
    "Prepares",
    "SolveTools",
    "Solver",
    "SolverNeeds",
    "Steps",
    "Workspace",
    "needs_of",
]

NO_DEADLINE = 30 * 86400.0
MODEL = "model"
"""The role of the solver's own ``service``."""


class Archive(Record, frozen=True, kw_only=True):
    """The files of a workspace, to be verified in a fresh sandbox."""

    data: bytes
    """A tar archive, relative to the working directory."""


Handover = Sandbox | Archive
"""What the verifier gets of a workspace: itself (``stateful``), or its files."""


class Workspace(Protocol):
    """The sandbox of one attempt. The engine opens and closes it."""

    @property
    def sandbox(self) -> Sandbox:
        """Where the solver, or an agent that it starts, works."""

    async def finish(self) -> Handover:
        """End every process inside; what the verifier gets. Called by the engine when the solver
        has returned; a second call returns the same. Raises SandboxLost."""


@dataclass(frozen=True, slots=True)
class SolveTools:
    """What a solver may use for one rollout."""

    model: Model | None
    """The client of the solver's ``service``; ``None`` for solvers without one."""
    context: CallContext
    """Session, rollout key and deadline (a ``time.monotonic()`` value): handed on with every model
    call. Time that calls wait for admission, or for an endpoint that is down, is added to it."""
    models: Mapping[str, Model] = field(default_factory=dict)
    """All models by role: ``model`` is the solver's own, others are those of its ``services``."""
    workspace: Workspace | None = None
    """None where the solver needs no sandbox."""
    steps: Steps = field(default_factory=Steps)
    """What is recorded here is journaled with the answer, and with a failure too."""
    servers: Mapping[str, OpenServer] = field(default_factory=dict)
    """Servers that are no models, ready to be asked, by role: ``gym``, or ``agent``."""

    def begin_waiting(self, peer: str) -> None:
        """Start the rollout's clock, which otherwise runs from its first call of a model: for an
        agent that is waited for before it asks one. ``peer``: who is waited for."""
        if self.context.on_wait is not None:
            self.context.on_wait(peer)

    def seconds_left(self) -> float:
        """Until the rollout's deadline; where none is known yet, very long: the engine ends what is
        overdue all the same."""
        deadline = self.context.deadline
        return NO_DEADLINE if deadline is None else max(1.0, deadline - time.monotonic())

    async def base_url(self) -> str:
        """Where a foreign agent reaches the same model over HTTP, through the same interceptors,
        until this solve ends: a base URL for OpenAI (and, less its ``/v1``, for Anthropic) clients.

        Raises ConfigError where the solver has no service.
        """
        return (await self.door()).openai_url

    async def door(self, role: str = MODEL, *, inside: bool = False) -> Endpoint:
        """What a foreign agent needs to reach a model over HTTP, through the same interceptors,
        until this solve ends: addresses and a key that is good for this session only.

        ``inside``: for an agent that runs in the workspace. Raises ConfigError where there is no
        such model, and where the workspace reaches none.
        """
        model = self.models.get(role) or (self.model if role == MODEL else None)
        if model is None:
            raise _no_model(role, self.models)
        if not inside:
            return await model.door(self.context)
        if self.workspace is None:
            raise ConfigError(
                "the solver has no workspace", hint="needs = SolverNeeds(sandbox=True)"
            )
        sandbox = self.workspace.sandbox
        if sandbox.spec.network == "host":
            return await model.door(self.context)
        if sandbox.spec.network == "none":
            raise ConfigError(
                "a workspace with `network: none` reaches no model",
                hint="set `network: door` of the sandbox, or needs = SolverNeeds(network='door')",
            )
        return await model.door(self.context, listener=await sandbox.listen())


@runtime_checkable
class Solver(Protocol):
    """Turns a problem into a solution. May say what it ``needs`` (a `SolverNeeds`)."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """Solve one problem. A failure of the model is a solution with ``error`` set; a failure
        of infrastructure raises InfraError. An agent that a limit ended (turns, tokens, money,
        time) returns what it has, with ``ended_by`` set; BudgetExceeded is for one that has
        nothing."""

    def identity(self) -> Mapping[str, Json]:
        """What changes the meaning of the solutions (prompts, generation parameters)."""

    async def close(self) -> None:
        """Release resources; safe to call twice."""


@runtime_checkable
class Prepares(Protocol):
    """A solver that can tell before the first rollout that it cannot work."""

    async def prepare(self) -> None:
        """Look for what the solver needs: programs, interpreters, names. Awaited before ``needs``
        and ``identity`` are asked. Raises ConfigError."""


def needs_of(solver: Solver) -> SolverNeeds:
    """What a solver needs; nothing where it does not say."""
    needs = getattr(solver, "needs", SolverNeeds())
    if not isinstance(needs, SolverNeeds):
        raise ConfigError(
            f"`needs` of a solver is a SolverNeeds, not {needs!r:.80}",
            where=type(solver).__name__,
            hint="needs = SolverNeeds(sandbox=True, network='door')",
        )
    return needs


def _no_model(role: str, models: Mapping[str, Model]) -> ConfigError:
    if role == MODEL:
        return ConfigError("the solver has no service", hint="give it a `service`")
    known = ", ".join(models) or "none"
    return ConfigError(
        f"the solver has no model in the role {role!r} (it has: {known})",
        hint=f"services: {{{role}: NAME}} of the solver",
    )
