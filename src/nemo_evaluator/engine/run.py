"""All benchmarks of a run, one after the other, each isolated from the others' failures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..results.journal import Header, JournalIndex, JournalReader, Scored, scan
from ..results.journal_writer import JournalWriter
from .control import Control, ServiceHealth
from .progress import Tally
from .rollouts import Job, Rollouts

JOURNAL = "journal.jsonl"


@dataclass(slots=True)
class BenchmarkEnd:
    """How one benchmark ended; its numbers are in its journal."""

    slug: str
    failure: ConfigError | None = None
    """What the user must mend before it can go on."""
    service_down: str | None = None
    """The service failed for good after it had answered before."""


async def run_jobs(
    jobs: Iterable[tuple[Job, Tally]], *, run_id: str, control: Control
) -> list[BenchmarkEnd]:
    """Run every job that is not done. Never raises for a benchmark's own failure."""
    health: dict[str | None, ServiceHealth] = {}
    ends = []
    for job, tally in jobs:
        if control.stopping:
            break
        service = health.setdefault(job.plan.service, ServiceHealth())
        ends.append(await _run_job(job, tally, run_id=run_id, control=control, health=service))
    return ends


async def _run_job(
    job: Job, tally: Tally, *, run_id: str, control: Control, health: ServiceHealth
) -> BenchmarkEnd:
    path = job.folder / JOURNAL
    index = scan(path)
    _restore(tally, path, index)
    if sum(state.scored for state in index.rollouts.values()) == job.plan.n_rollouts:
        tally.finish()
        return BenchmarkEnd(job.plan.slug)
    health.answered |= any(state.solved_at >= 0 for state in index.rollouts.values())
    journal = JournalWriter(path, index, on_failure=lambda error: control.fail(_disk(error, path)))
    if index.header is None:
        journal.append(Header(benchmark=job.plan.name, plan_digest=job.plan.digest, run_id=run_id))
    rollouts = Rollouts(
        job, index=index, journal=journal, control=control, health=health, tally=tally
    )
    tally.start()
    try:
        await rollouts.run()
    finally:
        tally.finish()
        await journal.close()
    return _ended(job, rollouts, health)


def _restore(tally: Tally, path: Path, index: JournalIndex) -> None:
    offsets = [state.ended_at for state in index.rollouts.values() if state.scored]
    if not offsets:
        return
    with JournalReader(path) as reader:
        for offset in sorted(offsets):
            event = reader.at(offset)
            if isinstance(event, Scored):
                tally.restore(event.score)


def _ended(job: Job, rollouts: Rollouts, health: ServiceHealth) -> BenchmarkEnd:
    end = BenchmarkEnd(job.plan.slug, failure=rollouts.failure)
    error = health.down or (None if health.answered else health.last_permanent)
    if error is None or end.failure is not None:
        return end
    if health.answered:
        end.service_down = str(error)
    else:
        end.failure = ConfigError(
            str(error),
            where=f"service {job.plan.service}",
            hint="nothing was answered; mend the service's url, key or model and run again",
        )
    return end


def _disk(error: OSError, path: Path) -> ConfigError:
    return ConfigError(
        f"cannot write: {error.strerror or error}",
        where=str(path),
        hint="make room and repeat the command with --resume; what was written is intact",
    )
