"""Outages of an endpoint that has answered before: their detection, and what calls do meanwhile.

Where no connection can be made, no call is tried to its end: all wait, one at a time tries whether
the endpoint is back, and those tries count for no call. Where the endpoint can be reached but fails
every call, those on their way go on with their own retries and only new calls wait: it may be the
calls' fault. Both end by themselves with the first answer, and for good after ``limit`` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable

from ..types import Failure
from .retry import TryOutcome

REFUSALS = 3
"""Failed connections without an answer between them from which on it is an outage."""
FAILING_CALLS = 5
FAILING_SECONDS = 10.0
"""The endpoint is down if ``FAILING_CALLS`` calls fail and none is answered for this time."""
REASON_CHARS = 120
FIRST_DELAY, MAX_DELAY, MAX_FAILING_DELAY = 0.5, 10.0, 30.0
FAILING = (Failure.CONNECTION, Failure.SERVER_ERROR, Failure.TIMEOUT)

log = logging.getLogger(__name__)


class Outage:
    """The state of one endpoint. ``clock`` is monotonic seconds."""

    def __init__(
        self, service: str, limit: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self.unreachable = False
        """No connection can be made: every try waits."""
        self.failing = False
        """Every call fails: new ones wait."""
        self._service, self._clock = service, clock
        self._answered = False
        self._refused = 0
        self._calls: set[int] = set()
        self._cause = ""
        self._began = self._began_at = 0.0
        self._probes = 0
        self._turn = asyncio.Lock()

    @property
    def over(self) -> bool:
        """Whether the outage has lasted longer than ``max_outage``."""
        return self.down() and self._clock() - self._began > self.limit

    def down(self) -> bool:
        """Whether new calls wait."""
        return self.unreachable or self.failing

    def waits(self, tries: int) -> bool:
        """Whether a call that has made this many tries must wait for its turn."""
        return self.unreachable or (self.failing and not tries)

    async def turn(self) -> bool:
        """Wait until the endpoint answers again (False), or until this call is the one to try
        whether it does (True): then ``done`` must follow."""
        while self.down():
            await self._turn.acquire()
            if self.down():
                try:
                    await asyncio.sleep(self._delay())
                except BaseException:
                    self._turn.release()
                    raise
                return True
            self._turn.release()
        return False

    def done(self) -> None:
        """The call whose turn it was has tried."""
        self._turn.release()

    def answered(self) -> None:
        """Note an answer of any kind: the endpoint can be reached."""
        if self.down() and self._probes:
            log.warning("%s: the endpoint answers again after %s", self._service, self._lasted())
        self._answered = True
        self.unreachable = self.failing = False
        self._refused = self._probes = 0
        if self._calls:
            self._calls.clear()

    def failed(self, outcome: TryOutcome, call: int) -> None:
        """A try of a call got no answer."""
        if not self._answered or outcome.kind not in FAILING:
            return
        self.unreachable = self.unreachable and outcome.unreachable
        if not self._calls and not self._refused:
            self._began, self._began_at = self._clock(), time.time()
        self._calls.add(call)
        self._refused = self._refused + 1 if outcome.unreachable else 0
        self._cause = _reason(outcome.message)
        if self.down():
            self._probes += 1
            if self._probes == 1:
                log.warning("%s: %s", self._service, self.text())
        self.unreachable = self.unreachable or self._refused >= REFUSALS
        self.failing = (
            len(self._calls) >= FAILING_CALLS and self._clock() - self._began >= FAILING_SECONDS
        )

    def text(self) -> str:
        """For people; empty where all is well."""
        if not self.down():
            return ""
        since = time.strftime("%H:%M", time.localtime(self._began_at))
        what = "unreachable" if self.unreachable else "failing"
        return f"endpoint {what} since {since} ({self._cause}), retrying"

    def outcome(self) -> str:
        """Why the endpoint was given up."""
        what = "unreachable" if self.unreachable else "failing"
        since = time.strftime("%H:%M", time.localtime(self._began_at))
        return (
            f"endpoint {what} since {since} ({self._cause}); "
            f"gave up after {self._lasted()} (proxy.max_outage)"
        )

    def _delay(self) -> float:
        if self.over:
            return 0.0
        most = MAX_DELAY if self.unreachable else MAX_FAILING_DELAY
        left = max(0.0, self.limit - (self._clock() - self._began))
        return min(most, FIRST_DELAY * 2.0 ** min(self._probes, 10), left + FIRST_DELAY)

    def _lasted(self) -> str:
        return f"{self._clock() - self._began:.0f} s"


def _reason(message: str) -> str:
    """``Cannot connect to host h:80 [Connection refused]`` is shown as ``Connection refused``."""
    found = re.search(r"\[([^\[\]]+)\]$", message)
    return found[1] if found else message[:REASON_CHARS]
