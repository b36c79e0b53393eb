"""The log of a command, on stderr, so that stdout stays the result.

Interceptors may log several lines for each of thousands of requests a second, so a line must cost
little: lines are gathered for a moment and written together, and what no line shows (threads,
processes, callers) is not looked up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time

from .output import printable

GATHER_SECONDS = 0.1
GATHER_CHARS = 1 << 16


class _Stderr(logging.Handler):
    """Writes to what is ``sys.stderr`` at the moment: a live display may have put itself there.
    Warnings, and lines outside of an event loop, are written at once."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._chars = 0
        self._timer: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        self._lines.append(line)
        self._chars += len(line)
        if record.levelno > logging.INFO or self._chars > GATHER_CHARS:
            self.flush()
        elif self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
            else:
                self._timer = loop.call_later(GATHER_SECONDS, self._due)

    def _due(self) -> None:
        self._timer = None
        with self.lock or contextlib.nullcontext():
            self.flush()

    def flush(self) -> None:
        lines, self._lines, self._chars = self._lines, [], 0
        if lines and sys.stderr is not None:
            sys.stderr.write(printable("\n".join([*lines, ""])))
            sys.stderr.flush()


class _Format(logging.Formatter):
    """``2026-01-31 12:00:00,123 INFO text``; the second is spelled once."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._second, self._spelled = 0, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._spelled = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._spelled},{int(record.msecs):03d}"


ASKED_FOR = "nemo_evaluator.traffic"
"""Loggers of interceptors: a user who configures one wants to see its lines."""
LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def show_log(verbosity: int = 0) -> None:
    """Show warnings and what interceptors log; with 1 what the evaluator does (benchmarks,
    services, retries), with 2 every request. Of other libraries only warnings are shown."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # as the logging HOWTO advises
    handler = _Stderr()
    handler.setFormatter(_Format())
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    root.handlers = [handler]
    level = LEVELS[min(verbosity, len(LEVELS) - 1)]
    logging.getLogger("nemo_evaluator").setLevel(level)
    logging.getLogger(ASKED_FOR).setLevel(min(level, logging.INFO))
