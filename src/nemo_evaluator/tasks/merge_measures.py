"""Makes the measures of all rows of a merged run: those of its shards say nothing of the whole.

Nothing is asked: the benchmarks are opened as for a dry run, and what sums up their rows gets the
merged journal. Where that is not possible, the measures are left out, and it says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from ..engine.aggregation import aggregate
from ..engine.prepare import prepare
from ..errors import ConfigError
from ..results.identity import AFTERWARDS
from ..runtime import run_blocking
from ..types import BenchmarkPlan
from .finished_config import configuration


def make_measures(
    directory: Path, shard: Path, plans: Sequence[BenchmarkPlan], run_id: str
) -> list[str]:
    """Journal the measures of benchmarks of the run merged in ``directory``; what is to be told of
    those that could not be made. ``shard`` has the configuration."""
    if not plans:
        return []
    # In a thread of its own: an event loop may run in this one.
    with ThreadPoolExecutor(1) as pool:
        try:
            made = pool.submit(
                run_blocking, _make_measures(directory, shard, plans, run_id)
            ).result()
        except ConfigError as error:
            made = [(plan, error) for plan in plans]
    return [_left_out_note(directory, plan, error) for plan, error in made if error is not None]


async def _make_measures(
    directory: Path, shard: Path, plans: Sequence[BenchmarkPlan], run_id: str
) -> list[tuple[BenchmarkPlan, ConfigError | None]]:
    found: list[tuple[BenchmarkPlan, ConfigError | None]] = []
    async with AsyncExitStack() as stack:
        prepared = await prepare(configuration(shard), directory, stack, plan_only=True)
        jobs = {job.plan.slug: job for job in prepared.jobs}
        for plan in plans:
            job = jobs.get(plan.slug)
            if job is None or any(
                _identity_value(plan, key) != _identity_value(job.plan, key) for key in AFTERWARDS
            ):
                error = ConfigError("what makes them is another one now", where=plan.name)
                found.append((plan, error))
                continue
            job = replace(job, plan=plan, folder=directory / plan.slug)
            found.append((plan, await aggregate(job, run_id)))
    return found


def _identity_value(plan: BenchmarkPlan, key: str) -> object:
    return plan.identity.get(key)


def _left_out_note(directory: Path, plan: BenchmarkPlan, error: ConfigError) -> str:
    text = (
        f"note: {plan.slug}: measures of all rows are left out, since each shard had those of its"
        f" own, and those of the whole could not be made ({error})"
    )
    if any(key in plan.identity for key in AFTERWARDS):
        text += f"; nel eval rescore {directory} makes them once that is fixed"
    return text
