"""What a rescoring puts in the place of asking: answers come from an earlier journal, verdicts from
a scorer of the user's choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..environments.contract import Environment, VerifyTools
from ..environments.fingerprint import code_digest, source_of
from ..environments.grading import Grader, Grading
from ..files.writing import replacing
from ..results.journal import Began, Header, ProblemSeeded, Solved, encode, events, scan
from ..scoring.input import ScorerInput
from ..scoring.packages import deciding
from ..solvers.contract import SolveTools
from ..types import Json, Problem, Score, Solution
from .failures import NeverAskedError
from .scorers import WithMetrics, with_account


class Unasked:
    """A solver that calls no model: rollouts without an answer stay open."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """Raises always: a rescoring has no rollout to solve."""
        raise NeverAskedError

    def identity(self) -> Mapping[str, Json]:
        """A rescoring adds nothing to the identity."""
        return {}

    async def close(self) -> None:
        """Nothing to release."""


class OtherScorer:
    """An environment whose answers are verified by another scorer, which is given all that the
    benchmark's own is given."""

    def __init__(self, environment: Environment, scorer: Callable[[ScorerInput], Any]) -> None:
        self._inner, self._scorer = environment, scorer
        setting = getattr(environment, "grading", None) or Grading(environment.name)
        self._grader = Grader(scorer, setting)
        self.name = environment.name
        self.sandbox = setting.sandbox

    async def prepare(self) -> None:
        """Prepared already."""

    async def size(self) -> int:
        """Problems of the benchmark."""
        return await self._inner.size()

    async def seed(self, idx: int) -> Problem:
        """A problem of the benchmark."""
        return await self._inner.seed(idx)

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The other scorer's verdict, for which it may ask the benchmark's judge.

        A scorer that fails is an InfraError, never a reward.
        """
        if not isinstance(self._inner, WithMetrics):
            return await self._grader.grade(problem, solution, tools)
        with self._inner.sitting(problem, tools) as (lent, sitting):
            return with_account(await self._grader.grade(problem, solution, lent), sitting)

    def identity(self) -> Mapping[str, Json]:
        """The identity of the benchmark, with the other scorer."""
        scorer = code_digest(self._grader.name, source_of(self._scorer))
        identity = {**self._inner.identity(), "scorer": scorer}
        identity.pop("packages", None)
        packages = deciding([self._scorer])
        return {**identity, "packages": packages} if packages else identity

    async def close(self) -> None:
        """The benchmark's own closing closes it."""


def copy_answers(old: Path, new: Path, header: Header) -> int:
    """A journal with the problems and the last answers of another, without its verdicts; how many
    answers it holds."""
    index = scan(old)
    last = {key: state.attempts for key, state in index.rollouts.items() if state.solved_at >= 0}
    count = 0
    with replacing(new, durable=True) as file:
        file.write(encode(header))
        for event in events(old):
            if isinstance(event, Solved):
                if last.get((event.problem_idx, event.repeat)) != event.attempt:  # type: ignore[call-overload]
                    continue
                count += 1
            elif not isinstance(event, ProblemSeeded | Began):
                continue
            file.write(encode(event))
    return count
