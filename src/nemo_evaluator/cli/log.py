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
from collections.abc import Mapping
from typing import Any

from .output import Printed, printable

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
            text = "\n".join([*lines, ""])
            sys.stderr.write(text if isinstance(sys.stderr, Printed) else printable(text))
            sys.stderr.flush()


_NOT_SHOWN = dict.fromkeys(
    ("thread", "threadName", "process", "processName", "taskName", "exc_text")
)
_NOT_SHOWN |= dict.fromkeys(("pathname", "filename", "module"), "(unknown file)")
_NOT_SHOWN |= {"lineno": 0, "relativeCreated": 0.0}


class _Record(logging.LogRecord):
    """A record that knows what a line shows. The rest (thread, process, caller) is there and says
    nothing: looking it up took most of the time of a line."""

    def __init__(
        self,
        name: str,
        level: int,
        pathname: str,
        lineno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        sinfo: str | None = None,
        **_: Any,
    ) -> None:
        if args and len(args) == 1 and args[0] and isinstance(args[0], Mapping):
            args = args[0]  # as the standard library does for "%(name)s"
        self.__dict__.update(_NOT_SHOWN)
        self.name, self.levelno, self.levelname = name, level, logging.getLevelName(level)
        self.msg, self.args, self.exc_info = msg, args, exc_info
        self.funcName, self.stack_info = func or "(unknown function)", sinfo
        self.created = time.time()
        self.msecs = self.created % 1 * 1000


class _Format(logging.Formatter):
    """``2026-01-31 12:00:00,123 INFO text``; the second is spelled once."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._second, self._spelled = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info or record.stack_info or record.exc_text:
            return super().format(record)
        return f"{self.formatTime(record)} {record.levelname} {record.getMessage()}"

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
    logging.setLogRecordFactory(_Record)
    handler = _Stderr()
    handler.setFormatter(_Format())
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    root.handlers = [handler]
    level = LEVELS[min(verbosity, len(LEVELS) - 1)]
    logging.getLogger("nemo_evaluator").setLevel(level)
    logging.getLogger(ASKED_FOR).setLevel(min(level, logging.INFO))
