"""Verifies the journaled answers of a run again, without asking the model.

The result is a run directory of its own, with the answers, the new verdicts and where they came
from; the old one is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import msgspec

from ..config.load import Loaded
from ..config.needed_services import services_of
from ..engine.budget import RunBudget
from ..engine.control import Control
from ..engine.job import Job
from ..engine.plan import digest
from ..engine.prepare import prepare
from ..engine.progress import Tally
from ..engine.rescore import Unasked, copy_answers
from ..engine.run import BenchmarkEnd, Suite
from ..engine.shards import shard_of
from ..environments.contract import Environment
from ..environments.other_scorer import OtherScorer
from ..errors import ConfigError
from ..executors.ending import Terms, ending_of
from ..executors.scheduler import job_runs
from ..files.writing import replace_file
from ..plugins import loading, object_at
from ..reports.render import write_reports
from ..results.derive import publish, rows_of, summarise
from ..results.files import write_json
from ..results.flips import Flips, compare_verdicts
from ..results.journal import header_of, scan
from ..results.layout import CONFIG, FLIPS, JOURNAL, JUDGEMENTS, PLAN_LOCK
from ..results.lock import LOCK, DirectoryLock, directory_lock, reading_lock
from ..results.plan_lock import PlanLock, write_lock
from ..results.run_directory import info_of, plan_of
from ..results.run_info import RunInfo, new_run_info, write_run_info
from ..results.summary import RunSummary, accounts
from ..types import BenchmarkPlan
from .finished_config import NOT_SET, configuration

AGAIN = "resume the run they are from, or fix what failed, and rescore it again"
IMPORTED = "imported://"
HOW = "give module:function or file.py:function"


@dataclass(frozen=True, slots=True)
class Rescored:
    """What came of a rescoring."""

    directory: Path
    before: RunSummary
    after: RunSummary
    flips: tuple[Flips, ...]
    exit_code: int
    """See ``ExitCode``: a scorer that fails everywhere is 2, a verdict that is missing 3."""
    messages: tuple[str, ...]
    """What could not be verified, and why."""


async def rescore(
    directory: Path,
    *,
    scorer: str | None = None,
    overrides: Sequence[str] = (),
    output: Path | None = None,
    command: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Rescored:
    """Rescore a run. ``scorer`` is ``module:function`` or ``file.py:function``.

    Raises ConfigError for what is no run, a scorer that cannot be had, a dataset or prompt that is
    no longer the run's, and an output directory that is taken.
    """
    lock = plan_of(directory)
    if lock is None:
        hint = (
            "give the directory of a run of this program; results of others cannot be scored again"
        )
        raise ConfigError("holds no run", where=str(directory), hint=hint)
    function = _function(scorer) if scorer else None
    loaded = configuration(directory, overrides)
    if function is None:
        _check_judges(loaded)
        _check_scorers(loaded)
    target = _free(directory, output)
    with reading_lock(directory, runs=job_runs):
        async with AsyncExitStack() as stack:
            part = shard_of(lock.benchmarks[0]) if lock.benchmarks else None
            prepared = await prepare(loaded, target, stack, part, around=_verifying(function))
            jobs = [_job(job, lock, judged=function is None) for job in prepared.jobs]
            hold = stack.enter_context(directory_lock(target, runs=job_runs))
            info = _open(target, directory, lock, jobs, loaded, command)
            control = Control()
            ends = await _verify(jobs, info.run_id, control, say, hold)
            hold.check()
            terms = Terms(prepared.skip_failed, prepared.min_coverage, again=AGAIN)
            return _finish(_Rescoring(directory, target, jobs, lock, info, loaded), ends, terms)


@dataclass(frozen=True, slots=True)
class _Rescoring:
    """What is known once the answers are verified."""

    old: Path
    new: Path
    jobs: Sequence[Job]
    lock: PlanLock
    info: RunInfo
    loaded: Loaded


def _open(
    target: Path,
    directory: Path,
    lock: PlanLock,
    jobs: Sequence[Job],
    loaded: Loaded,
    command: str,
) -> RunInfo:
    """Write the documents of the new run, and the answers of the old one."""
    info = msgspec.structs.replace(
        new_run_info(command=command),
        rescored_from=lock.run_id,
        extended=info_of(directory, lock).extended,
        benchmarks=tuple(job.plan.slug for job in jobs),
    )
    for job in jobs:
        job.folder.mkdir()
        header = header_of(job.plan, info.run_id)
        copy_answers(directory / job.plan.slug / JOURNAL, job.folder / JOURNAL, header)
        if job.judge_file is not None:
            job.judge_file.remember(directory / job.plan.slug / JUDGEMENTS)
    write_lock(
        target / PLAN_LOCK,
        PlanLock(run_id=info.run_id, benchmarks=tuple(job.plan for job in jobs)),
    )
    replace_file(target / CONFIG, loaded.snapshot(command).encode())
    write_run_info(target, info)
    return info


def _finish(done: _Rescoring, ends: Sequence[BenchmarkEnd], terms: Terms) -> Rescored:
    """Derive the new run's files; the old run is summed up in memory."""
    summaries = tuple(publish(job.folder, job.plan, done.info) for job in done.jobs)
    early = frozenset(s.slug for s in summaries if s.stopping is not None and s.stopping.decision)
    ending = ending_of(summaries, replace(terms, early=early), ends=ends)
    used = msgspec.to_builtins(accounts(summaries))
    info = msgspec.structs.replace(done.info, status=ending.status, accounts=used)
    write_run_info(done.new, info)
    answered = {
        plan.slug: plan
        for plan in done.lock.benchmarks
        if (done.old / plan.slug / JOURNAL).exists()
    }
    before = tuple(summarise(done.old / slug, plan) for slug, plan in answered.items())
    flips = tuple(
        compare_verdicts(
            job.plan.slug,
            rows_of(done.old / job.plan.slug, answered[job.plan.slug]),
            rows_of(job.folder, job.plan),
        )
        for job in done.jobs
        if job.plan.slug in answered
    )
    after = RunSummary(run=info, benchmarks=summaries, directory=str(done.new))
    write_json(done.new / FLIPS, flips)
    unreported: list[str] = []
    write_reports(after, done.new, done.loaded.config.output.report, unreported.append)
    old = info_of(done.old, done.lock)
    earlier = RunSummary(run=old, benchmarks=before, directory=str(done.old))
    messages = (*ending.messages, *unreported)
    return Rescored(done.new, earlier, after, flips, ending.code, messages)


async def _verify(
    jobs: Sequence[Job],
    run_id: str,
    control: Control,
    say: Callable[[str], None],
    hold: DirectoryLock,
) -> list[BenchmarkEnd]:
    tallies = [Tally(label=job.plan.slug, total=job.plan.n_rollouts) for job in jobs]
    suite = Suite(
        zip(jobs, tallies, strict=True),
        {job.plan.slug: scan(job.folder / JOURNAL, job.plan) for job in jobs},
        run_id=run_id,
        budget=RunBudget(_no_budget(), control, say),
        warn=say,
        hold=hold,
    )
    await suite.run()
    if control.fatal is not None:
        raise control.fatal
    return suite.ends


def _no_budget() -> Any:
    from ..config.budget import BudgetConfig

    return BudgetConfig()


def _verifying(scorer: Callable[..., object] | None) -> Callable[[Environment], Environment]:
    """Puts the scorer, if any, in the place of a benchmark's own."""

    def around(environment: Environment) -> Environment:
        return environment if scorer is None else OtherScorer(environment, scorer)

    return around


def _job(job: Job, lock: PlanLock, *, judged: bool) -> Job:
    """The job without a solver. Its plan keeps the solver and service that gave the answers."""
    old = next((plan for plan in lock.benchmarks if plan.slug == job.plan.slug), None)
    if old is None:
        raise ConfigError(f"the run has no benchmark {job.plan.slug}", where=str(job.folder))
    if job.environment.harness is not None:
        raise ConfigError("grades its answers itself", where=job.plan.name, hint="run it again")
    # Whether another scorer asks judges is unknown: a missing one is reported when it is asked.
    judges = job.judges if judged else ()
    plan = _plan(job.plan, old, job.environment.identity())
    return replace(job, judges=judges, solver=Unasked(), model=None, models={}, plan=plan)


def _plan(new: BenchmarkPlan, old: BenchmarkPlan, environment: Mapping[str, Any]) -> BenchmarkPlan:
    """The old plan, with what now verifies."""
    kept = {
        name: value for name, value in old.identity.items() if not name.startswith("environment.")
    }
    identity = {**kept, "scorers": new.identity.get("scorers")}
    identity |= {f"environment.{name}": value for name, value in environment.items()}
    return msgspec.structs.replace(old, identity=identity, digest=digest(identity))


def _check_judges(loaded: Loaded) -> None:
    """Judges are asked, so theirs are needed. Raises ConfigError."""
    for benchmark in loaded.config.benchmarks:
        for name in sorted(services_of(benchmark.scoring)):
            service = loaded.config.services[name]
            secret = getattr(service, "api_key", None)
            key = secret.get_secret_value() if secret is not None else ""
            if NOT_SET in (key, getattr(service, "url", ""), getattr(service, "model", "")):
                raise ConfigError(
                    "a variable of the judge's endpoint is not set",
                    where=f"services.{name}",
                    hint="set it, or put it in .env",
                )


def _check_scorers(loaded: Loaded) -> None:
    """What graded imported answers is another tool. Raises ConfigError where no scorer is named."""
    for place, benchmark in enumerate(loaded.config.benchmarks):
        if benchmark.name.startswith(IMPORTED) and not benchmark.params.get("scorer"):
            raise ConfigError(
                "was imported: what graded its answers is another tool's",
                where=benchmark.label or benchmark.name,
                hint=f"--scorer file.py:function, or -O benchmarks.{place}.params.scorer=NAME",
            )


def _free(directory: Path, output: Path | None) -> Path:
    """Where to write: the given directory, or ``<run>-rescored`` with the first free number."""
    if output is not None:
        if output.exists() and any(path.name != LOCK for path in output.iterdir()):
            raise ConfigError("is not empty", where=str(output), hint="choose another (-o)")
        return output
    base = directory.resolve()
    candidate, number = base.with_name(f"{base.name}-rescored"), 1
    while candidate.exists():
        number += 1
        candidate = base.with_name(f"{base.name}-rescored-{number}")
    return candidate


def _function(name: str) -> Callable[..., object]:
    """The scorer. Raises ConfigError."""
    where = f"--scorer {name}"
    if ":" not in name:
        raise ConfigError("names no function", where=where, hint=HOW)
    with loading(where, name):
        found = object_at(name)
    function = getattr(found, "scorer", found)
    if not callable(function):
        raise ConfigError("is not a function", where=where, hint=HOW)
    return cast("Callable[..., object]", function)
