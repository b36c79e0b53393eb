"""Scoring: metrics beside a benchmark's own verdict, or in its place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .base import ConfigRecord


class ScorerMetric(ConfigRecord):
    """A scoring primitive by name, reported as ``scorer:<name>``; never changes the reward."""

    type: Literal["scorer"] = "scorer"
    """Kind of metric."""
    name: str
    """Name of the primitive; `nel list scorers` shows them."""
    config: dict[str, Any] = Field(default_factory=dict)
    """What the primitive reads as ``config``: a ``pattern``, a ``schema``, a ``tolerance``."""


class RubricFields(ConfigRecord):
    """Fields of every metric that asks a judge."""

    name: str
    """Name of the metric in results."""
    rubric: str | None = None
    """Criteria that the judge grades by."""
    rubric_file: str | None = None
    """File with the rubric, instead of ``rubric``."""
    max_score: float = Field(5.0, gt=0)
    """Highest grade."""
    temperature: float = Field(0.0, ge=0, le=2)
    """Sampling temperature of the judge."""
    timeout: float = Field(120.0, gt=0)
    """Seconds for one judgement."""
    max_retries: int = Field(2, ge=0)
    """Tries after the first."""
    allow_self_judge: bool = False
    """Allow the model to grade itself."""

    @model_validator(mode="after")
    def _one_rubric(self) -> RubricFields:
        if self.rubric is not None and self.rubric_file is not None:
            raise ValueError("rubric and rubric_file exclude each other")
        return self


class JudgeMetric(RubricFields):
    """A model that grades."""

    type: Literal["judge"] = "judge"
    """Kind of metric."""
    service: str
    """The model that grades."""
    system_prompt: str | None = None
    """System prompt of the judge."""
    swap_check: bool = False
    """Judge twice with the order swapped."""
    reference_free: bool = False
    """Judge without the reference answer."""
    calibration: str | None = None
    """What `nel judge calibrate -o` wrote: the score that people would give stands beside the
    judge's, as ``NAME:corrected``."""


class PairwiseJudgeMetric(RubricFields):
    """A model that compares with a baseline's answer."""

    type: Literal["pairwise_judge"] = "pairwise_judge"
    """Kind of metric."""
    judge_service: str
    """The model that compares."""
    baseline_service: str
    """The model that is compared with."""
    swap_check: bool = True
    """Judge twice with the order swapped."""


class EnsembleJudgeMetric(RubricFields):
    """Several models that grade."""

    type: Literal["ensemble_judge"] = "ensemble_judge"
    """Kind of metric."""
    services: list[str] = Field(min_length=2)
    """The models that grade."""
    aggregation: Literal["mean", "median", "majority_vote"] = "mean"
    """How their grades become one."""
    calibration: str | None = None
    """What `nel judge calibrate -o` wrote: the score that people would give stands beside the
    judge's, as ``NAME:corrected``."""


class SandboxMetric(ConfigRecord):
    """A command in the sandbox."""

    type: Literal["sandbox"] = "sandbox"
    """Kind of metric."""
    name: str
    """Name of the metric in results."""
    command: str | None = None
    """The command; its exit status is the verdict."""
    verify_timeout: float = Field(600.0, gt=0)
    """Seconds for the command."""


class RewardModelMetric(ConfigRecord):
    """A reward model."""

    type: Literal["reward_model"] = "reward_model"
    """Kind of metric."""
    name: str
    """Name of the metric in results."""
    service: str
    """The reward model."""
    mode: Literal["single", "multi_aspect", "pairwise"] = "single"
    """What the model returns."""
    aspect: str | None = None
    """Which of several aspects to use."""
    score_range: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest score of the model."""
    threshold: float = 0.5
    """Score from which an answer counts as right."""
    timeout: float = Field(120.0, gt=0)
    """Seconds for one score."""
    max_retries: int = Field(2, ge=0)
    """Tries after the first."""

    @model_validator(mode="after")
    def _range_is_one(self) -> RewardModelMetric:
        if self.score_range[0] >= self.score_range[1]:
            raise ValueError("score_range: the first number must be below the second")
        return self


class CustomMetric(ConfigRecord):
    """A metric of your own class."""

    type: Literal["custom"] = "custom"
    """Kind of metric."""
    name: str
    """Name of the metric in results."""
    class_path: str
    """The class, as ``module:Class``."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Its arguments."""


Metric = Annotated[
    ScorerMetric
    | JudgeMetric
    | PairwiseJudgeMetric
    | EnsembleJudgeMetric
    | SandboxMetric
    | RewardModelMetric
    | CustomMetric,
    Field(discriminator="type"),
]


class ScoringConfig(ConfigRecord):
    """Metrics beside the benchmark's own."""

    include_defaults: bool = True
    """Keep the benchmark's own metric."""
    metrics: list[Metric] = Field(default_factory=list)
    """Further metrics."""
    primary: str | None = None
    """The metric that is the headline; needed when several could be."""

    @model_validator(mode="after")
    def _names_fit(self) -> ScoringConfig:
        names = [metric.name for metric in self.metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"Duplicate metric names: {', '.join(twice)}")
        if self.primary is not None and self.primary not in names:
            known = ", ".join(names) or "none"
            raise ValueError(f"primary {self.primary!r} is not a metric (metrics: {known})")
        # Scorers stand beside the benchmark's own verdict: they never compete for the headline.
        rivals = [metric for metric in self.metrics if not isinstance(metric, ScorerMetric)]
        if len(self.metrics) > 1 and rivals and self.primary is None:
            raise ValueError("several metrics need a primary")
        return self
