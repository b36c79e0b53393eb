"""The live display of a run: a table on a terminal, plain lines elsewhere.

A pure consumer of snapshots, on stderr, so that stdout stays the result. It has no threads, costs
nothing per rollout, and whatever becomes of the terminal, the run goes on.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..engine.progress import BenchmarkProgress, Tally
from ..executors import progress_text as say
from ..executors.observers import Observer
from ..executors.progress_display import Lines, LiveDisplay, Row
from ..executors.progress_text import Pace
from .output import drawing, printable

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


class TerminalObserver(Observer):
    """Tells the user in front of a terminal what happens in a run."""

    def __init__(self, interval: float, *, display: bool = True) -> None:
        """``interval``: seconds per line where stderr is no terminal that can be drawn on.
        ``display``: whether progress is shown."""
        self._interval, self._display = interval, display

    def said(self, text: str) -> None:
        """Print a message."""
        _to_stderr(text)

    def watching(
        self, tallies: Mapping[str, Tally]
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Show the tallies while the block lasts."""
        if not self._display:
            return contextlib.nullcontext()
        shown = [*tallies.values()]
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            return LiveDisplay(shown, Lines(_to_stderr), self._interval)
        from rich.console import Console

        return LiveDisplay(shown, TableScreen(Console(file=drawing(sys.stderr))), REFRESH_SECONDS)


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
    if text := say.limited(progress):
        notes.append((f"agents ended by a limit: {text}", "yellow"))
    return notes + [(f"slowest: {text}", "yellow") for text in progress.stalled[:STALLED_SHOWN]]


def _eta(pace: Pace) -> str:
    return "" if pace.eta_s is None else say.duration(pace.eta_s)


def _to_stderr(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)  # rich may have taken the stream's place
