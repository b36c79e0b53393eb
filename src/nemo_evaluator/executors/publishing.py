"""Writes what follows from the journals: of a benchmark when it has ended, of the run at its end.

While other benchmarks still run, everything happens in a thread, and a failure costs nothing: what
is missing at the end of the run is derived then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ..engine.job import Job
from ..results.layout import JOURNAL
from ..results.lock import DirectoryLock
from ..results.run_info import RunInfo, RunStatus, write_run_info
from ..results.summary import BenchmarkSummary, RunSummary, accounts, headline_line

REPORTING_SHARE = 0.05
"""Part of the time that is spent on reports while benchmarks are running, at most."""

log = logging.getLogger(__name__)


class Publisher:
    """The derived files of one run."""

    def __init__(
        self,
        directory: Path,
        info: RunInfo,
        formats: Sequence[str],
        say: Callable[[str], None],
        lock: DirectoryLock,
    ) -> None:
        """``formats``: of the reports; ``say`` is told the result of a benchmark that ended."""
        self.directory, self.lock = directory, lock
        self._info, self._formats, self._say = info, formats, say
        self._done: dict[str, BenchmarkSummary] = {}
        self._sizes: dict[str, int] = {}
        """How large a journal was when its benchmark was derived."""
        self._busy = asyncio.Lock()
        self._next_report = 0.0

    def derive_larger(self, jobs: Sequence[Job]) -> None:
        """Derive benchmarks that were extended: from now on they lack rollouts, and whoever reads
        their results, or what a killed run leaves of them, must see that."""
        for job in jobs:
            self._derive(job)

    async def ended(self, job: Job) -> None:
        """Derive a benchmark whose run goes on, and show its result."""
        async with self._busy:
            work = asyncio.create_task(asyncio.to_thread(self._publish, job))
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait([work])  # nobody else may write the same files meanwhile
                raise
            except Exception as error:
                log.warning("%s: not derived yet: %s", job.plan.slug, error)
                return
        if (summary := self._done.get(job.plan.slug)) is not None:
            measure = f"{summary.shown_headline} " if summary.headline else ""
            self._say(f"{job.plan.slug} has ended: {measure}{headline_line(summary)}")

    def finish(self, jobs: Sequence[Job]) -> list[BenchmarkSummary]:
        """Derive what is not derived yet. The summaries of all that was begun, in order."""
        for job in jobs:
            if self._sizes.get(job.plan.slug) != _size(job):
                self._derive(job)
        slugs = [job.plan.slug for job in jobs]
        self._done = {slug: self._done[slug] for slug in slugs if slug in self._done}
        return [*self._done.values()]

    def conclude(
        self, status: RunStatus, warn: Callable[[str], None], *, decided: str | None = None
    ) -> tuple[RunSummary, list[Path]]:
        """Write ``run.json`` and the reports; ``decided``: what was certain when it ended early.
        ``warn`` is told of reports that could not be made."""
        from ..reports.render import write_reports

        summaries = tuple(self._done.values())
        used = msgspec.to_builtins(accounts(summaries))
        self.lock.check()
        info = msgspec.structs.replace(self._info, status=status, accounts=used, decided=decided)
        write_run_info(self.directory, info)
        summary = RunSummary(run=info, benchmarks=summaries, directory=str(self.directory))
        return summary, write_reports(summary, self.directory, self._formats, warn)

    def _publish(self, job: Job) -> None:
        self._derive(job)
        started = time.monotonic()
        if started < self._next_report:
            return
        from ..reports.render import write_reports

        done = tuple(self._done.values())
        summary = RunSummary(run=self._info, benchmarks=done, directory=str(self.directory))
        write_reports(summary, self.directory, self._formats, log.info)
        ended = time.monotonic()
        self._next_report = ended + (ended - started) / REPORTING_SHARE

    def _derive(self, job: Job) -> None:
        from ..results.derive import publish

        self.lock.check()
        if (size := _size(job)) is not None:
            self._done[job.plan.slug] = publish(job.folder, job.plan, self._info)
            self._sizes[job.plan.slug] = size


def _size(job: Job) -> int | None:
    """The size of the benchmark's journal, which grows again where the benchmark goes on after its
    end."""
    try:
        return (job.folder / JOURNAL).stat().st_size
    except OSError:
        return None
