"""One attempt at a rollout: the solver is asked, within its time and in a session of its own.

Invariant: what the calls of the session used is counted, whatever becomes of the attempt.
"""

from __future__ import annotations

import msgspec

from ..environments.user_code import contained
from ..errors import ModelError, RunBudgetExceeded
from ..solvers.contract import SolveTools
from ..traffic.types import CallContext
from ..types import Phase, Solution
from .accounts import accounted, of_session, of_solution
from .backlog import Work
from .control import Control
from .failures import NeverAskedError
from .job import Job
from .recorder import RolloutRecorder
from .watchdog import Activity, Watchdog


class Attempts:
    """The attempts of one job."""

    def __init__(
        self, job: Job, recorder: RolloutRecorder, watchdog: Watchdog, control: Control
    ) -> None:
        self._job, self._recorder = job, recorder
        self._watchdog, self._control = watchdog, control

    async def solve(self, work: Work) -> Solution:
        """The answer; a refusal of the model is one too, with ``error`` set.

        What was used stands in ``work.spent``. Raises InfraError, NeverAskedError where nothing was
        sent, and whatever else a solver raises.
        """
        job = self._job
        self._recorder.begin(work)
        session = CallContext(session=self._session(work), attempt=work.attempt)
        solution: Solution | None = None
        try:
            solution = await self._watchdog.watched(
                work.key,
                Phase.SOLVE,
                job.timeout,
                lambda activity: self._asked(work, activity),
                started=job.model is None,
            )
        except ModelError as error:
            solution = Solution(response="", error=error.info)
        except RunBudgetExceeded as error:
            self._control.stop(str(error))
            self._watchdog.abandon_waiting()
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

    async def _asked(self, work: Work, activity: Activity) -> Solution:
        job, key = self._job, work.key
        context = CallContext(
            session=self._session(work),
            benchmark=job.plan.slug,
            problem_idx=key.problem_idx,
            repeat=key.repeat,
            attempt=work.attempt,
            target=work.problem.target,
            on_wait=activity.on_wait,
            on_hold=activity.on_hold,
        )
        with contained("the solver"):
            solution = await job.solver.solve(work.problem, SolveTools(job.model, context))
        return checked(solution)

    def _session(self, work: Work) -> str:
        return f"{self._job.plan.slug}/{work.key.problem_idx}/{work.key.repeat}"


def checked(solution: object) -> Solution:
    """What a solver returned, if it can be journaled and read again. Raises TypeError."""
    if not isinstance(solution, Solution):
        raise TypeError(f"a solver returns a Solution, not {solution!r:.80}")
    try:
        msgspec.convert(msgspec.to_builtins(solution, enc_hook=str), Solution)
    except ValueError as error:
        raise TypeError(f"the solver returned a wrong Solution: {error}") from None
    return solution
