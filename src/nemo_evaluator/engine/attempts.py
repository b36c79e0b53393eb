"""One attempt at a rollout: the solver is asked, within its time and in a session of its own.

Invariants: what the calls of the session used is counted, whatever becomes of the attempt; its
workspace is closed unless the answer is to be verified there.
"""

from __future__ import annotations

import msgspec

from ..errors import ModelError, RunBudgetExceeded
from ..results.effort import is_agents
from ..solvers.contract import Archive, SolveTools, Steps
from ..solvers.steps import no_price
from ..traffic.types import CallContext
from ..types import Phase, Solution
from .accounts import NOTHING, Spent, accounted, of_session, of_solution
from .backlog import Work
from .control import Control
from .failures import NeverAskedError, described
from .job import Job
from .recorder import RolloutRecorder
from .stages import solved_in_stages
from .watchdog import Activity, Watchdog


class Attempts:
    """The attempts of one job."""

    def __init__(
        self, job: Job, recorder: RolloutRecorder, watchdog: Watchdog, control: Control
    ) -> None:
        self._job, self._recorder = job, recorder
        self._watchdog, self._control = watchdog, control
        # One model may have several roles; its sessions end once.
        self._models = tuple({id(model): model for model in job.models.values()}.values())

    async def solve(self, work: Work, *, verified: bool = True) -> Solution:
        """The answer; a refusal of the model is one too, with ``error`` set.

        What was used stands in ``work.spent``; in ``work.lease`` the workspace that it is to be
        ``verified`` in, if there is one. Raises InfraError, NeverAskedError where nothing was
        sent, and whatever else a solver raises.
        """
        try:
            solution = await self._solve_accounted(work)
            if verified and work.lease is not None:
                solution = await self._hand_over(work, solution)
            if not solution.workspace:
                if solution.error is not None:
                    await self._keep_failed(work, solution.error.message)
                await work.release()
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, NeverAskedError):
                await self._keep_failed(work, described(error))
            await work.release()
            raise
        return solution

    async def _keep_failed(self, work: Work, why: str) -> None:
        workspaces = self._job.workspaces
        if workspaces is not None and work.lease is not None:
            left = work.handover or work.lease.sandbox
            await workspaces.keeper.keep(work.key, work.attempt, why, left, failed=True)

    async def _solve_accounted(self, work: Work) -> Solution:
        """The answer, with its accounts."""
        job = self._job
        self._recorder.begin(work)
        session = CallContext(session=self._session(work), attempt=work.attempt)
        solution: Solution | None = None
        try:
            solution = await self._watchdog.watched(
                work.key,
                Phase.SOLVE,
                job.timeout,
                lambda activity: self._ask_solver(work, activity),
                started=not job.models and job.workspaces is None,
            )
        except ModelError as error:
            solution = Solution(response="", error=error.info, steps=work.steps)
        except RunBudgetExceeded as error:
            self._control.stop(str(error))
            self._watchdog.abandon_waiting()
            raise NeverAskedError from None
        finally:
            work.spent = self._end_session(session)
            if solution is not None:
                solution = accounted(_timed(solution, work.wall_ms), work.spent)
                if job.workspaces is not None or is_agents(solution):
                    solution = msgspec.structs.replace(solution, wall_ms=work.wall_ms)
                work.spent = of_solution(solution)
            self._recorder.attempted(work, work.spent)
        return solution

    async def _ask_solver(self, work: Work, activity: Activity) -> Solution:
        job, key = self._job, work.key
        if job.workspaces is not None:
            work.lease = await job.workspaces.open(work.problem, key)
        activity.start()
        session = CallContext(session=self._session(work), attempt=work.attempt)
        context = CallContext(
            session=self._session(work),
            benchmark=job.plan.slug,
            problem_idx=key.problem_idx,
            repeat=key.repeat,
            attempt=work.attempt,
            deadline=activity.deadline(),
            until=activity.deadline,
            target=work.problem.target,
            on_wait=activity.on_wait,
            on_hold=activity.on_hold,
            may_go_on=self._recorder.allowed(work, lambda: self._used(session)),
        )
        activity.so_far = lambda: self._used(context).text
        # Of several models it is not known which one a step asked.
        price = job.model.cost if job.model is not None and len(self._models) == 1 else no_price
        steps = Steps(price)
        tools = SolveTools(
            job.model, context, job.models, work.lease, steps=steps, servers=job.servers
        )
        try:
            solution = await solved_in_stages(job.solver, job.environment, work.problem, tools)
            return _with_steps(solution, tools.steps)
        finally:
            work.steps = tools.steps.taken()
            work.wall_ms = round(activity.elapsed * 1000, 3)

    def _used(self, session: CallContext) -> Spent:
        """What a session has used of all models that it can ask."""
        spent = NOTHING
        for model in self._models:
            used = of_session(model.ledger.session(session))
            if used is not NOTHING:
                spent = used if spent is NOTHING else spent.plus(used)
        return spent

    def _end_session(self, session: CallContext) -> Spent:
        spent = self._used(session)
        for model in self._models:
            model.end_session(session)
        return spent

    async def _hand_over(self, work: Work, solution: Solution) -> Solution:
        """The answer, once its workspace is ready to be verified. Raises SandboxLost."""
        job, problem = self._job, work.problem
        if problem.workspace is None or solution.error is not None:
            return solution
        assert work.lease is not None and job.workspaces is not None
        work.handover = await work.lease.finish()
        if isinstance(work.handover, Archive):
            await job.workspaces.keep(work.key, work.attempt, work.handover)
        return msgspec.structs.replace(solution, workspace=True)

    def _session(self, work: Work) -> str:
        return f"{self._job.plan.slug}/{work.key.problem_idx}/{work.key.repeat}"


def _timed(solution: Solution, took: float | None) -> Solution:
    """The solution with the time it took, where its solver tells none."""
    if solution.latency_ms or solution.error is not None or solution.cached:
        return solution
    return msgspec.structs.replace(solution, latency_ms=took or 0.0)


def _with_steps(solution: Solution, steps: Steps) -> Solution:
    """The solution with what was recorded, where the solver returned no steps of its own."""
    if solution.trajectory or not len(steps):
        return solution
    trajectory = tuple(msgspec.to_builtins(step) for step in steps.taken())
    return msgspec.structs.replace(solution, trajectory=trajectory)
