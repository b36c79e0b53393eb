"""Solvers by the known contract: ``solve(task) -> SolveResult``, and how the engine runs them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn, Protocol, runtime_checkable

import msgspec

from ..config.endpoints import ApiProtocol
from ..environments.seeds import SeedResult, from_seed
from ..errors import ConfigError, InfraError, ModelError
from ..services.json_server import JsonServer
from ..solvers.contract import SolverNeeds, SolveTools
from ..solvers.nat import WHO, streamed
from ..solvers.nat_events import NatEvents
from ..solvers.question import question_of
from ..steps import numbered
from ..types import ErrorInfo, Failure, Json, Problem, Solution, Usage
from .client import ModelClient, ModelResponse
from .sandboxes import task_sandbox

__all__ = [
    "ChatSolver",
    "CompletionSolver",
    "ErrorKind",
    "GracefulError",
    "NatSolver",
    "OpenClawSolver",
    "SolveResult",
    "Solver",
    "VLMSolver",
]


class GracefulError(Exception):
    """An expected failure of a solver: the answer counts as wrong and is not tried again."""


class ErrorKind(StrEnum):
    """The cause of ``SolveResult.error``."""

    NONE = "none"
    GRACEFUL = "graceful"
    INFRA_ERROR = "infra_error"
    TOOL_INFRA = "tool_infra"
    SYSTEM = "system"
    SOLVE_TIMEOUT = "solve_timeout"


FAILURES = {
    ErrorKind.SYSTEM: Failure.BUG,
    ErrorKind.TOOL_INFRA: Failure.SANDBOX,
    ErrorKind.SOLVE_TIMEOUT: Failure.SOLVE_TIMEOUT,
}
"""Failures of the machinery: they are never scored. What is not here is."""


@dataclass
class SolveResult:
    """What a solver made of a task."""

    response: str = ""
    model_response: ModelResponse | None = None
    trajectory: Sequence[Mapping[str, Json]] = field(default_factory=list)
    reward: float | None = None
    """Set where the solver knows the reward: the benchmark is not asked."""
    scoring_details: Mapping[str, Json] = field(default_factory=dict)
    error: str | None = None
    error_kind: ErrorKind | str = ErrorKind.NONE


@runtime_checkable
class Solver(Protocol):
    """Anything with ``solve``; ``close`` is called once at the end where there is one."""

    async def solve(self, task: SeedResult) -> SolveResult:
        """Solve one task."""


class ModelSolver:
    """One request by a ``ModelClient``."""

    protocol: ApiProtocol = "chat_completions"

    def __init__(
        self, client: ModelClient, system_prompt: str | None = None, image_detail: str = "auto"
    ) -> None:
        self.client, self.system_prompt, self.image_detail = client, system_prompt, image_detail

    def as_config(self, service: str) -> dict[str, Any]:
        """The same as the `solver` of a benchmark in a configuration."""
        return {
            "type": "simple",
            "service": service,
            "system_prompt": self.system_prompt,
            "image_detail": self.image_detail,
        }

    async def solve(self, task: SeedResult) -> SolveResult:
        """Ask the model once."""
        response = await self._ask(task, self.system_prompt or task.system)
        return SolveResult(response=response.content, model_response=response)

    async def _ask(self, task: SeedResult, system: str | None) -> ModelResponse:
        messages = list(task.messages) if task.messages else None
        if messages and system:
            messages = [{"role": "system", "content": system}, *messages]
        return await self.client.chat(task.prompt, system, messages)

    async def close(self) -> None:
        """Close the client."""
        await self.client.close()


class ChatSolver(ModelSolver):
    """One chat request. A system prompt is sent with ``messages`` too."""

    def __init__(self, client: ModelClient, system_prompt: str | None = None) -> None:
        super().__init__(client, system_prompt)


class CompletionSolver(ModelSolver):
    """One request to a completion endpoint; there is no system prompt."""

    protocol: ApiProtocol = "completions"

    def __init__(self, client: ModelClient) -> None:
        super().__init__(client)

    async def _ask(self, task: SeedResult, system: str | None) -> ModelResponse:
        return await self.client.complete(task.prompt)


class VLMSolver(ModelSolver):
    """One chat request with the task's images, if it has any."""

    async def _ask(self, task: SeedResult, system: str | None) -> ModelResponse:
        if not task.images:
            return await super()._ask(task, system)
        images = [
            image if isinstance(image, str) else _image_address(image) for image in task.images
        ]
        return await self.client.vlm_chat(task.prompt, images, system, self.image_detail)


def _image_address(image: Any) -> str:
    text = getattr(image, "url", None) or getattr(image, "path", None)
    if not text:
        raise ConfigError("VLMSolver takes images as addresses or files", hint="not as bytes")
    return str(text)


def _missing(name: str, needs: str) -> NoReturn:
    raise ConfigError(
        f"{name} is not available in this version: {needs}",
        hint="a class of your own with solve(task) can do the same",
    )


class NatSolver:
    """An agent of NeMo Agent Toolkit, at the address of its server."""

    def __init__(self, nat_url: str, timeout: float = 3600.0) -> None:
        self._calls, self._timeout = JsonServer(nat_url), timeout

    async def solve(self, task: SeedResult) -> SolveResult:
        """One request. Raises InfraError where there is no answer. Tokens are those that the server
        tells."""
        question = question_of(from_seed(task, 0, None, "NatSolver"), WHO)
        events = NatEvents()
        await streamed(self._calls, question, self._timeout, events)
        used, text = events.usage, events.answer or ""
        return SolveResult(
            response=text,
            model_response=ModelResponse(
                content=text,
                model=events.model or "",
                finish_reason="stop",
                prompt_tokens=used.prompt_tokens,
                completion_tokens=used.completion_tokens,
                total_tokens=used.total_tokens,
            ),
            trajectory=[msgspec.to_builtins(step) for step in numbered(events.steps)],
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._calls.close()


class OpenClawSolver:
    """Not available in this version: the constructor raises ConfigError."""

    def __init__(self, *_args: Any, **_settings: Any) -> None:
        _missing("OpenClawSolver", "in a configuration it is `solver: {type: openclaw}`")


class EngineSolver:
    """A solver of the known contract, for the engine."""

    def __init__(self, inner: Solver) -> None:
        self._inner = inner
        self._takes_sandbox = "sandbox" in inspect.signature(inner.solve).parameters
        self.needs = SolverNeeds(sandbox=self._takes_sandbox, optional=True, network="door")

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """The solution. Failures of the machinery raise InfraError: they are no answer."""
        more = {"sandbox": await task_sandbox(tools)} if self._takes_sandbox else {}
        try:
            result = await self._inner.solve(task_of(problem), **more)
        except GracefulError as error:
            result = SolveResult(error=str(error) or "GracefulError", error_kind="graceful")
        except ModelError as error:
            return Solution(response="", error=error.info)
        if not isinstance(result, SolveResult):
            raise TypeError(f"solve() returned {type(result).__name__}, not a SolveResult")
        return _solution(result)

    def identity(self) -> Mapping[str, Json]:
        """The solver's class; its own ``identity()`` where it has one."""
        own = getattr(self._inner, "identity", None)
        name = f"{type(self._inner).__module__}.{type(self._inner).__qualname__}"
        return {"type": name, **(own() if callable(own) else {})}

    async def close(self) -> None:
        """Close the solver, where it can be closed."""
        close = getattr(self._inner, "close", None)
        if close is not None and inspect.isawaitable(closing := close()):
            await closing


def task_of(problem: Problem) -> SeedResult:
    """A problem as solvers of the known contract get it."""
    return SeedResult(
        prompt=problem.prompt,
        expected_answer=problem.target,
        metadata=problem.metadata,
        messages=list(problem.messages) or None,
        system=problem.system,
        images=list(problem.images) or None,
    )


def _solution(result: SolveResult) -> Solution:
    model_response = result.model_response or ModelResponse()
    calls = 1 if result.model_response else 0
    kind = ErrorKind(result.error_kind)
    error = None
    if result.error is not None:
        if kind is ErrorKind.INFRA_ERROR or kind in FAILURES:
            raise InfraError(result.error, kind=FAILURES.get(kind))
        error = ErrorInfo(kind=Failure.BAD_REQUEST, message=result.error)
    return Solution(
        response=result.response,
        reasoning=model_response.reasoning,
        finish_reason=model_response.finish_reason or None,
        usage=Usage(
            prompt_tokens=model_response.prompt_tokens,
            completion_tokens=model_response.completion_tokens,
            reasoning_tokens=model_response.reasoning_tokens,
        ),
        model=model_response.model or None,
        latency_ms=model_response.latency_ms,
        calls=calls,
        tries=calls,
        trajectory=tuple(dict(step) for step in result.trajectory),
        error=error,
        reward=result.reward,
        details=dict(result.scoring_details),
    )
