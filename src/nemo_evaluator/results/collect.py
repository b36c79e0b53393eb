"""Sums up rollouts one by one: numbers in flat arrays, never texts.

What is kept per rollout is a few machine words, so a hundred thousand rollouts fit in some tens of
megabytes. ``finish`` turns it into a ``BenchmarkSummary``.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, MutableSequence, Sequence
from typing import TypeVar

import numpy as np

from ..measured import Ratio
from ..types import BenchmarkPlan, Failure, Solution, Usage
from .active_time import active_seconds
from .distribution import Distribution, distribution, percentiles
from .effort_columns import EffortColumns
from .facts import plan_facts
from .journal import Called, Errored, Solved, UsedBeside
from .judgements import JudgeTotals
from .per_problem import Floats, PerProblem, clipped, outside
from .performance_columns import PerformanceColumns
from .repeats import Agreement, Sameness, agreement
from .result_row import NO_ANSWER
from .rows import RolloutRecord, extra_metrics, preview
from .summary import (
    BenchmarkSummary,
    Estimate,
    FailureExample,
    FailureKind,
    Runtime,
    Summary,
)

EXAMPLES_PER_KIND = 3

V = TypeVar("V")


class Collector:
    """Add every rollout once, in (problem_idx, repeat) order; then ``finish``."""

    def __init__(self, plan: BenchmarkPlan, began: Sequence[float] = ()) -> None:
        """``began``: when the invocations of the run started, as Unix times."""
        self._plan, self._began = plan, began
        self._problems = array("q")
        self._rewards = array("d")
        self._retried = array("b")
        self._groups: dict[str, list[str]] = {}
        self._clusters: list[str | None] = []
        self._names: dict[str, str] = {}
        """Names of groups and clusters, each once."""
        self._extra: dict[str, array[float]] = {}
        self._rates: dict[str, tuple[array[float], array[float]]] = {}
        self._all_binary = True
        facts = plan_facts(plan)
        self._range = facts.mean_range
        """What means are clipped to, where the benchmark says so."""
        self._ranges = facts.ranges
        self._judges = JudgeTotals()
        self._repeats = Sameness()
        self._effort = EffortColumns()
        self._performance = PerformanceColumns()
        self._simulated = plan.simulated
        self._correct = array("b")
        self._rated = True
        """Every verdict so far has a reward."""
        self._latency, self._ttft, self._times = array("d"), array("d"), array("d")
        self._completions, self._costs = array("d"), array("d")
        self._tokens = [0, 0, 0, 0, 0]
        self._cached = 0
        self._cost: float | None = None
        self._outcomes: Counter[str] = Counter()
        self._failures: Counter[Failure] = Counter()
        self._finish: Counter[str] = Counter()
        self._examples: list[FailureExample] = []
        self._example_counts: Counter[Failure] = Counter()
        self._truncated = self._no_answer = self._retries = self._model_errors = 0

    def add(self, record: RolloutRecord) -> None:
        """One rollout."""
        self._outcomes[record.outcome.value] += 1
        self._retries += record.attempts - 1
        if record.solved is not None:
            self._times.append(record.solved.at)
            self._add_solution(record.solved.solution)
            self._performance.add(record.key.problem_idx, record.solved.solution)
            self._repeats.add(record.key, record.solved.solution.response)
        if record.ended is not None:
            self._times.append(record.ended.at)
            if isinstance(record.ended, Errored):
                self._add_failed(record.ended)
        if (failure := record.failure) is not None:
            self._failures[failure] += 1
            self._add_example(record, failure)
        if record.scored is not None:
            self._add_score(record)

    def add_attempt(self, attempt: Solved | Errored | Called | UsedBeside) -> None:
        """An earlier attempt, or what was used beside: it counts for cost and time, not for the
        score."""
        if isinstance(attempt, Solved):
            self._add_solution(attempt.solution)
        else:
            self._add_failed(attempt)

    def add_judges(self, totals: JudgeTotals) -> None:
        """What judges were paid; call once."""
        self._judges = totals
        self._simulated |= totals.simulated

    def finish(self) -> BenchmarkSummary:
        """The summary of everything added."""
        plan = self._plan
        rewards = _floats(self._rewards)
        metrics = self._metrics(rewards)
        missing = plan.n_rollouts - len(rewards)
        wrong, right = self._bounds(rewards, missing)
        headline = next((m for m in ("pass@1", "mean_reward") if m in metrics), None)
        return BenchmarkSummary(
            name=plan.name,
            slug=plan.slug,
            service=plan.service,
            model=plan.model,
            simulated=self._simulated,
            n_problems=plan.n_problems,
            dataset_size=plan.dataset_size,
            repeats=plan.repeats,
            n_rollouts=plan.n_rollouts,
            n_scored=len(rewards),
            headline=headline,
            metrics=metrics,
            categories=self._breakdowns(rewards) if self._rated else {},
            bound_if_rest_wrong=wrong,
            bound_if_rest_right=right,
            truncated=self._truncated,
            no_answer=self._no_answer,
            outcomes=dict(sorted(self._outcomes.items())),
            failures={
                kind.value: FailureKind(count=count, rate=count / plan.n_rollouts)
                for kind, count in sorted(self._failures.items())
            },
            examples=tuple(self._examples),
            retried=self._retried_split(rewards),
            runtime=self._runtime(),
            summary=_spread(rewards) if self._rated else None,
            identity=plan.identity,
            plan_digest=plan.digest,
            identical_repeats=self._repeats.count(),
            agreement=self._agreement(rewards) if self._rated else None,
            warnings=self._warnings(rewards, headline),
            distributions=self._distributions(),
            effort=self._effort.finish(self._problems, self._clusters),
            performance=self._performance.finish(self._effort, self._problems, self._clusters),
        )

    def _add_solution(self, solution: Solution) -> None:
        self._cached += solution.cached
        self._simulated |= solution.simulated
        # An answer from the cache cost nothing, which is known where a price is.
        self._add_usage(Usage() if solution.cached else solution.usage, solution.cost_usd)
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

    def _add_failed(self, attempt: Errored | Called | UsedBeside) -> None:
        self._retries += max(0, attempt.tries - attempt.calls)
        self._add_usage(attempt.usage, attempt.cost_usd)

    def _add_usage(self, usage: Usage, cost_usd: float | None) -> None:
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

    def _add_score(self, record: RolloutRecord) -> None:
        assert record.scored is not None
        score = record.scored.score
        self._effort.add(record)
        self._problems.append(record.key.problem_idx)
        self._rewards.append(score.reward)
        self._rated = self._rated and score.rated
        self._retried.append(record.attempts > 1)
        self._all_binary = self._all_binary and score.correct is not None
        self._correct.append(bool(score.correct))
        self._truncated += record.truncated
        self._no_answer += score.failure in NO_ANSWER
        cluster = record.problem.cluster if record.problem else None
        self._clusters.append(None if cluster is None else self._once(cluster))
        metadata = record.problem.metadata if record.problem else {}
        breakdowns = metadata.get("breakdowns")
        groups = dict(breakdowns) if isinstance(breakdowns, Mapping) else {}
        if metadata.get("category") is not None:
            groups["category"] = metadata["category"]
        for name, group in groups.items():
            groups_of = self._groups.setdefault(str(name), [])
            _append(groups_of, self._once(str(group)), "", len(self._rewards))
        for name, reward in extra_metrics(record.scored).items():
            if isinstance(reward, Ratio):
                parts = self._rates.setdefault(name, (array("d"), array("d")))
                for column, value in zip(parts, reward, strict=True):
                    _append(column, value, 0.0, len(self._rewards))
                continue
            if name not in self._extra:
                self._extra[name] = array("d")
            _append(self._extra[name], reward, 0.0, len(self._rewards))

    def _once(self, name: str) -> str:
        return self._names.setdefault(name, name)

    def _add_example(self, record: RolloutRecord, failure: Failure) -> None:
        self._example_counts[failure] += 1
        if self._example_counts[failure] > EXAMPLES_PER_KIND:
            return
        solution = record.solved.solution if record.solved else None
        error = getattr(record.ended, "error", None) or (solution.error if solution else None)
        self._examples.append(
            FailureExample(
                category=failure.value,
                problem_idx=record.key.problem_idx,
                repeat=record.key.repeat,
                response_preview=preview(solution.response if solution else None),
                error=preview(error.message) if error else "",
            )
        )

    def _metrics(self, rewards: Floats) -> dict[str, Estimate]:
        if not len(rewards):
            return {}
        per_problem = PerProblem(self._problems, self._clusters)
        metrics: dict[str, Estimate] = {}
        if self._all_binary:
            right = np.frombuffer(self._correct, dtype=np.int8).astype(float)
            metrics |= per_problem.pass_metrics(right, self._plan.repeats)
        if self._rated:
            metrics["mean_reward"] = per_problem.mean(rewards, self._ranges.get("mean_reward"))
        for name, values in self._extra.items():
            padded = _padded(values, rewards)
            estimate = per_problem.mean(padded, self._ranges.get(name))
            if not name.startswith("scorer:"):
                metrics[name] = estimate
                continue
            metrics[name] = Estimate(
                value=estimate.value,
                ci_lower=estimate.ci_lower,
                ci_upper=estimate.ci_upper,
                n=estimate.n,
                method=estimate.method,
                correct=int((padded > 0).sum()),
                total=len(padded),
            )
        for name, by in self._plan.settings.calibrations.items():
            if name in self._extra:
                judged = _padded(self._extra[name], rewards)
            else:  # the judge's verdict is the benchmark's
                binary = self._all_binary
                judged = np.array(self._correct, dtype=np.float64) if binary else rewards
            if not outside(judged, (0.0, 1.0)):
                metrics[f"{name}:corrected"] = per_problem.corrected(judged, by)
        for name, (above, below) in self._rates.items():
            rate = per_problem.rate(_padded(above, rewards), _padded(below, rewards))
            if rate is not None:
                metrics[name] = rate
        return {name: clipped(metric, self._range) for name, metric in metrics.items()}

    def _bounds(self, rewards: Floats, missing: int) -> tuple[float | None, float | None]:
        """The mean over all planned rollouts if the missing ones were all 0, or all the best."""
        if not len(rewards) or not self._rated:
            return None, None
        total = float(rewards.sum())
        worst, best = self._ranges.get("mean_reward", (0.0, 1.0))
        worst, best = min(worst, float(rewards.min())), max(best, float(rewards.max()))
        n = self._plan.n_rollouts
        low, high = self._range or (-math.inf, math.inf)
        wrong, right = (total + missing * worst) / n, (total + missing * best) / n
        return min(max(wrong, low), high), min(max(right, low), high)

    def _breakdowns(self, rewards: Floats) -> dict[str, dict[str, Estimate]]:
        result = {}
        problems = np.frombuffer(self._problems, dtype=np.int64) if self._problems else np.zeros(0)
        for name, column in sorted(self._groups.items()):
            labels = np.array(column + [""] * (len(rewards) - len(column)), dtype=object)
            groups = {}
            for group in sorted(set(column) - {""}):
                chosen = labels == group
                clusters = [c for c, keep in zip(self._clusters, chosen, strict=True) if keep]
                per_problem = PerProblem(problems[chosen], clusters)
                found = per_problem.mean(rewards[chosen], self._ranges.get("mean_reward"))
                groups[group] = clipped(found, self._range)
            result[name] = groups
        return result

    def _warnings(self, rewards: Floats, headline: str | None) -> tuple[str, ...]:
        if headline is None:
            return ()
        right = np.frombuffer(self._correct, dtype=np.int8).astype(float)
        within = self._ranges.get("mean_reward") if headline == "mean_reward" else None
        per_problem = PerProblem(self._problems, self._clusters)
        return per_problem.warnings(right if headline == "pass@1" else rewards, within)

    def _retried_split(self, rewards: Floats) -> dict[str, float | int | None]:
        retried = np.frombuffer(self._retried, dtype=np.int8).astype(bool)
        again = rewards[retried] if len(rewards) else rewards
        once = rewards[~retried] if len(rewards) else rewards
        return {
            "rollouts": len(again),
            "mean_reward_retried": float(again.mean()) if len(again) else None,
            "mean_reward_never_retried": float(once.mean()) if len(once) else None,
        }

    def _agreement(self, rewards: Floats) -> Agreement | None:
        if self._plan.repeats < 2 or not len(rewards):
            return None
        problems = np.frombuffer(self._problems, dtype=np.int64)
        right = np.frombuffer(self._correct, dtype=np.int8).astype(float)
        return agreement(problems, rewards, right if self._all_binary else None, self._plan.repeats)

    def _distributions(self) -> dict[str, Distribution]:
        columns = {
            "latency_ms": distribution(_floats(self._latency), "ms"),
            "ttft_ms": distribution(_floats(self._ttft), "ms"),
            "completion_tokens": distribution(_floats(self._completions), "", whole=True),
            "cost_usd": distribution(_floats(self._costs), "USD"),
        }
        return {name: column for name, column in columns.items() if column is not None}

    def _runtime(self) -> Runtime:
        elapsed = active_seconds(self._times, self._began)
        steps = self._outcomes.total()
        total, prompt, completion, reasoning, cached = self._tokens
        return Runtime(
            total_steps=steps,
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
            steps_per_second=round(steps / elapsed, 3) if elapsed else 0.0,
            model_errors=self._model_errors,
            total_retries=self._retries,
            finish_reason_counts=dict(sorted(self._finish.items())),
            cost_usd=_rounded(self._cost),
            total_cached_tokens=cached,
            cached_answers=self._cached,
            judge_calls=self._judges.calls,
            judge_prompt_tokens=self._judges.prompt_tokens,
            judge_completion_tokens=self._judges.completion_tokens,
            judge_cost_usd=_rounded(self._judges.cost_usd),
        )


def _floats(column: array[float]) -> Floats:
    return np.frombuffer(column) if column else np.zeros(0)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _padded(values: array[float], rewards: Floats) -> Floats:
    """One value for each reward; 0 for the last ones that have none."""
    padded = np.zeros(len(rewards))
    padded[: len(values)] = np.frombuffer(values)
    return padded


def _append(column: MutableSequence[V], value: V, filler: V, length: int) -> None:
    """Make ``value`` the last of ``length`` entries, with fillers for rollouts that had none."""
    while len(column) < length - 1:
        column.append(filler)
    column.append(value)


def _spread(rewards: Floats) -> Summary | None:
    if not len(rewards):
        return None
    return Summary(
        mean=float(rewards.mean()),
        std=float(rewards.std(ddof=1)) if len(rewards) > 1 else 0.0,
        min=float(rewards.min()),
        max=float(rewards.max()),
        median=float(np.median(rewards)),
        n=len(rewards),
    )
