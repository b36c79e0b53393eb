"""An environment whose answers are verified by another scorer (``nel eval rescore --scorer``).

Invariant: the other scorer is given all that the benchmark's own is given, its judge included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from ..sandboxes.contract import SandboxSpec
from ..scoring.input import ScorerInput
from ..scoring.packages import deciding
from ..types import Json, Problem, Score, Solution
from .contract import Aggregates, Environment, Needs, VerifyTools
from .decorated import Decorated
from .fingerprint import code_digest, source_of
from .grading import Grader
from .uses import uses_sandbox
from .with_metrics import WithMetrics, with_account


class OtherScorer(Decorated):
    """The benchmark, with another scorer."""

    def __init__(self, inner: Environment, scorer: Callable[[ScorerInput], Any]) -> None:
        super().__init__(inner)
        self._scorer = scorer
        sandbox = inner.grading.sandbox
        if sandbox is None and uses_sandbox(scorer):
            sandbox = SandboxSpec()
        self._grader = Grader(scorer, replace(inner.grading, sandbox=sandbox))
        self._needs = msgspec.structs.replace(inner.needs, sandbox=sandbox, inline=False)

    @property
    def needs(self) -> Needs:
        """What the benchmark needs. The sandbox is the one that scorers of its answers get, or any
        where only the other scorer's code uses one."""
        return self._needs

    @property
    def aggregates(self) -> Aggregates | None:
        """None: the benchmark sums up what its own scorer says."""
        return None

    async def verify(self, problem: Problem, solution: Solution, tools: VerifyTools) -> Score:
        """The other scorer's verdict, for which it may ask the benchmark's judge.

        A scorer that fails is an InfraError, never a reward.
        """
        if not isinstance(self.inner, WithMetrics):
            return await self._grader.grade(problem, solution, tools)
        with self.inner.verification(problem, tools) as (lent, verification):
            return with_account(await self._grader.grade(problem, solution, lent), verification)

    def identity(self) -> Mapping[str, Json]:
        """The identity of the benchmark, with the other scorer."""
        scorer = code_digest(self._grader.name, source_of(self._scorer))
        identity = {**self.inner.identity(), "scorer": scorer}
        identity.pop("packages", None)
        packages = deciding([self._scorer])
        return {**identity, "packages": packages} if packages else identity
