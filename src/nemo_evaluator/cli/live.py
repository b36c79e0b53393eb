"""The live display of a run: a table on a terminal, plain lines elsewhere. It only reads snapshots."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from ..engine.progress import BenchmarkProgress, Tally

if TYPE_CHECKING:
    from rich.table import Table

REFRESH_SECONDS = 0.25
Z = 1.96

Watch = Callable[[Sequence[Tally]], contextlib.AbstractAsyncContextManager[None]]


def watcher(line_interval: float) -> Watch:
    """What shows the tallies of a run while it lasts: on stderr, so that stdout stays the result."""

    def watch(tallies: Sequence[Tally]) -> contextlib.AbstractAsyncContextManager[None]:
        return _on_terminal(tallies) if sys.stderr.isatty() else _as_lines(tallies, line_interval)

    return watch


@contextlib.asynccontextmanager
async def _on_terminal(tallies: Sequence[Tally]) -> AsyncIterator[None]:
    from rich.console import Console
    from rich.live import Live

    with Live(
        _table(tallies), console=Console(stderr=True), auto_refresh=False, transient=True
    ) as live:

        async def refresh() -> None:
            while True:
                await asyncio.sleep(REFRESH_SECONDS)
                live.update(_table(tallies), refresh=True)

        async with _background(refresh()):
            yield


@contextlib.asynccontextmanager
async def _as_lines(tallies: Sequence[Tally], interval: float) -> AsyncIterator[None]:
    async def report() -> None:
        while True:
            await asyncio.sleep(interval)
            for tally in tallies:
                progress = tally.snapshot()
                if progress.started_at is not None and not progress.finished:
                    print(line(progress), file=sys.stderr, flush=True)

    async with _background(report()):
        yield
    for tally in tallies:
        print(line(tally.snapshot()), file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def _background(work: object) -> AsyncIterator[None]:
    task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def line(progress: BenchmarkProgress) -> str:
    """One plain line: ``gsm8k 640/1319 (48.5 %) score 0.642 [0.605, 0.678] …``."""
    share = progress.done / progress.total * 100 if progress.total else 100.0
    parts = [f"{progress.label} {progress.done}/{progress.total} ({share:.1f} %)"]
    if text := score_text(progress):
        parts.append(f"score {text}")
    if speed := tokens_per_second(progress):
        parts.append(f"{speed:.0f} tok/s")
    if not progress.finished:
        parts.append(f"{progress.in_flight} in flight")
    if progress.errored:
        parts.append(f"errors: {errors_text(progress)}")
    if progress.cost_usd is not None:
        parts.append(f"{progress.cost_usd:.4f} USD")
    if (left := eta(progress)) is not None and not progress.finished:
        parts.append(f"eta {duration(left)}")
    parts += [f"stalled: {text}" for text in progress.stalled[:1]]
    return " ".join(parts) + (" (simulated)" if progress.simulated else "")


def score_text(progress: BenchmarkProgress) -> str:
    """The score so far with a 95 % interval (normal, or Wilson's where all verdicts are yes/no)."""
    n = progress.scored
    if not n:
        return ""
    mean = progress.score_sum / n
    if progress.binary:
        centre = (mean + Z * Z / (2 * n)) / (1 + Z * Z / n)
        spread = Z * math.sqrt(mean * (1 - mean) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
        return f"{mean:.3f} [{max(0.0, centre - spread):.3f}, {min(1.0, centre + spread):.3f}]"
    variance = max(0.0, progress.score_sq_sum / n - mean * mean)
    spread = Z * math.sqrt(variance / max(1, n - 1))
    return f"{mean:.3f} [{mean - spread:.3f}, {mean + spread:.3f}]"


def errors_text(progress: BenchmarkProgress) -> str:
    """Errors by kind."""
    return ", ".join(f"{kind} {count}" for kind, count in sorted(progress.errored.items()))


def tokens_per_second(progress: BenchmarkProgress) -> float:
    """Tokens of this invocation per second."""
    if progress.started_at is None or not progress.tokens:
        return 0.0
    return progress.tokens / max(1e-3, time.monotonic() - progress.started_at)


def eta(progress: BenchmarkProgress) -> float | None:
    """Seconds left at the pace of this invocation."""
    new = progress.done - progress.restored
    if progress.started_at is None or new <= 0:
        return None
    return (progress.total - progress.done) * (time.monotonic() - progress.started_at) / new


def duration(seconds: float) -> str:
    """``1h23m``, ``45m12s`` or ``12s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"


def _table(tallies: Sequence[Tally]) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    columns = (
        "benchmark",
        "",
        "done",
        "score so far",
        "tok/s",
        "in flight",
        "errors",
        "cost",
        "eta",
    )
    for name in columns:
        table.add_column(name, no_wrap=name != "errors")
    for tally in tallies:
        p = tally.snapshot()
        left = eta(p)
        table.add_row(
            Text(p.label + (" (simulated)" if p.simulated else ""), style="bold"),
            ProgressBar(total=max(1, p.total), completed=p.done, width=20),
            f"{p.done}/{p.total}",
            score_text(p),
            f"{tokens_per_second(p):.0f}" if not p.finished and p.started_at else "",
            f"{p.in_flight}/{p.limit}" if p.limit is not None else "",
            Text(errors_text(p), style="red"),
            "" if p.cost_usd is None else f"{p.cost_usd:.4f} USD",
            duration(left) if left is not None and not p.finished else "",
        )
        for text in p.stalled[:3]:
            table.add_row("", "", Text(f"stalled: {text}", style="yellow"))
    return table
