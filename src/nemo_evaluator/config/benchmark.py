"""One entry of `benchmarks`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .base import ConfigRecord
from .sandboxes import NoSandbox, Sandbox
from .scoring import ScoringConfig
from .solvers import Solver


class BenchmarkConfig(ConfigRecord):
    """A benchmark, the solver that answers it, and how it is run."""

    name: str = Field(min_length=1)
    """A built-in name, ``FILE.py[:NAME]`` or ``module:attribute``."""
    label: str | None = Field(None, min_length=1)
    """Name of its folder and in reports; tells two entries of one benchmark apart."""
    solver: Solver | None = None
    """May be left out where there is exactly one model service."""
    repeats: int = Field(1, ge=1)
    """Rollouts per problem."""
    max_problems: int | None = Field(None, ge=1)
    """Cuts after the shuffle."""
    max_concurrent: int = Field(32, ge=1)
    """Cap of the adaptive number of requests in flight."""
    fewshot: int | None = Field(None, ge=0)
    context_window: int | None = None
    timeout: float = Field(1800.0, gt=0)
    """Seconds for one rollout, from its first request."""
    verify_timeout: float = Field(600.0, gt=0)
    """Seconds for one verification."""
    skip_failed: bool = False
    """Accept rollouts without a verdict instead of ending as incomplete."""
    max_system_retries: int = Field(3, ge=0)
    """Attempts at a rollout whose failure was not the model's."""
    min_coverage: float | None = Field(None, ge=0, le=1)
    """Share of rollouts that must have a verdict; below it the run exits with 1."""
    instruction_template: str | None = None
    verifier: str | None = None
    shuffle_seed: int | None = 42
    """Order of execution; null keeps the dataset's order."""
    sandbox: Sandbox = Field(default_factory=NoSandbox)
    scoring: ScoringConfig = Field(default_factory=ScoringConfig)
    params: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the benchmark."""
