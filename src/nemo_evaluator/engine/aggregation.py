"""Lets an environment sum up its rows once the rollouts of an invocation are over, and journals it.

Invariant: a benchmark whose measures could not be made keeps every answer and verdict; the next
invocation makes them from the journal.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from inspect import isawaitable

import msgspec

from ..environments.contract import ScoredProblem
from ..environments.user_code import contained
from ..errors import ConfigError
from ..measured import Measure, Measures
from ..results.aggregated import Aggregated
from ..results.journal import JournalIndex, header_of
from ..results.journal_writer import Hold, JournalWriter
from ..results.layout import JOURNAL
from ..results.measures import digest_of, summed_up_by
from ..results.rows import read_rollouts
from ..results.run_directory import load_journal
from .failures import ReturnedError, described
from .job import Job


async def aggregate(job: Job, run_id: str, hold: Hold | None = None) -> ConfigError | None:
    """Journal the measures of a benchmark's rows, unless the journal has them already; what went
    wrong, if anything did."""
    aggregates = job.environment.aggregates
    if aggregates is None:
        return None
    index = await asyncio.to_thread(load_journal, job.folder, job.plan)
    of = digest_of(index, summed_up_by(job.plan))
    known = index.aggregated
    done = known is not None and known.of == of and not known.absent  # else what lacks may be had
    if done or not any(state.scored for state in index.rollouts.values()):
        return None
    try:
        with contained("the aggregation"):
            rows = await asyncio.to_thread(_rows, job, index)
            made = await asyncio.to_thread(aggregates, rows)
            made = checked(await made if isawaitable(made) else made)
    except Exception as error:
        return _failed(job, f"the measures of all rows could not be made: {described(error)}")
    header = header_of(job.plan, run_id)
    journal = JournalWriter(job.folder / JOURNAL, index, header=header, hold=hold)
    found = Aggregated(at=time.time(), of=of, measures=made.measures, absent=made.absent)
    journal.append(found)
    raised = [f"{key} {made.absent[key]}" for key in made.raised]
    return await journal.close() or (_failed(job, "; ".join(raised)) if raised else None)


def _failed(job: Job, what: str) -> ConfigError:
    return ConfigError(
        what,
        where=job.plan.name,
        hint="every verdict is journaled: fix the function and add --resume, or use "
        "`nel eval rescore`",
    )


def _rows(job: Job, index: JournalIndex) -> Sequence[ScoredProblem]:
    return [
        ScoredProblem(
            problem=record.problem.problem(),
            repeat=record.key.repeat,
            solution=record.solved.solution,
            score=record.scored.score,
        )
        for record in read_rollouts(job.folder / JOURNAL, index)
        if record.problem is not None and record.solved is not None and record.scored is not None
    ]


def checked(given: object) -> Measures:
    """Measures that can be published. Raises ReturnedError."""
    if isinstance(given, Measures):
        return msgspec.structs.replace(given, measures=_checked(given.measures))
    return Measures(measures=_checked(given))


def _checked(given: object) -> tuple[Measure, ...]:
    if not isinstance(given, Sequence) or not all(isinstance(item, Measure) for item in given):
        raise ReturnedError(f"aggregate returns a list of Measure, not {given!r:.80}")
    for measure in given:
        numbers = (measure.value, 0.0 if measure.stderr is None else measure.stderr)
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            error = "" if measure.stderr is None else f" with the standard error {measure.stderr!r}"
            raise ReturnedError(
                f"aggregate returns finite numbers, but {measure.key!r} is {measure.value!r}{error}"
            )
        if not measure.name or not isinstance(measure.n, int) or measure.n < 0:
            raise ReturnedError(f"{measure!r:.120} needs a name and a number of problems")
    twice = [key for key, count in Counter(measure.key for measure in given).items() if count > 1]
    if twice:
        raise ReturnedError(f"two measures are called {', '.join(twice)}")
    return tuple(given)
