"""SIGINT and SIGTERM of a command: both unwind it at once, and decide its exit code.

Only the standard library is imported here, so that signals are answered before anything else of the
program is. A run takes the signals over while it lasts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

NUMBERS = (signal.SIGINT, signal.SIGTERM)
SAID = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
AGAIN_SECONDS = 0.01


class Signals:
    """Which of the two it was, whatever raises a KeyboardInterrupt of its own (an event loop)."""

    def __init__(self) -> None:
        self._received = signal.SIGINT
        self._hook = sys.unraisablehook

    def install(self) -> None:
        """Until the end of the process."""
        for number in NUMBERS:
            signal.signal(number, self._stop)
        sys.unraisablehook = self._unraisable

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """While the block lasts."""
        before, hook = [signal.getsignal(number) for number in NUMBERS], sys.unraisablehook
        self.install()
        try:
            yield
        finally:
            sys.unraisablehook = hook
            for number, handler in zip(NUMBERS, before, strict=True):
                signal.signal(number, handler)

    def ignore(self) -> None:
        """What the process ends with is decided."""
        for number in NUMBERS:
            signal.signal(number, signal.SIG_IGN)

    def code(self) -> int:
        """The exit code of what was stopped (130 or 143), which the user is told."""
        self.ignore()
        with contextlib.suppress(OSError, ValueError):
            print(SAID[self._received], file=sys.stderr)
        return 128 + self._received

    def _stop(self, number: int, _frame: object) -> None:
        self._received = signal.Signals(number)
        # Coroutines that are dropped half-way warn of it; the user can do nothing about that.
        warnings.simplefilter("ignore", RuntimeWarning)
        raise KeyboardInterrupt

    def _unraisable(self, lost: UnraisableHookArgs) -> None:
        """A signal that came where Python drops exceptions (in a destructor) is sent once more."""
        if lost.exc_type is not KeyboardInterrupt:
            self._hook(lost)
            return
        again = (os.getpid(), self._received)
        threading.Timer(AGAIN_SECONDS, os.kill, again).start()
