"""All benchmarks of a run, sharing what their services can take, each isolated from the others'
failures.

A benchmark begins, in the configured order, as soon as a rollout of it would find a free place at
its service: the next ones fill what the slow tail of the first leaves free. Every place goes to the
first benchmark that wants one, and no benchmark has more calls in flight than its own limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from ..errors import ConfigError
from ..results.journal import JournalIndex, header_of, scan
from ..results.journal_writer import Hold, JournalWriter, refusal
from ..results.layout import JOURNAL, TRAFFIC
from ..types import Failure
from .aggregation import aggregate
from .budget import RunBudget
from .control import ServiceHealth
from .harness_run import HarnessRun
from .images import have_images
from .job import Job
from .places import Places
from .preflight import Judges, check_servers, check_service, first_error
from .progress import Tally
from .rollouts import Rollouts

OPEN_AT_ONCE = 32
"""Benchmarks that are open at the same time, each with a journal, at most."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class BenchmarkEnd:
    """How one benchmark ended; its numbers are in its journal."""

    slug: str
    failure: ConfigError | None = None
    """What the user must fix before it can go on."""
    service_down: str | None = None
    """The service failed for good after it had answered before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One benchmark on its way through the suite."""

    rank: int
    """Its place in the configured order."""
    job: Job
    tally: Tally
    index: JournalIndex
    """What the journal holds; the scores of it stand in the tally."""

    @property
    def scored(self) -> bool:
        """Whether every rollout has its verdict."""
        done = sum(state.scored for state in self.index.rollouts.values())
        return done == self.job.plan.n_rollouts

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.job.decided or (
            self.scored and len(self.index.problems) == self.job.plan.n_problems
        )


class Suite:
    """Runs every benchmark that is not done. Use once.

    One benchmark's failure does not stop the others. ``ended`` is awaited when a benchmark has
    ended while others have not; what makes a journal unwritable is told to the budget's
    ``control``.
    """

    def __init__(
        self,
        jobs: Iterable[tuple[Job, Tally]],
        indexes: Mapping[str, JournalIndex],
        *,
        run_id: str,
        budget: RunBudget,
        warn: Callable[[str], None],
        ended: Callable[[Job], Awaitable[None]] | None = None,
        hold: Hold | None = None,
        left: Callable[[Iterable[Job]], Awaitable[None]] | None = None,
    ) -> None:
        """``indexes`` says by slug what the journals hold; ``hold``: of the run's directory;
        ``left`` is told, whenever a benchmark has ended, which ones have not."""
        self._entries = [
            Entry(rank, job, tally, indexes.get(job.plan.slug) or JournalIndex())
            for rank, (job, tally) in enumerate(jobs)
        ]
        self._run_id, self._warn, self._on_ended, self._on_left = run_id, warn, ended, left
        self._hold = hold
        self._control, self._budget = budget.control, budget
        self._judges = Judges(warn)
        self._room = asyncio.Semaphore(OPEN_AT_ONCE)
        self._ends: dict[int, BenchmarkEnd] = {}

    @property
    def ends(self) -> list[BenchmarkEnd]:
        """How the benchmarks ended that have, in the configured order."""
        return [end for _, end in sorted(self._ends.items())]

    async def run(self) -> None:
        """Until every benchmark has ended, or the run is stopped."""
        lanes: dict[str | None, list[Entry]] = {}
        for entry in self._entries:
            if entry.complete:
                entry.tally.finish()
                await self._name_plan(entry)
                failure = await aggregate(entry.job, self._run_id, self._hold)
                self._ends[entry.rank] = BenchmarkEnd(entry.job.plan.slug, failure)
            else:
                lanes.setdefault(entry.job.plan.service, []).append(entry)
        try:
            async with asyncio.TaskGroup() as group:
                self._control.reopen = partial(self._reopen, group)
                for entries in lanes.values():
                    group.create_task(self._lane(entries, group))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    def _reopen(self, group: asyncio.TaskGroup, slug: str) -> int:
        """See ``Control.reopen``."""
        [entry] = [entry for entry in self._entries if entry.job.plan.slug == slug]
        job, left = entry.job, entry.job.plan.n_rollouts - entry.tally.standing.rollouts
        if entry.rank not in self._ends or not left:
            return 0
        if len(self._ends) == len(self._entries):
            raise ConfigError("the run is ending already")
        if job.watch is not None or job.environment.harness is not None:
            raise ConfigError("a gate or a harness has every rollout once", where=slug)
        del self._ends[entry.rank]
        entry.tally.reopen()
        group.create_task(self._run_again(entry, group))
        return left

    async def _run_again(self, entry: Entry, group: asyncio.TaskGroup) -> None:
        """Run a benchmark that has ended once more, from its journal."""
        try:
            index = await asyncio.to_thread(scan, entry.job.folder / JOURNAL, entry.job.plan)
        except ConfigError as error:
            self._control.fail(error)
        else:
            await self._lane([replace(entry, index=index)], group)
        if entry.rank in self._ends:  # it could not begin
            entry.tally.finish()

    async def _lane(self, entries: list[Entry], group: asyncio.TaskGroup) -> None:
        """Begin the benchmarks of one service, one after the other."""
        places = Places(max(entry.job.window for entry in entries))
        health = ServiceHealth()
        for entry in entries:
            await self._room.acquire()
            await self._control.until_going()
            async with places.place(entry.rank):
                if self._control.stopping or not await self._may_begin(entry, health):
                    self._room.release()
                    continue
                begun = asyncio.Event()
                group.create_task(self._run_one(entry, places, health, begun))
                await begun.wait()

    async def _may_begin(self, entry: Entry, health: ServiceHealth) -> bool:
        """Whether there is a use in it; notes the end of a benchmark where there is none."""
        if entry.scored:
            return True
        end: BenchmarkEnd | None = None
        if health.down is not None:
            end = _end_of(entry.job, None, health)
        elif error := await self._control.until_stopped(self._unusable(entry.job, health)):
            end = BenchmarkEnd(entry.job.plan.slug, failure=error)
        if end is not None:
            self._ends[entry.rank] = end
        return end is None and not self._control.stopping

    async def _unusable(self, job: Job, health: ServiceHealth) -> ConfigError | None:
        """What the user must fix before anything is asked: of the service, or of a judge. Those
        that have to be started are started side by side."""
        checks = (check_service(job, health, self._warn), self._judges.check(job))
        return await first_error(*checks, check_servers(job))

    async def _run_one(
        self, entry: Entry, places: Places, health: ServiceHealth, begun: asyncio.Event
    ) -> None:
        try:
            self._ends[entry.rank] = await self._run_job(entry, places, health, begun)
        except ConfigError as error:
            self._control.fail(error)
        finally:
            begun.set()
            self._room.release()
        left = [other.job for other in self._entries if other.rank not in self._ends]
        if not left or self._control.stopping:
            return
        if self._on_left is not None:
            await self._on_left(left)
        if self._on_ended is not None:
            await self._on_ended(entry.job)

    async def _run_job(
        self, entry: Entry, places: Places, health: ServiceHealth, begun: asyncio.Event
    ) -> BenchmarkEnd:
        job, tally, index, control = entry.job, entry.tally, entry.index, self._control
        path = job.folder / JOURNAL
        health.answered |= any(state.solved_at >= 0 for state in index.rollouts.values())
        journal = JournalWriter(
            path,
            index,
            header=header_of(job.plan, self._run_id),
            on_failure=lambda error: control.fail(ConfigError(refusal(error), where=str(path))),
            hold=self._hold,
        )
        _keep_traffic(job)
        for model in job.models.values():
            model.set_share(job.plan.slug, entry.rank, job.max_concurrent)
        rollouts = self._loop(entry, journal, health, places)
        _log_start(job, tally)
        try:
            if job.workspaces is not None:
                begun.set()  # other benchmarks need not wait for images
                await control.until_stopped(have_images(job, index, self._warn))
            await rollouts.run(begun)
        finally:
            try:
                if (error := await journal.close()) is not None:
                    control.fatal = error  # says also where the answers are
            finally:
                tally.finish()  # the verdicts written last count as well
        _log_end(job, tally)
        end = _end_of(job, rollouts, health)
        if end.failure is None and control.fatal is None and control.interrupted is None:
            end.failure = await aggregate(job, self._run_id, self._hold)
        return end

    async def _name_plan(self, entry: Entry) -> None:
        """Journals of older versions name the digest of their plan only: state the plan, so that
        the journal is known as this run's from now on."""
        job, index = entry.job, entry.index
        if index.header is not None and index.header.plan is None:
            header = header_of(job.plan, self._run_id)
            path = job.folder / JOURNAL
            await JournalWriter(path, index, header=header, hold=self._hold).close()

    def _loop(
        self, entry: Entry, journal: JournalWriter, health: ServiceHealth, places: Places
    ) -> Rollouts | HarnessRun:
        """What runs the rollouts: the loop of the benchmark's own harness, or ours."""
        job = entry.job
        if job.environment.harness is not None:
            return HarnessRun(
                job,
                job.environment.harness,
                index=entry.index,
                journal=journal,
                control=self._control,
                tally=entry.tally,
                budget=self._budget,
            )
        return Rollouts(
            job,
            index=entry.index,
            journal=journal,
            control=self._control,
            health=health,
            tally=entry.tally,
            budget=self._budget,
            places=places,
            rank=entry.rank,
        )


def _keep_traffic(job: Job) -> None:
    """Log what the models of a benchmark are asked into the benchmark's own file."""
    models = {id(model): model for model in (*job.models.values(), *job.judges)}
    for model in models.values():
        if model.traffic is not None:
            model.traffic.keep(job.plan.slug, job.folder / TRAFFIC)


def _log_start(job: Job, tally: Tally) -> None:
    log.info(
        "%s: started: %d of %d rollouts are open, service %s, at most %d at once",
        job.plan.slug,
        job.plan.n_rollouts - tally.restored,
        job.plan.n_rollouts,
        job.plan.service or "none",
        job.max_concurrent,
    )


def _log_end(job: Job, tally: Tally) -> None:
    ended = tally.snapshot()
    log.info(
        "%s: ended: %d with a verdict, %d failed, %d of %d left",
        job.plan.slug,
        ended.done,
        ended.failed,
        ended.left,
        ended.total,
    )


ADVICE = {
    Failure.AUTH: "set the service's api_key, --api-key-env or NEMO_API_KEY",
    Failure.NOT_FOUND: "check the service's url, protocol and model",
    Failure.QUOTA: "check the account at the provider",
}
"""What to do about what no request of a service survives."""


def _end_of(
    job: Job, rollouts: Rollouts | HarnessRun | None, health: ServiceHealth
) -> BenchmarkEnd:
    end = BenchmarkEnd(job.plan.slug, failure=rollouts.failure if rollouts else None)
    error = health.down or (None if health.answered else health.last_permanent)
    if error is None or end.failure is not None:
        return end
    if health.answered:
        end.service_down = str(error)
    else:
        end.failure = ConfigError(
            str(error),
            where=f"service {job.plan.service}",
            hint=f"no request was answered: {ADVICE.get(error.info.kind, 'check the service')}",
        )
    return end
