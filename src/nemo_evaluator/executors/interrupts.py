"""How a run is asked to end early: by signals, or by a request in its directory.

The first time what is in flight is finished and nothing else is started; the second time, or where
it is to be at once, what is in flight is given up. In a job of a cluster a SIGTERM is followed by
the end of the process: what is in flight has a part of that time, the rest is for the results.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from ..engine.control import Control
from ..errors import ConfigError, ExitCode
from .registry import inner_execution

GRACE = "NEL_GRACE_SECONDS"
"""Variable of a job: seconds from its SIGTERM until it is killed."""
GRACE_SECONDS = 30.0
"""Where that is not known: what Slurm (KillWait) and Kubernetes give."""
CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interrupts:
    """Ends the run of the current task. Create it inside that task."""

    def __init__(self, control: Control, say: Callable[[str], None]) -> None:
        self._control, self._say = control, say
        main = asyncio.current_task()
        assert main is not None
        self._main = main
        self._timer: asyncio.TimerHandle | None = None

    def interrupt(self, code: ExitCode) -> None:
        """Once: finish what is in flight. Twice: stop now."""
        if self._control.interrupted is not None:
            self._main.cancel()
            return
        self._control.interrupt(code)
        if code is ExitCode.TERMINATED and inner_execution():
            seconds = _grace() / 3
            self._timer = asyncio.get_running_loop().call_later(seconds, self._main.cancel)
            self._say(f"stopping: the rollouts in flight have {seconds:.0f} s to finish")
            return
        self._say("stopping: finishing the rollouts in flight; interrupt again to stop now")

    def stop(self, now: bool) -> None:
        """Stop the run for a user who is not at the terminal."""
        if self._control.interrupted is None:
            self.interrupt(ExitCode.INTERRUPTED)
        if now:
            self._main.cancel()

    def lose(self, error: ConfigError) -> None:
        """Another process has the run now: give up what is in flight, and write nothing more."""
        if not self._control.lost:
            self._control.lose(error)
            self._main.cancel()

    def cancelled(self) -> bool:
        """Whether it was an interrupt that cancelled the run; then the run goes on to its end."""
        if self._control.interrupted is None and not self._control.lost:
            return False
        self._main.uncancel()
        return True

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Signals ask the run to end while the block lasts."""
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in CODES}
        for number, code in CODES.items():
            loop.add_signal_handler(number, self.interrupt, code)
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for number in CODES:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])


def _grace() -> float:
    try:
        return min(max(float(os.environ[GRACE]), 1.0), 3600.0)
    except (KeyError, ValueError):
        return GRACE_SECONDS
