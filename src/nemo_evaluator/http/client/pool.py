"""The connections to one origin: at most this many, kept for the next request.

A connection counts from its first packet until it is lost, so cancelling a call at any moment can
leave no place taken. Who finds no place waits, first come, first served.

A request is sent once. Only where a kept connection turns out to have been closed meanwhile (it
ends within a second of the request, and not one byte has come back) the request goes out again at
once, on a new connection, POST or not, as browsers and Go's client do: servers that close what they
kept, without a word, are many, and a request they never read is not billed. Anything else could be
billed twice, and is for the layers above to decide.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from .clock import Clock
from .connection import Connection
from .dial import dial
from .errors import BrokenOff, Late, Stale
from .names import Names
from .origin import Origin
from .response import Response
from .tls import Tls

if TYPE_CHECKING:
    from ssl import SSLContext

STALE_TRIES = 3
"""How often a request is sent again at once; those that wait for a place may get a kept connection
more than once."""
KEEP_SECONDS = 4.0
"""A connection idle for longer is not used again: common servers (uvicorn, node) close theirs after
5 s, and a request that crosses the close on its way is lost."""


class Pool:
    """Connections to one origin. Belongs to the event loop it was made in."""

    def __init__(
        self,
        origin: Origin,
        limit: int,
        connect_timeout: float | None,
        context: SSLContext | None = None,
        *,
        idle: Clock | None = None,
    ) -> None:
        self._origin = origin
        end = origin.proxy or origin
        self._names = Names(end.host, end.port)
        self._idle_clock = idle
        self._limit = limit
        self._connect_timeout = connect_timeout
        self._loop = asyncio.get_running_loop()
        self._context = context
        self._open: set[Connection] = set()
        self._dialling = 0
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._closed = False

    async def request(
        self,
        head: bytes,
        body: bytes = b"",
        *,
        whole: bool = True,
        bodiless: bool = False,
        clocks: Sequence[Clock] = (),
    ) -> Response:
        """Send a request; the response once its head is there, or all of it where ``whole``.

        ``bodiless``: the response will have no body whatever it says (to a HEAD). The clocks begin
        now and end with the response. Raises NetError.
        """
        response = Response(whole=whole, clocks=clocks, idle=self._idle_clock)
        ends = [clock.start(response) for clock in clocks]
        try:
            for left in reversed(range(STALE_TRIES + 1)):
                kept = self._idle_connection() if left == STALE_TRIES else None
                connection = kept or await self._another(clocks, ends)
                try:
                    await connection.exchange(response, head, body, bodiless=bodiless)
                except Stale:
                    if not left:
                        raise
                    response.error = None
                else:
                    break
            return response
        except BaseException:
            response.close()
            raise

    def widen(self, limit: int) -> None:
        """Have at most this many connections, where that is more than before."""
        self._limit = max(self._limit, limit)

    async def close(self) -> None:
        """Close all connections, also those in use."""
        self._closed = True
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(BrokenOff("the connection was closed on our side"))
        for connection in list(self._open):
            connection.close()
        for _ in range(2):  # until the event loop has closed the sockets
            await asyncio.sleep(0)

    # -- what connections tell --------------------------------------------------------------------

    def idle(self, connection: Connection) -> None:
        """The connection can take the next request: give it to a waiter, or keep it."""
        if (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """A connection is closed: another may be opened in its place."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._pass_on()

    # -- places -----------------------------------------------------------------------------------

    def _idle_connection(self) -> Connection | None:
        """An idle connection, the one used last first; None if there is none."""
        if not self._idle:
            return None
        oldest = self._loop.time() - KEEP_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def _another(self, clocks: Sequence[Clock], ends: Sequence[float]) -> Connection:
        """A new connection, or one that becomes free. Raises NetError."""
        end, clock = min(zip(ends, clocks, strict=True), key=itemgetter(0), default=(None, None))
        timer = asyncio.timeout_at(end)
        try:
            async with timer:
                connection = await self._place()
                return await self._connected() if connection is None else connection
        except TimeoutError:
            if clock is None or not timer.expired():
                raise
            raise Late(clock.limit) from None

    async def _place(self) -> Connection | None:
        """A connection that became free; None: open one (it is counted in ``_dialling``)."""
        if len(self._open) + self._dialling < self._limit:
            self._dialling += 1
            return None
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._give_back(waiter.result())
            raise

    def _give_back(self, connection: Connection | None) -> None:
        """Give a connection whose waiter was cancelled to the next waiter."""
        if connection is None:
            self._dialling -= 1
            self._pass_on()
        elif not connection.is_lost:
            self.idle(connection)

    async def _connected(self) -> Connection:
        try:
            connection = await dial(
                self._origin,
                self._names,
                lambda: Connection(self),
                self._tls(),
                self._connect_timeout,
            )
            if self._closed:
                connection.abort()
            if not connection.is_lost:
                self._open.add(connection)
            return connection
        finally:
            self._dialling -= 1
            self._pass_on()

    def _pass_on(self) -> None:
        """Start a connection for each waiter while the pool is below its limit."""
        while self._waiting and len(self._open) + self._dialling < self._limit:
            if (waiter := self._next_waiter()) is not None:
                self._dialling += 1
                waiter.set_result(None)

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def _tls(self) -> SSLContext | None:
        if self._origin.scheme != "https":
            return None
        if self._context is None:
            self._context = Tls().context()
        return self._context
