"""One benchmark of one run as its bundle tells it, whoever wrote the bundle.

A value that the bundle lacks is None, never 0. ``read_bundle`` makes these records.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..types import Json, Record
from .distribution import Distribution
from .effort import Effort
from .identity_facts import facts_of
from .performance import Performance
from .repeats import Agreement
from .stopping import Stopping
from .summary import FailureExample, Summary

AGGREGATE = "aggregate"
"""Method of a measure that a benchmark makes of all rows at once; its interval is of its own error,
where it tells one."""


class Measure(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A metric with its 95 % interval."""

    value: float
    ci_lower: float | None = None
    ci_upper: float | None = None
    n: int | None = None
    method: str | None = None
    correct: int | None = None
    total: int | None = None
    stderr: float | None = None
    filter: str = "none"
    higher_is_better: bool = True
    group: str | None = None
    """The part of the benchmark it is about; None: all of it."""


class Used(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Cost and speed."""

    total_steps: int | None = None
    total_tokens: int | None = None
    total_prompt_tokens: int | None = None
    total_completion_tokens: int | None = None
    total_reasoning_tokens: int | None = None
    total_cached_tokens: int | None = None
    elapsed_seconds: float | None = None
    latency_percentiles_ms: Mapping[str, float | None] = {}
    ttft_percentiles_ms: Mapping[str, float | None] = {}
    tokens_per_second: float | None = None
    steps_per_second: float | None = None
    model_errors: int | None = None
    total_retries: int | None = None
    finish_reason_counts: Mapping[str, int] = {}
    cost_usd: float | None = None
    cached_answers: int | None = None
    judge_calls: int | None = None
    judge_prompt_tokens: int | None = None
    judge_completion_tokens: int | None = None
    judge_cost_usd: float | None = None


class Retried(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Rollouts that needed more than one attempt, and the scores with and without them."""

    rollouts: int = 0
    mean_reward_retried: float | None = None
    mean_reward_never_retried: float | None = None


class Published(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One benchmark of one run as its bundle tells it; None: it does not say."""

    name: str
    slug: str
    """What it is called in the run."""
    run_id: str
    created: str | None
    version: str | None
    model: str | None
    service: str | None
    solver: str | None
    simulated: bool
    n_problems: int | None
    repeats: int | None
    n_rollouts: int | None
    """Planned."""
    n_scored: int | None
    coverage: float | None
    coverage_floor: float | None
    """Below it the run itself said that the score says nothing."""
    score_if_rest_wrong: float | None
    score_if_rest_right: float | None
    truncated: int | None
    refused: int | None
    no_answer: int | None
    headline: str | None
    metrics: Mapping[str, Measure]
    categories: Mapping[str, Mapping[str, Measure]]
    """Breakdown (``category``, ``level`` …) → group → mean reward."""
    outcomes: Mapping[str, int]
    failures: Mapping[str, int]
    """Kind → rollouts."""
    examples: tuple[FailureExample, ...]
    retried: Retried | None
    agreement: Agreement | None
    distributions: Mapping[str, Distribution]
    runtime: Used
    summary: Summary | None
    config: Mapping[str, Json]
    identity: Mapping[str, Json]
    """What makes it comparable; empty where another tool did not write it."""
    digest: str | None
    stopping: Stopping | msgspec.UnsetType = msgspec.UNSET
    """By what its answers were looked at while it ran, where they were."""
    dataset_size: int | None = None
    """Problems of the whole dataset, of which ``n_problems`` were to be evaluated."""
    warnings: tuple[str, ...] = ()
    """Why the score's interval may be too narrow."""
    effort: Effort | None = None
    """What the tasks took, where agents worked on them."""
    performance: Performance | None = None
    """How well the model was served."""
    told: float | None = None
    """What the bundle itself gives as the score, where its rows give another."""

    @property
    def planned_problems(self) -> int | None:
        """Problems that were to be evaluated."""
        if self.n_rollouts is not None and self.repeats:
            return self.n_rollouts // self.repeats
        return self.n_problems

    @property
    def shown_headline(self) -> str:
        """The headline's name, with how choices were asked for."""
        return facts_of(self.identity).named(self.headline)

    @property
    def score(self) -> Measure | None:
        """The headline metric."""
        return self.metrics[self.headline] if self.headline else None
