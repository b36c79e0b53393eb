"""How a run is asked to end early: by signals, or by a request in its directory.

The first time what is in flight is finished and nothing else is started; the second time, or where
it is to be at once, what is in flight is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from ..engine.control import Control
from ..errors import ConfigError, ExitCode

CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interrupts:
    """Ends the run of the current task. Create it inside that task."""

    def __init__(self, control: Control, say: Callable[[str], None]) -> None:
        self._control, self._say = control, say
        main = asyncio.current_task()
        assert main is not None
        self._main = main

    def interrupt(self, code: ExitCode) -> None:
        """Once: finish what is in flight. Twice: stop now."""
        if self._control.interrupted is not None:
            self._main.cancel()
            return
        self._control.interrupt(code)
        self._say("stopping: finishing the rollouts in flight; interrupt again to stop now")

    def stop(self, now: bool) -> None:
        """As a user asked who is not at the terminal."""
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
            for number in CODES:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])
