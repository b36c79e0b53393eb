"""A server of one ASGI application: listens, and lets its connections finish when it stops."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

from ...errors import ConfigError
from ..asgi import AsgiApp
from .connection import Connection
from .contract import Failure, Limits, failure
from .lifespan import Lifespan

BACKLOG = 1024
SWEEP_SECONDS = 1.0
"""How often connections are looked over for late ones; one timer for all costs a request nothing,
where a timer of its own costs 2 us."""


class Server:
    """Serves an application. ``await start()``, then ``await stop()``.

    ``failure`` words the answers to requests that do not reach the application.
    """

    def __init__(
        self, app: AsgiApp, limits: Limits | None = None, *, failure: Failure = failure
    ) -> None:
        self.app, self.failure = app, failure
        self.limits = limits = limits or Limits()
        self.is_draining = False
        self.connections: set[Connection] = set()
        """The connections that are open or still have a task."""
        self._sweep_seconds = min(
            SWEEP_SECONDS,
            *(limits.head_seconds / 4, limits.body_seconds / 4),
            *(limits.idle_seconds / 4, limits.linger_seconds / 4),
        )
        self._lifespan = Lifespan(app)
        self._listener: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._stopped: asyncio.Event | None = None

    async def start(self, host: str, port: int) -> int:
        """Start the application and listen; the port. Raises ConfigError where it cannot listen
        there, and LifespanError where the application cannot start."""
        try:
            return await self._listen(host=host, port=port)
        except OSError as error:
            raise ConfigError(
                f"cannot listen: {error.strerror or error}",
                where=f"{host}:{port}",
                hint="choose another port; 0 takes a free one",
            ) from None

    async def serve(self, listener: socket.socket) -> None:
        """The same on a socket that listens already; `stop` closes it."""
        await self._listen(sock=listener)

    async def _listen(self, **where: Any) -> int:
        self.loop = asyncio.get_running_loop()
        await self._lifespan.start()
        try:
            is_unix = "sock" in where and where["sock"].family is socket.AF_UNIX
            listen = self.loop.create_unix_server if is_unix else self.loop.create_server
            self._listener = await listen(partial(Connection, self), **where, backlog=BACKLOG)
        except BaseException:
            await self._lifespan.stop()
            raise
        found: int = 0 if is_unix else self._listener.sockets[0].getsockname()[1]
        return found

    async def stop(self, seconds: float) -> None:
        """Accept nothing more, answer what is in flight, and cancel what is left after ``seconds``.
        Safe to call twice."""
        if self._listener is None:
            return
        if self._stopped is not None:
            await self._stopped.wait()
            return
        self._stopped = asyncio.Event()
        self._listener.close()
        self.is_draining = True
        for connection in list(self.connections):
            connection.drain()
        try:
            async with asyncio.timeout(seconds):
                await self._emptied()
        except TimeoutError:
            pass
        finally:
            await self._abort()
            await self._listener.wait_closed()
            await self._lifespan.stop()
            self._stopped.set()

    def opened(self, connection: Connection) -> None:
        """Note an open connection."""
        self.connections.add(connection)
        if self.is_draining:
            connection.abort()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._sweep_seconds, self._sweep)

    def ended(self, connection: Connection) -> None:
        """Forget a connection that is closed and whose task is over."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    async def _emptied(self) -> None:
        while self.connections:
            self._empty.clear()
            await self._empty.wait()

    async def _abort(self) -> None:
        """Cancel what has not ended in time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        for connection in list(self.connections):
            connection.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._emptied()

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self.connections):
            connection.check(now)
        self._timer = None
        if self.connections:
            self._timer = self.loop.call_later(self._sweep_seconds, self._sweep)
