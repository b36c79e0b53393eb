"""A connection to one MCP server, by the official SDK: opened, used and ended in a task of its own,
as the SDK wants it, so that whoever calls a tool may be cancelled and may open it again.

Invariant: when ``close`` returns the server that was started is dead with all it started, and so it
is where this process is killed; what it complained of last stands in the error.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TextIO

from ...config.agent_solvers import McpServerConfig
from ...config.scrubber import KNOWN
from ...errors import InfraError
from ...sandboxes.contract import Process, Sandbox
from ...sandboxes.host import kept
from ...types import Failure

if TYPE_CHECKING:
    from mcp import Client

TAIL_CHARS = 300
END_SECONDS = 10.0
HTTP_SECONDS = 30.0
READ_SECONDS = 3600.0
"""A server may work on a call for long: how long is decided by who calls."""
Transport = AbstractAsyncContextManager[Any]


class Connection:
    """One server, connected until ``close``."""

    def __init__(self, name: str, config: McpServerConfig, sandbox: Sandbox | None) -> None:
        self._name, self._config, self._sandbox = name, config, sandbox
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._complaints: Callable[[], str] = str

    async def open(self) -> Client:
        """Connect. Raises InfraError with the end of what the server complained of."""
        opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._live(opened))
        either: set[asyncio.Future[Any]] = {opened, self._task}
        await asyncio.wait(
            either, timeout=self._config.startup_timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if opened.done() and not opened.cancelled():
            return opened.result()
        why = f"nothing was heard of it within {self._config.startup_timeout:g} s"
        if self._task.done() and (error := self._task.exception()) is not None:
            why = _innermost(error)
        await self.close()
        raise self.lost(f"it cannot be used: {why}")

    async def close(self) -> None:
        """Disconnect, and end what was started. Safe to call twice."""
        task, self._task = self._task, None
        if task is None:
            return
        self._over.set()
        await asyncio.wait({task}, timeout=END_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @property
    def is_open(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._task is not None and not self._task.done()

    def lost(self, why: str) -> InfraError:
        """What a server that is gone is to a rollout."""
        tail = " ".join(self._complaints().split())[-TAIL_CHARS:]
        text = f"MCP server {self._name!r}: {why}{f'; it said: {tail}' if tail else ''}"
        return InfraError(KNOWN(text), kind=Failure.CONNECTION, peer=f"mcp:{self._name}")

    async def _live(self, opened: asyncio.Future[Client]) -> None:
        from mcp import Client

        async with Client(self._transport(), read_timeout_seconds=READ_SECONDS) as client:
            if not opened.done():
                opened.set_result(client)
            await self._over.wait()

    def _transport(self) -> Transport:
        config = self._config
        if config.url is not None:
            return _over_http(config.url, config.headers_env)
        if config.where == "host":
            return self._on_host()
        assert self._sandbox is not None
        return self._in_workspace(self._sandbox)

    @contextlib.asynccontextmanager
    async def _on_host(self) -> AsyncIterator[Any]:
        from mcp import StdioServerParameters, stdio_client

        command = kept(self._config.command or [])
        env = {name: os.environ[name] for name in self._config.env}
        server = StdioServerParameters(command=command[0], args=command[1:], env=env)
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            self._complaints = _tail_of(log)
            try:
                async with stdio_client(server, errlog=log) as streams:
                    yield streams
            finally:
                last_lines = _tail_of(log)()
                self._complaints = lambda: last_lines

    @contextlib.asynccontextmanager
    async def _in_workspace(self, sandbox: Sandbox) -> AsyncIterator[Any]:
        process = await sandbox.start(self._config.command or [])
        self._complaints = lambda: process.stderr.text
        try:
            async with _streams_of(process) as streams:
                yield streams
        finally:
            await process.kill()


@contextlib.asynccontextmanager
async def _over_http(url: str, headers_env: dict[str, str]) -> AsyncIterator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    headers = {name: os.environ[variable] for name, variable in headers_env.items()}
    timeout = httpx2.Timeout(HTTP_SECONDS, read=READ_SECONDS)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams


@contextlib.asynccontextmanager
async def _streams_of(process: Process) -> AsyncIterator[Any]:
    """The messages of a server in a sandbox: a line each."""
    import anyio
    from mcp.shared.message import SessionMessage

    heard, read = anyio.create_memory_object_stream[Any](0)
    write, outgoing = anyio.create_memory_object_stream[SessionMessage](0)

    async def hear() -> None:
        async with heard:
            async for line in _lines(process):
                with contextlib.suppress(anyio.BrokenResourceError):
                    await heard.send(_message(line))

    async def tell() -> None:
        async with outgoing:
            async for message in outgoing:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                with contextlib.suppress(BrokenPipeError):
                    await process.write(f"{text}\n".encode())

    tasks = [asyncio.create_task(hear()), asyncio.create_task(tell())]
    try:
        yield read, write
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in (heard, read, write, outgoing):
            await stream.aclose()


async def _lines(process: Process) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in process.stdout:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def _message(line: bytes) -> Any:
    """A message; what cannot be read is handed to the session as the error that it is."""
    from mcp.shared.message import SessionMessage
    from mcp_types import jsonrpc_message_adapter

    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


def _tail_of(log: TextIO) -> Callable[[], str]:
    def tail() -> str:
        log.seek(0)
        return log.read()[-4 * TAIL_CHARS :]

    return tail


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
