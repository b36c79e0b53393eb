"""Collects what an agent used, rollout by rollout, and sums it up as its ``Effort``."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..stats.intervals import Interval
from ..types import Solution
from .effort import Effort, Quantity, is_agents, is_solved
from .per_problem import Floats, PerProblem
from .rows import RolloutRecord

NO_ANSWER = Solution(response="", calls=0)


class EffortColumns:
    """Add every rollout with a verdict, in the order of its problem; then ``finish``."""

    def __init__(self) -> None:
        self._agents = False
        self._solved, self._calls = array("b"), array("d")
        self._cost, self._tokens, self._seconds = array("d"), array("d"), array("d")
        self._ended_by: Counter[str] = Counter()

    def add(self, record: RolloutRecord) -> None:
        """One rollout with a verdict."""
        assert record.scored is not None
        score = record.scored.score
        solution = NO_ANSWER if record.solved is None else record.solved.solution
        tokens = solution.usage.total_tokens
        asked = tokens is not None or solution.calls > 1
        self._agents = self._agents or is_agents(solution)
        self._solved.append(is_solved(score.correct, score.reward))
        self._calls.append(solution.calls if asked else 0)
        self._cost.append(math.nan if solution.cost_usd is None else solution.cost_usd)
        self._tokens.append(math.nan if tokens is None else tokens)
        took = solution.latency_ms if solution.wall_ms is None else solution.wall_ms
        self._seconds.append(took / 1000)
        if solution.ended_by is not None:
            self._ended_by[solution.ended_by.value] += 1

    def finish(self, problems: Sequence[int], clusters: Sequence[str | None]) -> Effort | None:
        """``problems``, ``clusters``: of each rollout that was added. None where no agent did
        anything."""
        if not self._agents:
            return None
        done = np.frombuffer(self._solved, dtype=np.int8).astype(np.float64)
        cost, tokens = np.frombuffer(self._cost), np.frombuffer(self._tokens)
        calls, where = np.frombuffer(self._calls), np.asarray(problems)
        per_problem = PerProblem(where, list(clusters))
        price, size = self.prices(problems, clusters)
        return Effort(
            rollouts=len(done),
            solved=int(done.sum()),
            cost_usd=None if np.isnan(cost).all() else round(float(np.nansum(cost)), 6),
            tokens=int(np.nansum(tokens)),
            cost_per_solved=price,
            tokens_per_solved=size,
            turns=_quantity(per_problem.amount(calls)) if calls.any() else None,
            seconds=_quantity(per_problem.amount(np.frombuffer(self._seconds))),
            ended_by=dict(sorted(self._ended_by.items())),
        )

    def prices(
        self, problems: Sequence[int], clusters: Sequence[str | None]
    ) -> tuple[Quantity | None, Quantity | None]:
        """US dollars, and tokens, of a solved task, whoever solved it."""
        if not self._solved:
            return None, None
        done = np.frombuffer(self._solved, dtype=np.int8).astype(np.float64)
        where = np.asarray(problems)
        cost, tokens = (
            _per_solved(np.frombuffer(column), done, where, clusters)
            for column in (self._cost, self._tokens)
        )
        return cost, tokens


def _per_solved(
    used: Floats,
    done: Floats,
    problems: npt.NDArray[np.int64],
    clusters: Sequence[str | None],
) -> Quantity | None:
    """Over the rollouts of which it is known what they used."""
    known = ~np.isnan(used)
    if not done[known].any():
        return None
    kept = [name for name, keep in zip(clusters, known, strict=True) if keep]
    found = PerProblem(problems[known], kept).ratio(used[known], done[known])
    return None if found is None else _quantity(found)


def _quantity(found: Interval) -> Quantity:
    return Quantity(
        value=found.value,
        ci_lower=max(0.0, found.lower),
        ci_upper=found.upper if math.isfinite(found.upper) else None,
        n=found.n,
    )
