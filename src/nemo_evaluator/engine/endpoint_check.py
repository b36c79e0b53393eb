"""Whether an endpoint that refuses one request answers another: one that it has answered before.

Such a request costs what every request costs: it is journaled as an attempt of the rollout for
whose sake it is sent. Its answer is never scored.
"""

from __future__ import annotations

from ..errors import NelError
from ..results.journal import JournalIndex
from ..types import ErrorInfo, Failure, Problem, RolloutKey
from .attempts import Attempts
from .backlog import Work
from .failures import NeverAskedError
from .job import Job
from .recorder import RolloutRecorder

CONTROL = ErrorInfo(
    kind=Failure.BAD_REQUEST, message="another request was sent again and got an answer"
)
CONTROL_ATTEMPT = 1000
"""Attempts from here on ask an answered problem again, to see whether the endpoint is well."""


class EndpointCheck:
    """Asks an answered problem of one benchmark again."""

    def __init__(
        self, job: Job, index: JournalIndex, attempts: Attempts, recorder: RolloutRecorder
    ) -> None:
        self._job, self._index = job, index
        self._attempts, self._recorder = attempts, recorder
        self.problem: Problem | None = None
        """The problem that was answered last in this invocation."""

    async def answers(self, beside: Work) -> bool:
        """Whether an answered problem is answered again; False where there is none yet. The rollout
        for whose sake it is asked is ``beside``."""
        problem = self.problem or await self._of_earlier()
        if problem is None:
            return False
        work = Work(RolloutKey(problem.idx, 0), problem, CONTROL_ATTEMPT + beside.attempt)
        try:
            solution = await self._attempts.solve(work, verified=False)
        except (NelError, NeverAskedError):
            return False
        if work.spent.calls:
            own, beside.spent = beside.spent, work.spent
            self._recorder.errored(beside, CONTROL, final=False)
            beside.spent = own
            beside.attempt += 1
        return solution.error is None and not solution.cached

    async def _of_earlier(self) -> Problem | None:
        """A problem that an earlier invocation was answered."""
        found = (key for key, state in self._index.rollouts.items() if state.scored)
        key = next(found, None)
        return None if key is None else await self._job.environment.seed(key.problem_idx)
