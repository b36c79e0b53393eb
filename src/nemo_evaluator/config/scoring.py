"""Scoring: metrics beside a benchmark's own verdict."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .base import ConfigRecord


class ScorerMetric(ConfigRecord):
    """A scoring primitive by name, reported as ``scorer:<name>``."""

    type: Literal["scorer"]
    name: str


class _Rubric(ConfigRecord):
    name: str
    rubric: str | None = None
    rubric_file: str | None = None
    max_score: float = Field(5.0, gt=0)
    temperature: float = Field(0.0, ge=0, le=2)
    timeout: float = Field(120.0, gt=0)
    max_retries: int = Field(2, ge=0)

    @model_validator(mode="after")
    def _one_rubric(self) -> _Rubric:
        if self.rubric is not None and self.rubric_file is not None:
            raise ValueError("rubric and rubric_file exclude each other")
        return self


class JudgeMetric(_Rubric):
    """A model that grades."""

    type: Literal["judge"]
    service: str
    system_prompt: str | None = None
    swap_check: bool = False
    reference_free: bool = False
    allow_self_judge: bool = False


class PairwiseJudgeMetric(_Rubric):
    """A model that compares with a baseline's answer."""

    type: Literal["pairwise_judge"]
    judge_service: str
    baseline_service: str
    swap_check: bool = True


class EnsembleJudgeMetric(_Rubric):
    """Several models that grade."""

    type: Literal["ensemble_judge"]
    services: list[str] = Field(min_length=2)
    aggregation: Literal["mean", "median", "majority_vote"] = "mean"


class SandboxMetric(ConfigRecord):
    """A command in the sandbox."""

    type: Literal["sandbox"]
    name: str
    command: str | None = None
    verify_timeout: float = Field(600.0, gt=0)


class RewardModelMetric(ConfigRecord):
    """A reward model."""

    type: Literal["reward_model"]
    name: str
    service: str
    mode: Literal["single", "multi_aspect", "pairwise"] = "single"
    aspect: str | None = None
    score_range: tuple[float, float] = (0.0, 1.0)
    threshold: float = 0.5
    timeout: float = Field(120.0, gt=0)
    max_retries: int = Field(2, ge=0)

    @model_validator(mode="after")
    def _range_is_one(self) -> RewardModelMetric:
        if self.score_range[0] >= self.score_range[1]:
            raise ValueError("score_range: the first number must be below the second")
        return self


class CustomMetric(ConfigRecord):
    """A metric of your own class."""

    type: Literal["custom"]
    name: str
    class_path: str
    config: dict[str, Any] = Field(default_factory=dict)


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
    metrics: list[Metric] = Field(default_factory=list)
    primary: str | None = None

    @model_validator(mode="after")
    def _names(self) -> ScoringConfig:
        names = [metric.name for metric in self.metrics]
        if len(names) != len(set(names)):
            raise ValueError("Duplicate metric names")
        if self.primary is not None and self.primary not in names:
            raise ValueError(f"primary {self.primary!r} is not one of the metrics {names}")
        return self
