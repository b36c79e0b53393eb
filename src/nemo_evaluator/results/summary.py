"""What came of a benchmark and of a run, as records: the one source of bundles and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..types import Json, Outcome, Record
from .distribution import Distribution
from .effort import Effort
from .identity_facts import facts_of
from .performance import Performance
from .repeats import Agreement
from .run_info import RunInfo
from .stopping import Stopping


class Estimate(Record, frozen=True, kw_only=True):
    """A number with its 95 % interval."""

    value: float
    ci_lower: float
    ci_upper: float
    n: int
    """Problems it is a mean over."""
    method: str
    correct: int | None = None
    total: int | None = None
    stderr: float | None = None
    """Of a measure that the environment made of all rows, and so the next three."""
    filter: str = "none"
    higher_is_better: bool = True
    group: str | None = None


class FailureKind(Record, frozen=True, kw_only=True):
    """One kind of failure."""

    count: int
    rate: float
    """Share of all planned rollouts."""


class FailureExample(Record, frozen=True, kw_only=True):
    """One failed rollout, shortened."""

    category: str
    problem_idx: int
    repeat: int
    response_preview: str = ""
    error: str = ""


class Runtime(Record, frozen=True, kw_only=True):
    """Cost and speed, over every attempt."""

    total_steps: int
    """Rollouts that ended, with or without a verdict."""
    total_tokens: int
    total_prompt_tokens: int
    total_completion_tokens: int
    total_reasoning_tokens: int
    elapsed_seconds: float
    latency_percentiles_ms: Mapping[str, float]
    ttft_percentiles_ms: Mapping[str, float]
    tokens_per_second: float
    """Prompt and completion tokens, as other tools count them."""
    steps_per_second: float
    model_errors: int
    total_retries: int
    """Attempts beyond the first, and requests beyond the first of an attempt."""
    finish_reason_counts: Mapping[str, int]
    answers: int = 0
    """Answers of models, those of attempts that do not count included."""
    output_tokens_per_second: float = 0.0
    """Completion tokens only."""
    cost_usd: float | None = None
    total_cached_tokens: int = 0
    """Prompt tokens the provider had in its own cache."""
    cached_answers: int = 0
    """Answers from our cache: they used no tokens and cost nothing."""
    judge_calls: int = 0
    """Replies of judges, failed verifications included; their tokens are not among the totals."""
    judge_prompt_tokens: int = 0
    judge_completion_tokens: int = 0
    judge_cost_usd: float | None = None


class Accounts(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What all benchmarks of a run used, every attempt and every judge included."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    cost_usd: float | None
    """US dollars, where a price is known."""
    retries: int


class Summary(Record, frozen=True, kw_only=True):
    """Spread of the rewards of all scored rollouts."""

    mean: float
    std: float
    min: float
    max: float
    median: float
    n: int


class BenchmarkSummary(Record, frozen=True, kw_only=True):
    """One benchmark of a run."""

    name: str
    slug: str
    service: str | None
    model: str | None
    simulated: bool
    n_problems: int
    repeats: int
    n_rollouts: int
    n_scored: int
    headline: str | None
    """Name of the metric to look at first; None if nothing was scored."""
    metrics: Mapping[str, Estimate]
    categories: Mapping[str, Mapping[str, Estimate]]
    """Breakdown (``category``, ``level`` …) → group → mean reward."""
    bound_if_rest_wrong: float | None
    bound_if_rest_right: float | None
    truncated: int
    no_answer: int
    """Scored rollouts in which no answer was found."""
    outcomes: Mapping[str, int]
    failures: Mapping[str, FailureKind]
    examples: tuple[FailureExample, ...]
    retried: Mapping[str, Json]
    """Rollouts that needed more than one attempt, and the scores with and without them."""
    runtime: Runtime
    summary: Summary | None
    identity: Mapping[str, Json]
    plan_digest: str
    identical_repeats: int = 0
    """Problems of which three repeats or more gave the same text every time."""
    agreement: Agreement | None = None
    """What repeats agree on; None without repeats."""
    dataset_size: int | None = None
    """Problems of the whole dataset."""
    stopping: Stopping | None = None
    """By what the answers were looked at while the run went on; None where they were not."""
    warnings: tuple[str, ...] = ()
    """Why the headline's interval may miss more often than it says."""
    distributions: Mapping[str, Distribution] = {}
    """Of ``latency_ms``, ``ttft_ms``, ``completion_tokens`` and ``cost_usd``, over all answers."""
    effort: Effort | None = None
    """What the tasks took; None where no agent worked on them."""
    performance: Performance | None = None
    """How well the model was served; None without an answer."""

    @property
    def coverage(self) -> float:
        """Share of the planned rollouts that got a verdict."""
        return self.n_scored / self.n_rollouts if self.n_rollouts else 0.0

    @property
    def same_again(self) -> bool:
        """Whether repeats hardly ever gave another answer."""
        return self.identical_repeats > 0 and self.identical_repeats >= 0.9 * self.n_problems

    @property
    def refused(self) -> int:
        """Rollouts scored by the benchmark's rule though the endpoint refused them (a 4xx)."""
        return self.outcomes.get(Outcome.MODEL_ERROR.value, 0)

    @property
    def shown_headline(self) -> str:
        """The headline's name, with how choices were asked for."""
        return facts_of(self.identity).named(self.headline)

    @property
    def score(self) -> Estimate | None:
        """The headline metric."""
        return self.metrics[self.headline] if self.headline else None


class RunSummary(Record, frozen=True, kw_only=True):
    """A whole run."""

    run: RunInfo
    benchmarks: tuple[BenchmarkSummary, ...]
    directory: str = ""

    @property
    def n_rollouts(self) -> int:
        """Rollouts of all benchmarks."""
        return sum(benchmark.n_rollouts for benchmark in self.benchmarks)

    @property
    def accounts(self) -> Accounts:
        """What the run used."""
        return accounts(self.benchmarks)


def accounts(benchmarks: Sequence[BenchmarkSummary]) -> Accounts:
    """What some benchmarks used together."""
    runtimes = [benchmark.runtime for benchmark in benchmarks]
    known = [cost for runtime in runtimes for cost in (runtime.cost_usd, runtime.judge_cost_usd)]
    costs = [cost for cost in known if cost is not None]
    return Accounts(
        prompt_tokens=sum(r.total_prompt_tokens + r.judge_prompt_tokens for r in runtimes),
        completion_tokens=sum(
            r.total_completion_tokens + r.judge_completion_tokens for r in runtimes
        ),
        reasoning_tokens=sum(runtime.total_reasoning_tokens for runtime in runtimes),
        cached_tokens=sum(runtime.total_cached_tokens for runtime in runtimes),
        cost_usd=round(sum(costs), 6) if costs else None,
        retries=sum(runtime.total_retries for runtime in runtimes),
    )


def interval(estimate: Estimate) -> str:
    """``0.642 [0.618, 0.665]``; without limits where one unit alone says nothing."""
    low, high = estimate.ci_lower, estimate.ci_upper
    if math.isinf(low) or math.isinf(high):
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{low:.3f}, {high:.3f}]"


def headline_line(summary: BenchmarkSummary) -> str:
    """The score as it must be read: with interval, n, coverage, and the shares of unusual answers.

    ``0.642 [0.616, 0.668] n=1,285 of 1,319, scored 97.4 %; 0.625 if the rest is wrong, 0.651 if
    right``
    """
    score = summary.score
    if score is None:
        return f"no score: 0 of {summary.n_rollouts} scored{_marks(summary)}"
    line = f"{interval(score)} n={score.n:,}"
    if summary.dataset_size is not None and score.n < summary.dataset_size:
        line += f" of {summary.dataset_size:,}"
    if summary.repeats > 1:
        line += f" × {summary.repeats}"
    if summary.n_scored < summary.n_rollouts:
        line += f", scored {summary.coverage * 100:.1f} %"
        if summary.bound_if_rest_wrong is not None:
            line += f"; {summary.bound_if_rest_wrong:.3f} if the rest is wrong"
            line += f", {summary.bound_if_rest_right:.3f} if right"
    doubt = f" ({'; '.join(summary.warnings)})" if summary.warnings else ""
    return line + _marks(summary) + doubt


def _marks(summary: BenchmarkSummary) -> str:
    text = ""
    for count, words in (
        (summary.truncated, "truncated"),
        (summary.refused, "refused"),
        (summary.no_answer, "no answer found"),
    ):
        if count and summary.n_scored:
            text += f", {words} {count / summary.n_scored * 100:.1f} %"
    return text + (" (simulated)" if summary.simulated else "")
