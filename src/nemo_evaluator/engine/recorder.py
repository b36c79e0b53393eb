"""Writes what becomes of the rollouts of one benchmark, and updates tally and budget.

Invariants: an answer is journaled before it is verified; every attempt is accounted, whatever
became of it; progress counts a rollout only when its event is on disk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from ..results.journal import Began, Errored, ProblemSeeded, Scored, Solved
from ..results.journal_writer import JournalWriter
from ..types import (
    BenchmarkPlan,
    ErrorInfo,
    Failure,
    Outcome,
    Phase,
    RolloutKey,
    Score,
    Solution,
)
from .accounts import NOTHING, Spent
from .backlog import Work
from .budget import RunBudget
from .early_end import Watch
from .progress import Tally

WITHOUT_SCORE = {Failure.BUDGET: Outcome.BUDGET_STOP, Failure.NO_VERDICT: Outcome.UNSCORED}
"""How a rollout ends that has no score, where that is not a failure of infrastructure."""

log = logging.getLogger(__name__)


class RolloutRecorder:
    """The journal of one benchmark, with the run's budget and the benchmark's tally beside it.

    It knows no loop: whatever runs rollouts (``Rollouts``, or a harness) reports to it.
    """

    def __init__(
        self,
        plan: BenchmarkPlan,
        open_rollouts: int,
        *,
        journal: JournalWriter,
        budget: RunBudget,
        tally: Tally,
        watch: Watch | None = None,
    ) -> None:
        self._journal, self._budget, self._tally = journal, budget, tally
        self._watch = watch
        self._name = plan.slug
        self._failed: dict[RolloutKey, Failure] = {}
        """The rollouts that ended without a verdict, once that is on disk."""
        self._pilot = budget.pilot(plan.name, open_rollouts)

    def began(self) -> None:
        """This invocation starts."""
        self._journal.append(Began(at=time.time()))
        if self._watch is not None:
            self._watch.begin(self._journal.append)

    def seeded(self, event: ProblemSeeded) -> None:
        """A problem's texts, once."""
        self._journal.append(event)

    def begin(self, work: Work) -> None:
        """An attempt starts."""
        if self._pilot is not None:
            self._pilot.begin(work.key)

    def allowed(self, work: Work, used: Callable[[], Spent]) -> Callable[[], None] | None:
        """What asks before each call whether the run's budget allows it; None: nothing limits it.
        ``used``: what the attempt has used so far."""
        if not self._budget.bounds_calls:
            return None
        return lambda: self._budget.go_on((self._name, work.key), used())

    def attempted(self, work: Work, spent: Spent) -> None:
        """An attempt is over, and used this."""
        self._budget.over((self._name, work.key))
        if spent is NOTHING:
            return
        self._budget.attempted(spent)
        if self._pilot is not None:
            self._pilot.attempted(work.key, spent)

    def solved(self, work: Work, solution: Solution) -> None:
        """An answer, about to be verified."""
        self._end(work)
        self._journal.append(
            Solved(
                problem_idx=work.key.problem_idx,
                repeat=work.key.repeat,
                attempt=work.attempt,
                at=time.time(),
                solution=solution,
            )
        )

    def scored(self, work: Work, solution: Solution, score: Score, verify_ms: float) -> None:
        """A verdict."""
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
            then=partial(
                self._tally.scored, score, solution, work.key.problem_idx, work.problem.cluster
            ),
        )
        if self._watch is not None:
            self._watch.scored(work.key, score, solution)

    def errored(self, work: Work, error: ErrorInfo, *, final: bool) -> None:
        """An attempt without a verdict; ``final``: the rollout stays open for a later run."""
        if final:
            self._end(work)
        solving = error.phase is Phase.SOLVE
        spent, work.spent = work.spent if solving else NOTHING, NOTHING
        steps, work.steps = work.steps if solving else (), ()
        outcome = WITHOUT_SCORE.get(error.kind, Outcome.INFRA_ERROR)
        log.info(
            "%s %s: attempt %d failed in %s: %s",
            self._name,
            work.key,
            work.attempt,
            error.phase,
            error.message,
        )
        self._journal.append(
            Errored(
                problem_idx=work.key.problem_idx,
                repeat=work.key.repeat,
                attempt=work.attempt,
                at=time.time(),
                outcome=outcome,
                error=error,
                usage=spent.usage,
                cost_usd=spent.usd,
                calls=spent.calls,
                tries=spent.tries,
                steps=steps,
            ),
            then=partial(self._ended_without, work.key, error.kind) if final else None,
        )
        if final and self._watch is not None:
            self._watch.failed(work.key)

    def take_failed(self) -> list[RolloutKey]:
        """The rollouts that ended without a verdict, to be tried again."""
        taken, self._failed = self._failed, {}
        for kind in taken.values():
            self._tally.again(kind)
        return [*taken]

    def _ended_without(self, key: RolloutKey, kind: Failure) -> None:
        self._failed[key] = kind
        self._tally.errored(kind)

    def _end(self, work: Work) -> None:
        if self._pilot is not None:
            self._pilot.end(work.key)
