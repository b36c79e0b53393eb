"""The workers of one benchmark: as many as are wanted, which may change while they work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class Workers:
    """Workers that end when there is nothing left to do for them."""

    def __init__(self, worker: Callable[[], Coroutine[None, None, None]], size: int) -> None:
        self._worker, self.size = worker, size
        self._at_work: set[asyncio.Task[None]] = set()
        self._leaving = 0

    @property
    def too_many(self) -> bool:
        """Whether a worker that has nothing in its hands is to end."""
        return len(self._at_work) - self._leaving > self.size

    @property
    def at_work(self) -> bool:
        """Whether anybody is."""
        return bool(self._at_work)

    def fill(self) -> None:
        """Start the workers that are missing."""
        for _ in range(self.size - len(self._at_work) + self._leaving):
            self._at_work.add(asyncio.create_task(self._run()))

    async def finish(self) -> None:
        """Wait until all have ended; if one fails or the wait is cancelled, no one goes on."""
        try:
            while self._at_work:
                done, _ = await asyncio.wait(self._at_work, return_when=asyncio.FIRST_COMPLETED)
                self._at_work -= done
                self._leaving -= len(done)
                for task in done:
                    task.result()
        except BaseException:
            for task in self._at_work:
                task.cancel()
            await asyncio.gather(*self._at_work, return_exceptions=True)
            self._at_work.clear()
            raise

    async def _run(self) -> None:
        try:
            await self._worker()
        finally:
            self._leaving += 1
