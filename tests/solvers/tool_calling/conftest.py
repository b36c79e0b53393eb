"""A rollout of the loop with a scripted model, in a real sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from engines import require

from nemo_evaluator.config.agent_solvers import ToolCallingSolverConfig
from nemo_evaluator.sandboxes import DockerBackend, LocalBackend, Sandbox, SandboxPool, SandboxSpec
from nemo_evaluator.services.json_server import JsonServer
from nemo_evaluator.solvers.contract import SolveTools
from nemo_evaluator.solvers.tool_calling.solver import ToolCallingSolver
from nemo_evaluator.testing.models import ScriptedTransport, scripted_model
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.types import CallContext, ModelRequest
from nemo_evaluator.types import Problem, Solution

Said = Any


def calling(*calls: tuple[str, object], text: str | None = None) -> dict[str, Any]:
    """A message that calls tools."""
    return {
        "content": text,
        "tool_calls": [
            {
                "id": f"id{number}-{name}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": given if isinstance(given, str) else json.dumps(given),
                },
            }
            for number, (name, given) in enumerate(calls)
        ],
    }


def bash(command: str, **more: object) -> dict[str, Any]:
    return calling(("bash", {"command": command, **more}))


def in_turn(said: Sequence[Said]) -> Callable[[ModelRequest], Said]:
    """One reply after the other; a function is asked, the last reply stays."""
    left = list(said)

    def script(request: ModelRequest) -> Said:
        reply = left.pop(0) if len(left) > 1 else left[0]
        return reply(request) if callable(reply) else reply

    return script


@dataclass
class Lease:
    """A workspace without an engine."""

    sandbox: Sandbox

    async def finish(self) -> Sandbox:
        await self.sandbox.end_processes()
        return self.sandbox


@dataclass
class Ran:
    """A rollout that is over."""

    solution: Solution
    tools: SolveTools
    model: ModelClient

    @property
    def requests(self) -> list[ModelRequest]:
        transport = self.model.transport
        assert isinstance(transport, ScriptedTransport)
        return transport.requests

    def told(self, turn: int) -> list[dict[str, Any]]:
        """The messages of a request."""
        messages: list[dict[str, Any]] = self.requests[turn].body["messages"]
        return messages

    @property
    def results(self) -> list[str]:
        """What tools gave back, as the model saw it at last."""
        return [m["content"] for m in self.told(-1) if m["role"] == "tool"]


Solve = Callable[..., Any]


@pytest.fixture(params=["local", "docker"])
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """A sandbox of either engine."""
    require(request.param)
    local = request.param == "local"
    backend = LocalBackend() if local else DockerBackend(image="sandbox-base:latest")
    async with SandboxPool(backend, limit=1) as pool, pool.acquire(SandboxSpec()) as opened:
        yield opened
    await backend.close()


@pytest.fixture
async def one() -> AsyncIterator[Sandbox]:
    """One engine is enough here: what differs is tested with the sandbox tools."""
    require("local")
    backend = LocalBackend()
    async with SandboxPool(backend, limit=1) as pool, pool.acquire(SandboxSpec()) as opened:
        yield opened
    await backend.close()


async def solve(
    said: Sequence[Said] | Callable[[ModelRequest], Said],
    sandbox: Sandbox | None = None,
    *,
    problem: Problem | None = None,
    model: ModelClient | None = None,
    deadline: float | None = None,
    gym: JsonServer | None = None,
    **config: Any,
) -> Ran:
    """One rollout. With a sandbox its tools are offered, and the problem has a workspace."""
    config = {"service": "m", "sandbox_tools": sandbox is not None, **config}
    solver = ToolCallingSolver(ToolCallingSolverConfig(**config))
    spec = SandboxSpec() if sandbox is not None else None
    problem = problem or Problem(idx=0, prompt="Do it.", workspace=spec)
    model = model or scripted_model(said if callable(said) else in_turn(said))
    context = CallContext(session="s", deadline=deadline)
    lease = None if sandbox is None else Lease(sandbox)
    servers: Any = {} if gym is None else {"gym": SimpleNamespace(calls=gym)}
    if gym is not None:
        assert ToolCallingSolverConfig(**config).servers == {"gym": config["resource_service"]}
    tools = SolveTools(model, context, {"model": model}, lease, servers=servers)
    return Ran(await solver.solve(problem, tools), tools, model)
