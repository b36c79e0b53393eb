"""Decides where a synchronous scorer runs: in a thread, so that it cannot stop everything else, or
on the event loop, once it has shown that it is quicker than the way to a thread and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

TRIAL_CALLS = 32
"""Quick calls that show it. The very first call is none of them: it loads what the scorer needs."""
QUICK_SECONDS = 0.001
SLOW_SECONDS = 0.05


class Pace:
    """Runs one synchronous function, off the loop until it is known to be quick."""

    def __init__(self, *, quick: bool = False) -> None:
        self._always = quick
        self._trials = TRIAL_CALLS
        self._loaded = False
        self.quick = quick
        """Whether calls run on the loop now."""

    async def run(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """The function's result."""
        if not self.quick:
            return await asyncio.to_thread(self._timed, function, argument)
        started = time.perf_counter()
        result = function(argument)
        if not self._always and time.perf_counter() - started > SLOW_SECONDS:
            self.quick, self._trials = False, -1
        return result

    def _timed(self, function: Callable[[Any], Any], argument: Any) -> Any:
        # CPU time of this thread: waiting for the interpreter is not the scorer's doing, but a
        # scorer that sleeps or waits is slow by the wall clock.
        started, cpu = time.perf_counter(), time.thread_time()
        result = function(argument)
        seconds, cpu_seconds = time.perf_counter() - started, time.thread_time() - cpu
        if not self._loaded:
            self._loaded = True
        elif self._trials > 0:
            slow = cpu_seconds > QUICK_SECONDS or seconds > SLOW_SECONDS
            self._trials = -1 if slow else self._trials - 1
            self.quick = self._trials == 0
        return result
