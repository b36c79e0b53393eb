"""Deadlines and stall reports for everything in flight, by one sweep instead of a timer each.

An activity's clock runs from its start, or from when its request leaves. It stands still while
calls wait for a free slot or for an endpoint that is down, and while this process does not run
(stopped, asleep): that is not its fault. One that overruns its limit is cancelled; its owner learns
why from ``overrun``. One that is merely slow is named in ``stalled``: key, phase, seconds, peer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ..errors import InfraError
from ..http.client.clock import HELD_UP
from ..types import Failure, Phase, RolloutKey
from .failures import CalledBackError

T = TypeVar("T")
Clock = Callable[[], float]
"""Seconds, as the timers of the event loop count them."""

STALL_SECONDS = 60.0


class Activity:
    """One rollout in one phase."""

    __slots__ = (
        "_clock",
        "_held",
        "_holds",
        "_sent",
        "_started",
        "abandoned",
        "given_up",
        "key",
        "limit",
        "overrun",
        "peer",
        "phase",
        "so_far",
        "task",
    )

    def __init__(
        self,
        key: RolloutKey,
        phase: Phase,
        limit: float,
        task: asyncio.Task[Any] | None,
        *,
        started: bool,
        clock: Clock = time.monotonic,
    ) -> None:
        self._clock = clock
        self.key, self.phase, self.limit = key, phase, limit
        self.peer: str | None = None
        self.so_far: Callable[[], str] | None = None
        """Says what it has used, where it is known."""
        self.task = task
        self.overrun = self.abandoned = self.given_up = False
        self._started = clock() if started else None
        self._sent = started
        self._held: float | None = None
        self._holds = 0

    def start(self) -> None:
        """Start the clock, if it does not run yet."""
        if self._started is None:
            self._started = self._clock()

    def on_wait(self, peer: str | None) -> None:
        """Note whom the rollout waits for; the first call starts the clock."""
        self.peer = peer
        if peer is not None:
            self._sent = True
            if self._started is None:
                self._started = self._clock()

    def on_hold(self, held: bool) -> None:
        """Stop the clock while calls are held back, and let it go on when none is."""
        now = self._clock()
        self._holds += 1 if held else -1
        if held and self._holds == 1:
            self._held = now
        elif self._holds == 0 and self._held is not None:
            if self._started is not None:
                self._started += now - max(self._held, self._started)
            self._held = None

    def on_standstill(self, seconds: float) -> None:
        """Take back time in which this process did not run."""
        if self._started is not None and self._held is None:
            self._started = min(self._clock(), self._started + seconds)

    @property
    def waiting(self) -> bool:
        """Whether nothing has been sent yet."""
        return not self._sent

    def deadline(self) -> float | None:
        """When its time is over, if nothing holds it any more; None while the clock stands still
        from the start."""
        if self._started is None:
            return None
        held = 0.0 if self._held is None else self._clock() - max(self._held, self._started)
        return self._started + self.limit + held

    @property
    def elapsed(self) -> float:
        """Seconds that the clock has run until now."""
        return self.seconds(self._clock())

    def seconds(self, now: float) -> float:
        """How long the clock has run."""
        if self._started is None:
            return 0.0
        return max(0.0, (now if self._held is None else self._held) - self._started)

    def timeout_error(self) -> InfraError:
        """What an overrun is recorded as."""
        if self.given_up:
            return InfraError(
                f"{self.phase} of {self.key} was given up after {self.elapsed:.0f} s, since the run"
                " was told to finish",
                phase=self.phase,
                peer=self.peer,
            )
        kind = Failure.SOLVE_TIMEOUT if self.phase is Phase.SOLVE else Failure.TIMEOUT
        waiting = f" waiting for {self.peer}" if self.peer else ""
        return InfraError(
            f"{self.phase} of {self.key} took longer than {self.limit:g} s{waiting}",
            kind=kind,
            phase=self.phase,
            peer=self.peer,
        )


class Watchdog:
    """Watches the activities of one benchmark while its ``async with`` block lasts."""

    def __init__(self, *, interval: float, clock: Clock = time.monotonic) -> None:
        self._interval, self._clock = interval, clock
        self._active: dict[int, Activity] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._most: float | None = None
        self.given_up: list[str] = []
        """The rollouts that were given up since the run was told to finish."""

    def begin(self, key: RolloutKey, phase: Phase, limit: float, *, started: bool) -> Activity:
        """Watch the current task until ``end``."""
        task = asyncio.current_task()
        activity = Activity(key, phase, limit, task, started=started, clock=self._clock)
        self._active[id(activity)] = activity
        return activity

    def end(self, activity: Activity) -> None:
        """Stop watching."""
        self._active.pop(id(activity), None)

    async def watched(
        self,
        key: RolloutKey,
        phase: Phase,
        limit: float,
        start: Callable[[Activity], Awaitable[T]],
        *,
        started: bool,
    ) -> T:
        """The result of a phase of a rollout, within its time.

        Raises InfraError where that is over, and CalledBackError for what was abandoned.
        """
        activity = self.begin(key, phase, limit, started=started)
        try:
            return await start(activity)
        except asyncio.CancelledError:
            if not (activity.overrun or activity.abandoned or activity.given_up):
                raise
            if activity.task is not None:
                activity.task.uncancel()
            if activity.abandoned:
                raise CalledBackError from None
            raise activity.timeout_error() from None
        finally:
            self.end(activity)

    def abandon_waiting(self) -> None:
        """Cancel what has sent nothing yet: there is no use in asking any more."""
        for activity in self._active.values():
            if activity.waiting and activity.task is not None and not activity.abandoned:
                activity.abandoned = True
                activity.task.cancel()

    def give_up(self, older_than: float) -> None:
        """Give up what has been at work for longer than this many seconds, now and from now on."""
        self._most = older_than
        self.abandon_waiting()
        self._give_up_old()

    def _give_up_old(self) -> None:
        if self._most is None:
            return
        for activity in list(self._active.values()):
            ended = activity.overrun or activity.abandoned or activity.given_up
            if ended or (self._most and activity.elapsed < self._most):
                continue
            activity.given_up = True
            self.given_up.append(str(activity.key))
            if activity.task is not None:
                activity.task.cancel()

    @property
    def in_flight(self) -> int:
        """How many activities are watched."""
        return len(self._active)

    def stalled(self) -> list[str]:
        """Rollouts running for more than a minute (or half their limit), slowest first, each with
        what it has used."""
        now = self._clock()
        slow = [
            (activity.seconds(now), activity)
            for activity in self._active.values()
            if activity.seconds(now) > min(STALL_SECONDS, activity.limit / 2)
        ]
        slow.sort(key=lambda pair: -pair[0])
        return [_stall_line(activity, seconds) for seconds, activity in slow]

    async def __aenter__(self) -> Watchdog:
        self._sweeper = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            due = self._clock() + self._interval
            await asyncio.sleep(self._interval)
            now = self._clock()
            if now - due > HELD_UP:
                for activity in self._active.values():
                    activity.on_standstill(now - due)
                continue  # what came meanwhile is read first
            for activity in list(self._active.values()):
                if activity.seconds(now) > activity.limit and not activity.overrun:
                    activity.overrun = True
                    if activity.task is not None:
                        activity.task.cancel()
            self._give_up_old()


def _stall_line(activity: Activity, seconds: float) -> str:
    """``12/0 in solve for 340 s (http://host), 7 turns, 12,345 tokens``."""
    peer = f" ({activity.peer})" if activity.peer else ""
    used = activity.so_far() if activity.so_far is not None else ""
    text = f"{activity.key} in {activity.phase} for {seconds:.0f} s{peer}"
    return f"{text}, {used}" if used else text
