"""The servers of one service: one, or several of the same model.

They are started and ended together. One that ends by itself is left out while others go on; only
when none is left, and none is coming back, is the service down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..errors import ConfigError, EndpointDown
from .contract import Health
from .supervisor import State, Supervisor

IDLE_LOOKS = 4
"""How often an idle time is looked at while it lasts."""
LONGEST_PAUSE = 5.0


class Fleet:
    """All servers of a service."""

    def __init__(
        self,
        name: str,
        servers: Sequence[Supervisor],
        say: Callable[[str], None],
        *,
        idle_timeout: float | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """``idle_timeout``: seconds without a request after which they are ended; ``release`` gives
        their ports back."""
        self.name, self.servers = name, tuple(servers)
        self._say, self._idle_timeout, self._release = say, idle_timeout, release
        self._in_flight, self._used = 0, time.monotonic()
        self._starting = asyncio.Lock()
        self._idle: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start all servers and wait for them. Raises ConfigError if none can be used; one that
        cannot, while another can, is said."""
        async with self._starting:
            found = await asyncio.gather(
                *(server.start() for server in self.servers), return_exceptions=True
            )
            failed = [error for error in found if isinstance(error, BaseException)]
            for error in failed:
                if len(failed) == len(self.servers) or not isinstance(error, ConfigError):
                    raise error
                self._say(f"warning: one of {len(self.servers)} servers cannot be used: {error}")
            self._used = time.monotonic()
            if self._idle_timeout is not None and (self._idle is None or self._idle.done()):
                self._idle = asyncio.create_task(self._until_idle(self._idle_timeout))

    @property
    def is_down(self) -> bool:
        """Whether the servers are to be started: not yet, or ended because they were idle."""
        return all(server.state is State.DOWN for server in self.servers)

    @property
    def is_lost(self) -> bool:
        """Whether every server has ended for good."""
        return all(not one.health().up and not one.coming_back for one in self.servers)

    def others_can(self, server: Supervisor) -> bool:
        """Whether another server answers, or soon will."""
        return any(
            other is not server and (other.is_up() or other.coming_back) for other in self.servers
        )

    def down(self) -> EndpointDown:
        """The error that no server is left, with the last words of each."""
        reasons = [f"{one.label}: {why}" for one in self.servers if (why := one.health().why)]
        return EndpointDown("\n".join(reasons), peer=self.name)

    def health(self) -> Health:
        """Whether any server can be asked."""
        found = [server.health() for server in self.servers]
        return next((one for one in found if one.up), found[0])

    def lines(self) -> list[str]:
        """The last lines of the logs."""
        return [line for server in self.servers for line in server.lines()]

    @contextmanager
    def used(self) -> Iterator[None]:
        """Around a request: the servers are not idle."""
        self.begin()
        try:
            yield
        finally:
            self.done()

    def begin(self) -> None:
        """A request is on its way."""
        self._in_flight += 1

    def done(self) -> None:
        """The request has been answered."""
        self._in_flight -= 1
        self._used = time.monotonic()

    async def rest(self, why: str = "is not needed any more") -> None:
        """End the servers until they are asked again."""
        async with self._starting:
            if not self._in_flight:
                ended = await asyncio.gather(*(server.rest() for server in self.servers))
                if any(ended):
                    self._say(f"service {self.name}: ended, {why}")

    async def stop(self) -> None:
        """End the servers. Safe to call twice."""
        if self._idle is not None:
            self._idle.cancel()
            await asyncio.gather(self._idle, return_exceptions=True)
        try:
            await asyncio.gather(*(server.stop() for server in self.servers))
        finally:
            self._release()

    async def _until_idle(self, seconds: float) -> None:
        """Wait until there was no request for this long, and end the servers."""
        while not self.is_down:
            await asyncio.sleep(min(seconds / IDLE_LOOKS, LONGEST_PAUSE))
            if not self._in_flight and time.monotonic() - self._used > seconds:
                await self.rest(f"no request for {seconds:g} s")
