"""One benchmark of a run: every open rollout through seed → solve → verify → journal.

Invariants: a bounded window of rollouts; the answer is journaled before it is verified; a verifier
that fails never causes a second question to the model; verification holds no solving slot; an
error of infrastructure is an attempt in the journal, never a reward.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Sequence

from ..errors import ConfigError, EndpointDown, InfraError, PermanentError
from ..results.journal import JournalIndex, scan
from ..results.journal_writer import JournalWriter
from ..results.layout import JOURNAL
from ..types import Failure, Phase, RolloutKey, Solution
from .attempts import Attempts
from .backlog import Backlog, Work, nothing_kept
from .budget import RunBudget
from .control import Control, ServiceHealth
from .endpoint_check import EndpointCheck
from .failures import (
    CalledBackError,
    NeverAskedError,
    SolverBugs,
    info_of,
    interrupted,
    seed_error,
)
from .job import Job
from .places import Places, Seat
from .progress import Tally
from .recorder import RolloutRecorder
from .refusals import SPECIFIC, Refusals, Refused, is_specific, is_the_models
from .verification import Verification
from .watchdog import Watchdog
from .workers import Workers

MAX_BACKOFF_SECONDS = 30.0
WHOLE_SERVICE = (Failure.AUTH, Failure.NOT_FOUND, Failure.QUOTA)
"""Permanent failures that are the service's, not one request's."""

log = logging.getLogger(__name__)


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
        places: Places,
        rank: int,
    ) -> None:
        self._job, self._budget = job, budget
        self._places, self._rank = places, rank
        open_rollouts = job.plan.n_rollouts - sum(s.scored for s in index.rollouts.values())
        self._recorder = RolloutRecorder(
            job.plan,
            open_rollouts,
            journal=journal,
            budget=budget,
            tally=tally,
            watch=job.watch,
        )
        self._control, self._health, self._tally = control, health, tally
        self._backlog = self._open(job.order, index)
        self._again: Backlog | None = None
        """Failed rollouts that are tried again."""
        self._watchdog = Watchdog(interval=min(1.0, job.timeout / 4, job.verify_timeout / 4))
        self._attempts = Attempts(job, self._recorder, self._watchdog, control)
        self._verification = Verification(job, self._recorder, self._watchdog, self._give_up)
        answered = any(state.solved_at >= 0 for state in index.rollouts.values())
        self._refusals = Refusals(answered, job.max_concurrent)
        self._sitting_out, self._moved = asyncio.Lock(), asyncio.Event()
        self._asking, self._drained = 0, False
        self._workers = Workers(self._worker, min(job.window, job.plan.n_rollouts))
        self._called_back: deque[Work] = deque()
        self._check = EndpointCheck(job, index, self._attempts, self._recorder)
        self._patience = job.model.endpoint.outage.limit if job.model is not None else 0.0
        self._bugs = SolverBugs(job.plan, harmless=answered)
        self.failure: ConfigError | None = None
        """Why the benchmark was given up, if the user must fix something."""

    async def run(self, begun: asyncio.Event) -> None:
        """Until nothing is open, the run is stopping, or the benchmark is given up. ``begun`` is
        set once every worker holds a place or waits for one."""
        self._tally.start(self._watchdog.stalled)
        self._recorder.began()
        self._control.begin(self._job.plan.slug, self)
        try:
            async with self._watchdog:
                self._workers.fill()
                begun.set()  # those who wait for it go on after the workers' first steps
                while self._workers.at_work:
                    await self._workers.finish()
                    self._leave_refused()
                    await self._verification.finish()
        finally:
            self._control.end(self._job.plan.slug)
            await self._verification.cancel()
            for backlog in (self._backlog, self._again):
                if backlog is not None:
                    backlog.close()

    def resize(self, most: int) -> None:
        """See ``Steered``."""
        job = self._job
        self._workers.size = min(job.window_of(most), job.plan.n_rollouts)
        self._places.widen(self._workers.size)
        self._verification.widen(2 * most)
        job.share_of_models(most)
        self._wake()

    def call_back(self) -> None:
        """See ``Steered``."""
        self._watchdog.abandon_waiting()

    async def requeue(self) -> int:
        """See ``Steered``."""
        if self._job.watch is not None:
            raise ConfigError("its gate counts every rollout once", where=self._job.plan.slug)
        keys = self._recorder.take_failed()
        if keys:
            path, plan = self._job.folder / JOURNAL, self._job.plan
            index = await asyncio.to_thread(scan, path, plan)
            if self._again is not None:
                keys += await self._again.drained()
                self._again.close()
            order = list(dict.fromkeys(key.problem_idx for key in keys))
            self._again = self._open(order, index, frozenset(keys))
            self._wake()
        return len(keys)

    def give_up(self, older_than: float) -> None:
        """See ``Steered``."""
        self._watchdog.give_up(older_than)

    @property
    def given_up(self) -> Sequence[str]:
        """See ``Steered``."""
        return self._watchdog.given_up

    def _open(
        self, order: Sequence[int], index: JournalIndex, only: Collection[RolloutKey] | None = None
    ) -> Backlog:
        job = self._job
        return Backlog(
            job.environment,
            order,
            job.plan.repeats,
            index,
            job.folder / JOURNAL,
            self._recorder.seeded,
            nothing_kept if job.workspaces is None else job.workspaces.kept,
            only=only,
        )

    def _wake(self) -> None:
        """Let those who wait see what has changed, and have as many workers as are wanted."""
        self._moved.set()
        if not self._is_over:
            self._workers.fill()

    @property
    def _is_over(self) -> bool:
        return (
            self._control.stopping
            or self.failure is not None
            or self._health.down is not None
            or self._job.decided
        )

    async def _worker(self) -> None:
        seat = Seat(self._places, self._rank)
        try:
            while (work := await self._next(seat)) is not None:
                solution = work.solution
                if solution is None:
                    solution = await self._ask_and_wake(work)
                if solution is not None:
                    if self._verification.full:
                        seat.leave()
                    await self._verification.start(work, solution)
        finally:
            seat.leave()

    async def _ask_and_wake(self, work: Work) -> Solution | None:
        """The answer to a rollout from the backlog; those who wait learn what came of it."""
        self._asking += 1
        try:
            return await self._ask(work)
        finally:
            self._asking -= 1
            refusals = self._refusals
            if not self._asking or refusals.held or refusals.ready or self._called_back:
                self._moved.set()

    async def _next(self, seat: Seat) -> Work | None:
        """The next rollout to be asked or verified; None at the end. What was refused is asked
        again before anything new, and nothing is asked while the endpoint refuses everything.
        Whoever has nothing to ask leaves its place to other benchmarks."""
        refusals = self._refusals
        while not (self._is_over or self._workers.too_many):
            if self._control.paused:
                seat.leave()
                await self._control.until_going()
            elif refusals.many or refusals.in_burst:
                seat.leave()
                await self._sit_out()
            elif refusals.ready or self._called_back or self._again or not self._drained:
                if await seat.taken() and (work := await self._waiting_work()) is not None:
                    return work
            elif self._asking:
                seat.leave()
                self._moved.clear()
                await self._moved.wait()
            elif refusals.held:
                seat.leave()
                await self._settle_tail()
            else:
                break
        self._moved.set()
        if self._job.decided:
            self._watchdog.abandon_waiting()
        return None

    async def _waiting_work(self) -> Work | None:
        if self._refusals.ready:
            return self._let_go(self._refusals.ready.popleft())
        if self._called_back:
            return self._called_back.popleft()
        return await self._from_backlog()

    async def _from_backlog(self) -> Work | None:
        try:
            if (again := self._again) is not None:
                if (work := await again.next()) is None and self._again is again:
                    self._again = None
                    again.close()
                return work
            work = await self._backlog.next()
        except Exception as error:
            self._give_up(seed_error(error, self._job.plan.name))
            return None
        self._drained = work is None
        return work

    def _let_go(self, refused: Refused) -> Work:
        """A refused rollout: to be verified as it is, or to be asked again."""
        if not is_the_models(refused):
            return self._ask_again(refused)
        self._recorder.solved(refused.work, refused.solution)
        refused.work.solution = refused.solution
        return refused.work

    async def _ask(self, work: Work) -> Solution | None:
        """The answer, journaled; None if there is none to verify. Each attempt is admitted by
        itself, so that those which fail cannot spend more than the budget."""
        last = work.attempt + self._job.max_system_retries - 1
        while await self._admitted():
            began = time.monotonic()
            try:
                solution = await self._attempts.solve(work)
            except asyncio.CancelledError:
                self._stopped_midway(work)
                raise
            except NeverAskedError as error:
                self._stopped_midway(work)
                if isinstance(error, CalledBackError) and not self._is_over:
                    self._called_back.append(work)
                return None
            except Exception as error:
                if not self._retries(work, error, last=work.attempt >= last):
                    return None
            else:
                return solution if self._admit(work, solution, began) else None
            finally:
                self._budget.release()
            work.attempt += 1
            await self._control.sleep(min(MAX_BACKOFF_SECONDS, 2.0 ** (work.attempt - 2)))
        return None

    async def _admitted(self) -> bool:
        await self._control.until_going()
        return await self._budget.admit()

    def _retries(self, work: Work, error: Exception, *, last: bool) -> bool:
        """Journal a failed attempt; whether another one makes sense."""
        transient = isinstance(error, InfraError) and not isinstance(error, PermanentError)
        final = not transient or last or self._is_over
        self._recorder.errored(work, info_of(error, Phase.SOLVE), final=final)
        if isinstance(error, EndpointDown):
            self._health.note_down(error)
        elif isinstance(error, PermanentError) and error.info.kind in WHOLE_SERVICE:
            self._health.note_permanent(error)
        if self._health.down is not None:
            self._watchdog.abandon_waiting()
        if (wrong := self._bugs.note(error)) is not None:
            self._give_up(wrong)
        return not final

    def _stopped_midway(self, work: Work) -> None:
        """An attempt that is given up leaves a trace only where something was paid for."""
        if work.spent.calls:
            self._recorder.errored(work, interrupted(), final=True)

    def _admit(self, work: Work, solution: Solution, began: float) -> bool:
        """Journal an answer; hold a refusal back until it is known whose failure it is."""
        self._bugs.harmless = True
        error = solution.error
        if error is not None and (self._refusals.answered or error.kind not in SPECIFIC):
            self._refusals.hold(work, solution)
            return False
        if error is None:
            self._refusals.answer(began)
            self._check.problem = work.problem
        self._health.note_answer()
        self._recorder.solved(work, solution)
        return True

    async def _sit_out(self) -> None:
        """One worker finds out whether the endpoint answers again; the others wait for it."""
        refusals = self._refusals
        async with self._sitting_out:
            if refusals.answered:
                while (refusals.many or refusals.in_burst) and refusals.held and not self._is_over:
                    await self._try_again()
                refusals.end_burst()
                self._tally.status = ""
            elif self._asking:
                # What has not been sent yet would be refused too; it is asked if any is answered.
                self._watchdog.abandon_waiting()
                self._moved.clear()
                await self._moved.wait()
            elif refusals.many:
                self._give_up(refusals.of_every_request(self._job.plan.service))

    async def _try_again(self) -> None:
        """Ask one of those that are held, and where it is refused, what was answered before."""
        refusals = self._refusals
        refusals.begin_burst()
        self._tally.status = refusals.text()
        await self._control.sleep(refusals.delay())
        if not refusals.held or self._is_over:
            return
        if refusals.rounds and refusals.lasts() > self._patience:
            message = f"{refusals.text()}; gave up (proxy.max_outage)"
            self._health.note_down(PermanentError(message, kind=Failure.BAD_REQUEST))
            return
        work = refusals.held[0].work
        if await self._answered_now() or not refusals.held:
            return
        if await self._check.answers(work):
            if not await self._answered_now() and refusals.held:
                refusals.calm()
            return
        refusals.rounds += 1
        if refusals.rounds == 1:
            log.warning("%s: %s", self._job.plan.name, refusals.text())

    async def _answered_now(self) -> bool:
        """Ask the one that has waited longest; whether it is answered."""
        work = self._ask_again(self._refusals.oldest())
        solution = await self._ask(work)
        if solution is not None:
            await self._verification.start(work, solution)
        return solution is not None

    def _ask_again(self, refused: Refused) -> Work:
        """The rollout as its next attempt."""
        if refused.solution.error is not None:
            self._recorder.errored(refused.work, refused.solution.error, final=False)
        refused.work.attempt += 1
        return refused.work

    async def _settle_tail(self) -> None:
        """Nothing but refused requests is left."""
        async with self._sitting_out:
            refusals = self._refusals
            if not refusals.held or refusals.ready or self._asking or self._is_over:
                return
            if not refusals.answered:
                self._give_up(refusals.of_every_request(self._job.plan.service))
                return
            if not all(map(is_specific, refusals.held)):
                await self._control.sleep(refusals.tail_pause())
            refusals.ask_tail()
            self._moved.set()

    def _leave_refused(self) -> None:
        """What is still held when the run ends stays open."""
        for refused in (*self._refusals.held, *self._refusals.ready):
            if refused.solution.error is not None:
                self._recorder.errored(refused.work, refused.solution.error, final=True)
        self._refusals.held.clear()
        self._refusals.ready.clear()

    def _give_up(self, error: ConfigError) -> None:
        self.failure = self.failure or error
        self._watchdog.abandon_waiting()
        self._places.withdraw(self._rank)
        self._moved.set()
