"""Shows the tallies of a run while it lasts: at intervals, and once at the end.

A pure consumer of snapshots. It has no threads, costs nothing per rollout, and whatever becomes of
what it writes to, the run goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from ..engine.progress import BenchmarkProgress, Tally
from . import progress_text as say
from .progress_text import Pace, PaceMeter

Row = tuple[BenchmarkProgress, Pace]


class Screen(Protocol):
    """Where rows are shown."""

    def open(self) -> None:
        """Before the first rows."""

    def show(self, rows: Sequence[Row]) -> None:
        """The rows as they are now."""

    def close(self, rows: Sequence[Row]) -> None:
        """The rows as they stayed."""


class LiveDisplay(contextlib.AbstractAsyncContextManager[None]):
    """Shows tallies every ``interval`` seconds while the context lasts, and once at its end."""

    def __init__(self, tallies: Sequence[Tally], screen: Screen, interval: float) -> None:
        self._tallies = [(tally, PaceMeter()) for tally in tallies]
        self._screen, self._interval = screen, interval
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        with contextlib.suppress(OSError):  # a terminal that went away
            self._screen.open()
            self._task = asyncio.create_task(self._refresh())

    async def __aexit__(self, *_exc: object) -> None:
        failure: BaseException | None = None
        if self._task is not None:
            self._task.cancel()
            (failure,) = await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(OSError):
            self._screen.close(self._rows())
            if not isinstance(failure, OSError | asyncio.CancelledError | None):
                text = f"the live display failed: {type(failure).__name__}: {failure}"
                print(text, file=sys.stderr, flush=True)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            self._screen.show(self._rows())

    def _rows(self) -> list[Row]:
        now = time.monotonic()
        snapshots = [(tally.snapshot(), meter) for tally, meter in self._tallies]
        return [(progress, meter.measure(progress, now)) for progress, meter in snapshots]


class Lines:
    """A line per running benchmark each time; the last one of a benchmark when it has finished."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._ended: set[int] = set()

    def open(self) -> None:
        """Nothing yet."""

    def show(self, rows: Sequence[Row]) -> None:
        """Print a line for each benchmark at work, and a last one when it has ended."""
        several = len(rows) > 1
        for index, (progress, pace) in enumerate(rows):
            if progress.started_at is None or (index in self._ended and progress.finished):
                continue
            self._ended.discard(index)
            line = say.line(progress, pace)
            if progress.finished:
                self._ended.add(index)
            elif several and (eta := say.run_eta(rows)) is not None:
                line += f" run eta {say.duration(eta)}"
            self._write(line)

    def close(self, rows: Sequence[Row]) -> None:
        """Print the last line of every benchmark that has not had it."""
        for index, (progress, pace) in enumerate(rows):
            if index not in self._ended:
                self._write(say.line(progress, pace))
