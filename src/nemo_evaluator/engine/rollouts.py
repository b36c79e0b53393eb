"""One benchmark of a run: every open rollout through seed → solve → verify → journal.

Invariants: a bounded window of rollouts; the answer is journaled before it is verified; a verifier
that fails never causes a second question to the model; verification holds no solving slot; an
error of infrastructure is an attempt in the journal, never a reward.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..environments.contract import VerifyTools
from ..errors import (
    ConfigError,
    EndpointDown,
    InfraError,
    ModelError,
    NelError,
    PermanentError,
    RunBudgetExceeded,
)
from ..results.journal import JournalIndex
from ..results.journal_writer import JournalWriter
from ..results.layout import JOURNAL
from ..sandboxes.contract import SandboxLost
from ..solvers.contract import SolveTools
from ..traffic.types import CallContext
from ..types import Failure, Phase, RolloutKey, Score, Solution
from .accounts import accounted, of_session, of_solution
from .backlog import Backlog, Work
from .budget import RunBudget
from .control import REFUSAL_LIMIT, Control, ServiceHealth
from .failures import NeverAskedError, described, info_of, interrupted, seed_error
from .job import Job
from .progress import Tally
from .recorder import Recorder
from .watchdog import Activity, Watchdog

MAX_BACKOFF_SECONDS = 30.0
PATIENCE = 3
"""So many failures of a user's solver or scorer, and no success, give the benchmark up."""
SANDBOX_TRIES = 3
"""A sandbox that is lost says nothing about the answer: another one is taken."""
WHOLE_SERVICE = (Failure.AUTH, Failure.NOT_FOUND, Failure.QUOTA)
"""Permanent failures that are the service's, not one request's."""

_T = TypeVar("_T")


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
        self._job, self._budget = job, budget
        open_rollouts = job.plan.n_rollouts - sum(s.scored for s in index.rollouts.values())
        self._recorder = Recorder(
            job.plan, open_rollouts, journal=journal, budget=budget, tally=tally
        )
        self._control, self._health = control, health
        self._backlog = Backlog(
            job.environment, job.order, job.plan.repeats, index, job.folder / JOURNAL
        )
        self._watchdog = Watchdog(interval=min(1.0, job.timeout / 4, job.verify_timeout / 4))
        tally.stalled = self._watchdog.stalled
        self._verifying: set[asyncio.Task[None]] = set()
        self._verify_slots = asyncio.Semaphore(2 * job.max_concurrent)
        self._refused: list[tuple[Work, Solution]] = []
        self._answered = any(state.solved_at >= 0 for state in index.rollouts.values())
        self._solved = self._answered
        self._verified = self._scorer_failures = self._solver_bugs = 0
        self.failure: ConfigError | None = None
        """Why the benchmark was given up, if the user must fix something."""

    async def run(self) -> None:
        """Until nothing is open, the run is stopping, or the benchmark is given up."""
        window = min(2 * self._job.max_concurrent, self._job.plan.n_rollouts)
        self._recorder.began()
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
                self._give_up(seed_error(error, self._job.plan.name))
                return
            if found is None:
                return
            work, seeded = found
            if seeded is not None:
                self._recorder.seeded(seeded)
            solution = work.solution or await self._ask(work)
            if solution is not None:
                await self._start_verification(work, solution)

    async def _ask(self, work: Work) -> Solution | None:
        """The answer, journaled; None if there is none to verify. Each attempt is admitted by
        itself, so that those which fail cannot spend more than the budget."""
        last = work.attempt + self._job.max_system_retries - 1
        while await self._budget.admit():
            try:
                solution = await self._solve(work)
            except asyncio.CancelledError:
                self._stopped_midway(work)
                raise
            except NeverAskedError:
                self._stopped_midway(work)
                return None
            except Exception as error:
                if not self._retries(work, error, last=work.attempt >= last):
                    return None
            else:
                return solution if self._admit(work, solution) else None
            finally:
                self._budget.release()
            work.attempt += 1
            await self._control.sleep(min(MAX_BACKOFF_SECONDS, 2.0 ** (work.attempt - 2)))
        return None

    def _retries(self, work: Work, error: Exception, *, last: bool) -> bool:
        """Journal a failed attempt; whether another one makes sense."""
        transient = isinstance(error, InfraError) and not isinstance(error, PermanentError)
        final = not transient or last or self._over
        self._recorder.errored(work, info_of(error, Phase.SOLVE), final=final)
        if isinstance(error, EndpointDown):
            self._health.note_down(error)
        elif isinstance(error, PermanentError) and error.info.kind in WHOLE_SERVICE:
            self._health.note_permanent(error)
        if self._health.down is not None:
            self._watchdog.abandon_waiting()
        if not isinstance(error, NelError) or isinstance(error, ConfigError):
            self._note_solver_bug(error)
        return not final

    def _stopped_midway(self, work: Work) -> None:
        """An attempt that is given up leaves a trace only where something was paid for."""
        if work.spent.calls:
            self._recorder.errored(work, interrupted(), final=True)

    async def _solve(self, work: Work) -> Solution:
        """One attempt. What its session used is counted whatever becomes of it."""
        job, key = self._job, work.key
        self._recorder.begin(work)
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
                on_hold=activity.on_hold,
            )
            return job.solver.solve(work.problem, SolveTools(job.model, context))

        solution: Solution | None = None
        try:
            solution = await self._watched(key, Phase.SOLVE, job.timeout, solve)
        except ModelError as error:
            solution = Solution(response="", error=error.info)
        except RunBudgetExceeded as error:
            self._stop(str(error))
            raise NeverAskedError from None
        finally:
            if job.model is not None:
                work.spent = of_session(job.model.ledger.session(session))
                job.model.end_session(session)
            if solution is not None:
                solution = accounted(solution, work.spent)
                work.spent = of_solution(solution)
            self._recorder.attempted(work, work.spent)
        return solution

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

    def _admit(self, work: Work, solution: Solution) -> bool:
        """Journal an answer. While this benchmark has only been refused, refusals are held back:
        they may be ours (a parameter the endpoint does not take), and then none is an answer."""
        self._solved = True
        refused = solution.error is not None and solution.error.kind is Failure.BAD_REQUEST
        if refused and not self._answered:
            self._refused.append((work, solution))
            if len(self._refused) >= REFUSAL_LIMIT:
                self._give_up_refused()
            return False
        if not refused:
            self._answered = True
            self._health.note_answer()
        self._recorder.solved(work, solution)
        return True

    async def _settle_refusals(self) -> None:
        if self._refused and not self._answered and not self._control.stopping:
            self._give_up_refused()
        if self.failure is None and self._answered:
            for work, solution in self._refused:
                self._recorder.solved(work, solution)
                await self._start_verification(work, solution)
            return
        for work, solution in self._refused:
            if solution.error is not None:
                self._recorder.errored(work, solution.error, final=True)

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
        except Exception as error:
            self._recorder.errored(work, info_of(error, Phase.VERIFY), final=True)
            self._note_scorer_failure(error)
        else:
            self._verified += 1
            verify_ms = (time.perf_counter() - started) * 1000
            self._recorder.scored(work, solution, score, verify_ms)

    def _note_scorer_failure(self, error: Exception) -> None:
        self._scorer_failures += 1
        if self._verified == 0 and self._scorer_failures >= PATIENCE:
            what = str(error) if isinstance(error, NelError) else described(error)
            self._give_up(
                ConfigError(
                    f"no answer could be verified: {what}",
                    where=self._job.plan.name,
                    hint="the answers are journaled: fix the scorer and add --resume",
                )
            )

    def _note_solver_bug(self, error: Exception) -> None:
        self._solver_bugs += 1
        if not self._solved and self._solver_bugs >= PATIENCE:
            self._give_up(
                ConfigError(
                    f"the solver fails on every problem: {described(error)}",
                    where=self._job.plan.name,
                    hint="fix the solver first; --resume without that would fail the same way",
                )
            )

    def _give_up(self, error: ConfigError) -> None:
        self.failure = self.failure or error
        self._watchdog.abandon_waiting()


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
