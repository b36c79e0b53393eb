"""The time of one rollout: it ends by itself a little before the engine would end it, so that what
the agent left can still be verified."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from ...traffic.types import CallContext
from ..time_limits import OF_BENCHMARK, TimeLimit, margin_of

T = TypeVar("T")


class OutOfTime(Exception):
    """The time of the rollout is over. ``own``: by a limit of the solver or the task, not of the
    benchmark."""

    def __init__(self, limit: str, *, own: bool) -> None:
        super().__init__(limit)
        self.own = own


class Timer:
    """Counts what is left of a rollout's time."""

    def __init__(self, context: CallContext, limit: TimeLimit) -> None:
        self._context, self._limit = context, limit
        own = limit.why != OF_BENCHMARK
        self._own_end = time.monotonic() + limit.seconds if own else None
        left = self._of_engine()
        self._margin = 0.0 if left is None else margin_of(left)

    @property
    def left(self) -> float | None:
        """Seconds that are left; None: no limit."""
        engine = self._of_engine()
        limits = [] if engine is None else [engine - self._margin]
        if self._own_end is not None:
            limits.append(self._own_end - time.monotonic())
        return max(0.0, min(limits)) if limits else None

    def check(self) -> None:
        """Raise OutOfTime if nothing is left."""
        if self.left != 0.0:
            return
        own = self._own_end is not None and time.monotonic() >= self._own_end
        limit = self._limit
        why = f"{limit.why} ({limit.seconds:g} s)" if own else OF_BENCHMARK
        raise OutOfTime(f"the time is over: {why}", own=own)

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of some work, while there is time. Raises OutOfTime. The end may move while
        the work waits for admission."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                self.check()
                await asyncio.wait({task}, timeout=self.left)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _of_engine(self) -> float | None:
        context = self._context
        end = context.deadline if context.until is None else context.until()
        return None if end is None else end - time.monotonic()
