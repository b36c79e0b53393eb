"""One timer for all requests with the same limit of time.

They run out in the order they began, so only the first needs a timer: a request costs two
operations on a dictionary, where a timer of its own costs 2 us.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from .errors import Late, Limit

HELD_UP = 2.0
"""A timer that is later than this many seconds says that this process did not run: it was stopped,
its machine slept or is overloaded. Answers may have come meanwhile that were not read yet, and that
are paid for; so everything has at least this many seconds more."""
ROUNDING = 0.002
"""An event loop may round to milliseconds and call a timer that much too early."""


class Timed(Protocol):
    """A request with a limit of time."""

    status: int
    """0 until the head of the response has come."""

    def fail(self, error: Late) -> None:
        """Called when the time is over."""


class Clock:
    """Fails whatever is still running ``seconds`` after its start."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: Limit, seconds: float) -> None:
        self.limit, self.seconds = limit, seconds
        self._loop = loop
        self._ends: dict[Timed, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """``loop.time()`` for which the timer was set."""

    def start(self, what: Timed) -> float:
        """Start the timer of a request; the ``loop.time()`` at which its time is over."""
        end = self._ends[what] = self._loop.time() + self.seconds
        if self._timer is None:
            self._set_timer(end)
        return end

    def restart(self, what: Timed) -> None:
        """Start the timer of a request again, from now."""
        self._ends.pop(what, None)  # keeps the order: what began last ends last
        self.start(what)

    def stop(self, what: Timed) -> None:
        """Stop the timer of a request that ended in time."""
        self._ends.pop(what, None)

    def close(self) -> None:
        """Stop all timers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, end: float) -> None:
        self._due = end
        self._timer = self._loop.call_at(end, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time() + ROUNDING
        if now - self._due > HELD_UP:
            self._ends = {what: max(end, now + HELD_UP) for what, end in self._ends.items()}
        while self._ends:
            what, end = next(iter(self._ends.items()))
            if end > now:
                self._set_timer(end)
                return
            del self._ends[what]
            if self.limit is not Limit.FIRST_BYTE or not what.status:
                what.fail(Late(self.limit))
