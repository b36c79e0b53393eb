"""A command that runs on in a container, beside others."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import Protocol

from .contract import SandboxLost
from .docker_api import Attached, demultiplex
from .docker_kills import MARK
from .streams import Flow, drain

_CLOSED = 128 + 9
"""Exit code of what ended with its container."""
LINGER = 0.5
"""Seconds for the last output of what has ended."""


class Container(Protocol):
    """What a process needs of its sandbox."""

    async def exit_code(self, number: str) -> int:
        """How an exec ended. SandboxLost if the container ended under it."""

    async def is_running(self, number: str) -> bool:
        """Whether the command of an exec still runs."""

    async def kill_marked(self, mark: str) -> None:
        """End the processes that carry a mark in their environment."""

    def forget(self, process: DockerProcess) -> None:
        """A process has ended."""


class DockerProcess:
    """See `Process`."""

    def __init__(self, container: Container, output_bytes: int) -> None:
        self._container, self._id = container, secrets.token_hex(8)
        self.mark = {MARK: self._id}
        """What tells its processes from others."""
        self.stdout, self.stderr = Flow(output_bytes), Flow(output_bytes)
        self._number = ""
        self._attached: Attached | None = None
        self._work: asyncio.Task[int] | None = None
        self._over = asyncio.Event()
        """It was killed."""

    def attach(self, number: str, attached: Attached, *, tty: bool, seconds: float) -> None:
        """Take its output, for this many seconds at most."""
        self._number, self._attached = number, attached
        self._work = asyncio.create_task(self._attend(attached, tty=tty, seconds=seconds))

    @property
    def running(self) -> bool:
        """See `Process.running`."""
        return self._work is not None and not self._work.done()

    async def write(self, data: bytes) -> None:
        """See `Process.write`."""
        if self._attached is None or not self.running:
            raise BrokenPipeError("the process has ended")
        self._attached.writer.write(data)
        try:
            await self._attached.writer.drain()
        except ConnectionError:
            raise BrokenPipeError("the process has ended") from None

    async def close_stdin(self) -> None:
        """See `Process.close_stdin`."""
        if self._attached is not None and self.running:
            with contextlib.suppress(OSError):
                self._attached.writer.write_eof()

    async def wait(self, timeout: float | None = None) -> int:
        """See `Process.wait`."""
        assert self._work is not None
        async with asyncio.timeout(timeout):
            return await asyncio.shield(self._work)

    async def kill(self) -> None:
        """See `Process.kill`."""
        if self.running:
            await self._container.kill_marked(self._id)
            await self.ended()

    async def ended(self) -> None:
        """Settle the process once its processes are dead; its container may be gone with them."""
        self._over.set()
        if self._work is not None:
            await asyncio.wait({self._work})

    async def _attend(self, attached: Attached, *, tty: bool, seconds: float) -> int:
        if tty:
            output = asyncio.create_task(drain(attached.reader, self.stdout))
        else:
            output = asyncio.create_task(demultiplex(attached.reader, self.stdout, self.stderr))
        over = asyncio.create_task(self._over.wait())
        try:
            await self._until_ended(output, over, time.monotonic() + seconds)
            return await self._container.exit_code(self._number)
        except (SandboxLost, ConnectionError):
            return _CLOSED
        finally:
            output.cancel()
            over.cancel()
            await asyncio.gather(output, over, return_exceptions=True)
            self._settle()

    async def _until_ended(
        self, output: asyncio.Task[None], over: asyncio.Task[bool], end: float
    ) -> None:
        patience = 0.1
        while not output.done():
            left = end - time.monotonic()
            if left <= 0:
                await self._container.kill_marked(self._id)
                return
            await asyncio.wait(
                {output, over}, timeout=min(left, patience), return_when=asyncio.FIRST_COMPLETED
            )
            patience = min(2 * patience, 1.0)
            # A descendant may hold its output open: the command itself has ended.
            if not output.done() and (
                over.done() or not await self._container.is_running(self._number)
            ):
                await asyncio.wait({output}, timeout=LINGER)
                return

    def _settle(self) -> None:
        self.stdout.end()
        self.stderr.end()
        if self._attached is not None:
            self._attached.drop()
        self._container.forget(self)
