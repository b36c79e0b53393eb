"""One benchmark of a run: every open rollout through seed → solve → verify → journal.

Invariants: a bounded window of rollouts; the answer is journaled before it is verified; a verifier
that fails never causes a second question to the model; verification holds no solving slot; an
error of infrastructure is an attempt in the journal, never a reward.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from ..environments.contract import Environment, Sandboxes, VerifyTools
from ..errors import ConfigError, InfraError, NelError, PermanentError, RunBudgetExceeded
from ..judging.sitting import Court
from ..results.journal import Errored, JournalIndex, Scored, Solved
from ..results.journal_writer import JournalWriter
from ..results.layout import JOURNAL
from ..sandboxes.contract import SandboxLost
from ..solvers.contract import Solver, SolveTools
from ..traffic.client import ModelClient
from ..traffic.ledger import Totals
from ..traffic.types import CallContext
from ..types import (
    BenchmarkPlan,
    ErrorInfo,
    Failure,
    Outcome,
    Phase,
    RolloutKey,
    Score,
    Solution,
    Usage,
)
from .backlog import Backlog, Work
from .budget import RunBudget
from .control import REFUSAL_LIMIT, Control, ServiceHealth
from .progress import Tally
from .watchdog import Activity, Watchdog

MAX_BACKOFF_SECONDS = 30.0
SCORER_PATIENCE = 3
SANDBOX_TRIES = 3
"""A sandbox that is lost says nothing about the answer: another one is taken."""
WHOLE_SERVICE = (Failure.AUTH, Failure.NOT_FOUND, Failure.QUOTA)
"""Permanent failures that are the service's, not one request's."""

_T = TypeVar("_T")


class NeverAskedError(Exception):
    """The rollout was dropped before anything was sent; it stays open for a later run."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is needed to run one benchmark."""

    plan: BenchmarkPlan
    environment: Environment
    solver: Solver
    model: ModelClient | None
    order: Sequence[int]
    folder: Path
    max_concurrent: int
    timeout: float
    verify_timeout: float
    max_system_retries: int
    sandboxes: Sandboxes | None = None
    court: Court | None = None
    """Where judges are asked, if the benchmark has any."""
    judges: Sequence[ModelClient] = ()
    """What verification asks."""


class Rollouts:
    """Runs the rollouts of one job. Use once."""

    def __init__(
        self,
        job: Job,
        *,
        index: JournalIndex,
        journal: JournalWriter,
        control: Control,
        health: ServiceHealth,
        tally: Tally,
        budget: RunBudget,
    ) -> None:
        self._job, self._journal = job, journal
        self._budget = budget
        open_rollouts = job.plan.n_rollouts - sum(s.scored for s in index.rollouts.values())
        self._pilot = budget.pilot(job.plan.name, open_rollouts)
        self._control, self._health, self._tally = control, health, tally
        self._backlog = Backlog(
            job.environment, job.order, job.plan.repeats, index, job.folder / JOURNAL
        )
        self._watchdog = Watchdog(interval=min(1.0, job.timeout / 4, job.verify_timeout / 4))
        tally.stalled = self._watchdog.stalled
        self._verifying: set[asyncio.Task[None]] = set()
        self._verify_slots = asyncio.Semaphore(2 * job.max_concurrent)
        self._refused: list[tuple[Work, Solution]] = []
        self._answered = any(state.solved_at >= 0 for state in index.rollouts.values())
        self._verified = self._scorer_failures = 0
        self.failure: ConfigError | None = None
        """Why the benchmark was given up, if the user must mend something."""

    async def run(self) -> None:
        """Until nothing is open, the run is stopping, or the benchmark is given up."""
        window = min(2 * self._job.max_concurrent, self._job.plan.n_rollouts)
        try:
            async with self._watchdog:
                workers = [asyncio.create_task(self._worker()) for _ in range(window)]
                await _all_or_cancel(workers)
                await self._settle_refusals()
                while self._verifying:
                    await asyncio.wait(self._verifying)
        finally:
            await _all_or_cancel(list(self._verifying), cancel=True)
            self._backlog.close()

    @property
    def _over(self) -> bool:
        return self._control.stopping or self.failure is not None or self._health.down is not None

    async def _worker(self) -> None:
        while not self._over:
            try:
                found = await self._backlog.next()
            except Exception as error:
                self._give_up(_seed_error(error, self._job.plan.name))
                return
            if found is None:
                return
            work, seeded = found
            if seeded is not None:
                self._journal.append(seeded)
            if work.solution is not None:
                await self._rollout(work)  # paid for already
            elif await self._budget.admit():
                try:
                    await self._rollout(work)
                finally:
                    self._budget.release()

    async def _rollout(self, work: Work) -> None:
        solution = work.solution
        last = work.attempt + self._job.max_system_retries - 1
        while solution is None:
            try:
                solution = await self._solve(work)
            except NeverAskedError:
                return
            except NelError as error:
                retry = isinstance(error, InfraError) and not isinstance(error, PermanentError)
                final = not retry or work.attempt >= last or self._over
                self._errored(work, _info(error), final=final)
                if isinstance(error, PermanentError) and error.info.kind in WHOLE_SERVICE:
                    self._health.note_permanent(error)
                    if self._health.down is not None:
                        self._watchdog.abandon_waiting()
                if final:
                    return
                work.attempt += 1
                await self._control.sleep(min(MAX_BACKOFF_SECONDS, 2.0 ** (work.attempt - 2)))
            except Exception as error:
                self._errored(work, _bug(error, Phase.SOLVE), final=True)
                return
            else:
                if not await self._admit(work, solution):
                    return
        await self._start_verification(work, solution)

    async def _solve(self, work: Work) -> Solution:
        job, key = self._job, work.key
        if self._pilot is not None:
            self._pilot.begin(key)
        session = CallContext(
            session=f"{job.plan.slug}/{key.problem_idx}/{key.repeat}", attempt=work.attempt
        )

        def solve(activity: Activity) -> Awaitable[Solution]:
            context = CallContext(
                session=session.session,
                benchmark=job.plan.slug,
                problem_idx=key.problem_idx,
                repeat=key.repeat,
                attempt=work.attempt,
                target=work.problem.target,
                on_wait=activity.on_wait,
            )
            return job.solver.solve(work.problem, SolveTools(job.model, context))

        if job.model is None:
            return await self._watched(key, Phase.SOLVE, job.timeout, solve)
        try:
            solution = await self._watched(key, Phase.SOLVE, job.timeout, solve)
            return _accounted(solution, job.model.ledger.session(session))
        except RunBudgetExceeded as error:
            self._stop(str(error))
            raise NeverAskedError from None
        finally:
            job.model.end_session(session)

    async def _watched(
        self,
        key: RolloutKey,
        phase: Phase,
        limit: float,
        start: Callable[[Activity], Awaitable[_T]],
    ) -> _T:
        at_once = phase is not Phase.SOLVE or self._job.model is None
        activity = self._watchdog.begin(key, phase, limit, started=at_once)
        try:
            return await start(activity)
        except asyncio.CancelledError:
            if not (activity.overrun or activity.abandoned):
                raise
            if activity.task is not None:
                activity.task.uncancel()
            if activity.abandoned:
                raise NeverAskedError from None
            raise activity.timeout_error() from None
        finally:
            self._watchdog.end(activity)

    async def _admit(self, work: Work, solution: Solution) -> bool:
        """Journal an answer. While this benchmark has only been refused, refusals are held back:
        they may be ours (a parameter the endpoint does not take), and then none is an answer."""
        refused = solution.error is not None and solution.error.kind is Failure.BAD_REQUEST
        if refused and not self._answered:
            self._refused.append((work, solution))
            if len(self._refused) >= REFUSAL_LIMIT:
                self._give_up_refused()
            return False
        if not refused:
            self._answered = True
            self._health.note_answer()
        self._journal_solution(work, solution)
        return True

    async def _settle_refusals(self) -> None:
        if self._refused and not self._answered and not self._control.stopping:
            self._give_up_refused()
        if self.failure is None and self._answered:
            for work, solution in self._refused:
                self._journal_solution(work, solution)
                await self._start_verification(work, solution)

    def _give_up_refused(self) -> None:
        error = self._refused[0][1].error
        message = error.message if error else ""
        self._give_up(
            ConfigError(
                f"the endpoint refuses every request: {message}",
                where=f"service {self._job.plan.service}",
                hint="check the model id and the generation parameters; nothing was scored",
            )
        )

    def _stop(self, reason: str) -> None:
        self._control.stop(reason)
        self._watchdog.abandon_waiting()

    def _journal_solution(self, work: Work, solution: Solution) -> None:
        self._budget.add(solution)
        if self._pilot is not None:
            self._pilot.end(work.key, solution)
        self._journal.append(
            Solved(
                problem_idx=work.key.problem_idx,
                repeat=work.key.repeat,
                attempt=work.attempt,
                at=time.time(),
                solution=solution,
            )
        )

    async def _start_verification(self, work: Work, solution: Solution) -> None:
        if getattr(self._job.environment, "inline", False):
            await self._verify(work, solution)
            return
        await self._verify_slots.acquire()
        task = asyncio.create_task(self._verify(work, solution))
        self._verifying.add(task)
        task.add_done_callback(self._verification_done)

    def _verification_done(self, task: asyncio.Task[None]) -> None:
        self._verifying.discard(task)
        self._verify_slots.release()

    async def _verify(self, work: Work, solution: Solution) -> None:
        started = time.perf_counter()
        tools = VerifyTools(repeat=work.key.repeat, sandboxes=self._job.sandboxes)

        async def verify(_activity: Activity) -> Score:
            for _ in range(SANDBOX_TRIES - 1):
                with contextlib.suppress(SandboxLost):
                    return await self._job.environment.verify(work.problem, solution, tools)
            return await self._job.environment.verify(work.problem, solution, tools)

        try:
            score = await self._watched(work.key, Phase.VERIFY, self._job.verify_timeout, verify)
        except NelError as error:
            self._errored(work, _info(error, Phase.VERIFY), final=True)
            self._note_scorer_failure(str(error))
        except Exception as error:
            self._errored(work, _bug(error, Phase.VERIFY), final=True)
            self._note_scorer_failure(f"{type(error).__name__}: {error}")
        else:
            self._verified += 1
            self._scored(work, solution, score, (time.perf_counter() - started) * 1000)

    def _note_scorer_failure(self, message: str) -> None:
        self._scorer_failures += 1
        if self._verified == 0 and self._scorer_failures >= SCORER_PATIENCE:
            self._give_up(
                ConfigError(
                    f"no answer could be verified: {message}",
                    where=self._job.plan.name,
                    hint="the answers are journaled: mend the scorer and add --resume",
                )
            )

    def _scored(self, work: Work, solution: Solution, score: Score, verify_ms: float) -> None:
        outcome = Outcome.MODEL_ERROR if solution.error is not None else Outcome.SCORED
        self._journal.append(
            Scored(
                problem_idx=work.key.problem_idx,
                repeat=work.key.repeat,
                attempt=work.attempt,
                at=time.time(),
                outcome=outcome,
                score=score,
                verify_ms=round(verify_ms, 3),
            ),
            then=partial(self._tally.scored, score, solution),
        )

    def _errored(self, work: Work, error: ErrorInfo, *, final: bool) -> None:
        if final and self._pilot is not None:
            self._pilot.end(work.key, None)
        stopped = error.kind is Failure.BUDGET
        self._journal.append(
            Errored(
                problem_idx=work.key.problem_idx,
                repeat=work.key.repeat,
                attempt=work.attempt,
                at=time.time(),
                outcome=Outcome.BUDGET_STOP if stopped else Outcome.INFRA_ERROR,
                error=error,
            ),
            then=partial(self._tally.errored, error.kind) if final else None,
        )

    def _give_up(self, error: ConfigError) -> None:
        self.failure = self.failure or error
        self._watchdog.abandon_waiting()


def _accounted(solution: Solution, used: Totals) -> Solution:
    """With the session's own accounts, where the solver could not tell what an agent used."""
    if solution.usage.total_tokens is not None or not used.answers:
        return solution
    usage = Usage(
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        reasoning_tokens=used.reasoning_tokens or None,
        cached_tokens=used.cached_tokens or None,
    )
    return msgspec.structs.replace(
        solution, usage=usage, cost_usd=used.cost_usd, tries=max(solution.tries, used.tries)
    )


def _info(error: NelError, phase: Phase | None = None) -> ErrorInfo:
    info: ErrorInfo | None = getattr(error, "info", None)
    if info is None:
        info = ErrorInfo(kind=Failure.BUG, message=str(error))
    return info if phase is None else msgspec.structs.replace(info, phase=phase)


def _bug(error: Exception, phase: Phase) -> ErrorInfo:
    return ErrorInfo(
        kind=Failure.BUG,
        message=f"{type(error).__name__}: {error}",
        phase=phase,
        traceback="".join(traceback.format_exception(error)[-8:]),
    )


def _seed_error(error: Exception, where: str) -> ConfigError:
    if isinstance(error, ConfigError):
        return error
    return ConfigError(
        f"a problem could not be seeded: {type(error).__name__}: {error}",
        where=where,
        hint="mend the benchmark and add --resume; answers so far are kept",
    )


async def _all_or_cancel(tasks: list[asyncio.Task[None]], *, cancel: bool = False) -> None:
    """Wait for all; if one fails or we are cancelled, cancel and collect the rest."""
    if cancel:
        for task in tasks:
            task.cancel()
    try:
        await asyncio.gather(*tasks, return_exceptions=cancel)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
