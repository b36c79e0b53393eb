"""Whether a run goes on: interrupts and failures that no retry can help.

One ``Control`` per run. Nothing here ends a rollout that is in flight; it only decides whether
another one starts, and keeps the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..errors import ConfigError, ExitCode, PermanentError

PERMANENT_LIMIT = 3

T = TypeVar("T")


class Control:
    """The brake of a run."""

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
        self._stop = asyncio.Event()

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
