"""Runs an evaluation in this process: directory, lock, plan, engine, derived files, reports.

The order is what makes a run safe: everything that can be refused is refused before the first
model call; the journal is closed before anything is derived from it; a report never fails a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ..config.load import Loaded
from ..config.root import EvalConfig
from ..config.runnable import check_runnable
from ..engine.accounts import of_errored, of_solution
from ..engine.budget import RunBudget
from ..engine.control import Control
from ..engine.lock import directory_lock
from ..engine.plan import PlanLock, check_resumable, read_lock, write_lock
from ..engine.prepare import Prepared, prepare
from ..engine.progress import Tally
from ..engine.run import BenchmarkEnd, run_jobs
from ..engine.shards import Shard
from ..errors import ConfigError, ExitCode
from ..reports.render import write_reports
from ..results.audit import FLAGGED
from ..results.derive import publish
from ..results.journal import Errored, Solved, events, scan
from ..results.judgements import judge_totals
from ..results.layout import CONFIG, JOURNAL, JUDGEMENTS, PLAN_LOCK
from ..results.run_info import (
    RunInfo,
    RunStatus,
    new_run_info,
    read_run_info,
    write_run_info,
)
from ..results.summary import BenchmarkSummary, RunSummary, accounts
from ..runtime import need_descriptors
from .ending import Terms, ending_of

RESERVED_DESCRIPTORS = 48
"""Files of the run itself, beside its connections."""

UNWRITTEN = (
    "stopped while the results were written: every answer is in the journals, and "
    "the same command with --resume writes the results"
)


@dataclass(frozen=True, slots=True)
class Options:
    """How to run, as opposed to what."""

    resume: bool = False
    shard: Shard | None = None
    """Do only this part, in a folder of its own below the directory."""
    set_aside: bool = False
    """Rename an earlier run found in the directory instead of refusing (the default directory)."""
    command: str = ""
    """The command line as it may be recorded: without secrets."""
    handle_signals: bool = False
    watch: Callable[[Sequence[Tally]], contextlib.AbstractAsyncContextManager[None]] | None = None
    """Called with the tallies; entered while the run lasts."""
    say: Callable[[str], None] = field(default=lambda _: None)
    """Told what a user should read now (warnings, interrupts)."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run: the summary, the exit code and what to tell the user."""

    summary: RunSummary
    exit_code: int
    """See ``ExitCode``."""
    messages: tuple[str, ...]
    reports: tuple[Path, ...] = ()


async def run(loaded: Loaded, options: Options) -> RunResult:
    """Run, or resume, an evaluation. Raises ConfigError for what stops it before it starts."""
    check_runnable(loaded)
    need_descriptors(descriptors(loaded.config))
    directory = Path(loaded.config.output.dir)
    if options.shard is not None:
        directory = options.shard.directory(directory)
    if options.set_aside and not options.resume:
        _set_aside(directory, options.say)
    with directory_lock(directory):
        async with AsyncExitStack() as stack:
            prepared = await prepare(loaded, directory, stack, options.shard)
            with _writing(directory):
                info = _open_run(directory, prepared, loaded, options)
            control = Control()
            budget = RunBudget(loaded.config.budget, control, options.say)
            _spent_before(prepared, budget)
            ends = await _engine(prepared, info, control, budget, options)
        try:
            with _writing(directory):
                return _finish(directory, loaded, prepared, info, control, ends)
        except KeyboardInterrupt:
            options.say(UNWRITTEN)
            raise


def descriptors(config: EvalConfig) -> int:
    """Open files that a run may need: a connection and perhaps a sandbox's pipes per request."""
    return RESERVED_DESCRIPTORS + 2 * max(b.max_concurrent for b in config.benchmarks)


@contextlib.contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Around files that are derived, or written before anything was paid for."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot write: {error.strerror or error}",
            where=str(error.filename or directory),
            hint="make room and repeat the command with --resume; the journal is intact",
        ) from None


async def _engine(
    prepared: Prepared, info: RunInfo, control: Control, budget: RunBudget, options: Options
) -> list[BenchmarkEnd]:
    tallies = [
        Tally(
            label=job.plan.name,
            total=job.plan.n_rollouts,
            repeats=job.plan.repeats,
            simulated=job.plan.simulated,
        )
        for job in prepared.jobs
    ]
    for job, tally in zip(prepared.jobs, tallies, strict=True):
        tally.traffic = job.model.load if job.model is not None else None
    watch = options.watch(tallies) if options.watch else contextlib.nullcontext()
    ends: list[BenchmarkEnd] = []
    main = asyncio.current_task()
    assert main is not None
    with _signals(control, main, options) if options.handle_signals else contextlib.nullcontext():
        async with watch:
            try:
                budget.start()
                await run_jobs(
                    list(zip(prepared.jobs, tallies, strict=True)),
                    ends,
                    run_id=info.run_id,
                    control=control,
                    budget=budget,
                    warn=options.say,
                )
            except asyncio.CancelledError:
                if control.interrupted is None:
                    raise
                main.uncancel()
            except ConfigError as error:
                control.fail(error)
            finally:
                budget.stop()
                if control.stopped:
                    control.stopped += f" (used: {budget.used()})"
    return ends


def _spent_before(prepared: Prepared, budget: RunBudget) -> None:
    """What earlier invocations of the run used counts too."""
    if budget.config.unlimited:
        return
    for job in prepared.jobs:
        for event in events(job.folder / JOURNAL):
            if isinstance(event, Solved):
                budget.attempted(of_solution(event.solution))
            elif isinstance(event, Errored):
                budget.attempted(of_errored(event))
        if job.court is not None:
            paid = judge_totals(job.folder / JUDGEMENTS)
            budget.spend(paid.usage, paid.cost_usd)


@contextlib.contextmanager
def _signals(control: Control, main: asyncio.Task[Any], options: Options) -> Iterator[None]:
    """First signal: finish what is in flight. Second: stop now."""

    def interrupted(code: ExitCode) -> None:
        if control.interrupted is not None:
            main.cancel()
            return
        control.interrupt(code)
        options.say("stopping: finishing what is in flight; interrupt again to stop now")

    loop = asyncio.get_running_loop()
    codes = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}
    before = {number: signal.getsignal(number) for number in codes}
    for number, code in codes.items():
        loop.add_signal_handler(number, interrupted, code)
    try:
        yield
    finally:
        for number in codes:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _set_aside(directory: Path, say: Callable[[str], None]) -> None:
    """Move an earlier run out of the default directory: never mixed with, never overwritten."""
    earlier = read_lock(directory / PLAN_LOCK)
    if earlier is None or not _has_rollouts(directory, earlier):
        return
    with directory_lock(directory):
        aside = directory.with_name(f"{directory.name}-{earlier.run_id}")
        directory.rename(aside)
    say(f"the earlier run in {directory} is now {aside}")


def _has_rollouts(directory: Path, lock: PlanLock) -> bool:
    return any(_any_rollout(directory / plan.slug / JOURNAL) for plan in lock.benchmarks)


def _any_rollout(journal: Path) -> bool:
    """Whether anything in it was paid for."""
    return any(
        isinstance(event, Solved) or (isinstance(event, Errored) and event.calls > 0)
        for event in events(journal)
    )


def _open_run(directory: Path, prepared: Prepared, loaded: Loaded, options: Options) -> RunInfo:
    """Claim the directory for this plan, or refuse. Writes the documents of the run."""
    earlier = read_lock(directory / PLAN_LOCK)
    info = new_run_info(command=options.command)
    if earlier is not None and _has_rollouts(directory, earlier):
        if not options.resume:
            raise ConfigError(
                f"already holds the run {earlier.run_id}",
                where=str(directory),
                hint="add --resume to go on with it, or choose another directory (-o)",
            )
        unscored = [
            plan.slug
            for plan in earlier.benchmarks
            if not any(s.scored for s in scan(directory / plan.slug / JOURNAL).rollouts.values())
        ]
        check_resumable(earlier, prepared.plans, where=directory / PLAN_LOCK, unscored=unscored)
        first = read_run_info(directory)
        info = msgspec.structs.replace(info, run_id=first.run_id, created=first.created)
    elif earlier is not None:
        for plan in earlier.benchmarks:
            (directory / plan.slug / JOURNAL).unlink(missing_ok=True)
    for job in prepared.jobs:
        job.folder.mkdir(exist_ok=True)
    info = msgspec.structs.replace(
        info, status=RunStatus.RUNNING, benchmarks=tuple(plan.slug for plan in prepared.plans)
    )
    write_lock(
        directory / PLAN_LOCK, PlanLock(run_id=info.run_id, benchmarks=tuple(prepared.plans))
    )
    (directory / CONFIG).write_text(loaded.snapshot(options.command), encoding="utf-8")
    write_run_info(directory, info)
    return info


def _finish(
    directory: Path,
    loaded: Loaded,
    prepared: Prepared,
    info: RunInfo,
    control: Control,
    ends: Sequence[BenchmarkEnd],
) -> RunResult:
    """Derive everything from the journals, decide the exit code, write the reports."""
    summaries = [
        publish(job.folder, job.plan, info)
        for job in prepared.jobs
        if (job.folder / JOURNAL).exists()
    ]
    terms = Terms(prepared.skip_failed, prepared.min_coverage)
    ending = ending_of(summaries, terms, ends=ends, control=control)
    used = msgspec.to_builtins(accounts(summaries))
    info = msgspec.structs.replace(info, status=ending.status, accounts=used)
    write_run_info(directory, info)
    summary = RunSummary(run=info, benchmarks=tuple(summaries), directory=str(directory))
    reports = write_reports(summary, directory, loaded.config.output.report)
    messages = (*ending.messages, *_flags(summaries, directory))
    return RunResult(summary, ending.code, messages, tuple(reports))


def _flags(summaries: Sequence[BenchmarkSummary], directory: Path) -> list[str]:
    """Scores that may say more about formatting than about the model."""
    return [
        f"warning: {s.slug}: no answer found in {s.no_answer / s.n_scored:.0%} of the responses;"
        f" look at `nel audit {directory}` before believing the score"
        for s in summaries
        if s.n_scored and s.no_answer / s.n_scored > FLAGGED
    ]
