"""A benchmark of which only some problems are done: as another benchmark, or as a shard of it."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from ..errors import ConfigError
from ..results.planned import PART
from .job import Job
from .plan import digest
from .shards import Shard


def with_problem_range(job: Job, start: int, end: int) -> Job:
    """The same benchmark over a part of its problems, which is another benchmark."""
    end = min(end, len(job.order))
    order = job.order[start:end]
    if not order or start < 0:
        raise ConfigError(
            f"problem_range {start, end} holds none of {len(job.order)} problems",
            where=job.plan.name,
        )
    identity = {**job.plan.identity, PART: [start, end], "n_problems": len(order)}
    plan = msgspec.structs.replace(
        job.plan, n_problems=len(order), identity=identity, digest=digest(identity)
    )
    return replace(job, plan=plan, order=order)


def shard_of(job: Job, shard: Shard) -> Job:
    """The same benchmark, of which only a part is done."""
    order = shard.part(job.order)
    plan = msgspec.structs.replace(
        job.plan,
        n_problems=len(order),
        settings=msgspec.structs.replace(
            job.plan.settings,
            shard=(shard.index, shard.total),
            shard_range=shard.range(len(job.order)),
        ),
    )
    return replace(job, plan=plan, order=order)
