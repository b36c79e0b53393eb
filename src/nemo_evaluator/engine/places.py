"""Places: how many rollouts of a run may be under way at one service, shared by its benchmarks.

A rollout holds a place while its model is asked. Invariants: at most ``total`` places are held; a
place that is given back goes to the lowest rank that waits, in order within a rank.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Places:
    """The places of one service."""

    def __init__(self, total: int) -> None:
        self._free = self._total = total
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def free(self) -> bool:
        """Whether ``take`` would not wait."""
        return self._free > 0

    async def take(self, rank: int) -> None:
        """Wait for a place; ``give_back`` must follow."""
        if self._free > 0:
            self._free -= 1
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._order), future))
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self.give_back()  # given and cancelled at once
            raise

    def give_back(self) -> None:
        """A place is free."""
        while self._waiting and self._free == 0:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1

    def widen(self, total: int) -> None:
        """Have at least this many places."""
        for _ in range(total - self._total):
            self.give_back()
        self._total = max(total, self._total)

    def withdraw(self, rank: int) -> None:
        """End the wait of all at a rank, whose benchmark is over. Until they give back what they
        get, which they do at once, more places are held than there are."""
        for waiting, _, future in self._waiting:
            if waiting == rank and not future.done():
                self._free -= 1
                future.set_result(None)

    def wanted_before(self, rank: int) -> bool:
        """Whether a lower rank waits."""
        while self._waiting and self._waiting[0][2].done():
            heapq.heappop(self._waiting)
        return bool(self._waiting) and self._waiting[0][0] < rank

    @asynccontextmanager
    async def place(self, rank: int) -> AsyncIterator[None]:
        """A place for the block."""
        await self.take(rank)
        try:
            yield
        finally:
            self.give_back()


class Seat:
    """The place of one worker of a benchmark, held or not."""

    __slots__ = ("_held", "_places", "_rank")

    def __init__(self, places: Places, rank: int) -> None:
        self._places, self._rank = places, rank
        self._held = False

    async def taken(self) -> bool:
        """Hold a place. False where that took time, in which everything may have changed."""
        if self._held and not self._places.wanted_before(self._rank):
            return True
        self.leave()
        at_once = self._places.free
        await self._places.take(self._rank)
        self._held = True
        return at_once

    def leave(self) -> None:
        """Give the place back, if it is held."""
        if self._held:
            self._held = False
            self._places.give_back()
