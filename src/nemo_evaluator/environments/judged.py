"""A verdict that a scorer leaves to the judge (``needs_judge``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InfraError
from ..scoring.judged import KEY, JudgeRequest
from ..types import Failure, Phase, Problem
from .contract import VerifyTools

REQUIREMENT = "judge"
"""The requirement by which a benchmark says that it cannot be scored without a judge."""


def wants_judge(verdict: Any) -> bool:
    """Whether a scorer leaves its verdict to the judge."""
    return isinstance(verdict, Mapping) and bool(verdict.get(KEY))


async def settled(verdict: Any, problem: Problem, answer: str, tools: VerifyTools) -> Any:
    """The verdict, with the judge's grade where the scorer asked for one.

    Raises InfraError where no judge is configured, or none could be understood.
    """
    if not wants_judge(verdict):
        return verdict
    wish = verdict[KEY]
    if tools.judge is None:
        raise InfraError(
            "the scorer leaves the verdict to a judge, and none is configured: add a metric of "
            "type judge to the benchmark's scoring.metrics, then --resume",
            kind=Failure.VERIFIER,
            phase=Phase.VERIFY,
        )
    request = wish if isinstance(wish, JudgeRequest) else JudgeRequest()
    graded = await tools.judge.grade(problem, answer, request)
    rest = {name: value for name, value in verdict.items() if name != KEY}
    settled: dict[str, Any] = {**rest, **graded.details, "reward": graded.value}
    if graded.details.get("empty"):
        settled |= {"failure": Failure.EMPTY.value}
    if request.threshold is not None:
        settled["correct"] = graded.value >= request.threshold
    return settled
