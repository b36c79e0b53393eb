"""Verifies answers beside the solving, without holding a solving slot; each within its time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from ..environments.contract import VerifyTools
from ..errors import ConfigError, InfraError, NelError
from ..sandboxes.contract import SandboxLost
from ..types import Failure, Phase, Score, Solution
from .backlog import Work
from .failures import PATIENCE, described, info_of
from .job import Job
from .recorder import RolloutRecorder
from .sandboxing import Beyond
from .watchdog import Activity, Watchdog

SANDBOX_TRIES = 3
"""A sandbox that is lost says nothing about the answer: another one is taken."""


class Verification:
    """The verification of one job's answers. ``give_up`` is called if none can be verified."""

    def __init__(
        self,
        job: Job,
        recorder: RolloutRecorder,
        watchdog: Watchdog,
        give_up: Callable[[ConfigError], None],
    ) -> None:
        self._job, self._recorder, self._watchdog = job, recorder, watchdog
        self._give_up = give_up
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = 2 * job.max_concurrent
        self._slots = asyncio.Semaphore(self._places)
        self._verified = self._failures = 0

    def widen(self, places: int) -> None:
        """Verify at least this many answers at the same time."""
        for _ in range(places - self._places):
            self._slots.release()
        self._places = max(places, self._places)

    @property
    def full(self) -> bool:
        """Whether ``start`` would wait."""
        return self._slots.locked()

    async def start(self, work: Work, solution: Solution) -> None:
        """Verify in a task of its own, or at once where that is quicker. Waits for a free slot."""
        if self._job.environment.needs.inline:
            await self._verify(work, solution)
            return
        try:
            await self._slots.acquire()
        except BaseException:
            await work.release()
            raise
        task = asyncio.create_task(self._verify(work, solution))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def finish(self) -> None:
        """Wait for all that were started."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Stop those that are not over."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def _verify(self, work: Work, solution: Solution) -> None:
        try:
            await self._verified_in(work, solution)
        finally:
            await work.release()

    async def _verified_in(self, work: Work, solution: Solution) -> None:
        started = time.perf_counter()

        async def verify(_activity: Activity) -> Score:
            tools = await self._tools(work, solution)
            for _ in range(SANDBOX_TRIES - 1):
                with contextlib.suppress(SandboxLost):
                    return await self._job.environment.verify(work.problem, solution, tools)
            return await self._job.environment.verify(work.problem, solution, tools)

        try:
            score = await self._watchdog.watched(
                work.key, Phase.VERIFY, self._seconds(work), verify, started=True
            )
            await self._keep(work, f"reward {score.reward:g}", failed=score.reward <= 0)
            verify_ms = (time.perf_counter() - started) * 1000
            self._scored(work, solution, score, verify_ms)
        except Exception as error:
            await self._keep(work, described(error), failed=True)
            self._recorder.errored(work, info_of(error, Phase.VERIFY), final=True)
            if not self._job.environment.needs.agent:  # else every problem has its own verifier
                self._note_failure(error)
        else:
            self._verified += 1
            if solution.workspace and self._job.workspaces is not None:
                await asyncio.to_thread(self._job.workspaces.drop, work.key, work.attempt)

    def _scored(self, work: Work, solution: Solution, score: Score, verify_ms: float) -> None:
        """Journal a verdict. Raises InfraError for one that user code has made unwritable: that
        contains itself, or an object without a text."""
        try:
            self._recorder.scored(work, solution, score, verify_ms)
        except Exception as error:
            raise InfraError(
                f"what the scorer returned cannot be written as JSON: {described(error)}",
                kind=Failure.VERIFIER,
                phase=Phase.VERIFY,
            ) from error

    def _seconds(self, work: Work) -> float:
        """How long the verification of an answer may take."""
        own = work.problem.verify_timeout if self._job.longer_verification else None
        return max(self._job.verify_timeout, own or 0.0)

    async def _tools(self, work: Work, solution: Solution) -> VerifyTools:
        """What a verifier gets; the workspace among it, where the answer is in one."""
        lender, workspaces = self._job.sandboxes, self._job.workspaces
        tools = VerifyTools(repeat=work.key.repeat, sandboxes=lender)
        if not solution.workspace or workspaces is None or lender is None:
            return tools
        if work.handover is None:  # an earlier invocation was interrupted before it was verified
            recover = workspaces.recovered
            work.handover = await asyncio.to_thread(recover, work.key, work.attempt)
        if work.handover is None:
            return tools
        # What may have to be kept is not let go before its verdict.
        release = _stay if workspaces.keeper.wants() else work.release
        handed = workspaces.handed(work.handover, work.problem, release)
        return replace(tools, workspace=handed, sandboxes=Beyond(lender))

    async def _keep(self, work: Work, why: str, *, failed: bool) -> None:
        if (workspaces := self._job.workspaces) is not None:
            left = work.handover
            await workspaces.keeper.keep(work.key, work.attempt, why, left, failed=failed)

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._verified == 0 and self._failures >= PATIENCE:
            what = str(error) if isinstance(error, NelError) else described(error)
            self._give_up(
                ConfigError(
                    f"no answer could be verified: {what}",
                    where=self._job.plan.name,
                    hint="the answers are journaled: fix the scorer and add --resume",
                )
            )


async def _stay() -> None:
    """Let nothing go."""
