"""Collects times of answers, rollout by rollout, and sums them up as their ``Performance``."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..stats.quantiles import quantile_interval
from ..types import Solution
from .effort import Quantity
from .effort_columns import EffortColumns
from .per_problem import Floats
from .performance import Performance

LEAST_SECONDS = 1e-3
"""An answer that took less says nothing about a pace."""


class PerformanceColumns:
    """Add the answer of every rollout that has one; then ``finish``."""

    def __init__(self) -> None:
        self._problems = array("q")
        self._latency, self._ttft, self._pace = array("d"), array("d"), array("d")

    def add(self, problem: int, solution: Solution) -> None:
        """One answer."""
        if solution.error is not None or solution.cached:
            return
        self._problems.append(problem)
        self._latency.append(solution.latency_ms)
        self._ttft.append(math.nan if solution.ttft_ms is None else solution.ttft_ms)
        self._pace.append(_pace(solution))

    def finish(
        self, effort: EffortColumns, problems: Sequence[int], clusters: Sequence[str | None]
    ) -> Performance | None:
        """``effort``, ``problems``, ``clusters``: of the rollouts with a verdict. None where there
        is no answer."""
        if not self._problems:
            return None
        where = np.frombuffer(self._problems, dtype=np.int64)
        latency, ttft = np.frombuffer(self._latency), np.frombuffer(self._ttft)
        cost, tokens = effort.prices(problems, clusters)
        return Performance(
            answers=len(where),
            ttft_p50_ms=_quantile(ttft, 0.5, where),
            ttft_p90_ms=_quantile(ttft, 0.9, where),
            latency_p50_ms=_quantile(latency, 0.5, where),
            latency_p90_ms=_quantile(latency, 0.9, where),
            tokens_per_s_p50=_quantile(np.frombuffer(self._pace), 0.5, where),
            cost_per_correct=cost,
            tokens_per_correct=tokens,
        )


def _pace(solution: Solution) -> float:
    """Tokens per second; NaN where it is not known."""
    tokens = solution.usage.completion_tokens
    if not tokens:
        return math.nan
    seconds = solution.latency_ms / 1000
    if solution.ttft_ms is not None and solution.calls == 1:
        seconds -= solution.ttft_ms / 1000
        tokens -= 1  # the first one has come by then
    return tokens / seconds if tokens > 0 and seconds >= LEAST_SECONDS else math.nan


def _quantile(values: Floats, q: float, problems: npt.NDArray[np.int64]) -> Quantity | None:
    known = ~np.isnan(values)
    if not known.any():
        return None
    found = quantile_interval(values[known], q, problems[known].tolist())
    return Quantity(
        value=round(found.value, 3),
        ci_lower=round(found.lower, 3),
        ci_upper=round(found.upper, 3),
        n=len(np.unique(problems[known])),
    )
