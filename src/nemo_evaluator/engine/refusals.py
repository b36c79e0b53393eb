"""Requests that the endpoint refused (a 4xx): whose fault that is shows only later.

A refusal is held back, neither journaled as an answer nor scored, until a request that was sent
after it is answered. Then the endpoint is well: the refused request is asked once more, and refused
again it is the model's, scored by the benchmark's rule. Many refusals in a row are the endpoint's
failure until something else is shown: nothing new is asked, one of them tries from time to time,
and all are asked again when the endpoint answers.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import ConfigError
from ..types import Failure, RolloutKey, Solution
from .backlog import Work

NEVER_ANSWERED_LIMIT = 5
"""After this number of refusals without any answer, the requests are taken to be wrong, not the
endpoint."""
ROW = 5
"""Refusals in a row that are no accident; half of what is in flight comes on top."""
TAIL_SECONDS = (0.5, 1.0, 2.0)
"""Pauses before a refused request is asked again where no other request is left to compare with."""
FIRST_DELAY, MAX_DELAY = 0.5, 15.0
ENOUGH = 2
"""Refusals while the endpoint is well that make one the model's."""
SPECIFIC = (Failure.CONTEXT_WINDOW, Failure.CONTENT_FILTER)
"""Refusals that say what is wrong with this request: one in calm is enough."""


@dataclass(slots=True)
class Refused:
    """A refused request; ``strikes`` counts the refusals while the endpoint was well."""

    work: Work
    solution: Solution
    at: float
    strikes: int = 0
    doubtful: bool = False
    """The request was refused while the endpoint refused everything."""


@dataclass(slots=True)
class Refusals:
    """Refused requests of one benchmark that are held back."""

    answered: bool
    """Whether a request of this benchmark has ever been answered."""
    at_once: int
    """Requests in flight at most."""
    clock: Callable[[], float] = time.monotonic
    """Seconds, as the timers of the event loop count them."""
    held: list[Refused] = field(default_factory=list)
    ready: deque[Refused] = field(default_factory=deque)
    """Refusals that are decided: they are the model's, or the request must be sent again."""
    in_burst: bool = False
    """The endpoint is taken to refuse everything."""
    rounds: int = 0
    """Fruitless tries of the present burst."""
    _row: set[RolloutKey] = field(default_factory=set)
    """Refusals since the last answer."""
    _false_alarms: int = 0
    _strikes: dict[RolloutKey, int] = field(default_factory=dict)
    _doubtful: set[RolloutKey] = field(default_factory=set)
    _tail: int = 0
    _since: float = 0.0

    @property
    def many(self) -> bool:
        """Whether so many requests in a row were refused that no new one may be sent."""
        if not self.answered:
            return len(self.held) >= NEVER_ANSWERED_LIMIT
        return len(self._row) >= (ROW + self.at_once // 2) << self._false_alarms

    def answer(self, began: float) -> None:
        """A request that was sent at ``began`` (monotonic seconds) was answered."""
        self.answered = True
        self._row.clear()
        self._tail = 0
        if any(refused.at < began for refused in self.held):
            self._release(began, strike=not self.in_burst)

    def hold(self, work: Work, solution: Solution) -> None:
        """A request was refused."""
        self._row.add(work.key)
        strikes = self._strikes.get(work.key, 0)
        doubtful = work.key in self._doubtful
        self.held.append(Refused(work, solution, self.clock(), strikes, doubtful))

    def begin_burst(self) -> None:
        """The endpoint is taken to refuse everything, since the oldest that is held."""
        if not self.in_burst:
            self.in_burst, self.rounds = True, 0
            self._since = min(refused.at for refused in self.held)

    def end_burst(self) -> None:
        """Go on asking."""
        self.in_burst = False
        self._row.clear()

    def calm(self) -> None:
        """The endpoint answers others: those that are held are refused for what they ask."""
        self._false_alarms += 1
        self._row.clear()
        self._release(self.clock(), strike=True)

    def tail_pause(self) -> float:
        """Seconds to wait before ``ask_tail``."""
        return TAIL_SECONDS[min(self._tail, len(TAIL_SECONDS) - 1)]

    def ask_tail(self) -> None:
        """Nothing else is left to ask: ask those that are held again, and after some time believe
        what the endpoint says."""
        self._tail += 1
        for refused in self.held:
            if is_specific(refused) or self._tail > len(TAIL_SECONDS):
                refused.strikes = ENOUGH
        self._release(self.clock(), strike=False)

    def delay(self) -> float:
        """Seconds before the next try in a burst."""
        return min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(self.rounds, 10))

    def oldest(self) -> Refused:
        """The one that shall try whether the endpoint answers again."""
        return self.held.pop(0)

    def text(self) -> str:
        """For people: what is held back and why."""
        since = time.strftime("%H:%M", time.localtime(time.time() - self.lasts()))
        error = self.held[0].solution.error
        message = error.message if error is not None else ""
        return (
            f"endpoint refuses every request since {since} ({message}), "
            f"{len(self.held)} rollouts held back, retrying"
        )

    def of_every_request(self, service: str | None) -> ConfigError:
        """What a benchmark whose requests were all refused is given up with."""
        error = self.held[0].solution.error
        message = error.message if error else ""
        return ConfigError(
            f"the endpoint refuses every request: {message}",
            where=f"service {service}",
            hint="check the model id and the generation parameters; nothing was scored",
        )

    def lasts(self) -> float:
        """Seconds since the burst began."""
        return self.clock() - self._since

    def _release(self, before: float, *, strike: bool) -> None:
        """Let go of what was refused before a moment."""
        doubtful, self.in_burst, self.rounds = self.in_burst, False, 0
        kept = []
        for refused in self.held:
            if refused.at >= before:
                kept.append(refused)
                continue
            refused.strikes += strike
            if doubtful:
                refused.doubtful = True
                self._doubtful.add(refused.work.key)
            self._strikes[refused.work.key] = refused.strikes
            self.ready.append(refused)
        self.held = kept


def is_specific(refused: Refused) -> bool:
    """Whether the endpoint said what is wrong with this very request."""
    error = refused.solution.error
    return error is not None and error.kind in SPECIFIC


def is_the_models(refused: Refused) -> bool:
    """Whether a refusal that was let go is the model's own failure, and not to be asked again."""
    plain = is_specific(refused) and not refused.doubtful
    return refused.strikes >= (1 if plain else ENOUGH)
