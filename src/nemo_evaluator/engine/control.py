"""Whether a run goes on: interrupts, pauses, and failures that no retry can help.

One ``Control`` per run. Nothing here ends a rollout that is in flight; it only decides whether
another one starts, and keeps the reason. What is at work registers as ``Steered``, so that it can
be changed while it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from ..errors import ConfigError, ExitCode, PermanentError

PERMANENT_LIMIT = 3

T = TypeVar("T")


class Steered(Protocol):
    """A benchmark at work, as it can be changed while it runs."""

    def resize(self, most: int) -> None:
        """Have at most this many rollouts in flight. What is in flight is finished."""

    def call_back(self) -> None:
        """Send nothing that has not been sent yet; it is asked when the run goes on."""

    async def requeue(self) -> int:
        """Try the rollouts again that ended without a verdict; how many. Raises ConfigError where
        that is not possible while it runs."""

    def give_up(self, older_than: float) -> None:
        """Give up what is in flight for longer, now or later; seconds."""

    @property
    def given_up(self) -> Sequence[str]:
        """The rollouts that were, by name."""


class Control:
    """Decides whether rollouts of a run may start."""

    def __init__(self) -> None:
        self.interrupted: ExitCode | None = None
        """Set where a signal asked the run to stop: the code it ends with."""
        self.stopped: str | None = None
        """Why the run ends early without an error (its budget is used up)."""
        self.decided: str | None = None
        """Why the run ends early: what was asked of it is certain."""
        self.fatal: ConfigError | None = None
        """The whole run cannot go on (the disk is full, say)."""
        self.lost = False
        """Another process has taken the run over."""
        self.finishing: str | None = None
        """Why the run ends with what it has: somebody asked for that."""
        self.given_up: list[str] = []
        """The rollouts that were given up for that."""
        self.at_work: dict[str, Steered] = {}
        """The benchmarks at work, by slug."""
        self.sizes: dict[str, int] = {}
        """How many rollouts each may have in flight, where that was changed."""
        self.reopen: Callable[[str], int] = lambda slug: 0
        """Runs a benchmark that has ended again while the run goes on, for its rollouts without a
        verdict: how many these are. Raises ConfigError where that is not possible."""
        self._stop = asyncio.Event()
        self._go = asyncio.Event()
        self._go.set()

    @property
    def paused(self) -> bool:
        """True while no rollout may start, though the run is not over."""
        return not self._go.is_set()

    def pause(self) -> None:
        """Start nothing until ``go_on``; what is in flight is finished."""
        self._go.clear()
        for benchmark in self.at_work.values():
            benchmark.call_back()

    def go_on(self) -> None:
        """End a pause."""
        self._go.set()

    def begin(self, slug: str, benchmark: Steered) -> None:
        """A benchmark is at work, as it was asked for so far."""
        self.at_work[slug] = benchmark
        if (most := self.sizes.get(slug)) is not None:
            benchmark.resize(most)

    def end(self, slug: str) -> None:
        """The benchmark is not at work any more."""
        benchmark = self.at_work.pop(slug)
        self.given_up += [f"{slug} {name}" for name in benchmark.given_up]

    async def until_going(self) -> None:
        """Wait for the end of a pause, or of the run."""
        while self.paused and not self.stopping:
            await self.until_stopped(self._go.wait())

    def finish(self, reason: str) -> None:
        """End with what there is: start nothing. What is in flight is given up by others."""
        self.finishing = reason
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """True once no further rollout may start."""
        return self._stop.is_set()

    def interrupt(self, code: ExitCode = ExitCode.INTERRUPTED) -> None:
        """The user asked to stop: finish what is in flight, start nothing."""
        self.interrupted = code
        self._stop.set()

    def stop(self, reason: str) -> None:
        """End gracefully: finish what is in flight, start nothing."""
        self.stopped = self.stopped or reason
        self._stop.set()

    def decide(self, what: str) -> None:
        """End gracefully, because nothing that is still to come could change the answer."""
        self.decided = what
        self._stop.set()

    def fail(self, error: ConfigError) -> None:
        """Stop the whole run for a reason the user must fix."""
        self.fatal = self.fatal or error
        self._stop.set()

    def lose(self, error: ConfigError) -> None:
        """Stop at once: another process has the run now, and nothing may be written."""
        self.fatal, self.lost = error, True
        self._stop.set()

    async def until_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What comes of some work; None if the run stops before, and then the work is cancelled."""
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            stop.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    async def sleep(self, seconds: float) -> None:
        """Sleep, but wake at once when the run stops."""
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


class ServiceHealth:
    """Whether a service has ever answered, and whether asking on makes sense."""

    def __init__(self, *, answered: bool = False) -> None:
        self.answered = answered
        self.checked = False
        self.unusable: ConfigError | None = None
        """What the pre-flight check found wrong."""
        self.down: PermanentError | None = None
        self.last_permanent: PermanentError | None = None
        self._in_a_row = 0

    def note_answer(self) -> None:
        """A real answer came: whatever failed before was not the whole service."""
        self.answered = True
        self._in_a_row = 0

    def note_permanent(self, error: PermanentError) -> None:
        """Credentials, model name or quota failed; after a few in a row the service is down."""
        self.last_permanent = error
        self._in_a_row += 1
        if self._in_a_row >= PERMANENT_LIMIT:
            self.note_down(error)

    def note_down(self, error: PermanentError) -> None:
        """Note that further requests to the service are pointless."""
        self.last_permanent = error
        self.down = self.down or error
