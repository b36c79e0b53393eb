"""Adaptive concurrency of one service, so that users need not tune it.

The limit grows with answers and with time. Answers are judged in windows of as many as were in
flight when the window began, about one round trip: the limit grows by one per answer at first (it
doubles per round trip), later by one per round trip. A window with overloads cuts it by half their
share: by half where all were refused, by little where few were, so that sporadic refusals do not
pin it down. After an outage it doubles again up to half of what it was. Where answers take long,
time stands in for them: while calls wait, the limit doubles every half second until the service
pushes back for the first time; from then on it grows by one every few seconds, and more slowly each
time the service pushes back again. ``Retry-After`` pauses admission for everybody.

Each benchmark of a run has a share: its own limit and its rank. Calls of the lowest rank are
admitted first, those of one share in order.
Invariants: 1 <= limit <= cap, no share exceeds its own, and whoever waits is admitted in the end.
"""

from __future__ import annotations

import asyncio
import time
from bisect import insort
from collections import deque
from collections.abc import Callable

START = 8
MAX_PAUSE_SECONDS = 120.0
TICK_SECONDS, QUIET_TICK_SECONDS = 0.1, 1.0
DOUBLING_SECONDS = 0.5
"""The limit doubles in this time while calls wait and the service has never pushed back."""
STEP_SECONDS = (2.5, 640.0)
"""The limit grows by one in this time once the service has pushed back: at first, and at last."""
QUIET_SECONDS = 5.0
"""Time says nothing for this long after an overload, or twice the time that the overload took to
show."""


class Share:
    """What one benchmark may use of a service, and what it uses now."""

    __slots__ = ("cap", "failed_tries", "in_flight", "rank", "waiters")

    def __init__(self, rank: int, cap: int) -> None:
        self.rank, self.cap = rank, cap
        self.in_flight = 0
        self.failed_tries = 0
        """Tries that got no answer."""
        self.waiters: deque[asyncio.Future[None]] = deque()


class Limiter:
    """Admits calls. ``acquire`` before a request; ``succeeded`` or ``overloaded`` where its answer
    says something about the load; ``release`` after that, whatever the end."""

    def __init__(
        self, cap: int, *, start: int = START, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``clock`` counts seconds as the timers of the event loop do."""
        self.cap = cap
        self.in_flight = 0
        self.paused_until = 0.0
        """Value of the clock before which no request is admitted."""
        self._clock = clock
        self._limit = float(min(cap, start))
        self._fast_below = float(cap)
        self._quiet_until = 0.0
        self._pushed_back = False
        self._step = STEP_SECONDS[0]
        self._shares: dict[str, Share] = {}
        self._others = Share(-1, cap)
        self._queued: list[Share] = []
        """The shares that calls wait in, lowest rank first."""
        self._held = False
        self._wake: asyncio.TimerHandle | None = None
        self._armed_at = 0.0
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
        return sum(len(share.waiters) for share in self._queued)

    def set_share(self, benchmark: str, rank: int, cap: int) -> Share:
        """Limit the calls of a benchmark. Calls of others (judges, clients of the proxy) come
        before all benchmarks and have the service's limit only."""
        share = self._shares[benchmark] = Share(rank, cap)
        return share

    def set_cap(self, cap: int) -> None:
        """Change the most requests in flight. Those that are, end as they would."""
        if cap > self.cap and not self._pushed_back:
            self._fast_below = float(cap)
        self.cap = cap
        self._others.cap = cap
        self._limit = min(self._limit, float(cap))
        self._admit()

    def resize_share(self, benchmark: str, cap: int) -> None:
        """Change the limit of a benchmark that has one."""
        if benchmark in self._shares:
            self._shares[benchmark].cap = cap
            self._admit()

    def share(self, benchmark: str) -> Share:
        """The share that calls of a benchmark are counted in."""
        return self._shares.get(benchmark, self._others)

    def enter(self, share: Share) -> bool:
        """Admit a call at once, if nothing is in its way."""
        if self._queued:
            self._admit()  # a pause may be over
        if share.waiters or share.in_flight >= share.cap or not self._open():
            return False
        self._enter(share)
        return True

    async def acquire(self, share: Share | None = None) -> None:
        """Wait for admission."""
        share = share or self._others
        if self.enter(share):
            return
        future = asyncio.get_running_loop().create_future()
        if not share.waiters:
            insort(self._queued, share, key=_rank)
        share.waiters.append(future)
        self._set_timer()
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self.release(share)  # admitted and cancelled at once: give the slot back
            elif future in share.waiters:
                share.waiters.remove(future)
                if not share.waiters:
                    self._queued.remove(share)
            raise

    def release(self, share: Share | None = None) -> None:
        """The request ended."""
        self.in_flight -= 1
        (share or self._others).in_flight -= 1
        if self._queued:
            self._admit()

    def succeeded(self) -> None:
        """A request was answered: raise the limit if it was what held us back."""
        limit = self._limit
        if limit < self.cap and self.in_flight >= int(limit):
            limit += 1.0 if limit < self._fast_below else 1.0 / limit
            self._limit = min(limit, float(self.cap))
        self._answered()

    def overloaded(self, pause: float | None = None, *, after: float = 0.0) -> None:
        """The service asked for less, or for a pause of some seconds; the request had taken
        ``after`` seconds until then."""
        now = self._clock()
        self._overloads += 1
        self._answered()
        if now >= self._quiet_until:
            self._pushed_back, self._step = True, min(2 * self._step, STEP_SECONDS[1])
        self._quiet_until = max(self._quiet_until, now + max(QUIET_SECONDS, 2 * after))
        if pause is not None:
            self.paused_until = max(self.paused_until, now + min(pause, MAX_PAUSE_SECONDS))

    def _answered(self) -> None:
        self._answers += 1
        if self._answers < self._window:
            return
        if self._overloads:
            share = self._overloads / self._answers
            if share < 1 or not self._last_window_bad:
                self._fast_below = max(1.0, self._limit / 2)
            self._limit = max(1.0, self._limit * (1 - share / 2))
        self._last_window_bad = self._overloads > 0
        self._answers = self._overloads = 0
        self._window = max(1, self.in_flight)

    def hold(self, held: bool) -> None:
        """Admit no call, until it is told otherwise."""
        self._held = held
        self._admit()

    def _open(self) -> bool:
        return (
            not self._held
            and self.in_flight < int(self._limit)
            and (not self.paused_until or self._clock() >= self.paused_until)
        )

    def _enter(self, share: Share) -> None:
        self.in_flight += 1
        share.in_flight += 1

    def _admit(self) -> None:
        """Admit who waits, as far as the limits allow."""
        emptied = False
        for share in self._queued:
            if not self._open():
                break
            waiters = share.waiters
            while waiters and share.in_flight < share.cap and self._open():
                future = waiters.popleft()
                if not future.done():
                    self._enter(share)
                    future.set_result(None)
            emptied = emptied or not waiters
        if emptied:
            self._queued = [share for share in self._queued if share.waiters]
        self._set_timer()

    def _set_timer(self) -> None:
        """Wake at the end of a pause, or where the limit alone holds calls back, to raise it."""
        if self._wake is not None or not self._queued:
            return
        now = self._clock()
        delay = self.paused_until - now
        if delay <= 0:
            if self._limit >= self.cap or self.in_flight < int(self._limit):
                return
            delay = TICK_SECONDS if now >= self._quiet_until else QUIET_TICK_SECONDS
        self._armed_at = max(now, self._quiet_until, self.paused_until)
        self._wake = asyncio.get_running_loop().call_later(delay, self._woken)

    def _woken(self) -> None:
        self._wake = None
        now = self._clock()
        saturated = self._queued and self.in_flight >= int(self._limit)
        if saturated and now >= max(self.paused_until, self._quiet_until):
            passed = max(0.0, now - self._armed_at)
            if self._pushed_back:
                self._limit += passed / self._step
            else:
                self._limit *= 2 ** (passed / DOUBLING_SECONDS)
            self._limit = min(self._limit, float(self.cap))
        self._admit()


def _rank(share: Share) -> int:
    return share.rank
