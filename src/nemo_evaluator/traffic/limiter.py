"""Adaptive concurrency of one service, so that nobody has to tune it.

Additive increase, multiplicative decrease: the limit doubles per round trip until the first sign of
overload, then grows by one per round trip; a 429 or a timeout halves it, at most once per
``COOLDOWN``. ``Retry-After`` pauses admission. Every success can raise the limit again, so it never
sticks; waiters are served in order.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

START = 8
COOLDOWN_SECONDS = 1.0
MAX_PAUSE_SECONDS = 120.0


class Limiter:
    """Admits calls. ``acquire`` before a request, ``release`` after it, whatever its end."""

    def __init__(self, cap: int, *, start: int = START) -> None:
        self.cap = cap
        self._limit = float(min(cap, start))
        self.in_flight = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._slow_start = True
        self._last_cut = -COOLDOWN_SECONDS
        self._paused_until = 0.0
        self._wake: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return max(1, min(self.cap, int(self._limit)))

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
        self._schedule_wake()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release()  # admitted and cancelled at once: give the slot back
            else:
                self._waiters.remove(future)
            raise

    def release(self) -> None:
        """The request ended."""
        self.in_flight -= 1
        if self._waiters:
            self._admit()

    def succeeded(self) -> None:
        """A request was answered: raise the limit if it was what held us back."""
        if self._limit < self.cap and self.in_flight + 1 >= int(self._limit):
            self._limit += 1.0 if self._slow_start else 1.0 / self._limit
            self._limit = min(self._limit, float(self.cap))
            if self._waiters:
                self._admit()

    def overloaded(self, pause: float | None = None) -> None:
        """The service asked for less, or for a pause of some seconds."""
        now = time.monotonic()
        self._slow_start = False
        if now - self._last_cut >= COOLDOWN_SECONDS:
            self._last_cut = now
            self._limit = max(1.0, min(self._limit, max(self.in_flight, 1)) / 2)
        if pause is not None:
            self._paused_until = max(self._paused_until, now + min(pause, MAX_PAUSE_SECONDS))
            self._schedule_wake()

    def _open(self) -> bool:
        return self.in_flight < self.limit and (
            not self._paused_until or time.monotonic() >= self._paused_until
        )

    def _admit(self) -> None:
        while self._waiters and self._open():
            future = self._waiters.popleft()
            if not future.done():
                self.in_flight += 1
                future.set_result(None)
        if self._waiters:
            self._schedule_wake()

    def _schedule_wake(self) -> None:
        """Someone waits during a pause: look again when it is over."""
        delay = self._paused_until - time.monotonic()
        if delay > 0 and self._wake is None:
            self._wake = asyncio.get_running_loop().call_later(delay, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self._admit()
