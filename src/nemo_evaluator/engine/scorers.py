"""Extra scorers (`scoring.metrics`, type `scorer`) beside a benchmark's own verdict.

They add to the score's details under ``scorer:<name>`` and never change the reward.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ..config.scoring import ScorerMetric, ScoringConfig
from ..environments.contract import Environment, VerifyTools
from ..errors import ConfigError
from ..scoring.input import ScorerInput
from ..types import Json, Problem, Score, Solution

Scorer = Callable[[ScorerInput], Mapping[str, Json]]


def with_scorers(environment: Environment, scoring: ScoringConfig) -> Environment:
    """The environment, scoring with the configured extra scorers too. Raises ConfigError."""
    names = [metric.name for metric in scoring.metrics if isinstance(metric, ScorerMetric)]
    if not names:
        return environment
    from ..scoring.primitives import PRIMITIVES

    for name in names:
        if name not in PRIMITIVES:
            known = ", ".join(sorted(PRIMITIVES))
            raise ConfigError(f"unknown scorer {name!r}", where="scoring.metrics", hint=known)
    return _WithScorers(environment, {name: PRIMITIVES[name] for name in names})


class _WithScorers:
    def __init__(self, environment: Environment, scorers: Mapping[str, Scorer]) -> None:
        self._inner, self._scorers = environment, scorers
        self.name = environment.name
        self.sandbox = getattr(environment, "sandbox", None)

    async def prepare(self) -> None:
        await self._inner.prepare()

    async def size(self) -> int:
        return await self._inner.size()

    async def seed(self, idx: int) -> Problem:
        return await self._inner.seed(idx)

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        score = await self._inner.verify(problem, solution, tools)
        sample = ScorerInput(
            response=solution.response, target=problem.target, metadata=problem.metadata, config={}
        )
        extra = {}
        for name, scorer in self._scorers.items():
            # Off the loop: mathematics may take seconds.
            verdict = dict(await asyncio.to_thread(scorer, sample))
            verdict["reward"] = float(bool(verdict.get("correct")))
            extra[f"scorer:{name}"] = verdict
        return Score(
            reward=score.reward,
            correct=score.correct,
            extracted=score.extracted,
            details={**score.details, **extra},
            failure=score.failure,
            metadata=score.metadata,
        )

    def identity(self) -> Mapping[str, Json]:
        return self._inner.identity()

    async def close(self) -> None:
        await self._inner.close()
