"""Adaptive concurrency of one service, so that users need not tune it.

Answers are judged in windows of as many as were in flight when the window began, about one round
trip. The limit grows by one per answer at first (it doubles per round trip), later by one per round
trip. A window with overloads cuts it by half their share: by half where all were refused, by little
where few were, so that sporadic refusals do not pin it down. After an outage it doubles again up to
half of what it was. ``Retry-After`` pauses admission for everybody; waiters are served in order.
Invariants: 1 <= limit <= cap, and whoever waits is admitted in the end.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

START = 8
MAX_PAUSE_SECONDS = 120.0


class Limiter:
    """Admits calls. ``acquire`` before a request; ``succeeded`` or ``overloaded`` where its answer
    says something about the load; ``release`` after that, whatever the end."""

    def __init__(self, cap: int, *, start: int = START) -> None:
        self.cap = cap
        self.in_flight = 0
        self.paused_until = 0.0
        """``time.monotonic()`` value before which no request is admitted."""
        self._limit = float(min(cap, start))
        self._fast_below = float(cap)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._wake: asyncio.TimerHandle | None = None
        self._window = 1
        self._answers = self._overloads = 0
        self._last_window_bad = False

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._limit)

    @property
    def waiting(self) -> int:
        """Calls that wait for admission."""
        return len(self._waiters)

    async def acquire(self) -> None:
        """Wait for admission."""
        if not self._waiters and self._open():
            self.in_flight += 1
            return
        future = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        self._admit()
        try:
            await future
        except asyncio.CancelledError:
            if future.cancelled():
                if future in self._waiters:
                    self._waiters.remove(future)
            else:
                self.release()  # admitted and cancelled at once: give the slot back
            raise

    def release(self) -> None:
        """The request ended."""
        self.in_flight -= 1
        if self._waiters:
            self._admit()

    def succeeded(self) -> None:
        """A request was answered: raise the limit if it was what held us back."""
        limit = self._limit
        if limit < self.cap and self.in_flight >= int(limit):
            limit += 1.0 if limit < self._fast_below else 1.0 / limit
            self._limit = min(limit, float(self.cap))
        self._answered()

    def overloaded(self, pause: float | None = None) -> None:
        """The service asked for less, or for a pause of some seconds."""
        self._overloads += 1
        self._answered()
        if pause is not None:
            until = time.monotonic() + min(pause, MAX_PAUSE_SECONDS)
            self.paused_until = max(self.paused_until, until)

    def _answered(self) -> None:
        self._answers += 1
        if self._answers < self._window:
            return
        if self._overloads:
            if not self._last_window_bad:
                self._fast_below = max(1.0, self._limit / 2)
            share = self._overloads / self._answers
            self._limit = max(1.0, self._limit * (1 - share / 2))
        self._last_window_bad = self._overloads > 0
        self._answers = self._overloads = 0
        self._window = max(1, self.in_flight)

    def _open(self) -> bool:
        return self.in_flight < int(self._limit) and (
            not self.paused_until or time.monotonic() >= self.paused_until
        )

    def _admit(self) -> None:
        while self._waiters and self._open():
            future = self._waiters.popleft()
            if not future.done():
                self.in_flight += 1
                future.set_result(None)
        if self._waiters and self._wake is None:
            delay = self.paused_until - time.monotonic()
            if delay > 0:
                self._wake = asyncio.get_running_loop().call_later(delay, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self._admit()
