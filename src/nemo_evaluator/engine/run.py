"""All benchmarks of a run, one after the other, each isolated from the others' failures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..errors import ConfigError
from ..results.journal import JournalIndex, header_of
from ..results.journal_writer import JournalWriter, refusal
from ..results.layout import JOURNAL, TRAFFIC
from .budget import RunBudget
from .control import Control, ServiceHealth
from .job import Job
from .progress import Tally
from .rollouts import Rollouts

log = logging.getLogger(__name__)


@dataclass(slots=True)
class BenchmarkEnd:
    """How one benchmark ended; its numbers are in its journal."""

    slug: str
    failure: ConfigError | None = None
    """What the user must fix before it can go on."""
    service_down: str | None = None
    """The service failed for good after it had answered before."""


async def run_jobs(
    jobs: Iterable[tuple[Job, Tally]],
    ends: list[BenchmarkEnd],
    *,
    run_id: str,
    indexes: Mapping[str, JournalIndex],
    control: Control,
    budget: RunBudget,
    warn: Callable[[str], None],
) -> None:
    """Run every job that is not done, adding to ``ends`` how each ended. ``indexes`` says by slug
    what the journals hold; their scores stand in the tallies.

    One benchmark's failure does not stop the next. Raises ConfigError if the journal cannot be
    written.
    """
    health: dict[str | None, ServiceHealth] = {}
    judges: dict[str, ConfigError | None] = {}
    for job, tally in jobs:
        if control.stopping:
            break
        service = health.setdefault(job.plan.service, ServiceHealth())
        index = indexes.get(job.plan.slug) or JournalIndex()
        scored = sum(state.scored for state in index.rollouts.values()) == job.plan.n_rollouts
        if scored and len(index.problems) == job.plan.n_problems:
            tally.finish()
            await _name_plan(job, index, run_id)
            end = BenchmarkEnd(job.plan.slug)
        elif service.down is not None and not scored:
            end = _ended(job, None, service)
        elif not scored and (error := await _check_service(job, service, judges, warn)):
            end = BenchmarkEnd(job.plan.slug, failure=error)
        else:
            end = await _run_job(job, tally, index, run_id, control, budget, service)
        ends.append(end)


async def _name_plan(job: Job, index: JournalIndex, run_id: str) -> None:
    """Journals of older versions name the digest of their plan only: state the plan, so that the
    journal is known as this run's from now on."""
    if index.header is not None and index.header.plan is None:
        path = job.folder / JOURNAL
        await JournalWriter(path, index, header=header_of(job.plan, run_id)).close()


async def _run_job(
    job: Job,
    tally: Tally,
    index: JournalIndex,
    run_id: str,
    control: Control,
    budget: RunBudget,
    health: ServiceHealth,
) -> BenchmarkEnd:
    path = job.folder / JOURNAL
    health.answered |= any(state.solved_at >= 0 for state in index.rollouts.values())
    journal = JournalWriter(
        path,
        index,
        header=header_of(job.plan, run_id),
        on_failure=lambda error: control.fail(ConfigError(refusal(error), where=str(path))),
    )
    if job.model is not None and job.model.traffic is not None:
        job.model.traffic.keep(job.plan.slug, job.folder / TRAFFIC)
    for judge in job.judges:
        if judge is not job.model and judge.traffic is not None:
            judge.traffic.keep(job.plan.slug, job.folder / TRAFFIC)
    rollouts = Rollouts(
        job,
        index=index,
        journal=journal,
        control=control,
        health=health,
        tally=tally,
        budget=budget,
    )
    log.info(
        "%s: started: %d of %d rollouts are open, service %s, at most %d at once",
        job.plan.slug,
        job.plan.n_rollouts - tally.restored,
        job.plan.n_rollouts,
        job.plan.service or "none",
        job.max_concurrent,
    )
    try:
        await rollouts.run()
    finally:
        tally.finish()
        if (error := await journal.close()) is not None:
            control.fatal = error  # says also where the answers are
    ended = tally.snapshot()
    log.info(
        "%s: ended: %d with a verdict, %d failed, %d of %d left",
        job.plan.slug,
        ended.done,
        ended.failed,
        ended.left,
        ended.total,
    )
    return _ended(job, rollouts, health)


async def _check_service(
    job: Job,
    health: ServiceHealth,
    judges: dict[str, ConfigError | None],
    warn: Callable[[str], None],
) -> ConfigError | None:
    """Once per service, before the first paid request: what the user must fix, if anything."""
    if job.model is not None and not health.checked:
        health.checked = True
        try:
            warning = await job.model.check()
        except ConfigError as error:
            health.unusable = error
        else:
            log.info("service %s: ready, model %s", job.plan.service, job.model.name)
            if warning:
                warn(f"warning: {warning}")
    if health.unusable is None:
        return await _check_judges(job, judges, warn)
    return health.unusable


async def _check_judges(
    job: Job, known: dict[str, ConfigError | None], warn: Callable[[str], None]
) -> ConfigError | None:
    """Check the judges before any request: an answer without a judge cannot be scored."""
    for judge in job.judges:
        name = judge.service_name
        if judge is not job.model and name not in known:
            known[name] = None
            try:
                warning = await judge.check()
            except ConfigError as error:
                known[name] = error
            else:
                if warning:
                    warn(f"warning: judge {name}: {warning}")
        if (unusable := known.get(name)) is not None:
            return ConfigError(f"judge {name}: {unusable}", where=job.plan.name)
    return None


def _ended(job: Job, rollouts: Rollouts | None, health: ServiceHealth) -> BenchmarkEnd:
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
            hint="no request was answered: check the service's url, api_key and model",
        )
    return end
