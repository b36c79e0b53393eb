"""Collects what attempts cost and how long they took, and sums it up as the ``Runtime``.

Every attempt counts, also one that no score is made of. Numbers are kept in flat arrays.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

from ..types import Solution, Usage
from .active_time import active_seconds
from .distribution import Distribution, distribution, percentiles
from .journal import Called, Errored, UsedBeside
from .judgements import JudgeTotals
from .per_problem import as_floats
from .summary import Runtime


class RuntimeColumns:
    """Add every attempt once; then ``finish``."""

    def __init__(self, began: Sequence[float]) -> None:
        """``began``: when the invocations of the run started, as Unix times."""
        self._began = began
        self.judges = JudgeTotals()
        """What judges were paid."""
        self._latency, self._ttft, self._times = array("d"), array("d"), array("d")
        self._completions, self._costs = array("d"), array("d")
        self._tokens = [0, 0, 0, 0, 0]
        self._cost: float | None = None
        self._finish: Counter[str] = Counter()
        self._cached = self._retries = self._model_errors = 0

    def ended(self, at: float) -> None:
        """A rollout was answered, or ended, at this Unix time."""
        self._times.append(at)

    def retried(self, times: int) -> None:
        """A rollout needed further attempts."""
        self._retries += times

    def add(self, solution: Solution) -> None:
        """An attempt that was answered."""
        self._cached += solution.cached
        # An answer from the cache cost nothing, which is known where a price is.
        self._use(Usage() if solution.cached else solution.usage, solution.cost_usd)
        self._retries += max(0, solution.tries - solution.calls)
        self._model_errors += solution.error is not None
        if solution.error is None:
            self._latency.append(solution.latency_ms)
            self._finish[solution.finish_reason or "unknown"] += 1
            if solution.usage.completion_tokens is not None:
                self._completions.append(solution.usage.completion_tokens)
        if solution.ttft_ms is not None:
            self._ttft.append(solution.ttft_ms)
        if solution.cost_usd is not None and not solution.cached:
            self._costs.append(solution.cost_usd)

    def add_failed(self, attempt: Errored | Called | UsedBeside) -> None:
        """An attempt that failed, or what was used beside the rollouts."""
        self._retries += max(0, attempt.tries - attempt.calls)
        self._use(attempt.usage, attempt.cost_usd)

    def distributions(self) -> dict[str, Distribution]:
        """Latency, time to the first token, completion tokens and cost, those that were told."""
        columns = {
            "latency_ms": distribution(as_floats(self._latency), "ms"),
            "ttft_ms": distribution(as_floats(self._ttft), "ms"),
            "completion_tokens": distribution(as_floats(self._completions), "", whole=True),
            "cost_usd": distribution(as_floats(self._costs), "USD"),
        }
        return {name: column for name, column in columns.items() if column is not None}

    def finish(self, rollouts: int) -> Runtime:
        """``rollouts``: those that ended."""
        elapsed = active_seconds(self._times, self._began)
        total, prompt, completion, reasoning, cached = self._tokens
        return Runtime(
            total_steps=rollouts,
            total_tokens=total,
            total_prompt_tokens=prompt,
            total_completion_tokens=completion,
            total_reasoning_tokens=reasoning,
            elapsed_seconds=round(elapsed, 3),
            latency_percentiles_ms=percentiles(self._latency),
            ttft_percentiles_ms=percentiles(self._ttft),
            tokens_per_second=round(total / elapsed, 3) if elapsed else 0.0,
            answers=self._finish.total(),
            output_tokens_per_second=round(completion / elapsed, 3) if elapsed else 0.0,
            steps_per_second=round(rollouts / elapsed, 3) if elapsed else 0.0,
            model_errors=self._model_errors,
            total_retries=self._retries,
            finish_reason_counts=dict(sorted(self._finish.items())),
            cost_usd=_rounded(self._cost),
            total_cached_tokens=cached,
            cached_answers=self._cached,
            judge_calls=self.judges.calls,
            judge_prompt_tokens=self.judges.prompt_tokens,
            judge_completion_tokens=self.judges.completion_tokens,
            judge_cost_usd=_rounded(self.judges.cost_usd),
        )

    def _use(self, usage: Usage, cost_usd: float | None) -> None:
        for position, count in enumerate(
            (
                usage.total_tokens,
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.reasoning_tokens,
                usage.cached_tokens,
            )
        ):
            self._tokens[position] += count or 0
        if cost_usd is not None:
            self._cost = (self._cost or 0.0) + cost_usd


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
