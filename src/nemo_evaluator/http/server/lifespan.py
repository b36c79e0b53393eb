"""The start and the end of an ASGI application (the ``lifespan`` protocol)."""

from __future__ import annotations

import asyncio
import logging

from ..asgi import AsgiApp, Message
from .messages import ASGI

log = logging.getLogger("nemo_evaluator.http")


class LifespanError(RuntimeError):
    """The application says that it cannot start."""


class Lifespan:
    """Starts an application once and stops it. One that does not know the protocol is left alone.

    An application is called in a task of its own; it waits in ``receive`` until the server stops.
    """

    def __init__(self, app: AsgiApp) -> None:
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._told: asyncio.Future[str] | None = None
        self._received = 0

    async def start(self) -> None:
        """Start the application. Raises LifespanError if it says that it cannot."""
        message = await self._until_told(first=True)
        if message is not None:
            self._task = None
            raise LifespanError(message)

    async def stop(self) -> None:
        """Stop the application. Safe to call twice."""
        if self._task is not None:
            self._stopping.set()
            message = await self._until_told(first=False)
            if message is not None:
                log.error("the application did not stop properly: %s", message)
            self._task = None

    async def _until_told(self, *, first: bool) -> str | None:
        """Wait until the application reports, or ends. The reason of a failure, or None."""
        self._told = asyncio.get_running_loop().create_future()
        if first:
            self._task = asyncio.ensure_future(self._run())
        assert self._task is not None
        await asyncio.wait((self._task, self._told), return_when=asyncio.FIRST_COMPLETED)
        failed = self._told.result() if self._told.done() else ""
        if failed or not first:  # it has nothing left to do but to return
            await asyncio.wait((self._task,))
        if self._task.done() and (error := self._task.exception()) is not None and not failed:
            log.debug("the application has no lifespan: %s", error)
        return failed or None

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": ASGI}
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        self._received += 1
        if self._received == 1:
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        assert self._told is not None
        if not self._told.done():
            is_failed = message["type"].endswith(".failed")
            reason = message.get("message") or "it gives no reason"
            self._told.set_result(reason if is_failed else "")
