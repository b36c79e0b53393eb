"""Runs an evaluation in this process: directory, lock, plan, engine, derived files, reports.

The order is what makes a run safe: everything that can be refused is refused before the first
model call; the journal is closed before anything is derived from it; a report never fails a run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..config.load import Loaded
from ..config.root import EvalConfig
from ..config.runnable import check_runnable
from ..engine.accounts import of_event, of_solution
from ..engine.budget import RunBudget
from ..engine.control import Control
from ..engine.job import Job
from ..engine.prepare import Prepared, prepare
from ..engine.progress import Tally
from ..engine.run import OPEN_AT_ONCE, BenchmarkEnd, Suite
from ..errors import ConfigError, ExitCode
from ..results.audit_kinds import FLAGGED
from ..results.identity_facts import plan_facts
from ..results.journal import Called, Errored, Event, ProblemSeeded, Scored, Solved, UsedBeside
from ..results.journal_writer import FULL
from ..results.judgements import judge_totals
from ..results.layout import JUDGEMENTS
from ..results.lock import DirectoryLock
from ..results.run_info import RunInfo, write_run_info
from ..results.sampling import doubtful_repeats
from ..results.summary import BenchmarkSummary, RunSummary
from ..runtime import begin_work, need_descriptors
from .claiming import claimed
from .ending import Ending, Terms, ending_of, ending_of_error
from .interrupts import Interrupts
from .observers import Observers
from .opening import Opened, open_run, set_aside
from .options import Options
from .progress_writer import ProgressWriter
from .publishing import Publisher
from .run_log import RunLog
from .steering import Steering

if TYPE_CHECKING:
    from .deciding import Gate, RunWatch

RESERVED_DESCRIPTORS = 48
"""Files of the run itself, beside its connections."""
FILES_OF_A_BENCHMARK = 6
"""Files that an open benchmark holds: its journal, its log of traffic, its judgements."""

UNWRITTEN = (
    "stopped while the results were written: every answer is in the journals, and "
    "the same command with --resume writes the results"
)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run: the summary, the exit code and what to tell the user."""

    summary: RunSummary
    exit_code: int
    """See ``ExitCode``."""
    messages: tuple[str, ...]
    reports: tuple[Path, ...] = ()
    finished: bool = False
    """It was asked to end with what it has: no later job of a cluster is to go on with it."""

    @property
    def ending(self) -> Ending:
        """How the run ended, for observers."""
        return Ending(ExitCode(self.exit_code), self.messages)


async def run(loaded: Loaded, options: Options) -> RunResult:
    """Run, or resume, an evaluation. Raises ConfigError for what stops it before it starts."""
    check_runnable(loaded)
    need_descriptors(descriptors(loaded.config))
    observers = Observers((*options.observers, RunLog(loaded.config.output.progress_interval)))
    directory = Path(loaded.config.output.dir)
    if options.shard is not None:
        directory = options.shard.directory(directory)
    if options.set_aside and not options.resume:
        set_aside(directory, observers.said)
    with contextlib.ExitStack() as stack:
        lock = await claimed(directory, observers.said, stack)
        return await _locked(directory, lock, loaded, options, observers)


@dataclass(frozen=True, slots=True)
class _BegunRun:
    """A run whose directory is claimed; no request has been sent."""

    prepared: Prepared
    claimed: Opened
    tallies: Mapping[str, Tally]
    budget: RunBudget
    interrupts: Interrupts
    publisher: Publisher
    gate: Gate | None
    watch: RunWatch | None


async def _locked(
    directory: Path, lock: DirectoryLock, loaded: Loaded, options: Options, observers: Observers
) -> RunResult:
    async with AsyncExitStack() as stack:
        begun = await _open(directory, lock, loaded, options, observers, stack)
        observers.opened(directory, begun.claimed.info)
        with _record_failure(observers, directory, begun.claimed.info, lock):
            ends = await _work(begun, options, observers)
            await stack.aclose()
            control = begun.budget.control
            if control.fatal is not None and control.lost:
                raise control.fatal
            result = _result(begun.publisher, begun.prepared, control, ends, observers, begun.gate)
    if options.shard is None and loaded.config.output.export:
        from .exporting import hand_on  # numpy

        try:
            export_notes = await hand_on(loaded, directory, result.summary.run.status)
        except BaseException:  # interrupted: the run has ended all the same
            observers.ended(result.ending)
            raise
        result = replace(result, messages=(*result.messages, *export_notes))
    observers.ended(result.ending)
    return result


async def _open(
    directory: Path,
    lock: DirectoryLock,
    loaded: Loaded,
    options: Options,
    observers: Observers,
    stack: AsyncExitStack,
) -> _BegunRun:
    control, say = Control(), observers.said
    interrupts = Interrupts(control, say)
    progress = ProgressWriter(control, lock, interrupts)
    observers.put_first(progress)
    budget = RunBudget(loaded.config.budget, control, say)
    part, given = options.shard, options.given
    prepared = await prepare(
        loaded, directory, stack, part, given, spend=budget.spend, say=observers.said
    )
    progress.steering = Steering(control, prepared, loaded, say)
    gate, watch = _gate(loaded.config, control, options, observers)
    if watch is not None:
        prepared = replace(prepared, jobs=watch.join(prepared.jobs))
    tallies = {job.plan.slug: _tally(job) for job in prepared.jobs}
    lock.check()  # opening services may have taken long
    with _writing(directory, "no request was sent; {} and repeat the command"):
        opened = open_run(
            directory,
            prepared,
            loaded,
            resume=options.resume,
            afresh=lock.taken_from is not None,
            command=options.command,
            say=say,
            visit=_visitor(prepared, tallies, budget, watch),
        )
    for index in opened.journals.values():
        stack.callback(index.close)
    publisher = Publisher(directory, opened.info, loaded.config.output.report, say, lock)
    with _writing(directory, "no request was sent; {} and repeat the command"):
        publisher.derive_larger([job for job in prepared.jobs if job.plan.slug in opened.extended])
    return _BegunRun(prepared, opened, tallies, budget, interrupts, publisher, gate, watch)


async def _work(begun: _BegunRun, options: Options, observers: Observers) -> list[BenchmarkEnd]:
    """Make the rollouts: how each benchmark ended."""
    for plan in begun.prepared.plans:
        if (doubt := doubtful_repeats(plan)) is not None:
            observers.said(f"warning: {doubt}")
    if begun.watch is not None:
        begun.watch.start()
    handled = begun.interrupts.handled if options.handle_signals else contextlib.nullcontext
    with handled():
        async with observers.watching(begun.tallies):
            suite = Suite(
                [(job, begun.tallies[job.plan.slug]) for job in begun.prepared.jobs],
                begun.claimed.journals,
                run_id=begun.claimed.info.run_id,
                budget=begun.budget,
                warn=observers.said,
                ended=begun.publisher.ended,
                hold=begun.publisher.lock,
                left=begun.prepared.idle_services.end,
            )
            begin_work()
            await _engine(suite, begun.budget, begun.interrupts)
    return suite.ends


@contextlib.contextmanager
def _record_failure(
    observers: Observers, directory: Path, info: RunInfo, lock: DirectoryLock
) -> Iterator[None]:
    """Around a run that was opened: whatever ends it is told, and stands in its documents."""
    try:
        yield
    except BaseException as error:
        ending = ending_of_error(error)
        with contextlib.suppress(OSError):
            if not lock.lost:
                write_run_info(directory, msgspec.structs.replace(info, status=ending.status))
        observers.ended(ending)
        raise


def _result(
    publisher: Publisher,
    prepared: Prepared,
    control: Control,
    ends: Sequence[BenchmarkEnd],
    observers: Observers,
    gate: Gate | None,
) -> RunResult:
    hint = "{} and repeat the command with --resume; the journal is intact"
    try:
        with _writing(publisher.directory, hint):
            return _finish(publisher, prepared, control, ends, gate)
    except KeyboardInterrupt:
        observers.said(UNWRITTEN)
        raise
    except ConfigError:
        if control.fatal is not None:  # says more: what became of the answers
            raise control.fatal from None
        raise


def _gate(
    config: EvalConfig, control: Control, options: Options, observers: Observers
) -> tuple[Gate | None, RunWatch | None]:
    """The gate of a run, and what ends the run when it is decided. Raises ConfigError."""
    if config.gate is None:
        return None, None
    if options.shard is not None:
        raise ConfigError(
            "a shard has a part of the answers only: no gate can be decided on it",
            where="gate",
            hint="leave out --gate here, and use nel gate on the merged run",
        )
    from .deciding import Gate, open_watch

    gate = Gate.of(config.gate)
    return gate, open_watch(config.gate, gate, control, observers.said)


def descriptors(config: EvalConfig) -> int:
    """Open files that a run may need: a connection and perhaps a sandbox's pipes per request, and
    the files of each benchmark that is open."""
    most: dict[str | None, int] = {}
    for benchmark in config.benchmarks:
        service = getattr(benchmark.solver, "service", None)
        most[service] = max(most.get(service, 1), benchmark.max_concurrent)
    files = FILES_OF_A_BENCHMARK * min(len(config.benchmarks), OPEN_AT_ONCE)
    return RESERVED_DESCRIPTORS + files + 2 * sum(most.values())


@contextlib.contextmanager
def _writing(directory: Path, hint: str) -> Iterator[None]:
    """Around files that are derived, or written before anything was paid for. ``{}`` of the hint is
    what to do first."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot write: {error.strerror or error}",
            where=str(error.filename or directory),
            hint=hint.format("free disk space" if error.errno in FULL else "remove the cause"),
        ) from None


def _tally(job: Job) -> Tally:
    tally = Tally(
        label=job.plan.slug,
        total=job.plan.n_rollouts,
        repeats=job.plan.repeats,
        simulated=job.plan.simulated,
        traffic=partial(job.model.load, job.plan.slug) if job.model is not None else None,
    )
    tally.standing.within = plan_facts(job.plan).reward_range
    return tally


async def _engine(suite: Suite, budget: RunBudget, interrupts: Interrupts) -> None:
    """Run until everything has ended, or the user wants it to stop now."""
    control = budget.control
    try:
        budget.start()
        await suite.run()
    except asyncio.CancelledError:
        if not interrupts.cancelled():
            raise
    finally:
        budget.stop()
        if control.stopped:
            control.stopped += f" (used: {budget.used()})"


def _visitor(
    prepared: Prepared,
    tallies: Mapping[str, Tally],
    budget: RunBudget,
    watch: RunWatch | None,
) -> Callable[[str, Event], None]:
    """Counts what earlier invocations of the run used and found."""
    clusters: dict[tuple[str, int], str] = {}

    def visit(slug: str, event: Event) -> None:
        if watch is not None:
            watch.restore(slug, event)
        if isinstance(event, Solved):
            budget.attempted(of_solution(event.solution))
        elif isinstance(event, Errored | Called | UsedBeside):
            budget.attempted(of_event(event))
        elif isinstance(event, Scored) and slug in tallies:
            idx = event.problem_idx
            tallies[slug].restore(event.score, idx, clusters.get((slug, idx)))
        elif isinstance(event, ProblemSeeded) and event.cluster is not None:
            clusters[slug, event.problem_idx] = event.cluster

    for job in prepared.jobs:
        if job.judge_file is not None and not budget.config.unlimited:
            paid = judge_totals(job.folder / JUDGEMENTS)
            budget.spend(paid.usage, paid.cost_usd)
    return visit


def _finish(
    publisher: Publisher,
    prepared: Prepared,
    control: Control,
    ends: Sequence[BenchmarkEnd],
    gate: Gate | None,
) -> RunResult:
    """Derive everything from the journals, decide the exit code, write the reports."""
    summaries = publisher.finish(prepared.jobs)
    early = frozenset(job.plan.slug for job in prepared.jobs if job.decided)
    planned = {plan.slug: plan.n_rollouts for plan in prepared.plans}
    terms = Terms(prepared.skip_failed, prepared.min_coverage, early=early, planned=planned)
    ending = ending_of(summaries, terms, ends=ends, control=control)
    unreported: list[str] = []
    summary, reports = publisher.conclude(ending.status, unreported.append, decided=control.decided)
    directory = publisher.directory
    doubts = (*_flags(summaries, directory), *unreported)
    messages = (*ending.messages, *doubts, *_gated(gate, directory))
    finished = control.finishing is not None and control.interrupted is None
    return RunResult(summary, ending.code, messages, tuple(reports), finished)


def _gated(gate: Gate | None, directory: Path) -> list[str]:
    """What the gate of the run says of its results."""
    if gate is None:
        return []
    try:
        report = gate.verdict(directory)
    except ConfigError as error:
        return [f"gate: no verdict: {error}"]
    return [f"gate: {report.verdict} by {gate.name}: {'; '.join(report.reasons)}"]


def _flags(summaries: Sequence[BenchmarkSummary], directory: Path) -> list[str]:
    """Scores that may say more about formatting than about the model, and repeats that say
    nothing."""
    repeated = [
        f"warning: {s.slug}: all repeats of {s.identical_repeats} problems gave the same answers"
        " word for word; they say no more than one (see temperature, seed and the cache)"
        for s in summaries
        if s.same_again
    ]
    return repeated + [
        f"warning: {s.slug}: no answer found in {s.no_answer / s.n_scored:.0%} of the responses;"
        f" check `nel audit {directory}` before trusting the score"
        for s in summaries
        if s.n_scored and s.no_answer / s.n_scored > FLAGGED
    ]
