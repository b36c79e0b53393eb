"""One benchmark whose harness has its own loop: what it hands back is journaled as it comes.

The second loop beside ``Rollouts``, over the same recorder. Invariants: a rollout is journaled
before the next one is taken; what the harness does not hand back stays open, and says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence

import msgspec

from ..environments.grades import to_reward
from ..environments.harness import Finished, Harness
from ..environments.user_code import contained
from ..errors import ConfigError, NelError
from ..results.journal import JournalIndex
from ..results.journal_writer import JournalWriter
from ..types import ErrorInfo, Failure, Phase, Problem, RolloutKey, Score
from .accounts import accounted, of_solution
from .backlog import Work, journal_form
from .budget import RunBudget
from .control import Control
from .failures import checked, described
from .harness_tools import BESIDE_SECONDS, Tools
from .job import Job
from .plan import problem_digest
from .progress import Tally
from .recorder import RolloutRecorder

log = logging.getLogger(__name__)

NO_RESULT = ErrorInfo(kind=Failure.INFRA_ERROR, message="the harness gave no result")


class HarnessRun:
    """Runs the harness of one job. Use once."""

    def __init__(
        self,
        job: Job,
        harness: Harness,
        *,
        index: JournalIndex,
        journal: JournalWriter,
        control: Control,
        tally: Tally,
        budget: RunBudget,
    ) -> None:
        self._job, self._harness, self._index = job, harness, index
        self._control, self._budget, self._tally = control, budget, tally
        self._todo = dict.fromkeys(_open(job, index))
        self._recorder = RolloutRecorder(
            job.plan, len(self._todo), journal=journal, budget=budget, tally=tally, watch=job.watch
        )
        self._tools = Tools(job, index, journal, budget)
        self._seeded = set(index.problems)
        self._moved = time.monotonic()
        self._patience: float | None = None
        """When it is given up, since the run was told to finish."""
        self.failure: ConfigError | None = None
        """Why it was given up, if the user must fix something."""

    async def run(self, begun: asyncio.Event) -> None:
        """Until the harness is done, the run is stopping, or nothing moves any more."""
        self._tally.start()
        self._recorder.began()
        begun.set()
        self._control.begin(self._job.plan.slug, self)
        await asyncio.to_thread(self._tools.folder.mkdir, exist_ok=True)
        work = asyncio.create_task(self._work())
        watch = asyncio.create_task(self._watch(work))
        try:
            await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            ended = self.failure is not None or self._patience is not None
            if not ended or (task is not None and task.cancelling()):
                raise
        except Exception as error:
            self.failure = error if isinstance(error, ConfigError) else self._broken(error)
        finally:
            self._control.end(self._job.plan.slug)
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
            self._tools.close()
        if self.failure is None and not self._tools.stopping.is_set():
            for key in list(self._todo):
                await self._ended_without(key, NO_RESULT)

    def resize(self, most: int) -> None:
        """See ``Steered``. The harness keeps its own number of rollouts; fewer of its requests are
        in flight."""
        self._job.share_of_models(most)

    def call_back(self) -> None:
        """See ``Steered``. Its requests wait for their admission."""

    async def requeue(self) -> int:
        """See ``Steered``."""
        raise ConfigError(
            "its harness hands back each rollout once",
            where=self._job.plan.slug,
            hint="nel eval resume tries them again",
        )

    def give_up(self, older_than: float) -> None:
        """See ``Steered``. What a harness has in flight is not known one by one: it has this long
        to hand back what it can."""
        self._patience = time.monotonic() + older_than

    @property
    def given_up(self) -> Sequence[str]:
        """See ``Steered``."""
        return [str(key) for key in self._todo] if self._patience is not None else []

    async def _work(self) -> None:
        with contained("the harness"):
            async for finished in self._stream():
                self._moved = time.monotonic()
                await self._take(finished)

    async def _stream(self) -> AsyncIterator[Finished]:
        stream = self._harness.run(list(self._todo), self._tools)
        try:
            async for finished in stream:
                yield finished
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:
                await close()

    async def _watch(self, work: asyncio.Task[None]) -> None:
        """Tell the harness when the run is to end; give up where nothing moves for too long."""
        limit, seen, beside = self._job.timeout, -1, time.monotonic()
        while True:
            await self._control.sleep(min(0.2, limit / 4))
            if self._is_over:
                self._tools.stopping.set()
                await asyncio.sleep(min(0.2, limit / 4))
            now, answers = time.monotonic(), self._answers()
            if self._patience is not None and now > self._patience:
                work.cancel()
                return
            if answers != seen or self._control.paused:
                seen, self._moved = answers, now
            if now - beside > BESIDE_SECONDS:
                beside = now
                self._tools.count_beside()
            if now - self._moved > limit:
                self.failure = ConfigError(
                    f"the harness did nothing for {limit:g} s",
                    where=self._job.plan.name,
                    hint="set `timeout` of the benchmark higher, or see its log; then --resume",
                )
                work.cancel()
                return

    @property
    def _is_over(self) -> bool:
        watch = self._job.watch
        self._budget.check()
        return self._control.stopping or (watch is not None and watch.done)

    def _answers(self) -> int:
        model = self._job.model
        return self._tools.answered + (model.ledger.total.answers if model is not None else 0)

    async def _take(self, finished: Finished) -> None:
        """Journal one rollout; what was not asked for is told and left out."""
        if not isinstance(finished, Finished):
            raise TypeError(f"a harness hands back Finished, not {finished!r:.80}")
        key = RolloutKey(*finished.key)
        if key not in self._todo:
            log.warning("%s: a result for %s, which is not open", self._job.plan.slug, key)
            return
        try:
            solution, score = checked(finished.solution), _checked_score(finished)
        except (TypeError, ValueError) as error:
            info = ErrorInfo(kind=Failure.VERIFIER, message=str(error), phase=Phase.VERIFY)
            await self._ended_without(key, info, finished.problem)
            return
        if score is None:
            await self._ended_without(key, finished.error or NO_RESULT, finished.problem)
            return
        work = await self._began(key, finished.problem)
        through = self._tools.over(key)
        solution = accounted(solution, through.spent)
        if not solution.latency_ms:
            solution = msgspec.structs.replace(solution, latency_ms=through.latency_ms)
        work.spent = of_solution(solution)
        self._recorder.attempted(work, work.spent)
        self._recorder.solved(work, solution)
        self._recorder.scored(work, solution, score, 0.0)

    async def _ended_without(
        self, key: RolloutKey, error: ErrorInfo, problem: Problem | None = None
    ) -> None:
        work = await self._began(key, problem)
        work.spent = self._tools.over(key).spent
        self._recorder.attempted(work, work.spent)
        solve = msgspec.structs.replace(error, phase=Phase.SOLVE)  # nothing of it is kept
        self._recorder.errored(work, solve, final=True)

    async def _began(self, key: RolloutKey, told: Problem | None) -> Work:
        """The rollout as the recorder takes it; its problem's texts are journaled once."""
        del self._todo[key]
        planned = await self._job.environment.seed(key.problem_idx)
        problem = planned
        if told is not None:
            metadata = {**told.metadata, **planned.metadata}
            problem = msgspec.structs.replace(told, idx=key.problem_idx, metadata=metadata)
        if key.problem_idx not in self._seeded:
            self._seeded.add(key.problem_idx)
            event = journal_form(problem)
            self._recorder.seeded(msgspec.structs.replace(event, digest=problem_digest(planned)))
        state = self._index.rollouts.get(key)
        work = Work(key, problem, (state.attempts if state else 0) + 1)
        self._recorder.begin(work)
        return work

    def _broken(self, error: Exception) -> ConfigError:
        what = str(error) if isinstance(error, NelError) else described(error)
        return ConfigError(
            f"the harness failed: {what}",
            where=self._job.plan.name,
            hint="what it handed back is journaled: fix it and add --resume",
        )


def _open(job: Job, index: JournalIndex) -> Sequence[RolloutKey]:
    """The rollouts without a verdict, in the planned order."""
    keys = [RolloutKey(idx, repeat) for idx in job.order for repeat in range(job.plan.repeats)]
    states = ((key, index.rollouts.get(key)) for key in keys)
    return [key for key, state in states if state is None or not state.scored]


def _checked_score(finished: Finished) -> Score | None:
    score = finished.score
    if score is None:
        return None
    if not isinstance(score, Score):
        raise TypeError(f"the harness gave no score but {score!r:.80}")
    return msgspec.structs.replace(score, reward=to_reward(score.reward))
