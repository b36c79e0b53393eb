"""The time of one rollout: it ends by itself a little before the engine would end it, so that what
the agent left can still be verified."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from ...traffic.types import CallContext

T = TypeVar("T")
MARGIN_SECONDS = 5.0
MARGIN_SHARE = 0.1


class OutOfTime(Exception):
    """The time of the rollout is over. ``own``: by a limit of the solver, not of the benchmark."""

    def __init__(self, limit: str, *, own: bool) -> None:
        super().__init__(limit)
        self.own = own


class Timer:
    """Counts what is left of a rollout's time."""

    def __init__(self, context: CallContext, run_timeout: float | None) -> None:
        self._context, self._run_timeout = context, run_timeout
        self._own_end = None if run_timeout is None else time.monotonic() + run_timeout
        left = self._of_engine()
        self._margin = 0.0 if left is None else min(MARGIN_SECONDS, MARGIN_SHARE * left)

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
        limit = f"run_timeout of {self._run_timeout:g} s" if own else "the benchmark's timeout"
        raise OutOfTime(limit, own=own)

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
