"""The one way to run a scorer, for every caller: a benchmark, an extra metric, a rescoring.

Invariant: a scorer sees the same response, target, metadata, config, sandbox and judge wherever it
is called from, and whatever it raises is one kind of error, attributed to it; never a reward.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..errors import BudgetExceeded, InfraError
from ..scoring.input import ScorerInput, target_text
from ..scoring.reasoning import Visible, visible
from ..types import Failure, Phase, Problem, Score, Solution
from .contract import Grading, VerifyTools
from .grades import in_view_of, scorer_failed, to_score
from .judged import settled, wants_judge
from .lending import lent, let_go
from .pace import Pace
from .user_code import contained

LONG = 50_000
"""Characters of a response that is never read on the event loop, however quick its scorer is."""


class Grader:
    """One scorer of one benchmark. Use ``grade`` for as many answers as there are."""

    def __init__(
        self, scorer: Callable[[ScorerInput], Any], setting: Grading, *, inline: bool = False
    ) -> None:
        """``inline``: the scorer is known to be quick."""
        self.name: str = getattr(scorer, "__name__", "scorer")
        self._scorer, self._setting = scorer, setting
        self._is_async = inspect.iscoroutinefunction(scorer)
        self._pace = Pace(quick=inline)

    @property
    def quick(self) -> bool:
        """Whether grading is now so quick that it needs no task of its own."""
        return not self._is_async and self._pace.quick

    async def grade(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The scorer's verdict. A scorer that fails is an InfraError, never a reward."""
        if len(solution.response) > LONG:
            shown = await asyncio.to_thread(visible, solution.response)
        else:
            shown = visible(solution.response)
        if len(solution.answers) < len(problem.requests) and solution.error is None:
            raise InfraError(
                f"the solver answered {len(solution.answers)} of the {len(problem.requests)} "
                f"requests of problem {problem.idx}; the simple solver answers them",
                kind=Failure.VERIFIER,
                phase=Phase.VERIFY,
            )
        with attributed(self.name, problem.idx):
            sample = self._sample(problem, solution, shown, tools)
            where = self._setting.benchmark
            async with lent(problem, solution, tools, self._setting.sandbox, where) as sandbox:
                verdict = await self._run(
                    sample if sandbox is None else replace(sample, sandbox=sandbox)
                )
            if wants_judge(verdict):
                await let_go(solution, tools)
            score = to_score(await settled(verdict, problem, shown.text, tools))
        if self._setting.keep_reasoning:
            shown = shown._replace(reasoning="")  # spans are offsets in the raw response already
        return in_view_of(shown, solution, score)

    def _sample(
        self, problem: Problem, solution: Solution, shown: Visible, tools: VerifyTools
    ) -> ScorerInput:
        """What the scorer is given."""
        setting = self._setting
        return ScorerInput(
            response=solution.response if setting.keep_reasoning else shown.text,
            target=target_text(problem.target),
            metadata=setting.metadata(problem),
            config=setting.extra,
            judge=tools.judge,
            target_raw=problem.target,
            answers=solution.answers,
        )

    async def _run(self, sample: ScorerInput) -> Any:
        if self._is_async:
            return await self._scorer(sample)
        run = asyncio.to_thread if len(sample.response) > LONG else self._pace.run
        verdict = await run(self._scorer, sample)
        return await verdict if inspect.isawaitable(verdict) else verdict


@contextmanager
def attributed(name: str, idx: int) -> Iterator[None]:
    """Around user code that verifies: what it raises becomes an error with its name and line.

    An error of infrastructure (a sandbox, a judge) and a limit that was reached stay what they are.
    """
    try:
        with contained("the scorer"):
            yield
    except (InfraError, BudgetExceeded):
        raise
    except Exception as error:
        raise scorer_failed(name, idx, error) from error
