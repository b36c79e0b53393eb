"""`tool_calling`: the model works in turns with tools of the sandbox, of a gym and of MCP servers.

Everything a rollout opens (a shell, a session of a gym, connections to servers) is its own and is
closed with it; what the solver keeps is how a model wants to be told of tools.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ...config.agent_solvers import ToolCallingSolverConfig
from ...config.solver_fields import GYM
from ...errors import ConfigError
from ...traffic.dialects.contract import SYSTEM_ROLES, text_of, with_images
from ...traffic.images import image_url
from ...types import Json, Message, Problem, Solution
from ..contract import SolveTools
from .contract import Tool, ToolSource, empty_schema
from .gym_tools import GymTools
from .mcp_tools import McpTools, check
from .rollout import Rollout, Speech, Task
from .sandbox_tools import SandboxTools
from .toolbox import Toolbox

BYTES_OF_A_CHARACTER = 4
NO_IDENTITY = {"service", "resource_service", "max_parallel_tools"}
"""What does not change the answers; services have an identity of their own."""


class ToolCallingSolver:
    """See the module."""

    def __init__(self, config: ToolCallingSolverConfig) -> None:
        self._config = config
        self.needs = config.needs
        self._speech = Speech(config.tool_protocol)
        self._proven: set[str] = set()
        """MCP servers that have worked."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """See ``Solver.solve``."""
        config = self._config
        if tools.model is None:
            raise ConfigError("the tool_calling solver needs a service")
        self._check(problem, tools)
        messages, system = await _task_messages(problem, config.system_prompt)
        sources = list(self._sources(problem, tools))
        toolbox = Toolbox(
            sources,
            seconds=config.tool_timeout,
            most_chars=config.max_output_chars,
            at_once=config.max_parallel_tools if config.parallel_tool_calls else 1,
        )
        async with toolbox:
            offered = toolbox.tools(_wanted(problem.metadata.get("tools")))
            if not offered:
                raise ConfigError("none of the sources of tools has any", where="tool_calling")
            task = Task(problem, messages, system, toolbox, offered)
            rollout = Rollout(config, task, tools, tools.model, self._speech)
            solution = await rollout.solution()
        details = dict(solution.details)
        for source in sources:
            details |= source.details(solution.steps)
        return msgspec.structs.replace(solution, details=details)

    def identity(self) -> Mapping[str, Json]:
        """What changes the answers."""
        settings = self._config.model_dump(mode="json", exclude=NO_IDENTITY, exclude_defaults=True)
        return {**settings, "type": "tool_calling", "max_turns": self._config.max_turns}

    async def close(self) -> None:
        """Nothing to release: a rollout closes what it opens."""

    def _check(self, problem: Problem, tools: SolveTools) -> None:
        """Raise ConfigError for a problem that cannot be solved so, and for what is missing."""
        config = self._config
        if not self._proven:
            check(config.mcp_servers)
        if problem.requests:
            raise ConfigError(
                "tool_calling answers problems that are one chat, not several requests",
                hint="use solver: {type: simple}",
            )
        if config.response_mode == "sandbox_artifact" and problem.workspace is None:
            raise ConfigError(
                "response_mode sandbox_artifact needs problems that have a workspace",
                where="tool_calling",
                hint="use response_mode: last_message, or give the benchmark a workspace",
            )

    def _sources(self, problem: Problem, tools: SolveTools) -> Iterator[ToolSource]:
        config = self._config
        if config.sandbox_tools and tools.workspace is not None:
            keep = BYTES_OF_A_CHARACTER * config.max_output_chars
            yield SandboxTools(tools.workspace.sandbox, keep_bytes=keep)
        if GYM in tools.servers:
            yield GymTools(tools.servers[GYM].calls, problem)
        for name, server in config.mcp_servers.items():
            sandbox = tools.workspace.sandbox if tools.workspace is not None else None
            yield McpTools(name, server, sandbox, self._proven)


async def _task_messages(problem: Problem, system: str | None) -> tuple[list[Message], str | None]:
    """The messages of the task without a system prompt, and the system prompt. A configured one
    replaces the benchmark's."""
    messages = list(problem.messages) or [{"role": "user", "content": problem.prompt}]
    if messages[0].get("role") in SYSTEM_ROLES and len(messages) > 1:
        own = text_of(messages[0].get("content"))
        messages = messages[1:]
    else:
        own = None
    if problem.images:  # may read files
        parts = await asyncio.to_thread(_images, problem)
        messages = with_images(messages, parts, "text", problem.prompt)
    benchmark = own if problem.system is None else problem.system
    return messages, benchmark if system is None else system


def _images(problem: Problem) -> list[dict[str, Any]]:
    return [
        {"type": "image_url", "image_url": {"url": image_url(image), "detail": "auto"}}
        for image in problem.images
    ]


def _wanted(given: Json) -> list[Tool]:
    """The tools that a row offers, in the form of the chat or of the responses API; none where it
    says nothing. Raises ConfigError for another form."""
    if not given:
        return []
    found = []
    for entry in given if isinstance(given, list | tuple) else [given]:
        about = entry.get("function", entry) if isinstance(entry, dict) else None
        if not isinstance(about, dict) or not isinstance(about.get("name"), str):
            raise ConfigError(
                f"`tools` of a row is a list of tool definitions, not {entry!r:.80}",
                hint='{"type": "function", "function": {"name": ..., "parameters": {...}}}',
            )
        found.append(
            Tool(
                name=about["name"],
                description=str(about.get("description") or ""),
                parameters=about.get("parameters") or empty_schema(),
            )
        )
    return found
