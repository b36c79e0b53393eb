"""Tools of a server of the Model Context Protocol, started or connected to for each rollout.

A server that dies in the middle is started again: the model is told, since what the server knew is
gone. One that does not come back is an InfraError; one that never worked is the user's mistake.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...config.agent_solvers import McpServerConfig
from ...config.scrubber import KNOWN
from ...config.secrecy import credential_parts, secret_variable
from ...errors import ConfigError, InfraError, suggest
from ...sandboxes.contract import Sandbox
from ...steps import Step
from ...types import Json
from .contract import Picture, Tool, ToolResult, empty_schema, failed
from .mcp_connection import Connection

if TYPE_CHECKING:
    from mcp import Client

AGAIN = "the server ended during the call and was started again; what it knew is lost"


def check(servers: Mapping[str, McpServerConfig]) -> None:
    """Before the first rollout: the SDK, the programs and the variables are there. Raises
    ConfigError."""
    if servers and importlib.util.find_spec("mcp") is None:
        raise ConfigError(
            "mcp_servers needs the package mcp", hint='pip install "nemo-evaluator[mcp]"'
        )
    for name, server in servers.items():
        where = f"mcp_servers.{name}"
        program = server.command[0] if server.command and server.where == "host" else None
        if program is not None and shutil.which(program) is None:
            raise ConfigError(f"there is no program {program!r}", where=where)
        for variable in (*server.env, *server.headers_env.values()):
            if variable not in os.environ:
                raise ConfigError(f"the environment variable {variable} is not set", where=where)
            if secret_variable(variable) or variable in server.headers_env.values():
                KNOWN.learn(*credential_parts(os.environ[variable]))


class McpTools:
    """See `ToolSource`."""

    prefixes = True

    def __init__(
        self, name: str, config: McpServerConfig, sandbox: Sandbox | None, proven: set[str]
    ) -> None:
        """``proven``: names of servers that have worked in this run; added to here."""
        self.name = name
        self._config, self._proven = config, proven
        self._connection = Connection(name, config, sandbox)
        self._client: Client | None = None
        self._restarting = asyncio.Lock()

    async def open(self) -> Sequence[Tool]:
        """See `ToolSource.open`."""
        try:
            self._client = await self._connection.open()
            tools = await self._listed_in_time()
        except InfraError as error:
            if self.name in self._proven:
                raise
            raise ConfigError(str(error), where=f"mcp_servers.{self.name}") from None
        self._proven.add(self.name)
        return tools

    async def call(self, name: str, arguments: Mapping[str, Json], seconds: float) -> ToolResult:
        """See `ToolSource.call`."""
        from anyio import BrokenResourceError, ClosedResourceError
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT

        client = self._client
        assert client is not None
        try:
            result = await client.call_tool(name, dict(arguments), seconds)
        except MCPError as error:
            if error.code == REQUEST_TIMEOUT:
                raise TimeoutError from None
            if error.code != CONNECTION_CLOSED:
                return failed(error.message, code=error.code)
        except (RuntimeError, ValueError) as error:
            if self._connection.is_open:
                return failed(f"the server's answer cannot be read: {error}")
        except (OSError, ClosedResourceError, BrokenResourceError):
            pass  # it is gone
        else:
            return _result(result)
        async with self._restarting:
            if self._client is client:  # none of the calls beside it has done that
                await self._connection.close()
                self._client = await self._connection.open()
        return failed(AGAIN)

    def details(self, steps: Sequence[Step]) -> Mapping[str, Json]:
        """See `ToolSource.details`."""
        return {}

    async def close(self) -> None:
        """See `ToolSource.close`."""
        await self._connection.close()

    async def _listed_in_time(self) -> list[Tool]:
        """The tools that are offered. Raises InfraError where the server does not tell."""
        from mcp import MCPError

        try:
            async with asyncio.timeout(self._config.startup_timeout):
                return await self._list_tools()
        except ConfigError:
            raise
        except (MCPError, TimeoutError, RuntimeError, ValueError) as error:
            why = f"{type(error).__name__} {error}".strip()
            raise self._connection.lost(f"it does not tell its tools: {why}") from None

    async def _list_tools(self) -> list[Tool]:
        """All pages of the list. Raises ConfigError for a wanted tool that the server has not."""
        assert self._client is not None
        found: dict[str, Tool] = {}
        cursor: str | None = None
        while True:
            page = await self._client.list_tools(cursor=cursor)
            for tool in page.tools:
                found[tool.name] = Tool(
                    name=tool.name,
                    description=tool.description or "",
                    parameters=tool.input_schema or empty_schema(),
                )
            cursor = page.next_cursor
            if not cursor:
                break
        for name in self._config.tools or ():
            if name not in found:
                raise ConfigError(
                    f"the server has no tool {name!r}",
                    where=f"mcp_servers.{self.name}.tools",
                    hint=suggest(name, found),
                )
        return [found[name] for name in self._config.tools or found]


def _result(result: Any) -> ToolResult:
    """What a server answered: its texts, and its images."""
    texts, pictures = [], []
    for part in result.content:
        if part.type == "image":
            pictures.append(Picture(media_type=part.mime_type, data=part.data))
            texts.append(f"[image, {part.mime_type}]")
        elif part.type == "text":
            texts.append(part.text)
        elif part.type == "resource" and hasattr(part.resource, "text"):
            texts.append(part.resource.text)
        else:
            texts.append(f"[{part.type}{f' {part.uri}' if hasattr(part, 'uri') else ''}]")
    if not texts and result.structured_content is not None:
        texts.append(json.dumps(result.structured_content, ensure_ascii=False))
    text = "\n".join(texts) or "(no output)"
    return ToolResult(text=text, failed=bool(result.is_error), pictures=tuple(pictures))
