"""Tools of a gym's resources server: each rollout in a session of its own.

The server keeps the state of a rollout under a cookie that it sets when the rollout begins. The
same cookie goes with every call of a tool, and is handed on to whoever asks the gym for a verdict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from ...errors import ConfigError, InfraError, suggest
from ...services.gym_wire import GYM_SESSION, input_of
from ...services.json_server import BUSY, REFUSED, JsonServer
from ...steps import Step, StepSource
from ...traffic.dialects.contract import as_dict, dicts
from ...types import Failure, Json, Problem
from .contract import Tool, ToolResult, failed
from .openapi import BODY, Operation, operations

SEED = "/seed_session"
PARAMS = "responses_create_params"
"""Where a row of a gym holds what the model is asked, and the tools it is offered."""
SECONDS = 60.0
ERROR_CHARS = 4096


class GymTools:
    """See `ToolSource`."""

    name = "gym"
    prefixes = False

    def __init__(self, calls: JsonServer, problem: Problem) -> None:
        self._problem, self._calls = problem, calls
        self._session = calls.session()
        self._operations: dict[str, Operation] = {}

    async def open(self) -> Sequence[Tool]:
        """See `ToolSource.open`. Begins the session."""
        document = as_dict(await self._session.get("/openapi.json", seconds=SECONDS))
        self._operations = {found.tool.name: found for found in operations(document)}
        if not self._operations:
            raise ConfigError(
                "its OpenAPI document has no tools (operations by POST)", where=self._calls.peer
            )
        row = dict(self._problem.metadata)
        if SEED in as_dict(document.get("paths")):
            params = row.get(PARAMS) or {"input": input_of(self._problem)}
            await self._session.post(SEED, {**row, PARAMS: params}, seconds=SECONDS, again=True)
        offered = [self._described(tool) for tool in dicts(as_dict(row.get(PARAMS)).get("tools"))]
        return offered or [found.tool for found in self._operations.values()]

    async def call(self, name: str, arguments: Mapping[str, Json], seconds: float) -> ToolResult:
        """See `ToolSource.call`."""
        operation = self._operations[name]
        path, body = _request(operation, arguments)
        try:
            reply = await self._session.asked("POST", path, body, seconds=seconds)
        except InfraError as error:
            if error.info.kind is Failure.TIMEOUT:
                raise TimeoutError from None
            raise
        if reply.status in (*BUSY, *REFUSED):
            raise self._calls.refused(path, reply)
        text = reply.body.decode("utf-8", "replace")
        if not 200 <= reply.status < 300:
            return failed(f"HTTP {reply.status}: {text[:ERROR_CHARS]}", status=reply.status)
        return ToolResult(text=text)

    async def close(self) -> None:
        """See `ToolSource.close`. The connections are the service's."""

    def details(self, steps: Sequence[Step]) -> Mapping[str, Json]:
        """See `ToolSource.details`: the session, and what was done in it."""
        output = [item for step in steps for item in _items(step)]
        cookies = dict(self._session.cookies)
        return {GYM_SESSION: {"server": self._calls.url, "cookies": cookies, "output": output}}

    def _described(self, given: Mapping[str, Any]) -> Tool:
        """A tool as the row describes it. Raises ConfigError for one that the server has not."""
        name = str(given.get("name"))
        if name not in self._operations:
            raise ConfigError(
                f"the row offers the tool {name!r}, which the server does not have",
                where=self._calls.peer,
                hint=suggest(name, self._operations),
            )
        own = self._operations[name].tool
        return Tool(
            name=name,
            description=str(given.get("description") or own.description),
            parameters=given.get("parameters") or own.parameters,
        )


def _request(operation: Operation, arguments: Mapping[str, Json]) -> tuple[str, Json]:
    """The path and the body of a call."""
    path = operation.path
    for name in operation.in_path:
        path = path.replace(f"{{{name}}}", quote(str(arguments.get(name, "")), safe=""))
    query = {name: arguments[name] for name in operation.in_query if name in arguments}
    if query:
        path = f"{path}?{urlencode(query, doseq=True)}"
    if operation.whole_body:
        return path, arguments.get(BODY)
    elsewhere = (*operation.in_path, *operation.in_query)
    return path, {name: value for name, value in arguments.items() if name not in elsewhere}


def _items(step: Step) -> list[dict[str, Json]]:
    """A step of the agent as items of the Responses API."""
    if step.source is not StepSource.AGENT:
        return []
    items: list[dict[str, Json]] = []
    if step.message:
        text = {"type": "output_text", "text": str(step.message), "annotations": []}
        items.append(
            {
                "type": "message",
                "id": f"msg_{step.step_id}",
                "role": "assistant",
                "status": "completed",
                "content": [text],
            }
        )
    items += [
        {
            "type": "function_call",
            "call_id": call.tool_call_id,
            "name": call.function_name,
            "arguments": json.dumps(call.arguments),
        }
        for call in step.tool_calls
    ]
    items += [
        {
            "type": "function_call_output",
            "call_id": str(result.source_call_id),
            "output": str(result.content),
        }
        for result in (step.observation.results if step.observation else ())
    ]
    return items
