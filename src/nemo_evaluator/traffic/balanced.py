"""Several endpoints of one model as one transport: each call goes to the least busy of them.

A call is sent to another endpoint only where the first was paid for nothing: where no connection
could be made, or it refused the request because it is overloaded. Anything else may have been paid
for, and is for the layers above to decide. An endpoint that cannot be reached is left alone for a
while, longer each time; then one call tries it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from ..errors import ConfigError
from .errors import CannotPassThrough, TransportError
from .transport import RawRequest, RawResponse, Transport, until_done, widen
from .types import ModelRequest, ModelResponse

REFUSED = frozenset((429, 503, 529))
"""Statuses of a server that is overloaded and has done nothing."""
BUSY_SECONDS = 1.0
"""An endpoint that was overloaded is asked after the others for this long."""
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""How long an endpoint that cannot be reached is left alone, at first and at most."""


class Balanced:
    """A transport over others. ``clock`` counts seconds."""

    def __init__(
        self, transports: Sequence[Transport], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not transports:
            raise ConfigError("there is no endpoint")
        self._endpoints = [_Endpoint(transport) for transport in transports]
        self._clock = clock
        self._turn = 0
        self.own_headers = frozenset().union(*(one.own_headers for one in transports))

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        """One try: at one endpoint, or at the next where nothing was paid. Raises TransportError of
        the last one tried."""
        refused: ModelResponse | None = None
        unreachable: TransportError | None = None
        for endpoint in self._order():
            try:
                response = await self._tried(endpoint, request)
            except TransportError as error:
                if not error.unreachable:
                    raise
                unreachable = error
                continue
            if response.status not in REFUSED:
                return response
            endpoint.busy_until = self._clock() + BUSY_SECONDS
            refused = response
        if refused is not None:
            return refused
        assert unreachable is not None
        raise unreachable

    def widen(self, connections: int) -> None:
        """See ``ModelClient.limit_to``."""
        for endpoint in self._endpoints:
            widen(endpoint.transport, connections)

    @asynccontextmanager
    async def pass_through(self, request: RawRequest) -> AsyncIterator[RawResponse]:
        """A request as it is, to one endpoint. Raises TransportError."""
        async with AsyncExitStack() as stack:
            yield await self._passed(request, stack)

    async def check(self, model: str) -> str | None:
        """A warning or None: endpoints that cannot be used are only warned of while others can.
        Raises ConfigError."""
        checks = (endpoint.transport.check(model) for endpoint in self._endpoints)
        found = await asyncio.gather(*checks, return_exceptions=True)
        failed = [error for error in found if isinstance(error, ConfigError)]
        if len(failed) == len(found):
            raise failed[0]
        warnings: dict[str, None] = {}
        for endpoint, result in zip(self._endpoints, found, strict=True):
            if isinstance(result, ConfigError):
                self._fail(endpoint)
                warnings[f"one of {len(found)} endpoints cannot be used: {result}"] = None
            elif isinstance(result, BaseException):
                raise result
            elif result is not None:
                warnings[result] = None
        return "; ".join(warnings) or None

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(endpoint.transport.close() for endpoint in self._endpoints))

    def in_flight(self) -> list[int]:
        """Calls in flight, by endpoint."""
        return [endpoint.in_flight for endpoint in self._endpoints]

    # -- choosing ---------------------------------------------------------------------------------

    def _order(self) -> list[_Endpoint]:
        """The endpoints in the order they are to be tried: those that are paused last, the one
        whose pause is over soonest before the others."""
        now = self._clock()
        self._turn += 1
        return sorted(self._endpoints, key=lambda endpoint: endpoint.rank(now))

    async def _tried(self, endpoint: _Endpoint, request: ModelRequest) -> ModelResponse:
        self._begin(endpoint)
        streaming = False
        try:
            response = await endpoint.transport(request)
            endpoint.works()
            if response.chunks is not None:
                response.chunks = until_done(response.chunks, endpoint.done)
                streaming = True
            return response
        except TransportError as error:
            if error.unreachable:
                self._fail(endpoint)
            else:
                endpoint.works()
            raise
        finally:
            if not streaming:
                endpoint.in_flight -= 1

    async def _passed(self, request: RawRequest, stack: AsyncExitStack) -> RawResponse:
        last: TransportError | None = None
        for endpoint in self._order():
            async with AsyncExitStack() as own:
                self._begin(endpoint)
                own.callback(endpoint.done)
                try:
                    entered = endpoint.transport.pass_through(request)
                    response = await own.enter_async_context(entered)
                except TransportError as error:
                    if not error.unreachable:
                        raise
                    if not isinstance(error, CannotPassThrough):
                        self._fail(endpoint)
                    last = error
                    continue
                endpoint.works()
                await stack.enter_async_context(own.pop_all())
                return response
        assert last is not None
        raise last

    def _begin(self, endpoint: _Endpoint) -> None:
        endpoint.in_flight += 1
        endpoint.turn = self._turn
        if endpoint.failures:  # the others do without it until this call tells whether it is back
            endpoint.down_until = self._clock() + endpoint.pause()

    def _fail(self, endpoint: _Endpoint) -> None:
        endpoint.failures += 1
        endpoint.down_until = self._clock() + endpoint.pause()


class _Endpoint:
    """One transport and what is known of it."""

    __slots__ = ("busy_until", "down_until", "failures", "in_flight", "transport", "turn")

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.in_flight = 0
        self.failures = 0
        """Tries in a row that found it unreachable."""
        self.down_until = self.busy_until = float("-inf")
        self.turn = 0
        """When it was used last."""

    def rank(self, now: float) -> tuple[float, bool, int, int]:
        """Sorts before those that are to be tried later."""
        down = self.down_until if now < self.down_until else float("-inf")
        return down, now < self.busy_until, self.in_flight, self.turn

    def pause(self) -> float:
        """Seconds that the server is left alone."""
        doubled: float = PAUSE_SECONDS * 2 ** min(self.failures - 1, 10)
        return min(doubled, LONGEST_PAUSE_SECONDS)

    def works(self) -> None:
        """The server can be reached."""
        self.failures, self.down_until = 0, float("-inf")

    def done(self) -> None:
        """One call less is in flight."""
        self.in_flight -= 1
