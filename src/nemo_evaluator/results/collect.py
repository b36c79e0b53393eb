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
from ..types import BenchmarkPlan, Failure, Solution
from .effort_columns import EffortColumns
from .identity_facts import plan_facts
from .journal import Called, Errored, Solved, UsedBeside
from .judgements import JudgeTotals
from .per_problem import Floats, PerProblem, as_floats, clipped, outside
from .performance_columns import PerformanceColumns
from .repeats import Agreement, Sameness, agreement
from .result_row import NO_ANSWER
from .rows import RolloutRecord, extra_metrics, preview
from .runtime_columns import RuntimeColumns
from .summary import (
    BenchmarkSummary,
    Estimate,
    FailureExample,
    FailureKind,
    Summary,
)

EXAMPLES_PER_KIND = 3

V = TypeVar("V")


class Collector:
    """Add every rollout once, in (problem_idx, repeat) order; then ``finish``."""

    def __init__(self, plan: BenchmarkPlan, began: Sequence[float] = ()) -> None:
        """``began``: when the invocations of the run started, as Unix times."""
        self._plan = plan
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
        self._runtime = RuntimeColumns(began)
        self._repeats = Sameness()
        self._effort = EffortColumns()
        self._performance = PerformanceColumns()
        self._simulated = plan.simulated
        self._correct = array("b")
        self._rated = True
        """Every verdict so far has a reward."""
        self._outcomes: Counter[str] = Counter()
        self._failures: Counter[Failure] = Counter()
        self._examples: list[FailureExample] = []
        self._example_counts: Counter[Failure] = Counter()
        self._truncated = self._no_answer = 0

    def add(self, record: RolloutRecord) -> None:
        """One rollout."""
        self._outcomes[record.outcome.value] += 1
        self._runtime.retried(record.attempts - 1)
        if record.solved is not None:
            self._runtime.ended(record.solved.at)
            self._add_solution(record.solved.solution)
            self._performance.add(record.key.problem_idx, record.solved.solution)
            self._repeats.add(record.key, record.solved.solution.response)
        if record.ended is not None:
            self._runtime.ended(record.ended.at)
            if isinstance(record.ended, Errored):
                self._runtime.add_failed(record.ended)
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
            self._runtime.add_failed(attempt)

    def add_judges(self, totals: JudgeTotals) -> None:
        """What judges were paid; call once."""
        self._runtime.judges = totals
        self._simulated |= totals.simulated

    def finish(self) -> BenchmarkSummary:
        """The summary of everything added."""
        plan = self._plan
        rewards = as_floats(self._rewards)
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
            runtime=self._runtime.finish(self._outcomes.total()),
            summary=_spread(rewards) if self._rated else None,
            identity=plan.identity,
            plan_digest=plan.digest,
            identical_repeats=self._repeats.count(),
            agreement=self._agreement(rewards) if self._rated else None,
            warnings=self._warnings(rewards, headline),
            distributions=self._runtime.distributions(),
            effort=self._effort.finish(self._problems, self._clusters),
            performance=self._performance.finish(self._effort, self._problems, self._clusters),
        )

    def _add_solution(self, solution: Solution) -> None:
        self._simulated |= solution.simulated
        self._runtime.add(solution)

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
        self._clusters.append(None if cluster is None else self._interned(cluster))
        metadata = record.problem.metadata if record.problem else {}
        breakdowns = metadata.get("breakdowns")
        groups = dict(breakdowns) if isinstance(breakdowns, Mapping) else {}
        if metadata.get("category") is not None:
            groups["category"] = metadata["category"]
        for name, group in groups.items():
            groups_of = self._groups.setdefault(str(name), [])
            _append(groups_of, self._interned(str(group)), "", len(self._rewards))
        for name, reward in extra_metrics(record.scored).items():
            if isinstance(reward, Ratio):
                parts = self._rates.setdefault(name, (array("d"), array("d")))
                for column, value in zip(parts, reward, strict=True):
                    _append(column, value, 0.0, len(self._rewards))
                continue
            if name not in self._extra:
                self._extra[name] = array("d")
            _append(self._extra[name], reward, 0.0, len(self._rewards))

    def _interned(self, name: str) -> str:
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
