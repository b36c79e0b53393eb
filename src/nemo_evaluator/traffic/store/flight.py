"""Equal requests at one time are one request: the first asks, the others wait for its answer.

A leader that fails, or whose caller goes away, hands over: its followers try one after the other.
An answer that is not for sharing lets every follower ask for itself at once. Belongs to one event
loop.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """One request that is on its way."""

    def __init__(self, flights: dict[bytes, Flight[T]], key: bytes) -> None:
        self._flights, self._key = flights, key
        self._over = asyncio.Event()
        self._guard: object = None
        self.answer: T | None = None
        """What the leader shares."""
        self.each_alone = False
        """The answer must not be shared: each follower sends its own request."""

    async def wait(self) -> None:
        """Until the leader has an answer or has failed."""
        await self._over.wait()

    def land(self, answer: T | None = None, *, each_alone: bool = False) -> None:
        """The leader is done; nothing shared means that it failed. Only the first call counts."""
        if self._over.is_set():
            return
        self.answer, self.each_alone = answer, each_alone
        del self._flights[self._key]
        self._over.set()

    def watch(self, chunks: AsyncGenerator[bytes]) -> None:
        """Fail when this stream is dropped: a stream that is never read never ends."""
        self._guard = weakref.ref(chunks, lambda _: self.land())


class Flights(Generic[T]):
    """Requests in flight of one pipeline, by key."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight[T]] = {}

    def find(self, key: bytes) -> Flight[T] | None:
        """The flight to follow, if there is one."""
        return self._flights.get(key)

    def lead(self, key: bytes) -> Flight[T]:
        """Begin a flight; the caller must make sure that it ends."""
        flight = self._flights[key] = Flight(self._flights, key)
        return flight
