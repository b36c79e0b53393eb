"""The contract between the engine and whatever turns a problem into a solution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..errors import ConfigError
from ..traffic.types import CallContext
from ..types import Json, Problem, Solution

if TYPE_CHECKING:
    from ..traffic.client import Model


@dataclass(frozen=True, slots=True)
class SolveTools:
    """What a solver may use for one rollout."""

    model: Model | None
    """The service's client; ``None`` for solvers without a service."""
    context: CallContext
    """Session, rollout key and deadline: handed on with every model call."""

    async def base_url(self) -> str:
        """Where a foreign agent reaches the same model over HTTP, through the same interceptors,
        until this solve ends: a base URL for OpenAI (and, less its ``/v1``, for Anthropic) clients.

        Raises ConfigError where the solver has no service.
        """
        if self.model is None:
            raise ConfigError("the solver has no service", hint="give it a `service`")
        return await self.model.base_url(self.context)


@runtime_checkable
class Solver(Protocol):
    """Turns a problem into a solution."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """Solve one problem. A failure of the model is a solution with ``error`` set; a failure
        of infrastructure raises InfraError; running out of budget raises BudgetExceeded."""

    def identity(self) -> Mapping[str, Json]:
        """What changes the meaning of the solutions (prompts, generation parameters)."""

    async def close(self) -> None:
        """Release resources; safe to call twice."""
