"""The metrics that ask judges: one grade, a comparison with a baseline, several judges together.

Every value is a share of the best there is, 0 to 1. An empty answer is graded 0 without asking a
judge.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Protocol

import msgspec

from ..errors import InfraError
from ..scoring.judged import Graded, JudgeRequest, Labels, Ruling, Scale
from ..scoring.reasoning import visible
from ..traffic.client import ModelClient
from ..traffic.types import CallContext
from ..types import Failure, Json, Phase, Problem, Solution
from .judge import Judge
from .prompts import (
    PAIR_RUBRIC,
    RUBRIC,
    SYSTEM,
    comparison,
    grading,
    problem_text,
    reference_text,
)
from .verification import Verification, together

PAIR = Labels(("A", "B", "tie"))
WIN = {"A": 1.0, "tie": 0.5, "B": 0.0}
PASS_SHARE = 0.5
"""Share of the scale from which a member of an ensemble votes for an answer."""


class Metric(Protocol):
    """Grades an answer by asking models."""

    @property
    def name(self) -> str:
        """The metric's name in results."""

    async def grade(self, problem: Problem, answer: str, verification: Verification) -> Graded:
        """Raises InfraError if no verdict can be had."""

    def identity(self) -> Mapping[str, Json]:
        """What changes the meaning of its grades."""


@dataclass(frozen=True, slots=True)
class RubricMetric:
    """One judge grades by a rubric."""

    name: str
    judge: Judge
    rubric: str = RUBRIC
    max_score: float = 5.0
    swap_check: bool = False
    reference_free: bool = False
    about: Mapping[str, Json] | None = None
    """The judge's identity."""

    def asked(self, request: JudgeRequest) -> RubricMetric:
        """The metric with a scorer's wishes in the place of what is configured."""
        return replace(
            self,
            rubric=self.rubric if request.rubric is None else request.rubric,
            max_score=self.max_score if request.max_score is None else request.max_score,
            reference_free=self.reference_free
            if request.reference_free is None
            else request.reference_free,
        )

    async def grade(self, problem: Problem, answer: str, verification: Verification) -> Graded:
        """The grade as a share of ``max_score``; with ``swap_check`` the mean of two, the answer
        shown before the reference and after it."""
        if not answer.strip():
            return Graded(0.0, {"empty": True})
        reference = None if self.reference_free else reference_text(problem.target)
        orders = [False, True] if self.swap_check and reference is not None else [False]
        rulings = await together(
            self.judge.ask(
                verification,
                grading(
                    problem_text(problem), answer, reference, self.rubric, reference_first=first
                ),
                Scale(self.max_score),
                system=self.judge.manner.system or SYSTEM,
            )
            for first in orders
        )
        grades = [float(ruling.value) for ruling in rulings]
        details: dict[str, Json] = {"score": fmean(grades), "max_score": self.max_score}
        if len(grades) > 1:
            verification.disagreed(grades[0] != grades[1])
            details |= {"scores": grades, "disagreement": grades[0] != grades[1]}
        return Graded(fmean(grades) / self.max_score, {**details, **_why(rulings)})

    def identity(self) -> Mapping[str, Json]:
        """Judge, rubric and how it is shown."""
        return {
            "type": "judge",
            "judge": dict(self.about or {}),
            "rubric": digest(self.rubric),
            "max_score": self.max_score,
            "swap_check": self.swap_check,
            "reference_free": self.reference_free,
            "prompt": PROMPTS,
        }


Answer = Callable[[Problem, str, CallContext], Awaitable[Solution]]
"""Has a problem answered by a service the way the solver does it."""


@dataclass(frozen=True, slots=True)
class PairwiseMetric:
    """One judge compares with a baseline's answer: 1 for a win, 0.5 for a tie, 0 for a loss."""

    name: str
    judge: Judge
    baseline: ModelClient
    answer: Answer
    rubric: str = PAIR_RUBRIC
    swap_check: bool = True
    about: Mapping[str, Json] | None = None

    async def grade(self, problem: Problem, answer: str, verification: Verification) -> Graded:
        """The grade; with ``swap_check`` the mean of both orders."""
        if not answer.strip():
            return Graded(0.0, {"empty": True})
        other = await self._baseline(problem, verification)
        orders = [False, True] if self.swap_check else [False]
        rulings = await together(
            self._compare(problem, answer, other, verification, swapped=swapped)
            for swapped in orders
        )
        wins = [
            1.0 - WIN[str(ruling.value)] if swapped else WIN[str(ruling.value)]
            for ruling, swapped in zip(rulings, orders, strict=True)
        ]
        details: dict[str, Json] = {"baseline": self.baseline.name, "baseline_answer": other[:500]}
        if len(wins) > 1:
            verification.disagreed(wins[0] != wins[1])
            details |= {"orders": wins, "disagreement": wins[0] != wins[1]}
        return Graded(fmean(wins), {**details, **_why(rulings)})

    def identity(self) -> Mapping[str, Json]:
        """Judge, baseline and rubric."""
        return {
            "type": "pairwise_judge",
            **dict(self.about or {}),
            "rubric": digest(self.rubric),
            "swap_check": self.swap_check,
            "prompt": PROMPTS,
        }

    async def _compare(
        self,
        problem: Problem,
        answer: str,
        other: str,
        verification: Verification,
        *,
        swapped: bool,
    ) -> Ruling:
        first, second = (other, answer) if swapped else (answer, other)
        prompt = comparison(problem_text(problem), first, second, self.rubric)
        return await self.judge.ask(
            verification, prompt, PAIR, system=self.judge.manner.system or SYSTEM
        )

    async def _baseline(self, problem: Problem, verification: Verification) -> str:
        """The baseline's answer to the problem: asked for once, whatever the number of repeats."""
        seen = (problem.prompt, problem.messages, problem.system, len(problem.images))
        key = digest("baseline", self.name, self.baseline.service_name, self.baseline.name, seen)
        async with verification.alone(key):
            kept = verification.find(key)
            if kept is None:
                context = verification.context(self.baseline, "baseline")
                solution = await self.answer(
                    problem,
                    self.baseline.service_name,
                    msgspec.structs.replace(context, repeat=0, target=problem.target),
                )
                if solution.error is not None:
                    raise _no_baseline(self.baseline, solution.error.message)
                kept = solution.generation
                verification.note(key, self.baseline, kept, readable=True)
        return visible(kept.text).text


@dataclass(frozen=True, slots=True)
class EnsembleMetric:
    """Several judges grade by one rubric."""

    name: str
    members: Sequence[RubricMetric]
    aggregation: str = "mean"
    """``mean``, ``median`` or ``majority_vote``."""

    async def grade(self, problem: Problem, answer: str, verification: Verification) -> Graded:
        """The mean or median of the grades; or 1 where most judges give at least half of the scale,
        0 where most give less, 0.5 where they are even.

        A judge without a verdict is an InfraError, unless the others have the majority already.
        """
        if not answer.strip():
            return Graded(0.0, {"empty": True})
        found = await asyncio.gather(
            *(member.grade(problem, answer, verification) for member in self.members),
            return_exceptions=True,
        )
        failed = [item for item in found if isinstance(item, BaseException)]
        grades = [item for item in found if isinstance(item, Graded)]
        values = [grade.value for grade in grades]
        votes = Counter(value >= PASS_SHARE for value in values)
        decided = [vote for vote, count in votes.items() if 2 * count > len(self.members)]
        if failed and not (self.aggregation == "majority_vote" and decided):
            raise failed[0]
        for other in failed:
            if not isinstance(other, InfraError):
                raise other
        verification.disagreed(len(votes) > 1)
        details: dict[str, Json] = {
            "members": dict(self._values_by_judge(found)),
            "disagreement": len(votes) > 1,
            "spread": max(values) - min(values),
        }
        return Graded(self._aggregated(values, decided), details)

    def identity(self) -> Mapping[str, Json]:
        """The members, and how their grades become one."""
        return {
            "type": "ensemble_judge",
            "aggregation": self.aggregation,
            "members": [dict(member.identity()) for member in self.members],
        }

    def _aggregated(self, values: Sequence[float], decided: Sequence[bool]) -> float:
        if self.aggregation == "majority_vote":
            return float(decided[0]) if decided else 0.5
        return median(values) if self.aggregation == "median" else fmean(values)

    def _values_by_judge(self, found: Sequence[Graded | BaseException]) -> list[tuple[str, Json]]:
        return [
            (member.name, item.value if isinstance(item, Graded) else {"error": str(item)})
            for member, item in zip(self.members, found, strict=True)
        ]


class BenchmarkJudge:
    """What a scorer is given: the benchmark's judge, for one verification."""

    def __init__(self, metric: RubricMetric, verification: Verification) -> None:
        self._metric, self._verification = metric, verification

    async def ask(self, prompt: str, form: Scale | Labels, *, system: str | None = None) -> Ruling:
        """The verdict on what a prompt of the scorer's own shows. Raises InfraError."""
        return await self._metric.judge.ask(self._verification, prompt, form, system=system)

    async def grade(self, problem: Problem, answer: str, request: JudgeRequest) -> Graded:
        """The grade by the configured rubric, or that of the request. Raises InfraError."""
        return await self._metric.asked(request).grade(problem, answer, self._verification)


def digest(*parts: object) -> str:
    """Sixteen hex digits over the parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


PROMPTS = digest(grading("p", "a", "r", "c"), comparison("p", "a", "b", "c"), SYSTEM)
"""Changes with the wording of the prompts."""


def _why(rulings: Sequence[Ruling]) -> dict[str, Json]:
    texts = [ruling.explanation for ruling in rulings if ruling.explanation]
    return {"explanation": texts[0]} if texts else {}


def _no_baseline(client: ModelClient, message: str) -> InfraError:
    return InfraError(
        f"baseline {client.service_name} gave no answer: {message}",
        kind=Failure.VERIFIER,
        phase=Phase.VERIFY,
        peer=client.endpoint.peer,
    )
