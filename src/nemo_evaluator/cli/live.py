"""The live display of a run: a table on a terminal, plain lines elsewhere.

A pure consumer of snapshots, on stderr, so that stdout stays the result. It has no threads, costs
nothing per rollout, and whatever becomes of the terminal, the run goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from ..engine.progress import BenchmarkProgress, Tally
from . import progress_text as say
from .output import drawing, printable
from .progress_text import Pace, PaceMeter

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

REFRESH_SECONDS = 0.25
WIDE = 120
"""Columns a terminal must have for a bar."""
NARROW = 100
"""With fewer columns the percentage goes, and the cost moves below the table."""
STALLED_SHOWN = 3

Watch = Callable[[Sequence[Tally]], contextlib.AbstractAsyncContextManager[None]]
Row = tuple[BenchmarkProgress, Pace]


def watcher(interval: float) -> Watch:
    """Makes the display of a run; entered while the run lasts. ``interval``: seconds per line."""

    def watch(tallies: Sequence[Tally]) -> contextlib.AbstractAsyncContextManager[None]:
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            return LiveDisplay(tallies, Lines(_to_stderr), interval)
        from rich.console import Console

        return LiveDisplay(tallies, TableScreen(Console(file=drawing(sys.stderr))), REFRESH_SECONDS)

    return watch


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
                _to_stderr(f"the live display failed: {type(failure).__name__}: {failure}")

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
        """Print a line for each benchmark that has started, until it has had its last line."""
        several = len(rows) > 1
        for index, (progress, pace) in enumerate(rows):
            if progress.started_at is None or index in self._ended:
                continue
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


class TableScreen:
    """A table that is redrawn in place, and removed before the summary at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def open(self) -> None:
        """Take the lower end of the terminal. What others print appears above."""
        from rich.live import Live

        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, rows: Sequence[Row]) -> None:
        """Draw."""
        if self._live is not None:
            width, height = self._console.size
            self._live.update(table(rows, width=width, height=height), refresh=True)

    def close(self, rows: Sequence[Row]) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()


def table(rows: Sequence[Row], *, width: int, height: int) -> Table:
    """One row per benchmark, as far as the terminal has room: those running first of all."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    shown = _fitting(rows, max(1, height - 5))
    bar, narrow = width >= WIDE, width < NARROW
    price = not narrow and any(progress.cost_usd is not None for progress, _ in rows)
    grid = Table(box=None, padding=(0, 1 if narrow else 2, 0, 0), header_style="dim")
    grid.add_column("benchmark")
    measures = {say.measure(progress) for progress, _ in rows if progress.score is not None}
    mixed = len(measures) > 1
    header = "score so far" if mixed or not measures else f"{measures.pop()} so far"
    names = [*([""] if bar else []), "done", header, "out tok/s", "flight"]
    for name in [*names, *(["cost"] if price else []), "eta"]:
        grid.add_column(name, no_wrap=True, justify="left" if name == "" else "right")
    for progress, pace in shown:
        style = "dim" if progress.started_at is None else "bold"
        share, usd = say.share(progress), progress.cost_usd
        grid.add_row(
            Text(printable(say.label(progress)), style=style, no_wrap=True, overflow="ellipsis"),
            *([ProgressBar(max(1, progress.total), progress.done, width=20)] if bar else []),
            share.partition(" ")[0] if narrow else share,
            (f"{say.measure(progress)} " if mixed and progress.score else "") + say.score(progress),
            "" if pace.tokens_per_s is None else f"{pace.tokens_per_s:.0f}",
            say.in_flight(progress),
            *(["" if usd is None else say.cost(usd)] if price else []),
            "done" if progress.finished else _eta(pace),
        )
    outer = Table.grid()
    outer.add_row(grid)
    for progress, _ in shown:
        for text, style in _notes(progress, with_cost=narrow):
            note = printable(f"  {progress.label}: {text}")
            outer.add_row(Text(note, style=style, overflow="ellipsis"))
    if hidden := len(rows) - len(shown):
        outer.add_row(Text(f"  and {hidden} more", style="dim"))
    if len(rows) > 1 and (eta := say.run_eta(rows)) is not None:
        outer.add_row(Text(f"  whole run: eta {say.duration(eta)}", style="dim"))
    return outer


def _fitting(rows: Sequence[Row], room: int) -> list[Row]:
    """At most ``room`` rows in their order: the running ones, then what finished, then the rest."""
    if len(rows) <= room:
        return list(rows)

    def rank(index: int) -> tuple[int, int]:
        progress = rows[index][0]
        if progress.finished:
            return 1, -index
        return (0 if progress.started_at is not None else 2), index

    chosen = sorted(range(len(rows)), key=rank)[:room]
    return [rows[index] for index in sorted(chosen)]


def _notes(progress: BenchmarkProgress, *, with_cost: bool) -> list[tuple[str, str]]:
    """What is said below the table, with its style."""
    notes = [(progress.status, "yellow")] if progress.status else []
    if with_cost and progress.cost_usd is not None:
        notes.append((f"cost: {say.cost(progress.cost_usd)}", "dim"))
    if progress.retries:
        notes.append(
            (f"retries: {progress.retries} requests got no answer and were tried again", "dim")
        )
    if text := say.failed(progress):
        notes.append((f"failed: {text}, not counted as done", "red"))
    if text := say.refused(progress):
        notes.append((f"refused: {text} of the requests", "yellow"))
    if text := say.truncated(progress):
        notes.append((f"truncated: {text} of the answers", "yellow"))
    return notes + [(f"waiting: {text}", "yellow") for text in progress.stalled[:STALLED_SHOWN]]


def _eta(pace: Pace) -> str:
    return "" if pace.eta_s is None else say.duration(pace.eta_s)


def _to_stderr(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)  # rich may have taken the stream's place
